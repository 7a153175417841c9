"""Fits and measures the classifiers of the notices in other languages."""

import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import languages
from languages import CODES, FIRST, KINDS
from text_classifier import Arrays, to_arrays

from fitting import ROOT
from fitting import cases as common
from fitting.cases import CASES, Case, general, mistyped, rate, read_cases, read_messages
from fitting.cases import MESSAGES as ENGLISH
from fitting.notices import disguised
from training.outputs import write_json

MESSAGES = CASES / "languages.parquet"
RESULTS = ROOT / "space" / "languages_results.json"
ENGLISH_COPIES = 3  # every third English case is copied in disguise

Rates = dict[str, dict[str, dict[str, float]]]  # language or group -> kind -> rate


# ---------------------------------------------------------------- fitting
def learned() -> list[Case]:
    """The messages in other languages, and the English ones, which call for nothing here unless help is needed."""
    english = [case | {"language": "en"} for case in read_messages() + general()]
    return [case if case["kind"] in KINDS else case | {"kind": "none"} for case in read_messages(MESSAGES) + english]


def fit(cases: list[Case]) -> Arrays:
    """The arrays of both pipelines, fitted to the cases and to copies with errors and beside other messages."""
    dice = random.Random(0)
    quiet: dict[str, list[list[str]]] = {}
    for case in cases:
        if case["kind"] == "none":
            quiet.setdefault(case["language"], []).append(case["turns"])
    others = [case for case in cases if case["language"] != "en"]
    english = [case for case in cases if case["language"] == "en"][::ENGLISH_COPIES]
    cases = cases + [copy | {"language": "en"} for copy in disguised(english, dice)]
    cases = cases + [case | {"turns": [with_errors(turn, dice) for turn in case["turns"]]} for case in others]
    cases = cases + [case | {"turns": beside_another(case["turns"], quiet[case["language"]], dice)} for case in others]
    texts = [languages.folded(" . ".join(case["turns"])) for case in cases]
    arrays: Arrays = {}
    for head, names in (("kind", KINDS), ("language", CODES)):
        model = languages.pipeline(head).fit(texts, [names.index(case[head]) for case in cases])
        arrays |= to_arrays(model, head)
    return arrays


def with_errors(text: str, dice: random.Random) -> str:
    """The text with a typing error in one of three words."""
    return " ".join(mistyped(word, dice) if dice.random() < 1 / 3 else word for word in text.split(" "))


def beside_another(turns: list[str], quiet: list[list[str]], dice: random.Random) -> list[str]:
    """The turns before or after a message that calls for nothing."""
    other = dice.choice(quiet)
    return dice.choice((turns + other, other + turns))


def write_model(arrays: Arrays, path: Path = languages.MODEL) -> None:
    common.write_model(arrays, path, (MESSAGES, ENGLISH))
    languages.classifier.cache_clear()


# ---------------------------------------------------------------- measuring
def measured(cases: Iterable[Case]) -> Rates:
    """Group of languages -> kind -> share that gets a notice, of whatever kind, with its interval."""
    shown: dict[str, dict[str, list[bool]]] = {}
    for case in cases:
        group = "first" if case["language"] in FIRST else "others"
        notice = languages.reading(case["turns"])[0] is not None
        for name in (group, case["language"]):
            shown.setdefault(name, {}).setdefault(case["kind"], []).append(notice)
    return {name: {kind: rate(hits) for kind, hits in sorted(kinds.items())} for name, kinds in sorted(shown.items())}


def show(results: Rates) -> None:
    for name, kinds in results.items():
        rates = ", ".join(f"{kind} {rate['k']}/{rate['n']} = {rate['share']:.3f}" for kind, rate in kinds.items())
        print(f"{name:7s} notices shown: {rates}")


def measure(paths: list[Path], save: bool) -> None:
    results = measured(case for path in paths for case in read_cases(path))
    show(results)
    if save:
        write_json(RESULTS, results)


def left_out() -> None:
    """Rates on the messages of each round of writers, by classifiers that were fitted without them."""
    cases = learned()
    rounds = [case["by"] if case["language"] != "en" else 0 for case in cases]
    with tempfile.TemporaryDirectory() as folder:
        languages.MODEL = Path(folder) / "left_out.safetensors"
        for number in sorted({*rounds} - {0}):
            write_model(fit([case for case, by in zip(cases, rounds, strict=True) if by != number]), languages.MODEL)
            print(f"round {number}")
            show(measured(case for case, by in zip(cases, rounds, strict=True) if by == number))
