"""The bundle: what is pushed. Licence texts, the files of a run, the card, and the check for what must not leave."""

import json
import re
import shutil
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from huggingface_hub import ModelCardData, hf_hub_download
from peft import LoraConfig
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from model_card.build import title_of
from space.contract import Contract, load_contract
from space.credit import Credit
from space.licences import LLAMAS
from space.prompt import has_system_role
from training.bases import FILES, ORIGIN, Base, set_base
from training.configs import TrainConfig
from training.model.golden import golden_ids
from training.outputs import need_file, read_json, up_to_date, write_json, write_text
from training.release.bom import BOM, bill_of_materials
from training.scoring.benchmarks import FORMAT

FROM_ADAPTER = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
                "chat_template.jinja", "contract.toml")  # fmt: skip
PICTURES = ("loss.svg", "scores.svg", "lengths.svg")
WEIGHTS = (".safetensors", ".gguf")
STUDY_FILES = ("study.json", "study.svg")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz")
FORBIDDEN_TEXT = ("[More Information Needed]", f"{Path.home()}/", f"{Path.cwd()}/", f"{gettempdir()}/")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")

LLAMA_REPO = "meta-llama/Llama-3.2-1B-Instruct"
# Llama 3.2: file in LLAMA_REPO -> sha256
CHECKSUMS = {
    "LICENSE.txt": "8cc15535a8a34b41888f644b339a1a9eb428af793a4f5e24df58a3e5b1487d74",
    "USE_POLICY.md": "40e2777d7faa6beaf98400654170f414d8ab29b921b5163ad4ea0a1d39894201",
}
# Name in the bundle -> names it may have elsewhere, Meta's first
LICENCE_NAMES = {"LICENSE": ("LICENSE.txt", "LICENSE", "LICENSE.md"), "USE_POLICY.md": ("USE_POLICY.md",)}
OWN_LICENCE = Path(__file__).parents[2] / "LICENSE"  # Apache-2.0
DATA_CHANGES = (
    "White space was normalised, exact duplicates and rows without a question or an answer were left out, and long "
    "answers were cut for training."
)

# Licence texts


def licence_files(base: Base, about_data: str, folder: Path | None) -> dict[str, bytes]:
    """Name in the bundle -> content: the base's licence, for a Llama Meta's use policy, and a NOTICE.

    about_data: see `data_notice`; empty for a bundle without training data. folder: holds the texts; default: beside
    the base, then the Hub. Raises FileNotFoundError for a text that can't be found, ValueError for one of another
    version.
    """
    llama = LLAMAS.get(base.licence)
    notices = [text for text in (llama and llama.notice, about_data) if text]
    notice = {"NOTICE": ("\n\n".join(notices) + "\n").encode()} if notices else {}
    if llama:
        return {name: llama_text(name, base, folder) for name in LICENCE_NAMES} | notice
    path = find_text("LICENSE", folder, base.folder) or (OWN_LICENCE if base.licence == "apache-2.0" else None)
    if path is None:
        raise FileNotFoundError(
            f"the licence of {base.model} ({base.licence}) asks for its text, which is not beside the base: give a "
            "folder that holds it as LICENSE with --licence-texts DIR"
        )
    return {"LICENSE": path.read_bytes()} | notice


def data_notice(source: dict[str, Any]) -> str:
    """What NOTICE says about the training data. source: from data.json."""
    return f"Trained on {Credit.of(source).attribution(source['name'])}\n{DATA_CHANGES}"


def find_text(name: str, *folders: Path | None) -> Path | None:
    """The first file in the folders with one of the names of a licence text."""
    paths = (folder / other for folder in folders if folder for other in LICENCE_NAMES[name])
    return next((path for path in paths if path.is_file()), None)


