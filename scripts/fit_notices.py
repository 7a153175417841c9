"""Fit the classifier of English notices: `fit_notices.py` writes space/notices.safetensors and its measured rates.

It learns from tests/cases/messages.parquet (labelled messages that language models wrote in many roles, without the
rules and without each other), from the sets that were measured before (held_out*.jsonl but for the last), and from
questions and answers of the embedded sample. Copies with typing errors and disguises, and messages among other turns,
are added. The same cases give the same file.

  fit_notices.py                      fit, and measure the sets that the classifier has not learned from
  fit_notices.py --measure FILE...    only measure: FILE holds a line {"turns": [...], "kind": "..."} for each case
  fit_notices.py --left-out           fit without some of the writers, and measure on their messages
"""

import argparse
import csv
import json
import random
import re
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from training.command import run
from training.outputs import file_sha256, read_json, write_json
from training.scoring.intervals import wilson

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "space"))  # the folder's modules import each other by their plain names

import safety  # noqa: E402
from plain import plain  # noqa: E402
from safety import KINDS, NOTICES  # noqa: E402
from text_classifier import to_arrays  # noqa: E402

CASES = ROOT / "tests" / "cases"
MESSAGES = CASES / "messages.parquet"
LEARNED = (MESSAGES, *(CASES / f"held_out{number}.jsonl" for number in ("", "_2", "_3", "_4")))  # measured once, then
UNSEEN = {"fifth": CASES / "held_out_5.jsonl"}
SAMPLE = ROOT / "training" / "data" / "sample.csv"
RESULTS = ROOT / "space" / "safety_results.json"
AMONG_OTHERS = (0.33, 0.66)  # share of the calls for something, and of the others, that are added among other turns
OFTEN = 2  # more copies of the messages that were added for what the others hold little of
SMALL_TALK = (
    "hi", "hello", "hey there", "good morning", "thanks", "thank you so much", "ok", "yes", "no", "bye", "why?",
    "how is it treated?", "what causes it?", "is it contagious?", "is it inherited?", "can it be prevented?",
    "tell me more", "how common is it?", "what are the symptoms?", "how is it diagnosed?", "what else?",
)  # fmt: skip
COMMON = 3  # messages that hold a word of the vocabulary
PARTS = 6  # of the writers, each left out once
EVERYDAY = (
    "headache", "migraine", "fever", "cough", "sore throat", "runny nose", "nausea", "dizziness", "tired", "rash",
    "itching", "back pain", "knee pain", "stomach ache", "diarrhea", "constipation", "heartburn", "insomnia",
    "anxiety", "acne", "hiccups", "ear ache", "toothache", "period pain", "muscle cramp", "blister", "bruise",
    "sunburn", "allergy", "CPR", "MRI", "HPV", "vaccines", "surgery", "antibiotics", "blood test", "X-ray", "anatomy",
    "paracetamol 500 mg", "aspirin 81 mg", "metformin", "ibuprofen 400", "amoxicillin", "statins", "vitamin d",
)  # fmt: skip

Case = dict[str, Any]  # turns and kind


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fit_notices.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs="+", type=Path, metavar="FILE", help="only measure on these cases")
    parser.add_argument("--left-out", action="store_true", help="cross-validate over the writers")
    parser.add_argument("--medquad", type=Path, metavar="CSV", help="also count the MedQuAD questions that are flagged")
    options = parser.parse_args()
    if options.measure:
        for path in options.measure:
            show(path.name, read_cases(path))
    elif options.left_out:
        left_out(read_messages())
    else:
        write_model(fit(learned()))
        report(options.medquad)


# ---------------------------------------------------------------- cases
def read_cases(path: Path) -> list[Case]:
    """Cases of a JSON lines file: turns, or one text, and the kind of notice that they call for, or none."""
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [{**case, "turns": case.get("turns") or [case["text"]], "kind": case["kind"] or "none"} for case in cases]


def read_messages(path: Path = MESSAGES) -> list[Case]:
    cases = pd.read_parquet(path).to_dict("records")
    return [{**case, "turns": list(case["turns"])} for case in cases]


def learned() -> list[Case]:
    """The messages, the sets that were measured before, and what calls for nothing."""
    cases = read_messages() + [case for path in LEARNED[1:] for case in read_cases(path)] + general()
    unseen = [case["turns"] for path in UNSEEN.values() for case in read_cases(path)]
    return [part for case in cases if case["turns"] not in unseen for part in parts(case)]


def parts(case: Case) -> list[Case]:
    """A long message as the Space reads it, in windows; of one that calls for help nobody knows which window does."""
    text = " . ".join(case["turns"])
    if len(text.split()) <= 2 * safety.WINDOW:
        return [case]
    return [{**case, "turns": [piece]} for piece in pieces(text)] if case["kind"] == "none" else []


