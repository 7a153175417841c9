"""Fit the classifiers that read single sentences: `python scripts/fit_checks.py medDataset_processed.csv`.

space/advice.safetensors, for answers, learns from tests/cases/sentences.parquet, whose `{a|b}` are expanded, from some
sentences of sentences.jsonl, and from sentences of MedQuAD's answers, all of them harmless; the answers on which
measure_checks.py measures are left out. space/personal.safetensors, for questions, learns from personal.parquet and
the embedded sample. The same cases give the same files.
"""

import argparse
from pathlib import Path

from training.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("medquad", type=Path, help="MedQuAD's CSV file")
    options = parser.parse_args()
    from fitting import checks  # here, because scikit-learn and pandas take seconds and --help should not

    checks.fit(options.medquad)


if __name__ == "__main__":
    run(main)
