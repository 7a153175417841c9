"""From the answers of a split to scores-<split>.json: every figure that table, card and plots show.

Beside ROUGE: what it doesn't tell. Do answers end, repeat themselves, copy from train? How hard are they to read?
"""

import re
from collections import defaultdict
from statistics import median
from typing import Any

import numpy as np
import textstat

from space.contract import Contract
from space.prompt import with_disclaimer, without_disclaimer
from training.data.splits import ngrams, normal
from training.scoring.baselines import baselines
from training.scoring.intervals import by_type, mean_interval, paired_gain, wilson
from training.scoring.rouge import ROUGE_KINDS, rouge_scores
from training.scoring.table import VIEWS

MODELS = ("base", "tuned")
NOVEL = 0.2  # a reference is new if train holds less than this share of its 8-grams
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
            name: {kind: paired_gain(scores[kind][mask], tuned[kind][mask], groups[mask], seed=seed)
                   for kind in ROUGE_KINDS}
            for name, scores in rivals.items()
        }  # fmt: skip

    new = overlap([line["reference"] for line in answers], [record["answer"] for record in train]) < NOVEL
    systems = {name: dict(zip(VIEWS, map(means, (without[name], full[name])), strict=True)) for name in texts}
    return {
        "systems": systems,
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


def rates(
    lines: list[Row], side: str, train: list[Row], contract: Contract, reference_tokens: list[int]
) -> dict[str, dict[str, Any] | float | None]:
    """Label -> figure of the answers of one side: a rate with k, n and Wilson interval, a number, or None if unknown.

    side: "base", "tuned" or "reference". Only the disclaimer's own rate and that on repetition count the disclaimer.
    reference_tokens: [questions], tokens of each reference with the disclaimer, not counting the end token.
    """
    questions = [line["question"] for line in lines]
    raw = [line[side] if side == "reference" else line[side]["text"] for line in lines]
    ended = [] if side == "reference" else [line[side]["ended"] for line in lines]
    fits = [tokens < contract.decoding.max_new_tokens for tokens in reference_tokens]  # < for the end token
    bare = [without_disclaimer(text, contract) for text in raw]
    carries = [text.strip() != without for text, without in zip(raw, bare, strict=True)]
    answers = [words(text) for text in bare]
    trained = [record["answer"] for record in train]
    copies = {tuple(words(answer)) for answer in trained} - {()}
    length = sum(len(words(line["reference"])) for line in lines)
    return {
        "ended by itself": rate(ended),
        "ended, where the reference fits": rate([end for end, fit in zip(ended, fits, strict=False) if fit]),
        "disclaimer as generated": rate(carries),
        "length ratio, in words": sum(map(len, answers)) / max(length, 1),
        "4-grams repeated in the answer": float(np.mean([repeated(words(text)) for text in raw])),
        "same answer to another question": rate(same_as_another(answers, questions)),
        "copy of a training answer": rate([tuple(answer) in copies for answer in answers]),
        "8-grams found in train": float(overlap(bare, trained).mean()),
        "reading grade (Flesch-Kincaid), median": median_grade(bare),
    }


def rate(flags: list[bool]) -> dict[str, Any] | None:
    return wilson(sum(flags), len(flags)) if flags else None


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"\w+", text.lower())


def repeated(answer: list[str], n: int = 4) -> float:
    """Share of an answer's n-grams that occurred before in it; 0 for an answer of fewer than n words.

    Source: Welleck et al. 2020, "Neural text generation with unlikelihood training" (seq-rep-4).
    """
    runs = [tuple(answer[i : i + n]) for i in range(len(answer) - n + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def same_as_another(answers: list[list[str]], questions: list[str]) -> list[bool]:
    """For each answer, also an empty one, whether a different question got the same."""
    questions_of: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for answer, question in zip(answers, questions, strict=True):
        questions_of[tuple(answer)].add(normal(question))
    return [len(questions_of[tuple(answer)]) > 1 for answer in answers]


def overlap(texts: list[str], train: list[str]) -> np.ndarray:
    """Share of each text's distinct 8-grams that occur in a training answer [texts], 0..1.

    A text of fewer than eight words counts as one: 1 if it is a training answer, else 0.
    """
    grams_of = [grams(text) for text in texts]
    every = set().union(*grams_of)
    known = set().union(*(every & grams(answer) for answer in train))
    return np.array([len(each & known) / max(len(each), 1) for each in grams_of])


def grams(text: str) -> set[str]:
    """A text's 8-grams; a shorter text as a whole."""
    return ngrams(text) or {" ".join(words(text))} - {""}


def median_grade(texts: list[str]) -> float | None:
    """Median Flesch-Kincaid grade of the texts with words, in US school years; None if there is none.

    The median, because a table without full stops counts as one sentence of hundreds of words.
    Source: Kincaid et al. 1975; textstat counts syllables with a dictionary that it brings along.
    """
    grades = [textstat.flesch_kincaid_grade(text) for text in texts if re.search(r"[^\W\d_]", text)]
    return median(grades) if grades else None
