"""The work that every recipe is given: one base, one set of rows, one set of questions."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.contract import load_contract
from training.configs import BASE, CONTRACT, TrainConfig
from training.outputs import read_jsonl

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

# Llama-3.2-1B-Instruct, for `--shape 1b`: the weights are random, which costs the same time and memory.
SHAPE_1B = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Work:
    """Small enough to be sent to another process: folders, records and numbers."""

    config: TrainConfig  # the base configuration, with `base_model` a folder
    device: str
    adapter: Path | None  # a trained one, so that answers end as real ones do; None: a fresh one that changes nothing
    records: list[dict[str, str]]  # trained on
    questions: list[str]
    new_tokens: int  # at most, an answer

    def examples(self) -> "Dataset":
        from training.data.dataset import encode_records

        return encode_records(self.tokenizer(), self.records, load_contract(CONTRACT), self.config.max_tokens)[0]

    def prompts(self) -> list[list[int]]:
        from space.prompt import encode_prompt

        contract, tokenizer = load_contract(CONTRACT), self.tokenizer()
        return [encode_prompt(tokenizer, [{"role": "user", "content": text}], contract) for text in self.questions]

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        from training.model.load import load_tokenizer

        return load_tokenizer(self.config.base_model, self.config.base_revision)

    def model(self, precision: str) -> "PeftModel":
        """The base with a fresh adapter, the same one at every call."""
        from training.train import lora_model

        return lora_model(self.config, precision, self.device)


def make_work(options: Any, scratch: Path) -> Work:
    """What the benchmark's options name. Raises FileNotFoundError where data or base is missing.

    scratch: a folder for random weights, where the base is to have other sizes than the one beside the data.
    """
    from training.model.load import pick_device

    data = options.data
    records = read_jsonl(data / "train.jsonl", "python -m training.prepare CONFIG")
    asked = read_jsonl(data / "test.jsonl", "python -m training.prepare CONFIG")
    dice = random.Random(0)
    base, random_weights = data.parent / "base", options.shape != "tiny" or options.vocabulary
    trained = sorted((data.parent / "runs").glob("*/adapter"))
    return Work(
        config=replace(BASE, base_model=str(random_base(options, base, scratch) if random_weights else base)),
        device=options.device or pick_device(),
        adapter=trained[0] if trained and not random_weights else None,
        records=dice.sample(records, min(options.rows, len(records))),
        questions=[row["question"] for row in dice.sample(asked, min(options.questions, len(asked)))],
        new_tokens=options.new_tokens or load_contract(CONTRACT).decoding.max_new_tokens,
    )


def random_base(options: Any, base: Path, scratch: Path) -> Path:
    """A folder with random weights of the shape that is asked for, and a tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from training.model.load import load_tokenizer

    tokenizer = load_tokenizer(str(options.vocabulary or base), "main")
    if options.shape == "1b":
        shape = LlamaConfig(**SHAPE_1B)
    else:
        shape = LlamaConfig.from_pretrained(base)
        shape.vocab_size = len(tokenizer)
    shape.eos_token_id, shape.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    torch.manual_seed(0)
    LlamaForCausalLM(shape).to(torch.bfloat16).save_pretrained(scratch / "base")
    tokenizer.save_pretrained(scratch / "base")
    return scratch / "base"
