"""Fits and measures the classifiers of typed text, for fit_notices.py; here what they have in common."""

import csv
import json
import random
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from training.outputs import file_sha256, read_json, read_jsonl, write_json
from training.scoring.intervals import wilson

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "space"
sys.path.insert(0, str(SPACE))  # the folder's modules import each other by their plain names

# isort: split
from normalize import normalized, windowed  # noqa: E402
from text_classifier import Arrays, TextClassifier  # noqa: E402

CASES = ROOT / "tests" / "cases"
MESSAGES = CASES / "messages.parquet"
SAMPLE = ROOT / "training" / "data" / "sample.csv"
EVERYDAY = CASES / "everyday.txt"  # symptoms by their names alone, small talk

Case = dict[str, Any]  # turns and kind, perhaps language, writer (by) and style
Rate = dict[str, float]


# ---------------------------------------------------------------- cases
def read_cases(path: Path) -> list[Case]:
    """Cases of a JSON lines file: turns, or one text, and the kind of notice that they call for, or none."""
    cases = read_jsonl(path, "its writer")
    return [case | {"turns": case.get("turns") or [case["text"]], "kind": case["kind"] or "none"} for case in cases]


def read_messages(path: Path = MESSAGES) -> list[Case]:
    return [case | {"turns": list(case["turns"])} for case in pd.read_parquet(path).to_dict("records")]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def general() -> list[Case]:
    """Questions and pieces of answers of the embedded sample, names alone and small talk, which call for nothing."""
    rows = read_csv(SAMPLE)
    texts = [row["Question"] for row in rows] + [piece for row in rows for piece in windowed(normalized(row["Answer"]))]
    names = [re.sub(r".*\(are\) (.*) \?", r"\1", text) for text in texts if "What is (are)" in text]
    texts += [before + name for name in names for before in ("", "what is ", "do you have information about ")]
    texts += EVERYDAY.read_text(encoding="utf-8").splitlines()
    return [{"turns": [text], "kind": "none"} for text in texts]


# ---------------------------------------------------------------- copies
def mistyped(word: str, dice: random.Random) -> str:
    """The word with a letter left out, doubled, replaced or swapped with the next one; short ones as they are."""
    if len(word) < 4:
        return word
    at = dice.randrange(len(word) - 1)
    kept, letter, rest = word[:at], word[at], word[at + 1 :]
    swapped = kept + rest[0] + letter + rest[1:]
    return dice.choice((kept + rest, swapped, swapped, kept + 2 * letter + rest, kept + dice.choice(word) + rest))


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


# ---------------------------------------------------------------- fitting and measuring
def fit(
    classifier: TextClassifier, texts: list[str], kinds: Iterable[str], weights: Sequence[float] | None = None
) -> Arrays:
    """What the classifier learns from texts and their kinds."""
    labels = [classifier.kinds.index(kind) for kind in kinds]
    with threadpool_limits(1):  # several threads round sums in another order, which gives other bytes
        model = classifier.pipeline().fit(texts, labels, logisticregression__sample_weight=weights)
    return classifier.arrays(model)


def write_model(arrays: Arrays, path: Path, learned: Iterable[Path]) -> None:
    """One entry of metadata: safetensors writes several in any order."""
    sums = {file.name: file_sha256(file) for file in learned}
    save_file(arrays, path, metadata={"cases_sha256": json.dumps(sums)})
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def rates(hits: Iterable[tuple[str, bool]]) -> dict[str, Rate]:
    """The share of hits under each name, with its 95 % interval."""
    named: dict[str, list[bool]] = {}
    for name, hit in hits:
        named.setdefault(name, []).append(hit)
    return {name: wilson(sum(each), len(each)) for name, each in sorted(named.items())}


def report(results: dict[str, Any], name: str = "") -> None:
    """Print each rate, by the names under which it is found."""
    if "share" in results:
        print(f"{name}: {{k}}/{{n}} = {{share:.3f}} ({{low:.3f}} to {{high:.3f}})".format(**results))
        return
    for part, found in results.items():
        report(found, f"{name} {part}".strip())


def save_rates(path: Path, results: dict[str, Any]) -> None:
    """Add rates to a file that README and About read."""
    write_json(path, read_json(path, "git checkout") | results)
