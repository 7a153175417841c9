"""Which base a release names, and the repository that one without a Hub id is pushed to first."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from space.licences import LLAMAS
from training.bases import FILES, ORIGIN, Base, recorded_base, remembered_folder
from training.configs import TrainConfig
from training.outputs import write_text
from training.release.hub import asked
from training.release.licence import base_licence_files
from training.release.push import Remote, changes, tree

if TYPE_CHECKING:
    from huggingface_hub import HfApi

NOT_PUSHED = (ORIGIN, "README.md")  # the card is written anew
TITLE = "Base of "  # begins the title of a commit that pushes a base


def base_of(record: dict, config: TrainConfig, base_repo: str | None) -> Base:
    """The base that a release of a run names; one that is pushed to --base-repo has no commit yet, but a folder.

    record: run.json. Raises ValueError if --base-repo is given for a base that has a Hub id: nothing is written there,
    and a second copy of it would hide where it is from.
    """
    base = recorded_base(record)
    if base.revision:
        if base_repo:
            raise ValueError(f"--base-repo {base_repo}: the base {base.model} is on the Hub already, leave it out")
        return base
    folder = remembered_folder(config.run_dir / "adapter") or Path(config.base_model)
    return replace(base, model=base_repo or base.model, folder=folder)


def stage_base(folder: Path, base: Base, adapter: str, licence_folder: Path | None) -> None:
    """Fill a fresh folder with links to the base's files, its licence and a card."""
    if not (base.folder / "config.json").exists():
        raise FileNotFoundError(
            f"{base.folder} holds no model: --base-repo pushes the base that the run was trained on"
        )
    for pattern in FILES:
        for path in base.folder.glob(pattern):
            if path.name not in NOT_PUSHED:
                (folder / path.name).symlink_to(path.resolve())
    for name, content in base_licence_files(base, licence_folder).items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(content)
    write_text(folder / "README.md", base_card(base, adapter))


def base_card(base: Base, adapter: str) -> str:
    """A short card: what it is, where it is from, its licence, and what was trained on it."""
    from huggingface_hub import ModelCardData

    card = ModelCardData(
        language="en", license=base.licence, library_name="transformers", pipeline_tag="text-generation"
    )
    built = f"**{LLAMAS[base.licence].built_with}.** " if base.licence in LLAMAS else ""
    return (
        f"---\n{card.to_yaml()}\n---\n\n# {base.model.split('/')[1]}\n\n{built}The base of the adapter "
        f"[{adapter}](https://huggingface.co/{adapter}), as it was trained on. {base.origin} Not medical advice.\n"
    )


def base_commit(api: "HfApi", remote: Remote, staged: Path) -> str | None:
    """The commit of main if it holds the base already, whatever its card says; None if the base must be pushed.

    Raises ValueError if main holds files that are no part of the base, or another base that no release put there:
    pushing would remove or replace them.
    """
    if remote.head is None:
        return None
    states = changes(staged, tree(api, remote, remote.head))
    foreign = [name for name, state in states.items() if state == "removed"]
    if foreign:
        raise ValueError(f"--base-repo {remote.repo} holds other files ({', '.join(foreign)}): give it one of its own")
    if {name for name, state in states.items() if state != "same"} <= {"README.md"}:
        return remote.head
    replaced = [name for name, state in states.items() if state == "changed" and name != "README.md"]
    if replaced and not pushed_before(api, remote):
        raise ValueError(
            f"--base-repo {remote.repo} holds another model ({', '.join(replaced)}), which no release put there: give "
            "the base a repository of its own"
        )
    return None


def pushed_before(api: "HfApi", remote: Remote) -> bool:
    """Whether a release has pushed a base to the repository, by the title that it gives its commits."""
    log = asked(f"reading the history of {remote.repo}", lambda: api.list_repo_commits(remote.repo))
    return any(commit.title.startswith(TITLE) for commit in log)
