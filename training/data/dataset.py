"""Tokenised examples of a split, ready for the trainer, with a count of what was cut or left out."""

from collections import Counter
from typing import TYPE_CHECKING

from datasets import Dataset

from space.contract import Contract
from training.data.examples import encode_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_records(
    tokenizer: "PreTrainedTokenizerBase", records: list[dict[str, str]], contract: Contract, max_tokens: int
) -> tuple[Dataset, Counter[str]]:
    """`input_ids`, `labels` and `length` of each example, and how many were `kept`, `cut`, `question too long`.

    Raises ValueError if nothing is left.
    """
    rows, counts = [], Counter()
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
    return Dataset.from_list(rows), counts
