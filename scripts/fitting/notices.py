"""Fits and measures the classifier of the notices to English text."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import safety
from normalize import WINDOW, normalized, windowed
from safety import NOTICES
from text_classifier import Arrays

import fitting
from fitting import CASES, MESSAGES, SPACE, Case, general, read_cases, read_messages

LEARNED = (MESSAGES, *(CASES / f"held_out{number}.jsonl" for number in ("", "_2", "_3", "_4")))  # measured once, then
UNSEEN = {CASES / "held_out_5.jsonl": "fifth", CASES / "held_out_6.jsonl": "sixth"}
RESULTS = SPACE / "safety_results.json"
AMONG_OTHERS = (0.33, 0.66)  # share of the calls for something, and of the others, that are added among other turns
OFTEN = 2  # more copies of the messages that were added for what the others hold little of
COMMON = 3  # messages that hold a word of the vocabulary


# ---------------------------------------------------------------- cases
def learned() -> list[Case]:
    """The messages, the sets that were measured before, and what calls for nothing."""
    cases = read_messages() + [case for path in LEARNED[1:] for case in read_cases(path)] + general()
    unseen = [case["turns"] for path in UNSEEN for case in read_cases(path)]
    return [part for case in cases if case["turns"] not in unseen for part in parts(case)]


def parts(case: Case) -> list[Case]:
    """A long message as the Space reads it, in windows; of one that calls for help nobody knows which window does."""
    text = normalized(" . ".join(case["turns"]))
    if len(text.split()) <= 2 * WINDOW:
        return [case]
    return [{**case, "turns": [piece]} for piece in windowed(text)] if case["kind"] == "none" else []


# ---------------------------------------------------------------- fitting
def learn(medquad: Path | None = None) -> None:
    """Fit, and measure the sets that were not learned from, and MedQuAD's questions if they are at hand.

    The rates on earlier sets stay as they were when each was opened.
    """
    fitting.write_model(fit_notices(learned()), safety.CLASSIFIER.path, LEARNED)
    measure([*UNSEEN], medquad, save=True)


def fit_notices(cases: list[Case]) -> Arrays:
    """The arrays of the notices' classifier, fitted to the cases and their copies, and the known words."""
    dice = random.Random(0)
    words = vocabulary(cases)
    cases = cases + OFTEN * [case for case in cases if case.get("style") == "added"]
    cases = cases + among_others(cases, dice) + fitting.disguised(cases, dice)
    texts = [" . ".join(map(normalized, case["turns"][-safety.TURNS :])) for case in cases]
    return fitting.fit(safety.CLASSIFIER, texts, [case["kind"] for case in cases]) | {"words": words}


def vocabulary(cases: list[Case]) -> np.ndarray:
    """The words that at least three messages hold, the most frequent first, as bytes."""
    counts = Counter(word for case in cases for turn in case["turns"] for word in set(normalized(turn).split()))
    words = [word for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= COMMON]
    known = [word for word in words if word.isalpha() and (len(word) > 1 or word in "ai")]
    return np.frombuffer(" ".join(known).encode(), dtype=np.uint8)


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


# ---------------------------------------------------------------- measuring
def measured(cases: list[Case]) -> dict[str, fitting.Rate]:
    """Sensitivity: shown where one is called for, of whatever kind; specificity: none shown on a look-alike."""
    shown = [(case["kind"] in NOTICES, safety.notice(case["turns"]) is not None) for case in cases]
    return fitting.rates(("sensitivity", hit) if called_for else ("specificity", not hit) for called_for, hit in shown)


def measure(paths: list[Path], medquad: Path | None, save: bool) -> None:
    """Rates on sets of messages, and how many questions of MedQuAD show a notice; none should."""
    results: dict[str, Any] = {UNSEEN.get(path, path.stem): measured(read_cases(path)) for path in paths}
    questions = fitting.read_csv(medquad) if medquad else []
    results |= fitting.rates(("medquad_flagged", safety.notice([row["Question"]]) is not None) for row in questions)
    fitting.report(results)
    if save:
        fitting.save_rates(RESULTS, results)
