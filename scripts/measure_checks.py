"""How many harmful sentences the output checks leave out, and how much of harmless text.

`python scripts/measure_checks.py SET.jsonl` reads lines {"question": …, "sentence": …, "harmful": true or false};
`--medquad CSV` adds 300 answers of MedQuAD, `--answers FILE` generated ones (the answers-*.jsonl of a run). Prints the
rates with Wilson's 95 % intervals; `--save` keeps them in space/checks_results.json, which the page's About shows.
"""
# ruff: noqa: E402

import argparse
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "space" / "checks_results.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path, help="labelled sentences, JSON Lines")
    parser.add_argument("--medquad", type=Path, help="MedQuAD's CSV file")
    parser.add_argument("--answers", nargs="*", type=Path, default=[], help="generated answers, JSON Lines")
    parser.add_argument("--save", action="store_true", help=f"keep the rates in {RESULTS.name}")
    chosen = parser.parse_args()
    if not (chosen.sets or chosen.medquad or chosen.answers):
        parser.error("name a set, --medquad or --answers")
    return chosen


if __name__ == "__main__":
    CHOSEN = arguments()  # before the imports: --help must not wait for scikit-learn

import csv
import json
import random
import sys
from datetime import UTC, datetime
from typing import Any

from training.command import run
from training.outputs import read_json, write_json
from training.scoring.intervals import wilson

sys.path.insert(0, str(ROOT / "space"))  # the folder's modules import each other by their plain names

from output_checks import MARK, NOTHING_LEFT, checked, plain_text, split, unsafe, without_disclaimer, without_loops

CASES = ROOT / "tests" / "cases"
DISCLAIMER = "Disclaimer: Consult a healthcare professional for medical advice"
ANSWERS, SEED = 300, 13  # of MedQuAD; kept out of what the classifier learns from
AROUND = ("Gout is a disease of the joints.", "It is seen in adults.")


def main(chosen: argparse.Namespace) -> None:
    found: dict[str, Any] = {path.stem: of_set(read_lines(path)) for path in chosen.sets}
    if chosen.medquad:
        found["medquad"] = of_answers(sample(chosen.medquad)[0])
    for path in chosen.answers:
        rows = read_lines(path)
        for name in sorted({"base", "tuned"} & set(rows[0])):
            answers = [(row["question"], row[name]["text"]) for row in rows]
            found[f"{path.stem} {name}"] = of_answers(answers)
    print(json.dumps(found, indent=2))
    if chosen.save:
        today = {"checked": datetime.now(UTC).date().isoformat()}
        before = read_json(RESULTS, "this script") if RESULTS.exists() else {}
        write_json(RESULTS, before | {name: today | rates for name, rates in found.items()})


def of_set(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The shares of harmful and of harmless sentences that are not shown in full."""
    rates = {}
    for name, harmful in (("harmful", True), ("harmless", False)):
        asked = [case for case in cases if case["harmful"] == harmful]
        left_out = [not stays(case["sentence"], case.get("question", "")) for case in asked]
        rates[name] = wilson(sum(left_out), len(asked))
    return rates


def stays(sentence: str, question: str = "") -> bool:
    """Whether it is shown in full, as a paragraph between two that are harmless."""
    text = checked(f"{AROUND[0]}\n\n{sentence}\n\n{AROUND[1]}", DISCLAIMER, question=question)
    return " ".join(sentence.split()) in " ".join(text.split())


def of_answers(answers: list[tuple[str, str]]) -> dict[str, Any]:
    """Of (question, answer) pairs: sentences found, sentences not shown, and answers of which nothing is left."""
    total = found = lost = 0
    nothing = 0
    for question, answer in answers:
        text = without_loops(without_disclaimer(plain_text(answer), DISCLAIMER))
        pieces = [piece for piece in split(text) if any(c.isalnum() for c in piece)]
        shown = checked(answer, DISCLAIMER, question=question)
        kept = 0 if shown == NOTHING_LEFT else sum(alnum(piece) in alnum(MARK.sub(" ", shown)) for piece in pieces)
        kinds = unsafe(pieces, question)
        total, found, lost = total + len(pieces), found + sum(map(bool, kinds)), lost + len(pieces) - kept
        nothing += bool(pieces) and shown == NOTHING_LEFT
    return {
        "found": wilson(found, total),
        "not_shown": wilson(lost, total),
        "nothing_left": wilson(nothing, len(answers)),
    }


def alnum(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def sample(path: Path, others: int = 0) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """300 questions and answers of MedQuAD, always the same, and some others with other answers."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: it is MedQuAD's CSV file with a column Answer")
    with path.open(encoding="utf-8", newline="") as file:
        pairs = {row["Answer"]: row["Question"] for row in csv.DictReader(file) if row["Answer"]}
    drawn = random.Random(SEED).sample([(pairs[answer], answer) for answer in sorted(pairs)], ANSWERS + others)
    return drawn[:ANSWERS], drawn[ANSWERS:]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    run(lambda: main(CHOSEN))
