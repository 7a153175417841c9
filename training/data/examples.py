"""Render records as examples: token ids, and labels that put the loss on the completion only."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from space.contract import Contract
from space.prompt import encode_answered, encode_prompt, with_disclaimer

IGNORED = -100  # the label that the loss skips
Line = dict[str, str]  # of data/<split>.jsonl


def encode_records(
    tokenizer: PreTrainedTokenizerBase, records: list[Line], contract: Contract, max_tokens: int
) -> tuple[Dataset, dict[str, int]]:
    """`input_ids`, `labels` and `length` of each example, and how many were `kept`, `cut`, `question too long`.

    Raises ValueError if no example is left.
    """
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for record in records:
        example = encode_example(tokenizer, record, contract, max_tokens)
        if example is None:
            counts["question too long"] += 1
            continue
        counts["kept"] += 1
        counts["cut"] += example.pop("cut")
        rows.append(example | {"length": len(example["input_ids"])})
    if not rows:
        raise ValueError(f"max_tokens={max_tokens} leaves no room for any answer: the prompt alone is longer, raise it")
    return Dataset.from_list(rows), dict(counts)


def encode_example(
    tokenizer: PreTrainedTokenizerBase, record: Line, contract: Contract, max_tokens: int
) -> dict[str, Any] | None:
    """`input_ids` and `labels` [tokens] of prompt + answer + disclaimer + end of turn, and whether it was `cut`.

    An answer that is too long is cut after a sentence (after a word, if not even one sentence fits), so that disclaimer
    and end of turn are always kept. None if the question leaves no room for an answer.
    """
    question = {"role": "user", "content": record["question"]}
    prompt = encode_prompt(tokenizer, [question], contract)

    def encode(answer: str) -> list[int]:
        turn = {"role": "assistant", "content": with_disclaimer(answer, contract)}
        return encode_answered(tokenizer, [question, turn], contract)

    ids = encode(record["answer"])
    cut = len(ids) > max_tokens
    if cut:
        shortened = longest_fitting(record["answer"], lambda text: len(encode(text)), max_tokens)
        if not shortened:
            return None
        ids = encode(shortened)
    labels = [IGNORED] * len(prompt) + ids[len(prompt) :]
    return {"input_ids": ids, "labels": labels, "cut": cut}


def longest_fitting(text: str, length: Callable[[str], int], limit: int) -> str:
    """The longest prefix that fits and ends after a sentence or line, else after a word."""
    for boundary in (r"(?<=[.!?])(?=\s)|\n+", r"(?=\s)"):
        ends = [match.start() for match in re.finditer(boundary, text) if match.start()]
        fitting = bisect_right(ends, limit, key=lambda end: length(text[:end]))
        if fitting:
            return text[: ends[fitting - 1]].rstrip()
    return ""


def example_lengths(tokenizer: PreTrainedTokenizerBase, records: list[Line], contract: Contract) -> np.ndarray:
    """Tokens of each uncut example [records], as `encode_example` counts them, but in two batched calls."""
    turns = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]
    frame = len(encode_answered(tokenizer, turns, contract))
    questions = token_counts(tokenizer, [record["question"] for record in records])
    return frame + questions + reference_lengths(tokenizer, [record["answer"] for record in records], contract)


def reference_lengths(tokenizer: PreTrainedTokenizerBase, answers: list[str], contract: Contract) -> np.ndarray:
    """Tokens of each answer with the disclaimer [answers], not counting the end token."""
    return token_counts(tokenizer, [with_disclaimer(answer, contract) for answer in answers])


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> np.ndarray:
    encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)
    return np.array([len(ids) for ids in encoded["input_ids"]])


def length_report(lengths: np.ndarray, limit: int) -> dict[str, float]:
    """Quantiles of lengths [examples], their sum, and the share above a limit."""
    quantiles = {f"p{share}": int(np.percentile(lengths, share)) for share in (50, 90, 99)}
    above = {f"share over {limit}": round(float((lengths > limit).mean()), 4)}
    return quantiles | {"max": int(lengths.max()), "sum": int(lengths.sum())} | above
