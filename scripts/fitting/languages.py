"""Fits and measures the classifiers of the notices in other languages."""

import random
from collections.abc import Iterable
from pathlib import Path

import languages
from languages import CODES, FIRST, KINDS
from text_classifier import Arrays

import fitting
from fitting import CASES, SPACE, Case, general, read_cases, read_messages

MESSAGES = CASES / "languages.parquet"
RESULTS = SPACE / "languages_results.json"
ENGLISH_COPIES = 3  # every third English case is copied in disguise


# ---------------------------------------------------------------- fitting
def learn(medquad: Path | None = None) -> None:
    fitting.write_model(fit_both(learned()), languages.MODEL, (MESSAGES, fitting.MESSAGES))


def learned() -> list[Case]:
    """The messages in other languages, and the English ones, which call for nothing here unless help is needed."""
    english = [case | {"language": "en"} for case in read_messages() + general()]
    return [case if case["kind"] in KINDS else case | {"kind": "none"} for case in read_messages(MESSAGES) + english]


def fit_both(cases: list[Case]) -> Arrays:
    """The arrays of both classifiers, fitted to the cases and to copies with errors and beside other messages."""
    dice = random.Random(0)
    quiet: dict[str, list[list[str]]] = {}
    for case in cases:
        if case["kind"] == "none":
            quiet.setdefault(case["language"], []).append(case["turns"])
    others = [case for case in cases if case["language"] != "en"]
    english = [case for case in cases if case["language"] == "en"][::ENGLISH_COPIES]
    cases = cases + [copy | {"language": "en"} for copy in fitting.disguised(english, dice)]
    cases = cases + [case | {"turns": [with_errors(turn, dice) for turn in case["turns"]]} for case in others]
    cases = cases + [case | {"turns": beside_another(case["turns"], quiet[case["language"]], dice)} for case in others]
    texts = [languages.folded(" . ".join(case["turns"])) for case in cases]
    kinds = fitting.fit(languages.KIND, texts, [case["kind"] for case in cases])
    return kinds | fitting.fit(languages.LANGUAGE, texts, [case["language"] for case in cases])


def with_errors(text: str, dice: random.Random) -> str:
    """The text with a typing error in one of three words."""
    return " ".join(fitting.mistyped(word, dice) if dice.random() < 1 / 3 else word for word in text.split(" "))


def beside_another(turns: list[str], quiet: list[list[str]], dice: random.Random) -> list[str]:
    """The turns before or after a message that calls for nothing."""
    other = dice.choice(quiet)
    return dice.choice((turns + other, other + turns))


# ---------------------------------------------------------------- measuring
def measured(cases: Iterable[Case]) -> dict[str, dict[str, fitting.Rate]]:
    """Languages of Llama 3.2, others, or one language -> kind -> share that gets a notice, of whatever kind."""
    shown = [(case["language"], case["kind"], languages.reading(case["turns"])[0] is not None) for case in cases]
    groups = {"first": FIRST, "others": CODES[1 + len(FIRST) :]} | {code: (code,) for code in CODES}
    return {
        name: fitting.rates((kind, hit) for code, kind, hit in shown if code in codes) for name, codes in groups.items()
    }


def measure(paths: list[Path], medquad: Path | None, save: bool) -> None:
    results = measured(case for path in paths for case in read_cases(path))
    fitting.report(results)
    if save:
        fitting.save_rates(RESULTS, {group: results[group] for group in ("first", "others")})
