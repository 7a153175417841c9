"""From the answers of a split to scores-<split>.json: every figure that table, card and plots show."""

from dataclasses import asdict
from typing import Any

import numpy as np

from space.contract import Contract
from space.prompt import with_disclaimer, without_disclaimer
from training.scoring.baselines import baselines
from training.scoring.intervals import by_type, mean_interval, paired_gain
from training.scoring.rates import novel, rates
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
    groups, qtypes = (np.array([line[key] for line in answers]) for key in ("group", "qtype"))
    plain = {
        name: rouge_scores([without_disclaimer(text, contract) for text in given], references)
        for name, given in texts.items()
    }
    full = {name: rouge_scores(given, full_references) for name, given in texts.items()}
    base, tuned = plain["base"], plain["tuned"]
    strongest = max(plain.keys() - {"base", "tuned"}, key=lambda name: (plain[name]["rougeL"].mean(), name))
    others = {f"gain of tuned over {name}": plain[name] for name in ("base", strongest)}

    def means(scores: Scored) -> dict[str, Any]:
        return {kind: asdict(mean_interval(scores[kind], groups, seed=seed)) for kind in ROUGE_KINDS}

    def gains(mask: np.ndarray) -> dict[str, Any]:
        return {
            name: {
                kind: asdict(paired_gain(scores[kind][mask], tuned[kind][mask], groups[mask], seed=seed))
                for kind in ROUGE_KINDS
            }
            for name, scores in others.items()
        }

    types = {name: by_type(scores["rougeL"], tuned["rougeL"], groups, qtypes, seed=seed)
             for name, scores in others.items()}  # fmt: skip
    new = novel([{"answer": line["reference"]} for line in answers], train)
    report = {
        "systems": {
            name: {
                "model": name in ("base", "tuned"),
                "without disclaimer": means(plain[name]),
                "with disclaimer": means(full[name]),
            }
            for name in texts
        },
        "strongest_baseline": strongest,
        "gains": gains(np.ones_like(new)),
        "by_type": {name: {qtype: asdict(gain) for qtype, gain in of.items()} for name, of in types.items()},
        "novel": {"n": int(new.sum()), "gains": gains(new)} if new.any() else None,
        "rates": {
            side: rates(answers, side, train, contract, reference_tokens) for side in ("reference", "base", "tuned")
        },
    }
    return report, base, tuned


def system_texts(answers: list[Row], train: list[Row], contract: Contract, seed: int) -> dict[str, list[str]]:
    """System -> its answers as users would see them: baselines with the disclaimer, base and tuned as generated.

    "base + disclaimer" shows what a model gains by learning one sentence.
    """
    questions = [{key: line[key] for key in ("id", "question", "qtype")} for line in answers]
    said = {side: [line[side]["text"] for line in answers] for side in ("base", "tuned")}
    controls = baselines(train, questions, contract, seed) | {"base + disclaimer": said["base"]}
    return {name: [with_disclaimer(text, contract) for text in given] for name, given in controls.items()} | said
