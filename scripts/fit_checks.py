"""Fit the classifier of advice, in `space/output_checks.py`: `python scripts/fit_checks.py medDataset_processed.csv`.

It learns from tests/cases/sentences_advice.jsonl, whose `{a|b}` are expanded, from the plain and the reassuring
sentences of tests/cases/sentences.jsonl, and from sentences of MedQuAD's answers, all of them harmless; the answers on
which `measure_checks.py` measures are left out. Writes space/advice.json.
"""

import argparse
import json
import math
import random
import re
from pathlib import Path

import numpy as np
from measure_checks import CASES, read_lines, sample
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from space.output_checks import TABLE, clauses, features, plain_text, split, without_loops
from training.command import run
from training.outputs import file_sha256, write_text

PER_PATTERN = 30  # expansions of a pattern
ANSWERS = 3_500  # of MedQuAD
PLAIN = 0.7  # what a sentence or clause of MedQuAD weighs beside a case
SINGLE = 10.0  # what a case that is one sentence weighs beside one expansion of a pattern
KEPT = 10_000  # terms, the weightiest
INVERSE_PENALTY = 15.0  # scikit-learn's C
THRESHOLDS = (0.25, 0.5)  # probabilities from which a sentence is left out, for itself and for one of its clauses
# What a warning against harmful instructions is made of: `Put butter on it` is harmful, `Never put butter on it` isn't.
INSTRUCTION = re.compile(
    r"(?:Put|Rub|Spread|Smear|Apply|Place|Stick|Force|Push|Hold|Restrain|Pin|Tie|Suck|Cut|Squeeze|Tilt|Lean|Tip|Pull"
    r"|Remove|Give|Offer|Pour|Shake|Slap|Pop|Break|Peel|Drain|Use|Neutralize|Take|Skip|Double|Halve|Stop|Quit|Combine"
    r"|Mix|Crush|Feed|Warm|Induce|Make|Switch|Wrap|Dab|Scratch|Scrub|Straighten) (?!care\b)"
)
WARNINGS = ("Do not", "Never", "Don't", "You should not", "You should never")
LEADS = (
    "Based on what you told me",
    "From what you say",
    "As far as I can tell",
    "In your case",
    "In my view",
    "Looking at your age",
    "With what you describe",
    "Since you asked",
    "To answer your question",
    "Given all this",
)
GENERAL = ("In general", "As a rule", "For many people", "In rare cases", "Since you asked", "To answer your question")
ENDS = (", which should clear up soon", ", and you can go on as usual", " and you will feel better", " from now on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("medquad", type=Path, help="MedQuAD's CSV file")
    path = parser.parse_args().medquad
    cases = labelled(random.Random(0))
    measured, others = sample(path, ANSWERS)
    held_out = set(sentences(measured))
    plain = [text for text in sentences(others) if text not in held_out]
    texts = [*cases, *plain]
    labels = np.array([harmful for harmful, _ in cases.values()] + [False] * len(plain))
    weights = np.array([weight for _, weight in cases.values()] + [PLAIN] * len(plain))
    print(f"{len(cases):,} cases ({labels.sum():,} harmful), {len(plain):,} sentences of MedQuAD")
    vectorizer, model = fit(texts, labels, weights)
    head = {
        "cases_sha256": [file_sha256(case) for case in CASES],
        "medquad_sha256": file_sha256(path),
        "thresholds": [round(math.log(p / (1 - p)), 3) for p in THRESHOLDS],
        "bias": round(float(model.intercept_[0]), 3),
    }
    rows = zip(vectorizer.get_feature_names_out(), vectorizer.idf_, model.coef_[0], strict=True)
    lines = [f"{json.dumps(term)}: [{idf:.2f}, {weight:.2f}]" for term, idf, weight in rows]
    table = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    write_text(TABLE, "{\n" + ",\n".join([*table, '"terms": {\n' + ",\n".join(lines) + "\n}"]) + "\n}\n")
    print(f"{len(lines):,} terms, {TABLE.stat().st_size / 1e3:.0f} kB, written to {TABLE}")


def fit(texts: list[str], labels: np.ndarray, weights: np.ndarray) -> tuple[TfidfVectorizer, LogisticRegression]:
    """A first fit chooses the terms that are kept, a second one weighs them."""
    vectorizer, model = TfidfVectorizer(analyzer=features, sublinear_tf=True, min_df=3), None
    for _ in range(2):
        if model is not None:
            kept = np.argsort(-abs(model.coef_[0]))[:KEPT]
            terms = sorted(vectorizer.get_feature_names_out()[kept])
            vectorizer = TfidfVectorizer(analyzer=features, sublinear_tf=True, vocabulary=terms)
        vectors = vectorizer.fit_transform(texts)
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=300).fit(vectors, labels, sample_weight=weights)
    return vectorizer, model


def labelled(rnd: random.Random) -> dict[str, tuple[bool, float]]:
    """Of each sentence whether it is harmful, and its weight; patterns are expanded, and more is made of them."""
    advice, checks = (read_lines(path) for path in CASES)
    made = [
        (text, case["harmful"]) for case in advice if "{" in case["pattern"] for text in expanded(case["pattern"], rnd)
    ]
    single = [(case["pattern"], case["harmful"]) for case in advice if "{" not in case["pattern"]]
    single += [(c["text"], "kind" in c) for c in checks if c.get("kind") in (None, "reassurance")]
    more = [*made, *warnings(made, rnd), *longer(made + single, rnd)]
    return {text: (harmful, 1.0) for text, harmful in more} | {text: (harmful, SINGLE) for text, harmful in single}


def expanded(text: str, rnd: random.Random) -> list[str]:
    """Up to PER_PATTERN sentences of a pattern, that together use each of its alternatives about equally often."""
    parts = [part.split("|") for part in re.split(r"\{([^}]*)\}", text)]  # every second one is a group
    found = set()
    for _ in range(PER_PATTERN):
        found.add("".join(rnd.choice(part) if place % 2 else "|".join(part) for place, part in enumerate(parts)))
    return sorted(found)


def warnings(cases: list[tuple[str, bool]], rnd: random.Random) -> list[tuple[str, bool]]:
    """Harmful instructions turned into warnings against them, every third."""
    told = [text for text, harmful in cases if harmful and INSTRUCTION.match(text)]
    return [(f"{rnd.choice(WARNINGS)} {text[0].lower()}{text[1:]}", False) for text in told if rnd.random() < 1 / 3]


def longer(cases: list[tuple[str, bool]], rnd: random.Random) -> list[tuple[str, bool]]:
    """A quarter of the sentences with words before or behind them."""
    found = []
    for text, harmful in cases:
        if text.count(" ") < 2 or text.startswith(("Yes", "No")) or rnd.random() > 1 / 4:
            continue
        lower = text if text.startswith("I") else text[0].lower() + text[1:]
        found.append((f"{rnd.choice(LEADS if harmful else GENERAL)}, {lower}", harmful))
        if harmful and rnd.random() < 1 / 2:
            found.append((f"{text[:-1]}{rnd.choice(ENDS)}.", harmful))
    return found


def sentences(pairs: list[tuple[str, str]]) -> list[str]:
    """Sentences and clauses of (question, answer) pairs, each once."""
    found = [" ".join(piece.split()) for _, answer in pairs for piece in split(without_loops(plain_text(answer)))]
    parts = [part for text in found for part in clauses(text)]
    return list(dict.fromkeys(text for text in parts if any(c.isalnum() for c in text)))


if __name__ == "__main__":
    run(main)
