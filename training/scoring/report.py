"""From the answers of a split to scores-<split>.json: every figure that table, card and plots show."""

from dataclasses import asdict
from typing import Any

import numpy as np

from space.contract import Contract
from space.prompt import with_disclaimer, without_disclaimer
from training.scoring.baselines import base_with_disclaimer, baselines
from training.scoring.intervals import Rate, by_type, mean_interval, paired_gain
from training.scoring.rates import median_grade, novel, rates
from training.scoring.rouge import ROUGE_KINDS, rouge_scores

Row = dict[str, Any]
Scored = dict[str, np.ndarray]  # ROUGE kind -> F1 of each question [questions]


def score_answers(
    answers: list[Row], train: list[Row], contract: Contract, seed: int, reference_tokens: list[int]
) -> tuple[dict[str, Any], Scored, Scored]:
    """All scores of a split, and the ROUGE of each base and tuned answer without the disclaimer.

    answers: lines of answers-<split>.jsonl. reference_tokens: [questions], with the disclaimer.
    """
    texts = system_texts(answers, train, contract, seed)
    references = [without_disclaimer(line["reference"], contract) for line in answers]
    full_references = [with_disclaimer(reference, contract) for reference in references]
    groups = [line["group"] for line in answers]
    plain = {
        name: rouge_scores([without_disclaimer(text, contract) for text in given], references)
        for name, given in texts.items()
    }
    full = {name: rouge_scores(given, full_references) for name, given in texts.items()}
    strongest = max(
        (name for name in texts if name not in ("base", "tuned")),
        key=lambda name: plain[name]["rougeL"].mean(),
    )
    others = {f"gain of tuned over {name}": plain[name] for name in ("base", strongest)}
    report = {
        "systems": {
            name: {
                "model": name in ("base", "tuned"),
                "without disclaimer": intervals(plain[name], groups, seed),
                "with disclaimer": intervals(full[name], groups, seed),
            }
            for name in texts
        },
        "strongest_baseline": strongest,
        "gains": {name: gains(scores, plain["tuned"], groups, seed) for name, scores in others.items()},
        "by_type": {name: types(scores, plain["tuned"], answers, seed) for name, scores in others.items()},
        "novel": novel_part(plain, others, answers, train, seed),
        "rates": side_rates(answers, train, contract, reference_tokens),
        "readability": grades(answers, contract),
    }
    return report, plain["base"], plain["tuned"]


def system_texts(answers: list[Row], train: list[Row], contract: Contract, seed: int) -> dict[str, list[str]]:
    """System -> its answers as users would see them: baselines with the disclaimer, base and tuned as generated."""
    questions = [{key: line[key] for key in ("id", "question", "qtype")} for line in answers]
    base, tuned = ([line[side]["text"] for line in answers] for side in ("base", "tuned"))
    controls = {
        name: [with_disclaimer(text, contract) for text in given]
        for name, given in baselines(train, questions, contract, seed).items()
    }
    return controls | base_with_disclaimer(base, contract) | {"base": base, "tuned": tuned}


def intervals(scores: Scored, groups: list[str], seed: int) -> dict[str, dict[str, Any]]:
    return {kind: asdict(mean_interval(scores[kind], groups, seed=seed)) for kind in ROUGE_KINDS}


def gains(other: Scored, tuned: Scored, groups: list[str], seed: int) -> dict[str, dict[str, Any]]:
    return {kind: asdict(paired_gain(other[kind], tuned[kind], groups, seed=seed)) for kind in ROUGE_KINDS}


def types(other: Scored, tuned: Scored, answers: list[Row], seed: int) -> dict[str, dict[str, Any]]:
    """Question type -> ROUGE-L gain of tuned over another system, with p corrected by Holm."""
    groups, qtypes = ([line[key] for line in answers] for key in ("group", "qtype"))
    found = by_type(other["rougeL"], tuned["rougeL"], groups, qtypes, seed=seed)
    return {qtype: asdict(gain) for qtype, gain in found.items()}


def novel_part(
    plain: dict[str, Scored], others: dict[str, Scored], answers: list[Row], train: list[Row], seed: int
) -> dict[str, Any] | None:
    """Means and gains on the questions with under a fifth of the reference's 8-grams in train; None without any.

    others: name of a gain -> the scores that tuned is compared with.
    """
    mask = novel([{"answer": line["reference"]} for line in answers], train)
    if not mask.any():
        return None
    groups = [line["group"] for line, kept in zip(answers, mask, strict=True) if kept]

    def part(scores: Scored) -> Scored:
        return {kind: scores[kind][mask] for kind in ROUGE_KINDS}

    tuned = part(plain["tuned"])
    return {
        "n": int(mask.sum()),
        "systems": {
            name: {kind: float(value.mean()) for kind, value in part(scores).items()} for name, scores in plain.items()
        },
        "gains": {name: gains(part(scores), tuned, groups, seed) for name, scores in others.items()},
    }


def side_rates(
    answers: list[Row], train: list[Row], contract: Contract, reference_tokens: list[int]
) -> dict[str, dict[str, Any]]:
    """Side -> label -> a rate with k, n and Wilson interval, a number, or None."""
    found = {side: rates(answers, side, train, contract, reference_tokens) for side in ("reference", "base", "tuned")}
    return {
        side: {label: asdict(value) if isinstance(value, Rate) else value for label, value in figures.items()}
        for side, figures in found.items()
    }


def grades(answers: list[Row], contract: Contract) -> dict[str, float | None]:
    """Median Flesch-Kincaid grade of each side, without the disclaimer."""
    texts = {
        "reference": [line["reference"] for line in answers],
        **{side: [line[side]["text"] for line in answers] for side in ("base", "tuned")},
    }
    return {name: median_grade([without_disclaimer(text, contract) for text in given]) for name, given in texts.items()}
