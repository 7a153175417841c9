"""How good the notices were on messages that nothing had learned from: writes space/safety_results.json, once each.

`python tests/held_out.py MEDQUAD.csv` reads the sets of tests/cases/held_out*.jsonl, each written from the public lists
alone by a language model that knew neither the rules nor the other cases, and the questions of MedQuAD, none of which
is a call for help. What it wrote when a set was opened stays. Rules and word weights have learned from the first set
since, and the second was looked at; the third was opened once, at the end. README and the Space's About page show the
file.
"""

import csv
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from space.safety import notice
from training.command import run
from training.outputs import read_json, write_json
from training.scoring.intervals import wilson

CASES = Path(__file__).with_name("cases") / "held_out.jsonl"
SECOND = CASES.with_name("held_out_2.jsonl")
THIRD = CASES.with_name("held_out_3.jsonl")
RESULTS = Path(__file__).parents[1] / "space" / "safety_results.json"


def main() -> None:
    if len(sys.argv) != 2:
        raise ValueError("name MedQuAD's CSV file, and nothing else: python tests/held_out.py medDataset_processed.csv")
    asked = questions(Path(sys.argv[1]))
    results = read_json(RESULTS, "tests/held_out.py") if RESULTS.exists() else opened(CASES, asked)
    if "second" not in results:
        results["second"] = measured(read_cases(SECOND))
    if "third" not in results:
        results["third"] = opened(THIRD, asked)
    write_json(RESULTS, results)
    print(json.dumps(results, indent=2))


def opened(path: Path, asked: list[str]) -> dict[str, Any]:
    """The rates of a set and of MedQuAD's questions, with the day."""
    today = datetime.now(UTC).date().isoformat()
    return {"checked": today, **measured(read_cases(path)), "medquad_flagged": flagged(asked)}


def read_cases(path: Path = CASES) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measured(cases: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Sensitivity: shown where one is called for, of whatever kind; specificity: none shown on a look-alike."""
    shown = {
        must: [notice(said(case)) is not None for case in cases if bool(case["kind"]) == must] for must in (True, False)
    }
    return {
        "sensitivity": asdict(wilson(sum(shown[True]), len(shown[True]))),
        "specificity": asdict(wilson(len(shown[False]) - sum(shown[False]), len(shown[False]))),
    }


def said(case: dict[str, Any]) -> list[str]:
    return case.get("turns") or [case["text"]]


def questions(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: it is MedQuAD's CSV file with a column Question")
    with path.open(encoding="utf-8", newline="") as file:
        return [row["Question"] for row in csv.DictReader(file)]


def flagged(asked: list[str]) -> dict[str, float]:
    return asdict(wilson(sum(notice([question]) is not None for question in asked), len(asked)))


if __name__ == "__main__":
    run(main)
