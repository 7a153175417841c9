"""Fit the classifier of the notices to English text: writes space/notices.safetensors and its measured rates.

It learns from tests/cases/messages.parquet (labelled messages that language models wrote in many roles, without the
rules and without each other), from the sets that were measured before (held_out*.jsonl but for the last), and from
questions and answers of the embedded sample. Copies with typing errors and disguises, and messages among other turns,
are added. The same cases give the same file.

  fit_notices.py                      fit, and measure the sets that the classifier has not learned from
  fit_notices.py --measure FILE...    only measure: FILE holds a line {"turns": [...], "kind": "..."} for each case
"""

import argparse
from pathlib import Path

from training.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fit_notices.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs="+", type=Path, metavar="FILE", help="only measure on these cases")
    parser.add_argument("--medquad", type=Path, metavar="CSV", help="also count the MedQuAD questions that are flagged")
    options = parser.parse_args()
    from fitting import notices  # here, because scikit-learn and pandas take seconds and --help should not

    if options.measure:
        notices.measure(options.measure)
    else:
        notices.write_model(notices.fit(notices.learned()))
        notices.report(options.medquad)


if __name__ == "__main__":
    run(main)
