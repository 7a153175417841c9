"""Step 4: write the model card and the bundle, as a release will hold them.

Reads what the earlier steps wrote. Writes runs/CONFIG/bundle/, anew each time. Nothing is trained or scored.
scripts/publish.py makes a bundle of its own, whose card names the repository, the version and the base on the Hub.
"""

import argparse
from pathlib import Path

from model_card.build import card_text
from training.bases import recorded_base
from training.configs import TrainConfig
from training.outputs import read_json, up_to_date, whole_folder, write_text
from training.release.bundle import check_bundle, fill_bundle
from training.scoring.table import scores_table


def main(options: argparse.Namespace) -> None:
    bundle(options.config, options.repo, options.llama_licence)


def bundle(config: TrainConfig, repo: str | None = None, llama_licence: Path | None = None) -> Path:
    """Write the bundle, the card last, and check it; print new scores and how to chat with it; returns its folder."""
    folder = config.run_dir / "bundle"
    scores = read_json(config.run_dir / "scores-test.json", f"python -m training score {config.name}")
    shown = up_to_date(folder / "evaluation" / "scores-test.json", scores["fingerprint"])
    run = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
    with whole_folder(folder) as new:  # if anything fails, the old bundle stays
        fill_bundle(new, config, llama_licence, recorded_base(run))
        here = folder.name if folder.is_absolute() else str(folder)  # what the card's snippet loads without --repo
        write_text(new / "README.md", card_text(new, repo or here))
        files = check_bundle(new)
        size = sum(path.stat().st_size for path in files)
    print(f"bundle: {len(files)} files, {size / 2**20:.1f} MiB, in {folder}")
    if not shown:
        print(f"\n{scores_table(scores)}")
    print(f"\nmodel card  {folder / 'README.md'}")
    print(f"chat        .venv/bin/python space/app.py --adapter {folder}")
    print(f"terminal    .venv/bin/python scripts/ask.py {folder}")
    return folder
