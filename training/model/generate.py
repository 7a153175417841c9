"""Batched greedy decoding; a row leaves the batch when its answer ends."""

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

ROOM = 64  # tokens that a cache allocates in advance

Model = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class Generated:
    """An answer: its text, its number of tokens, and whether it ended by itself."""

    text: str
    tokens: int
    ended: bool


def greedy(model: Model, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> GenerationConfig:
    """Greedy decoding that stops at the end of a turn, and at every other EOS token of the base."""
    own = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    return GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=sorted(ends), pad_token_id=tokenizer.pad_token_id
    )


@torch.inference_mode()
def generate_answers(
    model: Model, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], max_new_tokens: int, batch_size: int
) -> list[Generated]:
    """The greedy answer to each prompt [tokens]; prompts of similar length share a batch, padded on the left."""
    decoding = greedy(model, tokenizer, max_new_tokens)
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers = {}
    for start in range(0, len(by_length), batch_size):
        indices = by_length[start : start + batch_size]
        batch = new_tokens(model, tokenizer, [prompts[index] for index in indices], decoding)
        for index, ids in zip(indices, batch, strict=True):
            length = next((n for n, token in enumerate(ids) if token in decoding.eos_token_id), None)
            ids = ids[:length]
            text = str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
            answers[index] = Generated(text, len(ids), length is not None)
    return [answers[index] for index in range(len(prompts))]


def new_tokens(
    model: Model, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], decoding: GenerationConfig
) -> list[list[int]]:
    """The tokens of each answer, with the one that ends it.

    `model.generate` would continue every row until the longest answer of the batch ends: twice the work.
    """
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)  # layers for sliding windows and others stay as they are
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    ends = torch.tensor(decoding.eos_token_id, device=model.device)
    answers: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # prompts whose answers have not ended
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


class RoomyLayer(DynamicLayer):
    """A cache layer with room for the next tokens, which are written in place.

    DynamicLayer concatenates, which copies all keys and values for every token: more than half of the decoding time on
    a CPU.
    """

    keys: torch.Tensor
    values: torch.Tensor
    buffers: tuple[torch.Tensor, ...] = ()  # keys and values [rows, heads, tokens + room, size]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if not self.buffers or end > self.buffers[0].shape[-2]:
            more = (0, 0, 0, end + ROOM - start)
            self.buffers = tuple(functional.pad(part, more) for part in (self.keys, self.values))
        for buffer, part in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[..., start:end, :] = part
        return self.view(end)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        length = self.get_seq_length()
        self.buffers = tuple(buffer[indices] for buffer in self.buffers)
        self.view(length)

    def view(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the first `length` tokens."""
        self.keys, self.values = (buffer[..., :length, :] for buffer in self.buffers)
        return self.keys, self.values
