"""Greedy answers to many prompts at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Generated:
    """One answer: which prompt it belongs to, its text, its tokens, and whether it ended by itself."""

    index: int
    text: str
    tokens: int
    ended: bool


def greedy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> GenerationConfig:
    """Greedy decoding that ends at `<|eot_id|>` and at whatever else the base ends with."""
    own = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )


@torch.inference_mode()
def generate_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    decoding: GenerationConfig,
    batch_size: int,
) -> Iterator[list[Generated]]:
    """Answers batch by batch, prompts [tokens] of like length together; left-padded, so that all end side by side."""
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(by_length), batch_size):
        indices = by_length[start : start + batch_size]
        batch = tokenizer.pad(
            {"input_ids": [prompts[index] for index in indices]}, padding_side="left", return_tensors="pt"
        ).to(model.device)
        output = model.generate(**batch, generation_config=decoding)
        answers = output[:, batch["input_ids"].shape[1] :]  # [batch, new tokens]
        yield [generated(tokenizer, i, ids, decoding) for i, ids in zip(indices, answers.tolist(), strict=True)]


def generated(tokenizer: PreTrainedTokenizerBase, index: int, ids: list[int], decoding: GenerationConfig) -> Generated:
    """One row of new tokens, read up to the first token that ends an answer."""
    length = next((n for n, token in enumerate(ids) if token in decoding.eos_token_id), None)
    ids = ids[:length]
    return Generated(index, tokenizer.decode(ids, skip_special_tokens=True).strip(), len(ids), length is not None)