def llama_text(name: str, base: Base, folder: Path | None) -> bytes:
    """One of Meta's texts, byte for byte as published: of Llama 3.2, if need be, from LLAMA_REPO."""
    llama, path = LLAMAS[base.licence], find_text(name, folder or base.folder)
    failed = ""
    if base.licence == "llama3.2" and not folder and not (path and is_of_version(path, name, base)):
        try:
            path = Path(hf_hub_download(LLAMA_REPO, LICENCE_NAMES[name][0]))
        except OSError as error:
            path, failed = None, f" ({type(error).__name__}: accept Meta's terms on {LLAMA_REPO} and log in)"
    if path is None:
        where = f" in {folder}" if folder else ""
        raise FileNotFoundError(
            f"{name} of {llama.name} is missing{where}{failed}: download it from {llama.url} and give its folder with "
            "--llama-licence DIR"
        )
    if not is_of_version(path, name, base):
        raise ValueError(f"{path} is not Meta's {name} of {llama.name}: download it again")
    return path.read_bytes()


def is_of_version(path: Path, name: str, base: Base) -> bool:
    """Whether a text belongs to the base's Llama version: by checksum if known, else by its title."""
    content = path.read_bytes()
    if base.licence == "llama3.2":
        return sha256(content).hexdigest() == CHECKSUMS[LICENCE_NAMES[name][0]]
    return LLAMAS[base.licence].name.lower() in content[:400].decode("utf-8", "replace").lower()


# A run and its bundle


@dataclass(frozen=True)
class Run:
    """A finished run: its configuration, with the folders where it really is, and the records of its steps."""

    config: TrainConfig
    record: dict[str, Any]  # run.json
    data: dict[str, Any]  # data.json
    scores: dict[str, Any]  # scores-test.json
    benchmarks: dict[str, Any] | None = None  # benchmarks.json


def read_run(folder: Path) -> Run:
    """Read a run from its folder; raises FileNotFoundError naming the step that is missing."""
    folder = folder.resolve()
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # messages show it as users write it
    if folder.parent.name != "runs":
        raise ValueError(f"--run {folder}: give a run's folder, such as outputs/medquad/runs/r16")
    record = read_json(folder / "run.json", f"python -m training train {folder.name}")
    known = {field.name for field in fields(TrainConfig)}
    values = {key: value for key, value in record["config"].items() if key in known}
    config = replace(TrainConfig(**values), name=folder.name, out=str(folder.parents[1]))
    data = read_json(config.data_dir / "data.json", f"python -m training prepare {config.name}")
    scores = read_json(folder / "scores-test.json", f"python -m training score {config.name}")
    return Run(config, record, data, scores, read_benchmarks(folder, record["adapter_sha256"]))


def read_benchmarks(run: Path, adapter_sha256: str) -> dict[str, Any] | None:
    """benchmarks.json of a run; None if there is none, or one of an earlier adapter or format."""
    path = run / "benchmarks.json"
    results = read_json(path, "") if up_to_date(path, adapter_sha256, "adapter_sha256") else {}
    return results if results.get("format") == FORMAT else None


def fill_bundle(folder: Path, config: TrainConfig, llama_licence: Path | None, base: Base) -> None:
    """Fill a fresh folder with everything but the card, naming `base` as the base.

    Raises FileNotFoundError naming the step that is missing.
    """
    run, evaluation = config.run_dir, folder / "evaluation"
    data = read_json(config.data_dir / "data.json", f"python -m training prepare {config.name}")
    record = read_json(run / "run.json", f"python -m training train {config.name}")
    need_file(run / "scores-test.json", f"python -m training score {config.name}")
    for name, content in licence_files(base, data_notice(data["source"]), llama_licence).items():
        (folder / name).write_bytes(content)
    for path in (run / "adapter" / name for name in FROM_ADAPTER):
        need_file(path, f"python -m training train {config.name}")
        shutil.copyfile(path, folder / path.name)
    evaluation.mkdir()
    of_study = chosen_by_study(config, record["adapter_sha256"])
    study = [Path(config.out) / name for name in STUDY_FILES] if of_study else []
    for path in (config.data_dir / "data.json", *(run / name for name in ("scores-test.json", *PICTURES)), *study):
        if path.exists():
            shutil.copyfile(path, evaluation / path.name)
    if results := read_benchmarks(run, record["adapter_sha256"]):
        write_json(evaluation / "benchmarks.json", results)
        if "pairs" in results["tasks"]:
            shutil.copytree(run / "lm_eval", evaluation / "lm_eval")
    write_json(folder / "golden.json", make_portable(folder))
    # name the base as others can load it, not by the folder it was in
    record["base"] |= {"model": base.model, "revision": base.revision}
    record["config"] |= {"base_model": base.model, "base_revision": base.revision or "main", "base_id": ""}
    write_json(folder / "run.json", record)
    set_base(folder, base)
    write_json(folder / "adapter_config.json", lean(read_json(folder / "adapter_config.json", "")))
    write_text(folder / BOM, bill_of_materials(folder, title_of(base.model, data)))


