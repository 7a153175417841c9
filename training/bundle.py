"""Step 4: write the model card and the bundle, exactly what is pushed.

Reads what the earlier steps wrote. Writes runs/CONFIG/bundle/. Nothing is trained or scored.
"""

import argparse
from pathlib import Path

from model_card.build import card_text
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
from training.release.bundle import check_bundle, fill_bundle
from training.scoring.table import scores_table

FORMAT = 2  # raised when what `fill_bundle` writes changes
TEMPLATES = Path(__file__).parents[1] / "model_card"


def main(options: argparse.Namespace) -> None:
    bundle(options.config, options.repo, options.llama_licence, options.force)


def bundle(
    config: TrainConfig, repo: str | None = None, llama_licence: Path | None = None, force: bool = False
) -> Path:
    """Write the bundle and print the scores, if it is not up to date, and how to chat with it; returns its folder."""
    folder, scores_json = config.run_dir / "bundle", config.run_dir / "scores-test.json"
    scores = read_json(scores_json, f"python -m training score {config.name}")
    key = bundle_key(config, repo)
    if not force and up_to_date(config.run_dir / "bundle.json", key):
        print(f"bundle: {folder} is up to date")
    else:
        write_bundle(folder, config, repo, llama_licence)
        write_json(config.run_dir / "bundle.json", {"fingerprint": key})
        print(f"\n{scores_table(scores)}")
    print(f"\nmodel card  {folder / 'README.md'}")
    print(f"chat        .venv/bin/python space/app.py --adapter {folder}")
    print(f"terminal    .venv/bin/python scripts/ask.py {folder}")
    return folder


def bundle_key(config: TrainConfig, repo: str | None) -> str:
    """What the bundle depends on: the files of the run, a study beside it, the card's templates, the contract."""
    run, study = config.run_dir, Path(config.out) / "study.json"
    paths = [run / "run.json", run / "scores-test.json", config.data_dir / "data.json", CONTRACT]
    for path in paths:
        need_file(path, f"python -m training train {config.name}")
    paths += [path for path in [run / "benchmarks.json"] if path.exists()]
    paths += [*sorted(TEMPLATES.glob("*.*")), *([study] if study.exists() else [])]
    return fingerprint(FORMAT, repo, [file_sha256(path) for path in paths])


def write_bundle(folder: Path, config: TrainConfig, repo: str | None, llama_licence: Path | None) -> None:
    """Write all files, the card last, and check them; if anything fails, the old bundle stays."""
    with whole_folder(folder) as new:
        run = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
        fill_bundle(new, config, llama_licence, recorded_base(run))
        here = folder.name if folder.is_absolute() else str(folder)  # what the card's snippet loads without --repo
        write_text(new / "README.md", card_text(new, repo or here))
        files = check_bundle(new)
        size = sum(path.stat().st_size for path in files)
        print(f"bundle: {len(files)} files, {size / 2**20:.1f} MiB, in {folder}")
