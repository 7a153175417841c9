"""What a bundle holds, and the checks that keep out what must never be pushed."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from space.contract import load_contract
from space.prompt import encode_prompt
from training.bases import Base, set_base
from training.configs import TrainConfig
from training.outputs import read_json, write_json
from training.release.licence import data_notice, licence_files

FROM_ADAPTER = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "contract.toml",
)
PICTURES = ("loss.svg", "scores.svg", "lengths.svg")
STUDY_FILES = ("study.json", "study.svg")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz")
FORBIDDEN_TEXT = ("[More Information Needed]", f"{Path.home()}/", f"{Path.cwd()}/", f"{gettempdir()}/")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")


def fill_bundle(folder: Path, config: TrainConfig, llama_licence: Path | None, base: Base) -> None:
    """Fill a fresh folder with everything but the card; base: what it names as its base.

    Raises FileNotFoundError naming the step that is missing.
    """
    data = read_json(config.data_dir / "data.json", f"python -m training prepare {config.name}")
    for name, content in licence_files(base, data_notice(data["source"]), llama_licence).items():
        (folder / name).write_bytes(content)
    for name in FROM_ADAPTER:
        copy(config.run_dir / "adapter" / name, folder / name, f"python -m training train {config.name}")
    write_json(folder / "golden.json", golden_ids(folder))
    copy(config.run_dir / "run.json", folder / "run.json", f"python -m training train {config.name}")
    rename_base(folder / "run.json", base)
    set_base(folder, base)
    copy(
        config.data_dir / "data.json",
        folder / "evaluation" / "data.json",
        f"python -m training prepare {config.name}",
    )
    copy(
        config.run_dir / "scores-test.json",
        folder / "evaluation" / "scores-test.json",
        f"python -m training score {config.name}",
    )
    optional = [config.run_dir / name for name in PICTURES]
    if chosen_by_study(config):
        optional += [Path(config.out) / name for name in STUDY_FILES]
    for source in optional:
        if source.exists():
            copy(source, folder / "evaluation" / source.name, "")


def chosen_by_study(config: TrainConfig) -> bool:
    """Whether the study beside a run chose exactly this run, by name and adapter."""
    path = Path(config.out) / "study.json"
    if not path.exists():
        return False
    study, trained = (
        read_json(path, "python -m training study CONFIG"),
        read_json(config.run_dir / "run.json", "python -m training train CONFIG"),
    )
    adapters = {row["name"]: row["adapter_sha256"] for row in study["rows"]}
    return study["winner"] == config.name and adapters[config.name] == trained["adapter_sha256"]


def copy(source: Path, target: Path, written_by: str) -> None:
    if not source.exists():
        raise FileNotFoundError(f"{source} is missing: `{written_by}` writes it, run that first")
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)


def rename_base(run_json: Path, base: Base) -> None:
    """Let a bundle's run.json name the base as others can load it, not the folder that it was loaded from."""
    run = read_json(run_json, "python -m training train CONFIG")
    run["base"] |= {"model": base.model, "revision": base.revision}
    run["config"] |= {"base_model": base.model, "base_revision": base.revision or "main", "base_id": ""}
    write_json(run_json, run)


def golden_ids(folder: Path) -> list[dict[str, Any]]:
    """The contract's golden conversations with their token ids, by the bundle's own tokenizer."""
    from transformers import AutoTokenizer

    contract = load_contract(folder / "contract.toml")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [
        asdict(case) | {"token_ids": encode_prompt(tokenizer, list(case.messages), contract)}
        for case in contract.golden
    ]


def check_bundle(folder: Path) -> list[Path]:
    """The bundle's files, sorted; raises ValueError for a pickle, a local path, a token or a gap in the card."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        if path.suffix in PICKLES:
            raise ValueError(f"{path} is a pickle or raw array: it must not be published")
        if path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8")
            found = [mark for mark in FORBIDDEN_TEXT if mark in text]
            if found:
                raise ValueError(f"{path} holds {found[0]!r}, which must not be published")
            if TOKEN.search(text):
                raise ValueError(f"{path} holds what looks like a Hugging Face token: take it out, and revoke it")
    json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return files