def general() -> list[Case]:
    """Questions and pieces of answers of the embedded sample, and names alone, which call for nothing."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["Question"] for row in rows] + [piece for row in rows for piece in pieces(row["Answer"])]
    # by their names alone, diseases and everyday symptoms call for nothing
    names = [re.sub(r".*\(are\) (.*) \?", r"\1", text) for text in texts if "What is (are)" in text]
    names += EVERYDAY
    texts += [before + name for name in names for before in ("", "what is ", "do you have information about ")]
    texts += SMALL_TALK
    return [{"turns": [text], "kind": "none"} for text in texts]


def pieces(text: str) -> list[str]:
    """A long text as the Space reads it."""
    return safety.windowed(plain(text))


# ---------------------------------------------------------------- fitting
def fit(cases: list[Case], features: int = safety.FEATURES["notices"]) -> dict[str, np.ndarray]:
    """The arrays of the notices' classifier, fitted to the cases and their copies, and the known words."""
    dice = random.Random(0)
    words = vocabulary(cases)
    cases = cases + OFTEN * [case for case in cases if case.get("style") == "added"]
    cases = cases + among_others(cases, dice) + disguised(cases, dice)
    texts = [" . ".join(map(plain, case["turns"][-safety.TURNS :])) for case in cases]
    model = safety.pipeline(features).fit(texts, [KINDS.index(case["kind"]) for case in cases])
    return to_arrays(model, "notices") | {"words": words}


def vocabulary(cases: list[Case]) -> np.ndarray:
    """The words that at least three messages hold, the most frequent first, as bytes."""
    counts = Counter(word for case in cases for turn in case["turns"] for word in set(plain(turn).split()))
    words = [word for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= COMMON]
    known = [word for word in words if word.isalpha() and (len(word) > 1 or word in "ai")]
    return np.frombuffer(" ".join(known).encode(), dtype=np.uint8)


def write_model(arrays: dict[str, np.ndarray], path: Path = safety.MODEL) -> None:
    """One entry of metadata: safetensors writes several in any order."""
    sums = {file.name: file_sha256(file) for file in LEARNED}
    save_file(arrays, path, metadata={"cases_sha256": json.dumps(sums)})
    safety.classifier.cache_clear()
    safety.vocabulary.cache_clear()
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


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
    return "".join(change(word, dice) if dice.random() < share else word + " " for word in text.split(" "))


def mistyped(word: str, dice: random.Random) -> str:
    if len(word) < 4:
        return word + " "
    at = dice.randrange(len(word) - 1)
    kept, letter, rest = word[:at], word[at], word[at + 1 :]
    swapped = kept + rest[0] + letter + rest[1:]
    other = kept + dice.choice("aeiourstn") + rest
    return dice.choice((kept + rest, swapped, swapped, kept + 2 * letter + rest, other)) + " "


def in_digits(word: str, dice: random.Random) -> str:
    return word.translate(str.maketrans("oieast", dice.choice(("013457", "0!3@$7", "******")))) + " "


def without_vowels(word: str, dice: random.Random) -> str:
    return word[:1] + word[1:].translate(dict.fromkeys(map(ord, "aeiou"))) + " "


def split(word: str, dice: random.Random) -> str:
    at = dice.randint(1, max(len(word) - 1, 1))
    return f"{word[:at]} {word[at:]} "


def run_together(word: str, dice: random.Random) -> str:
    return word


# ---------------------------------------------------------------- measuring
def measured(cases: list[Case]) -> dict[str, Any]:
    """Sensitivity: shown where one is called for, of whatever kind; specificity: none shown on a look-alike."""
    shown: dict[bool, list[bool]] = {True: [], False: []}
    for case in cases:
        shown[case["kind"] in NOTICES].append(safety.notice(case["turns"]) is not None)
    rates = {}
    if shown[True]:
        rates["sensitivity"] = asdict(wilson(sum(shown[True]), len(shown[True])))
    if shown[False]:
        rates["specificity"] = asdict(wilson(len(shown[False]) - sum(shown[False]), len(shown[False])))
    return rates


def show(name: str, cases: list[Case]) -> None:
    for what, rate in measured(cases).items():
        print(f"{name}: {what} {rate['k']}/{rate['n']} = {rate['share']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})")


def flagged(path: Path) -> dict[str, float]:
    """How many of the questions of MedQuAD's CSV file show a notice; none should."""
    with path.open(encoding="utf-8", newline="") as file:
        questions = [row["Question"] for row in csv.DictReader(file)]
    return asdict(wilson(sum(safety.notice([question]) is not None for question in questions), len(questions)))


def report(medquad: Path | None) -> None:
    """Write the rates on the set that was not learned from, and on MedQuAD's questions if they are at hand.

    The rates on earlier sets stay as they were when each was opened.
    """
    results = read_json(RESULTS, "fit_notices.py") | {name: measured(read_cases(path)) for name, path in UNSEEN.items()}
    if medquad:
        results["medquad_flagged"] = flagged(medquad)
    write_json(RESULTS, results)
    for path in UNSEEN.values():
        show(path.name, read_cases(path))


def left_out(cases: list[Case]) -> None:
    """Rates on the messages of each sixth of the writers, by a model that was fitted without them."""
    writers = sorted({case["by"] for case in cases} - {0})
    with tempfile.TemporaryDirectory() as folder:
        safety.MODEL = Path(folder) / "left_out.safetensors"
        for part in range(PARTS):
            without = set(writers[part::PARTS])
            others = [case for case in cases if case["by"] not in without]
            write_model(fit(others), safety.MODEL)
            show(f"writers {sorted(without)}", [case for case in cases if case["by"] in without])


if __name__ == "__main__":
    run(main)
