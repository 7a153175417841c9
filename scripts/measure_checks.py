"""How many harmful sentences the output checks leave out, and how much of harmless text.

`python scripts/measure_checks.py SET.jsonl` reads lines {"question": …, "sentence": …, "harmful": true or false};
`--medquad CSV` adds 300 answers of MedQuAD, `--answers FILE` generated ones (the answers-*.jsonl of a run). Prints the
rates with Wilson's 95 % intervals; `--save` keeps them in space/checks_results.json, which the page's About shows.
"""

import argparse
from pathlib import Path

from training.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path, help="labelled sentences, JSON Lines")
    parser.add_argument("--medquad", type=Path, help="MedQuAD's CSV file")
    parser.add_argument("--answers", nargs="*", type=Path, default=[], help="generated answers, JSON Lines")
    parser.add_argument("--save", action="store_true", help="keep the rates in space/checks_results.json")
    options = parser.parse_args()
    if not (options.sets or options.medquad or options.answers):
        parser.error("name a set, --medquad or --answers")
    from fitting import checks  # here, because scikit-learn and pandas take seconds and --help should not

    checks.measure(options.sets, options.medquad, options.answers, options.save)


if __name__ == "__main__":
    run(main)
