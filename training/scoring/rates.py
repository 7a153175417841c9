"""What ROUGE doesn't tell about answers: do they end, loop, have the disclaimer, copy from train; how hard to read?"""

import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import textstat

from space.contract import Contract
from space.prompt import without_disclaimer
from training.data.splits import ngrams, normal
from training.scoring.intervals import wilson

NOVEL = 0.2  # a reference is new if train holds less than this share of its 8-grams

Record = dict[str, str]  # a line of data/*.jsonl
Line = dict[str, Any]  # a line of answers-<split>.jsonl


def rates(
    lines: list[Line], side: str, train: list[Record], contract: Contract, reference_tokens: Sequence[int] = ()
) -> dict[str, dict[str, Any] | float | None]:
    """Label -> figure of the answers of one side: a rate with k, n and Wilson interval, a number, or None if unknown.

    side: "base", "tuned" or "reference". Only the disclaimer's own rate and the two on repetition count the disclaimer.
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
        "caught in a loop": rate([loops(words(text)) for text in raw]),
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


def loops(answer: list[str]) -> bool:
    """Whether a phrase of at least two words occurs three times in a row, as in 9 of MedQuAD's 16,359 answers.

    Source: Holtzman et al. 2020, "The curious case of neural text degeneration", who look only at the end.
    """
    codes = np.unique(answer, return_inverse=True)[1]
    for period in range(2, len(codes) // 3 + 1):
        same = np.concatenate(([0], np.cumsum(codes[period:] == codes[:-period])))
        if (same[2 * period :] - same[: -2 * period]).max() == 2 * period:
            return True
    return False


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
