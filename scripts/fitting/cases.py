"""Labelled cases of the classifiers: reading and copying them, storing what was learned, rates."""

import csv
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from plain import plain, windowed
from safetensors.numpy import save_file
from text_classifier import Arrays

from fitting import ROOT
from training.outputs import file_sha256, read_jsonl
from training.scoring.intervals import wilson

CASES = ROOT / "tests" / "cases"
MESSAGES = CASES / "messages.parquet"
SAMPLE = ROOT / "training" / "data" / "sample.csv"
EVERYDAY = CASES / "everyday.txt"  # symptoms by their names alone, small talk

Case = dict[str, Any]  # turns and kind, perhaps language, writer (by) and style


def read_cases(path: Path) -> list[Case]:
    """Cases of a JSON lines file: turns, or one text, and the kind of notice that they call for, or none."""
    cases = read_jsonl(path, "its writer")
    return [case | {"turns": case.get("turns") or [case["text"]], "kind": case["kind"] or "none"} for case in cases]


def read_messages(path: Path = MESSAGES) -> list[Case]:
    return [case | {"turns": list(case["turns"])} for case in pd.read_parquet(path).to_dict("records")]


def general() -> list[Case]:
    """Questions and pieces of answers of the embedded sample, names alone and small talk, which call for nothing."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["Question"] for row in rows] + [piece for row in rows for piece in windowed(plain(row["Answer"]))]
    names = [re.sub(r".*\(are\) (.*) \?", r"\1", text) for text in texts if "What is (are)" in text]
    texts += [before + name for name in names for before in ("", "what is ", "do you have information about ")]
    texts += EVERYDAY.read_text(encoding="utf-8").splitlines()
    return [{"turns": [text], "kind": "none"} for text in texts]


def mistyped(word: str, dice: random.Random) -> str:
    """The word with a letter left out, doubled, replaced or swapped with the next one; short ones as they are."""
    if len(word) < 4:
        return word
    at = dice.randrange(len(word) - 1)
    kept, letter, rest = word[:at], word[at], word[at + 1 :]
    swapped = kept + rest[0] + letter + rest[1:]
    return dice.choice((kept + rest, swapped, swapped, kept + 2 * letter + rest, kept + dice.choice(word) + rest))


def write_model(arrays: Arrays, path: Path, learned: Iterable[Path]) -> None:
    """One entry of metadata: safetensors writes several in any order."""
    sums = {file.name: file_sha256(file) for file in learned}
    save_file(arrays, path, metadata={"cases_sha256": json.dumps(sums)})
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def rate(hits: Sequence[bool]) -> dict[str, float]:
    """Share of hits with its 95 % interval."""
    return wilson(sum(hits), len(hits))
