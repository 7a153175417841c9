"""Fit the classifiers of the notices in other languages, or measure them: writes space/languages.safetensors.

  fit_languages.py                     fit to tests/cases/languages.parquet and the English messages
  fit_languages.py --measure FILE...   rates on cases that were not used for fitting; with --save written down
  fit_languages.py --left-out          cross-validate: fit without each round of writers, and measure on its messages

The same cases give the same bytes. A case is a line of JSON: turns, kind, language.
"""

import argparse
from pathlib import Path

from training.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fit_languages.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs="+", type=Path, metavar="FILE", help="measure on these cases")
    parser.add_argument("--save", action="store_true", help="with --measure: write the rates to languages_results.json")
    parser.add_argument("--left-out", action="store_true", help="cross-validate")
    options = parser.parse_args()
    from fitting import languages  # here, because scikit-learn and pandas take seconds and --help should not

    if options.measure:
        languages.measure(options.measure, options.save)
    elif options.left_out:
        languages.left_out()
    else:
        languages.write_model(languages.fit(languages.learned()))


if __name__ == "__main__":
    run(main)
