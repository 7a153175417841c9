"""Fit a classifier of the Space's rules to the cases in tests/cases/, or measure how often it is right.

notices     English notices and redirects: space/notices.safetensors, learned from messages.parquet and the sets that
            were measured before (held_out*.jsonl but for the last); measures the last sets too
languages   notices in other languages: space/languages.safetensors, from languages.parquet and the English messages
checks      single sentences: space/advice.safetensors, for answers, from sentences.parquet, sentences.jsonl and
            MedQuAD's answers; space/personal.safetensors, for questions, from personal.parquet

Questions and answers of the embedded sample, and copies with typing errors and disguises, are added. The same cases
give the same bytes. With --measure nothing is fitted: FILE holds cases that were not learned from, a line of JSON each:
{"turns": [...], "kind": "..."}, for languages also "language"; {"question": ..., "sentence": ..., "harmful": ...} for
checks, or a run's answers-*.jsonl. Rates stand beside Wilson's 95 % intervals.
"""

import argparse
import sys
from pathlib import Path

from training.command import run

SPACE = Path(__file__).parents[1] / "space"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fit_notices.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("classifier", nargs="?", default="notices", choices=("notices", "languages", "checks"))
    parser.add_argument("--medquad", type=Path, metavar="CSV", help="MedQuAD's CSV file: questions that show a notice "
                        "are counted, its answers are learned from and measured; checks need it")  # fmt: skip
    parser.add_argument("--measure", nargs="*", type=Path, metavar="FILE", help="only measure on these cases")
    parser.add_argument("--save", action="store_true", help="with --measure: keep the rates for README and About")
    options = parser.parse_args()
    if options.classifier == "checks" and options.measure is None and not options.medquad:
        parser.error("checks learn from --medquad CSV, too")
    if options.measure == [] and (options.classifier == "languages" or not options.medquad):
        parser.error("--measure: give the file of cases to measure on")
    sys.path.insert(0, str(SPACE))  # the folder's modules import each other by their plain names
    import fitting  # here, because scikit-learn and pandas take seconds and --help should not

    if options.measure is None:
        fitting.LEARN[options.classifier](options.medquad)
    else:
        fitting.MEASURE[options.classifier](options.measure, options.medquad, options.save)


if __name__ == "__main__":
    run(main)
