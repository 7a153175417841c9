"""Step 4: write the model card and the bundle, exactly what is pushed.

Reads what the steps before wrote; writes runs/<name>/bundle/. Nothing is trained or scored here.
"""

import argparse
from pathlib import Path

from training.bases import recorded_base
from training.configs import CONTRACT, TrainConfig
from training.outputs import (
    file_sha256,
    fingerprint,
    need_file,
    read_json,
    up_to_date,
    whole_folder,
    write_json,
    write_text,
)

FORMAT = 1


def main(options: argparse.Namespace) -> None:
    bundle(options.config, options.repo, options.llama_licence, options.force)


def bundle(
    config: TrainConfig, repo: str | None = None, llama_licence: Path | None = None, force: bool = False
) -> Path:
    """Write the bundle and print the table, the card's path and how to chat with it; returns its folder."""
    folder = config.run_dir / "bundle"
    scores = read_json(config.run_dir / "scores-test.json", f"python -m training score {config.name}")
    key = bundle_key(config, repo)
    if not force and up_to_date(config.run_dir / "bundle.json", key):
        print(f"bundle: {folder} is up to date")
    else:
        write_bundle(folder, config, repo, llama_licence)
        write_json(config.run_dir / "bundle.json", {"fingerprint": key})
    print_end(config, scores, folder)
    return folder


def bundle_key(config: TrainConfig, repo: str | None) -> str:
    """What the bundle depends on: the files of the run, a study beside it, the card's template, the contract."""
    template = Path(__file__).parents[1] / "model_card"
    sources = [
        config.run_dir / "run.json",
        config.run_dir / "scores-test.json",
        config.data_dir / "data.json",
        CONTRACT,
        *sorted(template.glob("*.*")),
    ]
    for path in sources:
        need_file(path, f"python -m training train {config.name}")
    study = Path(config.out) / "study.json"
    sources += [study] if study.exists() else []
    return fingerprint(FORMAT, repo, [file_sha256(path) for path in sources])


def write_bundle(folder: Path, config: TrainConfig, repo: str | None, llama_licence: Path | None) -> None:
    """Fill, render the card, check; the old bundle stays in place if anything fails."""
    from model_card.build import card_text
    from training.release.files import check_bundle, fill_bundle

    with whole_folder(folder) as new:
        run = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
        fill_bundle(new, config, llama_licence, recorded_base(run))
        write_text(new / "README.md", card_text(new, repo or shown(folder), config))
        files = check_bundle(new)
        size = sum(path.stat().st_size for path in files)
        print(f"bundle: {len(files)} files, {size / 2**20:.1f} MiB, in {folder}")


def shown(folder: Path) -> str:
    """The folder as the card's snippet names it: relative to the project, or its name alone where it lies elsewhere."""
    return folder.name if folder.is_absolute() else str(folder)


def print_end(config: TrainConfig, scores: dict, folder: Path) -> None:
    from training.scoring.table import scores_table

    print()
    print(scores_table(scores))
    print(f"\nmodel card  {folder / 'README.md'}")
    print(f"chat        .venv/bin/python space/app.py --adapter {folder}")
    print(f"terminal    .venv/bin/python scripts/ask.py {folder}")
