"""Fit the classifiers that read single sentences: `python scripts/fit_checks.py medDataset_processed.csv`.

space/advice.safetensors, for answers, learns from tests/cases/sentences.parquet, whose `{a|b}` are expanded, from some
sentences of sentences.jsonl, and from sentences of MedQuAD's answers, all of them harmless; the answers on which
measure_checks.py measures are left out. space/personal.safetensors, for questions, learns from personal.parquet and
the embedded sample. The same cases give the same files.
"""
# ruff: noqa: E402

import argparse
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("medquad", type=Path, help="MedQuAD's CSV file")
    return parser.parse_args()


if __name__ == "__main__":
    OPTIONS = arguments()  # before the imports: --help must not wait for scikit-learn

import random
import re
import sys

import numpy as np
import pandas as pd

from training.command import run

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "space"), str(ROOT / "scripts")]  # their modules import each other by their plain names

import advice
import personal
from fitting.cases import general, read_messages, write_model
from fitting.notices import disguised
from measure_checks import CASES, read_lines, sample
from output_checks import plain_text, split, without_loops
from plain import plain
from text_classifier import Arrays, to_arrays

LEARNED = (CASES / "sentences.parquet", CASES / "sentences.jsonl")
PERSONAL = CASES / "personal.parquet"  # personal questions, and general ones on the same subjects
PER_PATTERN = 30  # expansions of a pattern
ANSWERS = 3_500  # of MedQuAD
PLAIN = 0.7  # what a sentence or clause of MedQuAD weighs beside an expansion of a pattern
SINGLE = 3.0  # and what a case that is one sentence weighs

Case = tuple[str, str, float]  # text, kind and weight


def main(options: argparse.Namespace) -> None:
    cases = labelled(random.Random(0))
    plain_sentences = harmless(options.medquad)
    print(f"{len(cases):,} cases, {len(plain_sentences):,} sentences and clauses of MedQuAD")
    arrays = fit_advice([*cases, *((text, "none", PLAIN) for text in plain_sentences)])
    write_model(arrays, advice.MODEL, LEARNED)
    write_model(fit_personal(), personal.MODEL, (PERSONAL,))


def fit_advice(cases: list[Case], features: int = advice.FEATURES) -> Arrays:
    texts, kinds, weights = zip(*cases, strict=True)
    labels = [advice.KINDS.index(kind) for kind in kinds]
    model = advice.pipeline(features).fit(texts, labels, logisticregression__sample_weight=np.array(weights))
    return to_arrays(model, "advice")


def fit_personal(features: int = personal.FEATURES) -> Arrays:
    """Learns from copies with typing errors and disguises, too."""
    cases = read_messages(PERSONAL) + general()
    cases = cases + disguised(cases, random.Random(0))
    texts = [plain(case["turns"][-1]) for case in cases]
    model = personal.pipeline(features).fit(texts, [personal.KINDS.index(case["kind"]) for case in cases])
    return to_arrays(model, "personal")


def labelled(dice: random.Random) -> list[Case]:
    """The cases, patterns expanded."""
    read = pd.read_parquet(LEARNED[0])
    learned = list(zip(read.text, read.kind, strict=True))
    names = {None: "none", "reassurance": "advice", "claim": "claim"}
    learned += [(c["text"], names[c.get("kind")]) for c in read_lines(LEARNED[1]) if c.get("kind") in names]
    made = [(text, kind) for pattern, kind in learned if "{" in pattern for text in expanded(pattern, dice)]
    single = [(text, kind, SINGLE) for text, kind in learned if "{" not in text]
    return [*((text, kind, 1.0) for text, kind in made), *single]


def expanded(text: str, dice: random.Random) -> list[str]:
    """Up to PER_PATTERN sentences of a pattern, that together use each of its alternatives about equally often."""
    parts = [part.split("|") for part in re.split(r"\{([^}]*)\}", text)]  # every second one is a group
    found = set()
    for _ in range(PER_PATTERN):
        found.add("".join(dice.choice(part) if place % 2 else "|".join(part) for place, part in enumerate(parts)))
    return sorted(found)


def harmless(path: Path) -> list[str]:
    """Sentences and clauses of MedQuAD's answers, but for those of the answers that are measured."""
    measured, others = (sentences(pairs) for pairs in sample(path, ANSWERS))
    held_out = set(measured)
    return [text for text in others if text not in held_out]


def sentences(pairs: list[tuple[str, str]]) -> list[str]:
    """Sentences and clauses of (question, answer) pairs, each once."""
    found = [" ".join(piece.split()) for _, answer in pairs for piece in split(without_loops(plain_text(answer)))]
    parts = [part for text in found for part in advice.clauses(text)]
    return list(dict.fromkeys(text for text in parts if any(c.isalnum() for c in text)))


if __name__ == "__main__":
    run(lambda: main(OPTIONS))
