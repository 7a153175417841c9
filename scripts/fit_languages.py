"""Fit the classifiers of the notices in other languages, or measure them: writes space/languages.safetensors.

    python scripts/fit_languages.py                    fit to tests/cases/languages.parquet and the English messages
    python scripts/fit_languages.py --measure FILE …   rates on cases that were not used for fitting
    python scripts/fit_languages.py --left-out         rates by cross-validation over the messages

The same cases give the same bytes. A case is a line of JSON: turns, kind, language.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "space"), str(ROOT / "scripts")]  # their modules import each other by their plain names

# isort: split
import languages  # noqa: E402
from fit_notices import MESSAGES as ENGLISH  # noqa: E402
from fit_notices import Case, general, read_cases, read_messages  # noqa: E402
from languages import CODES, KINDS  # noqa: E402
from text_classifier import to_arrays  # noqa: E402

from training.command import run  # noqa: E402
from training.outputs import file_sha256, write_json  # noqa: E402
from training.scoring.intervals import wilson  # noqa: E402

CASES = ROOT / "tests" / "cases"
MESSAGES = CASES / "languages.parquet"  # text, kind, language
RESULTS = ROOT / "space" / "languages_results.json"
FIRST = ("es", "pt", "fr", "de", "it", "hi", "th")  # the languages of Llama 3.2 beside English
PARTS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fit_languages.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs="+", type=Path, metavar="FILE", help="measure on these cases")
    parser.add_argument("--save", action="store_true", help=f"with --measure: write the rates to {RESULTS.name}")
    parser.add_argument("--left-out", action="store_true", help="cross-validate")
    options = parser.parse_args()
    if options.measure:
        results = measured(case for path in options.measure for case in read_cases(path))
        show(results)
        if options.save:
            write_json(RESULTS, results)
    elif options.left_out:
        left_out(learned())
    else:
        write_model(fit(learned()))


# ---------------------------------------------------------------- cases
def learned() -> list[Case]:
    """The messages in other languages, and the English ones, which call for nothing here unless help is needed."""
    others = [
        {"turns": [row.text], "kind": row.kind, "language": row.language}
        for row in pd.read_parquet(MESSAGES).itertuples()
    ]
    english = [
        {"turns": case["turns"], "kind": case["kind"] if case["kind"] in KINDS else "none", "language": "en"}
        for case in read_messages()
    ]
    return others + english + [case | {"language": "en"} for case in general()]


# ---------------------------------------------------------------- fitting
def fit(cases: list[Case], features: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of both pipelines, fitted to the cases and to copies with typing errors and beside other messages."""
    dice = random.Random(0)
    quiet: dict[str, list[list[str]]] = {}
    for case in cases:
        if case["kind"] == "none":
            quiet.setdefault(case["language"], []).append(case["turns"])
    others = [case for case in cases if case["language"] != "en"]
    cases = cases + [case | {"turns": [mistyped(turn, dice) for turn in case["turns"]]} for case in others]
    cases = cases + [case | {"turns": beside_another(case["turns"], quiet[case["language"]], dice)} for case in others]
    texts = [languages.folded(" . ".join(case["turns"])) for case in cases]
    answers = {
        "kind": [KINDS.index(case["kind"]) for case in cases],
        "language": [CODES.index(case["language"]) for case in cases],
    }
    arrays: dict[str, np.ndarray] = {}
    for head, answer in answers.items():
        arrays |= to_arrays(languages.pipeline(head, features).fit(texts, answer), head)
    return arrays


def mistyped(text: str, dice: random.Random) -> str:
    """The text with a letter left out, doubled or swapped with the next one, in one of three longer words."""
    words = text.split(" ")
    for i, word in enumerate(words):
        if len(word) > 3 and dice.random() < 1 / 3:
            at = dice.randrange(len(word))
            kept, letter, rest = word[:at], word[at], word[at + 1 :]
            words[i] = dice.choice((kept + rest, kept + 2 * letter + rest, kept + rest[:1] + letter + rest[1:]))
    return " ".join(words)


def beside_another(turns: list[str], quiet: list[list[str]], dice: random.Random) -> list[str]:
    """The turns before or after a message that calls for nothing."""
    other = dice.choice(quiet)
    return dice.choice((turns + other, other + turns))


def write_model(arrays: dict[str, np.ndarray], path: Path = languages.MODEL) -> None:
    """One entry of metadata: safetensors writes several in any order."""
    sums = {file.name: file_sha256(file) for file in (MESSAGES, ENGLISH)}
    save_file(arrays, path, metadata={"cases_sha256": json.dumps(sums)})
    languages.classifier.cache_clear()
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


# ---------------------------------------------------------------- measuring
def measured(cases: Iterable[Case]) -> dict[str, dict[str, dict[str, float]]]:
    """Group of languages -> kind -> share that gets a notice, of whatever kind, with its interval."""
    shown: dict[str, dict[str, list[bool]]] = {}
    for case in cases:
        group = "first" if case["language"] in FIRST else "others"
        notice = languages.found(case["turns"]) is not None
        for name in (group, case["language"]):
            shown.setdefault(name, {}).setdefault(case["kind"], []).append(notice)
    return {
        name: {kind: asdict(wilson(sum(hits), len(hits))) for kind, hits in sorted(kinds.items())}
        for name, kinds in sorted(shown.items())
    }


def show(results: dict[str, dict[str, dict[str, float]]]) -> None:
    for name, kinds in results.items():
        rates = ", ".join(f"{kind} {rate['k']}/{rate['n']} = {rate['share']:.3f}" for kind, rate in kinds.items())
        print(f"{name:7s} notices shown: {rates}")


def left_out(cases: list[Case]) -> None:
    """Rates on each fifth of the messages, by classifiers that were fitted to the others."""
    order = random.Random(1).sample(range(len(cases)), len(cases))
    with tempfile.TemporaryDirectory() as folder:
        languages.MODEL = Path(folder) / "left_out.safetensors"
        for part in range(PARTS):
            without = set(order[part::PARTS])
            write_model(fit([case for i, case in enumerate(cases) if i not in without]), languages.MODEL)
            show(measured(cases[i] for i in sorted(without) if cases[i]["language"] != "en"))


if __name__ == "__main__":
    run(main)