def chosen_by_study(config: TrainConfig, adapter_sha256: str) -> bool:
    """Whether the study beside a run chose this very run, by name and adapter."""
    path = Path(config.out) / "study.json"
    if not path.exists():
        return False
    study = read_json(path, "python -m training study")
    adapters = {row["name"]: row["adapter_sha256"] for row in study["rows"]}
    return study["winner"] == config.name and adapters[config.name] == adapter_sha256


def check_bundle(folder: Path) -> list[Path]:
    """The sorted files of a bundle; raises ValueError for a pickle, a local path, a token or a gap in the card."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        if path.suffix in PICKLES:
            raise ValueError(f"{path} is a pickle or raw array: it must not be published")
        text = "" if path.suffix in WEIGHTS else path.read_text(encoding="utf-8")
        if found := [mark for mark in FORBIDDEN_TEXT if mark in text]:
            raise ValueError(f"{path} holds {found[0]!r}, which must not be published")
        if TOKEN.search(text):
            raise ValueError(f"{path} holds what looks like a Hugging Face token: take it out, and revoke it")
    return files


# What other loaders read: the template, the tokenizer, the adapter's configuration

PROMPT_MARK = "{#- Renders the prompt of the training; an own system message replaces its system prompt. -#}\n"
# TRAP: llama.cpp passes today's date as date_string, so the date of the training is set whatever is passed.
WITH_SYSTEM_ROLE = """{%- set date_string = DATE -%}
{%- if messages[0]['role'] != 'system' -%}
{%- set messages = [{'role': 'system', 'content': SYSTEM}] + messages -%}
{%- endif -%}
"""
WITHOUT_SYSTEM_ROLE = """{%- set date_string = DATE -%}
{%- if messages[0]['role'] == 'system' -%}
{%- set own_system = messages[0]['content'] -%}
{%- set messages = messages[1:] -%}
{%- else -%}
{%- set own_system = SYSTEM -%}
{%- endif -%}
{%- set messages = [{'role': 'user', 'content': own_system + '\\n\\n' + messages[0]['content']}] + messages[1:] -%}
"""
# A caller that passes `sanitized` encodes typed control tokens as text itself; for any other one they get a space.
WITHOUT_CONTROL_TOKENS = """{%- if not sanitized -%}
{%- set safe = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- if message['content'] is string -%}
{%- set message = dict(message, content=message['content']REPLACED) -%}
{%- endif -%}
{%- set safe.messages = safe.messages + [message] -%}
{%- endfor -%}
{%- set messages = safe.messages -%}
{%- endif -%}
"""
# Keys of adapter_config.json that are written whatever they hold; the others only where they change something.
CONFIG_KEYS = {"peft_type", "task_type", "base_model_name_or_path", "revision", "inference_mode", "r", "lora_alpha",
               "lora_dropout", "target_modules", "bias", "modules_to_save"}  # fmt: skip


def make_portable(folder: Path) -> list[dict[str, Any]]:
    """Let the template in a folder render the trained prompt by itself, and transformers 4 read the tokenizer.

    Returns the golden conversations with their token ids, which stay the same. Raises ValueError if they wouldn't.
    """
    contract, trained = load_contract(folder / "contract.toml"), AutoTokenizer.from_pretrained(folder)
    golden = golden_ids(trained, contract)
    write_text(folder / "chat_template.jinja", portable_template(trained, contract))
    config = read_json(folder / "tokenizer_config.json", "python -m training train CONFIG")
    write_json(folder / "tokenizer_config.json", portable_config(config))
    shipped = AutoTokenizer.from_pretrained(folder)
    alone = [
        shipped.apply_chat_template(
            case["messages"], add_generation_prompt=True, sanitize_control_tokens=True, sanitized=True,
            return_dict=False,
        )
        for case in golden
    ]  # fmt: skip
    if alone != [case["token_ids"] for case in golden] or golden_ids(shipped, contract) != golden:
        raise ValueError(f"{folder}: the chat template of its base can't render the trained prompt by itself")
    return golden


def portable_template(tokenizer: PreTrainedTokenizerBase, contract: Contract) -> str:
    """The chat template, preceded by what makes the contract's system prompt and date its own."""
    template = tokenizer.chat_template
    if template.startswith(PROMPT_MARK):
        return template
    head = WITH_SYSTEM_ROLE if has_system_role(tokenizer, template) else WITHOUT_SYSTEM_ROLE
    for name, text in (("DATE", contract.date_string), ("SYSTEM", contract.system_prompt)):
        head = head.replace(name, json.dumps(text, ensure_ascii=False))
    pairs = [json.dumps([t, f"{t[0]} {t[1:]}"], ensure_ascii=False)[1:-1] for t in control_tokens(tokenizer)]
    spaced = "".join(f" | replace({pair})" for pair in pairs)
    return PROMPT_MARK + head + WITHOUT_CONTROL_TOKENS.replace("REPLACED", spaced) + template


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The tokens that a chat template is made of, the longest first; typed in a message they could end it."""
    written = {token for token in tokenizer.get_added_vocab() if token in tokenizer.chat_template}
    tokens = {*written, *tokenizer.all_special_tokens}
    return sorted((token for token in tokens if not token.isspace()), key=lambda token: (-len(token), token))


def portable_config(config: dict[str, Any]) -> dict[str, Any]:
    """tokenizer_config.json as transformers 4 reads it: it lacks the class of version 5, and its list of tokens."""
    config = {key: value for key, value in config.items() if key not in ("backend", "is_local", "local_files_only")}
    if isinstance(config.get("extra_special_tokens"), list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}  # there token types are a default, models refuse it
    return inputs | config | {"tokenizer_class": "PreTrainedTokenizerFast"}


def lean(config: dict[str, Any]) -> dict[str, Any]:
    """adapter_config.json without what older versions of peft don't know, as far as it holds defaults."""
    defaults = LoraConfig().to_dict() | {"peft_version": config.get("peft_version")}
    return {key: value for key, value in config.items() if key in CONFIG_KEYS or value != defaults.get(key)}


# A base that is published with its adapter


def stage_base(folder: Path, base: Base, adapter: str, licence_folder: Path | None) -> Path:
    """Fill a fresh folder with links to the base's files, its licence and a new card; returns it."""
    if not (base.files / "config.json").exists():
        raise FileNotFoundError(
            f"{base.folder} holds no model: --base-repo pushes the base that the run was trained on"
        )
    for path in (path for pattern in FILES for path in base.files.glob(pattern)):
        if path.name not in (ORIGIN, "README.md"):
            (folder / path.name).symlink_to(path.resolve())
    for name, content in licence_files(base, "", licence_folder).items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(content)
    card = ModelCardData(
        language="en", license=base.licence, library_name="transformers", pipeline_tag="text-generation"
    )
    llama = LLAMAS.get(base.licence)
    built = f"**{llama.built_with}.** " if llama and llama.built_with else ""
    text = (
        f"---\n{card.to_yaml()}\n---\n\n# {base.model.split('/')[1]}\n\n{built}The base of the adapter "
        f"[{adapter}](https://huggingface.co/{adapter}), as it was trained on. {base.origin} Not medical advice.\n"
    )
    write_text(folder / "README.md", text)
    return folder
