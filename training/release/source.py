"""From a finished run to the bundle of a release: where the run lies, its files, and the card last."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from training.bases import Base
from training.configs import TrainConfig
from training.outputs import read_json, whole_folder, write_text


@dataclass(frozen=True)
class Run:
    """A finished run: its configuration with the folders it really lies in, and what its steps recorded."""

    config: TrainConfig
    record: dict[str, Any]  # run.json
    data: dict[str, Any]  # data.json
    scores: dict[str, Any]  # scores-test.json


@dataclass(frozen=True)
class Notes:
    """What the card says beyond what the run recorded."""

    space: str | None = None
    accepted: str | None = None


def read_run(folder: Path) -> Run:
    """A run from its folder; raises FileNotFoundError naming the step that is missing."""
    folder = folder.resolve()
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())  # as people name it
    if folder.parent.name != "runs":
        raise ValueError(f"--run {folder}: give a run's folder, such as outputs/medquad/runs/r16")
    record = read_json(folder / "run.json", f"python -m training train {folder.name}")
    known = {field.name for field in fields(TrainConfig)}
    values = {key: value for key, value in record["config"].items() if key in known}
    config = replace(TrainConfig(**values), name=folder.name, out=str(folder.parents[1]))
    data = read_json(config.data_dir / "data.json", f"python -m training prepare {config.name}")
    scores = read_json(folder / "scores-test.json", f"python -m training score {config.name}")
    return Run(config, record, data, scores)


def build_bundle(run: Run, base: Base, llama_licence: Path | None) -> Path:
    """Everything but the card, fresh, in the run's release/; its bundle/ goes on naming the base as it lies here."""
    from training.release.files import fill_bundle

    folder = run.config.run_dir / "release"
    with whole_folder(folder) as new:
        fill_bundle(new, run.config, llama_licence, base)
    return folder


def write_card(bundle: Path, run: Run, repo: str, version: str, notes: Notes) -> None:
    """The card last, since it shows what the other files hold; then the check for what must never be pushed."""
    from jinja2 import UndefinedError

    from model_card.build import card_text
    from training.release.files import check_bundle

    try:
        text = card_text(bundle, repo, run.config, version, space=notes.space, accepted=notes.accepted)
    except UndefinedError as error:
        folder = run.config.run_dir
        raise ValueError(
            f"{folder}: the card needs what an older version did not record ({error}): prepare and train again"
        ) from error
    write_text(bundle / "README.md", text)
    check_bundle(bundle)
