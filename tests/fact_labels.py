"""How well facts are found in MedQuAD's answers: writes training/scoring/facts.json.

`python tests/fact_labels.py MEDQUAD.csv` compares what is found with two files of labels, of answers drawn at random.
"development" is tests/cases/facts.csv, 60 answers of each type, labelled by reading before there was any code to find
facts; that code was corrected on some of its errors there, which flatters it. "independent" is
tests/cases/facts_independent.csv, 40 answers of each type, labelled by somebody else without that code, which was not
corrected on them: these are the figures to quote. Four answers are in both, labelled alike. A label holds each gene
whose change it ties to the disease asked about, each inheritance pattern, and each frequency in a population, that the
answer states of that disease or of one of its forms; several are separated by "|",
cases and people by ":". `row` counts from 0 below the header.
"""

import csv
import json
import sys
from hashlib import sha256
from pathlib import Path

from training.command import run
from training.outputs import write_json
from training.scoring.facts import AGREEMENT, KINDS, Fact, shares, stated
from training.scoring.intervals import wilson

CASES = Path(__file__).with_name("cases")
LABELS = {"independent": CASES / "facts_independent.csv", "development": CASES / "facts.csv"}


def main() -> None:
    if len(sys.argv) != 2:
        raise ValueError("name MedQuAD's CSV file: python tests/fact_labels.py MEDQUAD.csv")
    results = agreement(Path(sys.argv[1]))
    write_json(AGREEMENT, results)
    print(json.dumps(results, indent=2))


def agreement(medquad: Path) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """The content of facts.json: labels -> kind -> precision and recall."""
    answers = read_answers(medquad)
    return {name: compared(answers, read_labels(path), path) for name, path in LABELS.items()}


def compared(
    answers: list[str], cases: dict[str, list[tuple[int, str, set[Fact]]]], path: Path
) -> dict[str, dict[str, dict[str, float]]]:
    """Kind -> precision and recall over the facts, and over the answers of which exactly one is found or labelled."""
    results = {}
    for qtype, kind in KINDS.items():
        pairs = []  # facts found, facts labelled
        for row, digest, facts in cases[qtype]:
            if not sha256(answers[row].encode()).hexdigest().startswith(digest):
                raise ValueError(f"{path}: the answer in row {row} isn't the one that was labelled")
            pairs.append((stated(qtype, answers[row]), facts))
        alike = sum(len(found & facts) for found, facts in pairs)
        single = sum(found == facts and len(found) == 1 for found, facts in pairs)
        results[kind.name] = {
            "precision": wilson(alike, sum(len(found) for found, _ in pairs)),
            "recall": wilson(alike, sum(len(facts) for _, facts in pairs)),
            "precision where one is found": wilson(single, sum(len(found) == 1 for found, _ in pairs)),
            "recall where one is labelled": wilson(single, sum(len(facts) == 1 for _, facts in pairs)),
        }
    return results


def read_answers(medquad: Path) -> list[str]:
    if not medquad.is_file():
        raise FileNotFoundError(f"{medquad} is missing: it is MedQuAD's CSV file with a column Answer")
    with medquad.open(encoding="utf-8", newline="") as file:
        return [row["Answer"] for row in csv.DictReader(file)]


def read_labels(path: Path) -> dict[str, list[tuple[int, str, set[Fact]]]]:
    """Question type -> row, first digits of the answer's sha256, and facts of each labelled answer."""
    cases = {qtype: [] for qtype in KINDS}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            facts = {labelled(line["qtype"], fact) for fact in line["facts"].split("|") if fact}
            cases[line["qtype"]].append((int(line["row"]), line["sha256"], facts))
    return cases


def labelled(qtype: str, fact: str) -> Fact:
    """The fact that a label says; a frequency is written "1:5000", with a range on either side: "1:5000-10000"."""
    if qtype != "frequency":
        return fact
    (cases, _, most), (people, _, most_people) = (side.partition("-") for side in fact.split(":"))
    return shares(cases, most, people, most_people)


if __name__ == "__main__":
    run(main)
