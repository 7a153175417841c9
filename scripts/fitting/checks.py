"""Fits the classifiers of single sentences, in answers (advice) and questions (personal); measures the checks."""

import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import output_checks
import pandas as pd
import personal
from normalize import normalized
from output_checks import MARK, NOTHING_LEFT, checked, clauses, plain_text, split, strip_disclaimers, without_loops
from text_classifier import Arrays

import fitting
from fitting import CASES, SPACE
from space.contract import load_contract
from training.configs import CONTRACT
from training.outputs import read_jsonl

LEARNED = (CASES / "sentences.parquet", CASES / "sentences.jsonl")
PERSONAL = CASES / "personal.parquet"  # personal questions, and general ones on the same subjects
RESULTS = SPACE / "checks_results.json"
PER_PATTERN = 30  # expansions of a pattern
MEASURED, LEARNED_ANSWERS, SEED = 300, 3_500, 13  # answers of MedQuAD: those that are measured are not learned from
PLAIN = 0.7  # what a sentence or clause of MedQuAD weighs beside an expansion of a pattern
SINGLE = 3.0  # and what a case that is one sentence weighs
DISCLAIMER = load_contract(CONTRACT).disclaimer
AROUND = ("Gout is a disease of the joints.", "It is seen in adults.")

Case = tuple[str, str, float]  # text, kind and weight
Pairs = list[tuple[str, str]]  # questions and answers


# ---------------------------------------------------------------- fitting
def learn(medquad: Path) -> None:
    cases, harmless = labelled(random.Random(0)), harmless_sentences(medquad)
    print(f"{len(cases):,} cases, {len(harmless):,} sentences and clauses of MedQuAD")
    cases += [(text, "none", PLAIN) for text in harmless]
    fitting.write_model(fit_advice(cases), output_checks.CLASSIFIER.path, LEARNED)
    fitting.write_model(fit_personal(), personal.CLASSIFIER.path, (PERSONAL,))


def fit_advice(cases: list[Case]) -> Arrays:
    texts, kinds, weights = zip(*cases, strict=True)
    return fitting.fit(output_checks.CLASSIFIER, texts, kinds, weights)


def fit_personal() -> Arrays:
    """Learns from copies with typing errors and disguises, too."""
    cases = fitting.read_messages(PERSONAL) + fitting.general()
    cases = cases + fitting.disguised(cases, random.Random(0))
    texts = [normalized(case["turns"][-1]) for case in cases]
    return fitting.fit(personal.CLASSIFIER, texts, [case["kind"] for case in cases])


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
    parts = [part for text in whole for part in clauses(text)]
    return list(dict.fromkeys(text for text in parts if any(c.isalnum() for c in text)))


def sample(path: Path) -> tuple[Pairs, Pairs]:
    """The questions and answers of MedQuAD that are measured, always the same, and others, with other answers."""
    pairs = {row["Answer"]: row["Question"] for row in fitting.read_csv(path) if row["Answer"]}
    answers = random.Random(SEED).sample(sorted(pairs), MEASURED + LEARNED_ANSWERS)
    drawn = [(pairs[answer], answer) for answer in answers]
    return drawn[:MEASURED], drawn[MEASURED:]


# ---------------------------------------------------------------- measuring
def measure(paths: list[Path], medquad: Path | None, save: bool) -> None:
    """Rates on sets of sentences, on a run's answers, and on answers of MedQuAD."""
    results = {"medquad": rates_of_answers(sample(medquad)[0])} if medquad else {}
    for path in paths:
        rows = read_jsonl(path, "python -m training score")
        if "harmful" in rows[0]:
            results[path.stem] = rates_of_set(rows)
        for name in sorted({"base", "tuned"} & rows[0].keys()):
            results[f"{path.stem} {name}"] = rates_of_answers([(row["question"], row[name]["text"]) for row in rows])
    fitting.report(results)
    if save:
        today = {"checked": datetime.now(UTC).date().isoformat()}
        fitting.save_rates(RESULTS, {name: today | rates for name, rates in results.items()})


def rates_of_set(cases: list[dict[str, Any]]) -> dict[str, fitting.Rate]:
    """The shares of harmful and of harmless sentences that are not shown in full."""
    names = {True: "harmful", False: "harmless"}
    return fitting.rates(
        (names[case["harmful"]], not stays(case["sentence"], case.get("question", ""))) for case in cases
    )


def stays(sentence: str, question: str) -> bool:
    """Whether it is shown in full, as a paragraph between two that are harmless."""
    text = checked(f"{AROUND[0]}\n\n{sentence}\n\n{AROUND[1]}", DISCLAIMER, question=question)
    return " ".join(sentence.split()) in " ".join(text.split())


def rates_of_answers(pairs: Pairs) -> dict[str, fitting.Rate]:
    """The share of the answers' sentences that are not shown."""
    found = []
    for question, answer in pairs:
        shown = checked(answer, DISCLAIMER, question=question)
        kept = "" if shown == NOTHING_LEFT else alnum(MARK.sub(" ", shown))
        sentences = map(alnum, split(without_loops(strip_disclaimers(plain_text(answer), DISCLAIMER))))
        found += [("not_shown", sentence not in kept) for sentence in sentences if sentence]
    return fitting.rates(found)


def alnum(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
