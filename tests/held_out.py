"""How good the notice rules were on messages that their writer had not seen: writes space/safety_results.json, once.

`python tests/held_out.py MEDQUAD.csv` reads tests/cases/held_out.jsonl, written from the public lists alone by somebody
who did not know the rules, and the questions of MedQuAD, none of which is a call for help. What it wrote when the cases
were opened stays: the rules have learned from them since. held_out_2.jsonl was written in the same way after that, and
nothing has learned from it. README and the Space's About page show the file.
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
RESULTS = Path(__file__).parents[1] / "space" / "safety_results.json"


def main() -> None:
    if len(sys.argv) != 2:
        raise ValueError("name MedQuAD's CSV file, and nothing else: python tests/held_out.py medDataset_processed.csv")
    if RESULTS.exists():
        results = read_json(RESULTS, "tests/held_out.py")
    else:
        flags = {"medquad_flagged": flagged(questions(Path(sys.argv[1])))}
        results = {"checked": datetime.now(UTC).date().isoformat(), **measured(read_cases()), **flags}
    results.setdefault("second", measured(read_cases(SECOND)))
    write_json(RESULTS, results)
    print(json.dumps(results, indent=2))


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
