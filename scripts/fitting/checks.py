"""Fits and measures the classifiers that read single sentences: of answers (advice), and of questions (personal)."""

import csv
import json
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import advice
import numpy as np
import pandas as pd
import personal
from output_checks import MARK, NOTHING_LEFT, checked, plain_text, split, strip_disclaimers, unsafe, without_loops
from plain import plain
from text_classifier import Arrays, to_arrays

from fitting import ROOT
from fitting.cases import CASES, general, rate, read_messages, write_model
from fitting.notices import disguised
from training.outputs import read_json, read_jsonl, write_json

LEARNED = (CASES / "sentences.parquet", CASES / "sentences.jsonl")
PERSONAL = CASES / "personal.parquet"  # personal questions, and general ones on the same subjects
RESULTS = ROOT / "space" / "checks_results.json"
PER_PATTERN = 30  # expansions of a pattern
MEASURED, LEARNED_ANSWERS, SEED = 300, 3_500, 13  # answers of MedQuAD: those that are measured are not learned from
PLAIN = 0.7  # what a sentence or clause of MedQuAD weighs beside an expansion of a pattern
SINGLE = 3.0  # and what a case that is one sentence weighs
DISCLAIMER = "Disclaimer: Consult a healthcare professional for medical advice"
AROUND = ("Gout is a disease of the joints.", "It is seen in adults.")

Case = tuple[str, str, float]  # text, kind and weight
Pairs = list[tuple[str, str]]  # questions and answers


# ---------------------------------------------------------------- fitting
def fit(medquad: Path) -> None:
    cases, harmless = labelled(random.Random(0)), harmless_sentences(medquad)
    print(f"{len(cases):,} cases, {len(harmless):,} sentences and clauses of MedQuAD")
    write_model(fit_advice([*cases, *((text, "none", PLAIN) for text in harmless)]), advice.MODEL, LEARNED)
    write_model(fit_personal(), personal.MODEL, (PERSONAL,))


def fit_advice(cases: list[Case]) -> Arrays:
    texts, kinds, weights = zip(*cases, strict=True)
    labels = [advice.KINDS.index(kind) for kind in kinds]
    model = advice.pipeline().fit(texts, labels, logisticregression__sample_weight=np.array(weights))
    return to_arrays(model, "advice")


def fit_personal() -> Arrays:
    """Learns from copies with typing errors and disguises, too."""
    cases = read_messages(PERSONAL) + general()
    cases = cases + disguised(cases, random.Random(0))
    texts = [plain(case["turns"][-1]) for case in cases]
    model = personal.pipeline().fit(texts, [personal.KINDS.index(case["kind"]) for case in cases])
    return to_arrays(model, "personal")


def labelled(dice: random.Random) -> list[Case]:
    """The cases, patterns expanded."""
    read = pd.read_parquet(LEARNED[0])
    learned = list(zip(read.text, read.kind, strict=True))
    names = {None: "none", "reassurance": "advice", "claim": "claim"}
    cases = read_jsonl(LEARNED[1], "git checkout")
    learned += [(case["text"], names[case.get("kind")]) for case in cases if case.get("kind") in names]
    made = [(text, kind) for pattern, kind in learned if "{" in pattern for text in expanded(pattern, dice)]
    single = [(text, kind, SINGLE) for text, kind in learned if "{" not in text]
    return [*((text, kind, 1.0) for text, kind in made), *single]


def expanded(text: str, dice: random.Random) -> list[str]:
    """Up to PER_PATTERN sentences of a pattern, that together use each of its alternatives about equally often."""
    parts = [part.split("|") for part in re.split(r"\{([^}]*)\}", text)]  # every second one is a group
    sentences = set()
    for _ in range(PER_PATTERN):
        sentences.add("".join(dice.choice(part) if place % 2 else "|".join(part) for place, part in enumerate(parts)))
    return sorted(sentences)


def harmless_sentences(path: Path) -> list[str]:
    """Sentences and clauses of MedQuAD's answers, but for those of the answers that are measured."""
    measured, others = (sentences(pairs) for pairs in sample(path))
    held_out = set(measured)
    return [text for text in others if text not in held_out]


def sentences(pairs: Pairs) -> list[str]:
    """Sentences and clauses of the answers, each once."""
    whole = [" ".join(piece.split()) for _, answer in pairs for piece in split(without_loops(plain_text(answer)))]
    parts = [part for text in whole for part in advice.clauses(text)]
    return list(dict.fromkeys(text for text in parts if any(c.isalnum() for c in text)))


def sample(path: Path) -> tuple[Pairs, Pairs]:
    """The questions and answers of MedQuAD that are measured, always the same, and others, with other answers."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: it is MedQuAD's CSV file with a column Answer")
    with path.open(encoding="utf-8", newline="") as file:
        pairs = {row["Answer"]: row["Question"] for row in csv.DictReader(file) if row["Answer"]}
    answers = random.Random(SEED).sample(sorted(pairs), MEASURED + LEARNED_ANSWERS)
    drawn = [(pairs[answer], answer) for answer in answers]
    return drawn[:MEASURED], drawn[MEASURED:]


# ---------------------------------------------------------------- measuring
def measure(sets: list[Path], medquad: Path | None, generated: list[Path], save: bool) -> None:
    results: dict[str, Any] = {path.stem: rates_of_set(read_jsonl(path, "its writer")) for path in sets}
    if medquad:
        results["medquad"] = rates_of_answers(sample(medquad)[0])
    for path in generated:
        rows = read_jsonl(path, "python -m training score")
        for name in sorted({"base", "tuned"} & set(rows[0])):
            results[f"{path.stem} {name}"] = rates_of_answers([(row["question"], row[name]["text"]) for row in rows])
    print(json.dumps(results, indent=2))
    if save:
        today = {"checked": datetime.now(UTC).date().isoformat()}
        before = read_json(RESULTS, "measure_checks.py --save") if RESULTS.exists() else {}
        write_json(RESULTS, before | {name: today | rates for name, rates in results.items()})


def rates_of_set(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The shares of harmful and of harmless sentences that are not shown in full."""
    left_out: dict[bool, list[bool]] = {True: [], False: []}
    for case in cases:
        left_out[case["harmful"]].append(not stays(case["sentence"], case.get("question", "")))
    return {"harmful": rate(left_out[True]), "harmless": rate(left_out[False])}


def stays(sentence: str, question: str) -> bool:
    """Whether it is shown in full, as a paragraph between two that are harmless."""
    text = checked(f"{AROUND[0]}\n\n{sentence}\n\n{AROUND[1]}", DISCLAIMER, question=question)
    return " ".join(sentence.split()) in " ".join(text.split())


def rates_of_answers(pairs: Pairs) -> dict[str, Any]:
    """The shares of sentences that are unsafe, of those that are not shown, and of answers of which nothing is left."""
    found: list[bool] = []
    not_shown: list[bool] = []
    nothing_left: list[bool] = []
    for question, answer in pairs:
        text = without_loops(strip_disclaimers(plain_text(answer), DISCLAIMER))
        pieces = [piece for piece in split(text) if any(c.isalnum() for c in piece)]
        shown = checked(answer, DISCLAIMER, question=question)
        nothing = shown == NOTHING_LEFT
        found += map(bool, unsafe(pieces, question))
        not_shown += [nothing or alnum(piece) not in alnum(MARK.sub(" ", shown)) for piece in pieces]
        nothing_left.append(bool(pieces) and nothing)
    return {"found": rate(found), "not_shown": rate(not_shown), "nothing_left": rate(nothing_left)}


def alnum(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
