"""Which base a release names, and the repository that a local one is pushed to first."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.configs import TrainConfig, is_local
from training.outputs import read_json, write_text
from training.release.licence import LLAMA, data_notice, licence_files
from training.release.push import Remote, changes, tree

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PATTERNS = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model")
NOT_PUSHED = ("base.json",)  # what tiny_base remembers


@dataclass(frozen=True)
class Base:
    """A base as the release names it; `folder` is set where it is pushed from here, `commit` once it is known."""

    model: str
    commit: str | None
    folder: Path | None = None


def base_of(record: dict, config: TrainConfig, base_repo: str | None) -> Base:
    """The base of a run. record: run.json. Raises ValueError if --base-repo is given for one that is on the Hub."""
    model, commit = record["base"]["model"], record["base"]["revision"]
    folder = local_folder(model, config)
    if folder is None:
        if base_repo:
            raise ValueError(f"--base-repo {base_repo}: the base {model} is on the Hub already, leave it out")
        return Base(model, commit)
    return Base(base_repo or model, None, folder)


def local_folder(model: str, config: TrainConfig) -> Path | None:
    """Where a local base lies; a path outside the project is recorded by its last part alone. None for a Hub id."""
    if not is_local(model):
        return None
    places = (Path(model), Path(config.out) / Path(model).name)
    return next((place for place in places if (place / "config.json").exists()), places[0])


def stage_base(folder: Path, base: Base, config: TrainConfig, adapter: str, llama_licence: Path | None) -> None:
    """Fill a fresh folder with links to the base's files, its licence and a card."""
    data = read_json(config.data_dir / "data.json", f"python -m training.prepare {config.name}")
    for name, content in licence_files(config.base_licence, data_notice(data["source"]), llama_licence).items():
        (folder / name).write_bytes(content)
    for pattern in PATTERNS:
        for path in sorted(base.folder.glob(pattern)):
            if path.name not in NOT_PUSHED:
                (folder / path.name).symlink_to(path.resolve())
    if not (folder / "config.json").exists():
        raise FileNotFoundError(
            f"{base.folder} holds no model: --base-repo pushes the base that the run was trained on"
        )
    write_text(folder / "README.md", base_card(base.model, config, adapter))


def base_card(repo: str, config: TrainConfig, adapter: str) -> str:
    """A short card: what it is, its licence, and what was trained on it."""
    from huggingface_hub import ModelCardData

    card = ModelCardData(
        language="en", license=config.base_licence, library_name="transformers", pipeline_tag="text-generation"
    )
    built = "**Built with Llama.** " if config.base_licence == LLAMA else ""
    return (
        f"---\n{card.to_yaml()}\n---\n\n# {repo.split('/')[1]}\n\n{built}The base of the adapter "
        f"[{adapter}](https://huggingface.co/{adapter}), as it was trained on, and of no use for anything else. "
        "Not medical advice.\n"
    )


def base_commit(api: "HfApi", remote: Remote, staged: Path) -> str | None:
    """The commit of main if it holds the base already, whatever its card says; None if the base must be pushed.

    Raises ValueError if main holds files that are no part of the base: pushing would remove them.
    """
    if remote.head is None:
        return None
    states = changes(staged, tree(api, remote, remote.head))
    foreign = [name for name, state in states.items() if state == "removed"]
    if foreign:
        raise ValueError(f"--base-repo {remote.repo} holds other files ({', '.join(foreign)}): give it one of its own")
    return remote.head if {name for name, state in states.items() if state != "same"} <= {"README.md"} else None
