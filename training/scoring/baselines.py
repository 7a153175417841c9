"""Answers that need no model. A model that doesn't beat them has at best learned form and phrases."""

import re
from collections import defaultdict
from hashlib import sha256

import bm25s
import numpy as np

from space.contract import Contract
from training.data.splits import templated_disease

Record = dict[str, str]  # a line of data/*.jsonl; of test records only id, question and qtype are used


def baselines(train: list[Record], test: list[Record], contract: Contract, seed: int) -> dict[str, list[str]]:
    """Baseline -> one answer for each test question; all but the first without the disclaimer.

    A random choice depends only on the seed, the training records and the id of the test record, so neither the order
    of the records nor a limit changes it.
    """
    train = sorted(train, key=lambda record: record["id"])
    return {
        "disclaimer only": [contract.disclaimer] * len(test),
        "random training answer": [pick(train, "random", record, seed)["answer"] for record in test],
        "template copier": template_copies(train, test, seed),
        "nearest training question": nearest_answers(train, test, seed),
    }


def pick(candidates: list[Record], purpose: str, record: Record, seed: int) -> Record:
    """A random candidate, chosen by a hash of seed, purpose and the record's id."""
    digest = sha256(f"{seed}:{purpose}:{record['id']}".encode()).digest()
    return candidates[int.from_bytes(digest) % len(candidates)]


def template_copies(train: list[Record], test: list[Record], seed: int) -> list[str]:
    """Random training answers to the same type of question, with the name of the disease replaced."""
    of_type: dict[str, list[Record]] = defaultdict(list)
    for record in train:
        if templated_disease(record["question"]):
            of_type[record["qtype"]].append(record)
    answers = []
    for record in test:
        source = pick(of_type[record["qtype"]] or train, "template", record, seed)
        old, new = templated_disease(source["question"]), templated_disease(record["question"])
        answers.append(swap_name(source["answer"], old, new) if old and new else source["answer"])
    return answers


def swap_name(answer: str, old: str, new: str) -> str:
    """The answer with every mention of one name, in upper or lower case, replaced by another."""
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, answer, flags=re.IGNORECASE)


def nearest_answers(train: list[Record], test: list[Record], seed: int) -> list[str]:
    """The answer to the nearest training question by BM25; ties are broken at random."""
    index = bm25_index([record["question"] for record in train])
    answers = []
    for record, words in zip(test, content_words([record["question"] for record in test]), strict=True):
        nearness = index.get_scores(words) if words else np.zeros(len(train))  # [train]
        nearest = [train[place] for place in np.flatnonzero(nearness == nearness.max())]
        answers.append(pick(nearest, "nearest", record, seed)["answer"])
    return answers


def bm25_index(texts: list[str]) -> bm25s.BM25:
    index = bm25s.BM25(backend="numpy")  # even if numba is installed
    index.index(content_words(texts), show_progress=False)
    return index


def content_words(texts: list[str]) -> list[list[str]]:
    """The lower-case words of each text without English stop words."""
    return bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
