"""From the answers of a split to scores-<split>.json: every figure that table, card and plots show."""

from typing import Any

import numpy as np

from space.contract import Contract
from space.prompt import with_disclaimer, without_disclaimer
from training.scoring.baselines import baselines
from training.scoring.intervals import by_type, mean_interval, paired_gain
from training.scoring.rates import NOVEL, overlap, rates
from training.scoring.rouge import ROUGE_KINDS, rouge_scores
from training.scoring.table import VIEWS

MODELS = ("base", "tuned")
Row = dict[str, Any]  # a line of answers-<split>.jsonl, or of data/*.jsonl
Rouge = dict[str, np.ndarray]  # ROUGE kind -> F1 of each question [questions]


def score_answers(
    answers: list[Row], train: list[Row], contract: Contract, seed: int, reference_tokens: list[int]
) -> dict[str, Any]:
    """All scores of a split. reference_tokens: [questions], with the disclaimer."""
    texts = system_texts(answers, train, contract, seed)
    references = bare([line["reference"] for line in answers], contract)
    without = {name: rouge_scores(bare(given, contract), references) for name, given in texts.items()}
    references = [with_disclaimer(reference, contract) for reference in references]
    full = {name: rouge_scores(given, references) for name, given in texts.items()}
    groups, qtypes = (np.array([line[key] for line in answers]) for key in ("group", "qtype"))
    strongest = max(without.keys() - set(MODELS), key=lambda name: (without[name]["rougeL"].mean(), name))
    tuned, rivals = without["tuned"], {f"gain of tuned over {name}": without[name] for name in ("base", strongest)}

    def means(scores: Rouge) -> dict[str, Any]:
        return {kind: mean_interval(scores[kind], groups, seed=seed) for kind in ROUGE_KINDS}

    def gains(mask: np.ndarray) -> dict[str, Any]:
        return {
            name: {
                kind: paired_gain(scores[kind][mask], tuned[kind][mask], groups[mask], seed=seed)
                for kind in ROUGE_KINDS
            }
            for name, scores in rivals.items()
        }

    new = overlap([line["reference"] for line in answers], [record["answer"] for record in train]) < NOVEL
    systems = {name: dict(zip(VIEWS, map(means, (without[name], full[name])), strict=True)) for name in texts}
    return {
        "systems": {name: {"model": name in MODELS} | scores for name, scores in systems.items()},
        "strongest_baseline": strongest,
        "gains": gains(np.ones_like(new)),
        "by_type": {
            name: by_type(scores["rougeL"], tuned["rougeL"], groups, qtypes, seed) for name, scores in rivals.items()
        },
        "novel": {"n": int(new.sum()), "gains": gains(new)} if new.any() else None,
        "rates": {side: rates(answers, side, train, contract, reference_tokens) for side in ("reference", *MODELS)},
    }


def rouge1(answers: list[Row], side: str, contract: Contract) -> np.ndarray:
    """ROUGE-1 of the answers of one side, without the disclaimer [questions]."""
    texts, references = [line[side]["text"] for line in answers], [line["reference"] for line in answers]
    return rouge_scores(bare(texts, contract), bare(references, contract))["rouge1"]


def bare(texts: list[str], contract: Contract) -> list[str]:
    """The texts without the disclaimer."""
    return [without_disclaimer(text, contract) for text in texts]


def system_texts(answers: list[Row], train: list[Row], contract: Contract, seed: int) -> dict[str, list[str]]:
    """System -> its answers as users would see them: baselines with the disclaimer, base and tuned as generated.

    "base + disclaimer" shows what a model gains by learning one sentence.
    """
    questions = [{key: line[key] for key in ("id", "question", "qtype")} for line in answers]
    models = {side: [line[side]["text"] for line in answers] for side in MODELS}
    controls = baselines(train, questions, contract, seed) | {"base + disclaimer": models["base"]}
    return {name: [with_disclaimer(text, contract) for text in given] for name, given in controls.items()} | models
