"""Fits and measures the classifier of the notices to English text."""

import csv
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import safety
from plain import WINDOW, plain, windowed
from safety import KINDS, NOTICES
from text_classifier import Arrays, to_arrays

from fitting import ROOT
from fitting import cases as common
from fitting.cases import CASES, MESSAGES, Case, general, mistyped, rate, read_cases, read_messages
from training.outputs import read_json, write_json

LEARNED = (MESSAGES, *(CASES / f"held_out{number}.jsonl" for number in ("", "_2", "_3", "_4")))  # measured once, then
UNSEEN = {"fifth": CASES / "held_out_5.jsonl", "sixth": CASES / "held_out_6.jsonl"}
RESULTS = ROOT / "space" / "safety_results.json"
AMONG_OTHERS = (0.33, 0.66)  # share of the calls for something, and of the others, that are added among other turns
OFTEN = 2  # more copies of the messages that were added for what the others hold little of
COMMON = 3  # messages that hold a word of the vocabulary


# ---------------------------------------------------------------- cases
def learned() -> list[Case]:
    """The messages, the sets that were measured before, and what calls for nothing."""
    cases = read_messages() + [case for path in LEARNED[1:] for case in read_cases(path)] + general()
    unseen = [case["turns"] for path in UNSEEN.values() for case in read_cases(path)]
    return [part for case in cases if case["turns"] not in unseen for part in parts(case)]


def parts(case: Case) -> list[Case]:
    """A long message as the Space reads it, in windows; of one that calls for help nobody knows which window does."""
    text = plain(" . ".join(case["turns"]))
    if len(text.split()) <= 2 * WINDOW:
        return [case]
    return [{**case, "turns": [piece]} for piece in windowed(text)] if case["kind"] == "none" else []


# ---------------------------------------------------------------- fitting
def fit(cases: list[Case]) -> Arrays:
    """The arrays of the notices' classifier, fitted to the cases and their copies, and the known words."""
    dice = random.Random(0)
    words = vocabulary(cases)
    cases = cases + OFTEN * [case for case in cases if case.get("style") == "added"]
    cases = cases + among_others(cases, dice) + disguised(cases, dice)
    texts = [" . ".join(map(plain, case["turns"][-safety.TURNS :])) for case in cases]
    model = safety.pipeline().fit(texts, [KINDS.index(case["kind"]) for case in cases])
    return to_arrays(model, "notices") | {"words": words}


def vocabulary(cases: list[Case]) -> np.ndarray:
    """The words that at least three messages hold, the most frequent first, as bytes."""
    counts = Counter(word for case in cases for turn in case["turns"] for word in set(plain(turn).split()))
    words = [word for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= COMMON]
    known = [word for word in words if word.isalpha() and (len(word) > 1 or word in "ai")]
    return np.frombuffer(" ".join(known).encode(), dtype=np.uint8)


def write_model(arrays: Arrays, path: Path = safety.MODEL) -> None:
    common.write_model(arrays, path, LEARNED)
    safety.classifier.cache_clear()
    safety.vocabulary.cache_clear()


def among_others(cases: list[Case], dice: random.Random) -> list[Case]:
    """Copies of messages beside one or two that call for nothing, as turns or in one text."""
    others = [case["turns"][-1] for case in cases if case["kind"] == "none"]
    copies = []
    for case in cases:
        if dice.random() > AMONG_OTHERS[case["kind"] == "none"]:
            continue
        beside = dice.sample(others, dice.choice((1, 1, 2)))
        at = dice.randint(0, len(beside))
        turns = [*beside[:at], *case["turns"], *beside[at:]]
        turns = turns[-safety.TURNS :] if at else turns[: safety.TURNS]
        copies.append({"turns": dice.choice((turns, [" ".join(turns)])), "kind": case["kind"]})
    return copies


def disguised(cases: list[Case], dice: random.Random) -> list[Case]:
    return [{"turns": [disguise(turn, dice) for turn in case["turns"]], "kind": case["kind"]} for case in cases]


def disguise(text: str, dice: random.Random) -> str:
    """The text with typing errors, words run together or split, digits for letters, or vowels left out."""
    change = dice.choice((mistyped, mistyped, in_digits, without_vowels, split, run_together))
    share = dice.choice((0.2, 0.5, 1))
    words = [change(word, dice) if dice.random() < share else word for word in text.split(" ")]
    return " ".join(words).replace("\0 ", "")


def in_digits(word: str, dice: random.Random) -> str:
    return word.translate(str.maketrans("oieast", dice.choice(("013457", "0!3@$7", "******"))))


def without_vowels(word: str, dice: random.Random) -> str:
    return word[:1] + word[1:].translate(dict.fromkeys(map(ord, "aeiou")))


def split(word: str, dice: random.Random) -> str:
    at = dice.randint(1, max(len(word) - 1, 1))
    return f"{word[:at]} {word[at:]}"


def run_together(word: str, dice: random.Random) -> str:
    return word + "\0"


# ---------------------------------------------------------------- measuring
def measured(cases: list[Case]) -> dict[str, Any]:
    """Sensitivity: shown where one is called for, of whatever kind; specificity: none shown on a look-alike."""
    shown: dict[bool, list[bool]] = {True: [], False: []}
    for case in cases:
        shown[case["kind"] in NOTICES].append(safety.notice(case["turns"]) is not None)
    rates = {"sensitivity": shown[True], "specificity": [not hit for hit in shown[False]]}
    return {name: rate(hits) for name, hits in rates.items() if hits}


def measure(paths: Iterable[Path]) -> None:
    for path in paths:
        for what, found in measured(read_cases(path)).items():
            print(f"{path.name}: {what} {{k}}/{{n}} = {{share:.3f}} ({{low:.3f}} to {{high:.3f}})".format(**found))


def flagged(path: Path) -> dict[str, float]:
    """How many of the questions of MedQuAD's CSV file show a notice; none should."""
    with path.open(encoding="utf-8", newline="") as file:
        return rate([safety.notice([row["Question"]]) is not None for row in csv.DictReader(file)])


def report(medquad: Path | None) -> None:
    """Write the rates on the set that was not learned from, and on MedQuAD's questions if they are at hand.

    The rates on earlier sets stay as they were when each was opened.
    """
    results = read_json(RESULTS, "fit_notices.py") | {name: measured(read_cases(path)) for name, path in UNSEEN.items()}
    if medquad:
        results["medquad_flagged"] = flagged(medquad)
    write_json(RESULTS, results)
    measure(UNSEEN.values())
