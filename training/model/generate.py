"""Greedy answers to many prompts at once, in a batch that a row leaves when its answer ends."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Generated:
    """One answer: which prompt it belongs to, its text, its tokens, and whether it ended by itself."""

    index: int
    text: str
    tokens: int
    ended: bool


def greedy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> GenerationConfig:
    """Greedy decoding that ends at the end of a turn and at whatever else the base ends with."""
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
    """Answers batch by batch, prompts [tokens] of like length together; padded on the left."""
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(by_length), batch_size):
        indices = by_length[start : start + batch_size]
        answers = new_tokens(model, tokenizer, [prompts[index] for index in indices], decoding)
        yield [generated(tokenizer, i, ids, decoding) for i, ids in zip(indices, answers, strict=True)]


def new_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], decoding: GenerationConfig
) -> list[list[int]]:
    """The likeliest tokens after each prompt, with the one that ends the answer.

    `model.generate` would go on with every row until the longest answer of the batch ends: half of the work.
    """
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    ends = torch.tensor(decoding.eos_token_id, device=model.device)
    answers: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # the prompts that are still being answered
    for _ in range(decoding.max_new_tokens):
        step = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "past_key_values": cache}
        tokens = model(**step, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1)  # [rows]
        for row, token in zip(rows, tokens.tolist(), strict=True):
            answers[row].append(token)
        going = torch.isin(tokens, ends, invert=True).nonzero()[:, 0]
        if len(going) < len(rows):
            if not len(going):
                break
            rows = [rows[place] for place in going.tolist()]
            cache.batch_select_indices(going)
            tokens, mask, positions = tokens[going], mask[going], positions[going]
        ids, positions = tokens[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return answers


def generated(tokenizer: PreTrainedTokenizerBase, index: int, ids: list[int], decoding: GenerationConfig) -> Generated:
    """One row of new tokens, read up to the first token that ends an answer."""
    length = next((n for n, token in enumerate(ids) if token in decoding.eos_token_id), None)
    ids = ids[:length]
    return Generated(index, tokenizer.decode(ids, skip_special_tokens=True).strip(), len(ids), length is not None)
