"""The work of the benchmark, the same for every recipe: a base, rows to train on, questions to answer."""

import argparse
import csv
import random
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from space.contract import load_contract
from space.prompt import encode_prompt
from training.bases import local_folder
from training.configs import BASE, CONTRACT, DEMO, EMBEDDED, MEDQUAD_SMOLLM2, TrainConfig
from training.data.examples import encode_records
from training.model.load import load_tokenizer, pick_device
from training.outputs import read_json, read_jsonl
from training.train import lora_model

Row = dict[str, str]
# Llama-3.2-1B-Instruct, for `--shape 1b`: random weights need the same time and memory.
SHAPE_1B: dict[str, Any] = {
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
    """Folders, records and numbers, which are easily sent to another process."""

    config: TrainConfig
    base: Path  # its folder
    device: str
    adapter: Path | None  # None: a new one, which changes no answer
    data: str  # name of the data
    records: list[Row]  # to train on
    questions: list[Row]  # to answer, with references
    new_tokens: int  # limit of an answer

    def examples(self) -> Dataset:
        return encode_records(self.tokenizer(), self.records, load_contract(CONTRACT), self.config.max_tokens)[0]

    def prompts(self) -> list[list[int]]:
        contract, tokenizer = load_contract(CONTRACT), self.tokenizer()
        return [
            encode_prompt(tokenizer, [{"role": "user", "content": row["question"]}], contract) for row in self.questions
        ]

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.base)

    def vocabulary(self) -> int:
        return AutoConfig.from_pretrained(self.base).vocab_size

    def model(self, precision: str) -> PeftModel:
        """The base with a new adapter, the same at every call."""
        return lora_model(self.base, self.config, precision, self.device)

    def longest(self, rows: int) -> "Work":
        """The same with only the longest rows."""
        return replace(self, records=sorted(self.records, key=lambda row: -len(row["answer"]))[:rows])


def make_work(options: argparse.Namespace, scratch: Path) -> Work:
    """The work that the options describe; scratch: a folder for random weights.

    Raises FileNotFoundError if data, base or adapter is missing, ValueError for the 1B shape without a GPU.
    """
    device = options.device or pick_device()
    if options.shape == "1b" and device == "cpu":
        raise ValueError("--shape 1b: there is no GPU here, and on a CPU a step takes minutes; leave the option out")
    if options.adapter and not (options.adapter / "adapter_config.json").is_file():
        raise FileNotFoundError(f"--adapter {options.adapter}: no adapter_config.json there; give a run's adapter/")
    data, train, test = read_data(options.data)
    base = local_folder(str(options.base or EMBEDDED))
    return Work(
        config=replace(MEDQUAD_SMOLLM2, max_tokens=BASE.max_tokens),  # the same rows for every recipe
        base=random_1b(base, device, scratch / "base") if options.shape == "1b" else base,
        device=device,
        adapter=options.adapter,
        data=data,
        records=spread(train, options.rows),
        questions=random.Random(0).sample(test, min(options.questions, len(test))),
        new_tokens=options.new_tokens,
    )


def read_data(folder: Path | None) -> tuple[str, list[Row], list[Row]]:
    """Name, training rows and test rows of prepared data; of the sample if nothing is prepared."""
    if folder is None and not MEDQUAD_SMOLLM2.data_dir.exists():
        with Path(DEMO.dataset).open(encoding="utf-8", newline="") as file:
            rows = [{"question": row["Question"], "answer": row["Answer"]} for row in csv.DictReader(file)]
        missing, name = MEDQUAD_SMOLLM2.data_dir, MEDQUAD_SMOLLM2.name
        print(f"  {missing} is missing (`python -m training prepare {name}` writes it): using the embedded sample")
        return "the embedded sample", rows[::2], rows[1::2]
    folder = folder or MEDQUAD_SMOLLM2.data_dir
    remedy = "python -m training prepare CONFIG"
    train, test = (read_jsonl(folder / f"{name}.jsonl", remedy) for name in ("train", "test"))
    return read_json(folder / "data.json", remedy)["source"]["title"], train, test


def spread(rows: list[Row], wanted: int) -> list[Row]:
    """A random sample stratified by length, shuffled: its mean length is that of all rows."""
    ordered, wanted, dice = sorted(rows, key=lambda row: len(row["answer"])), min(wanted, len(rows)), random.Random(0)
    bounds = [number * len(ordered) // wanted for number in range(wanted + 1)]
    chosen = [dice.choice(ordered[start:end]) for start, end in pairwise(bounds)]
    return dice.sample(chosen, wanted)


def random_1b(base: Path, device: str, folder: Path) -> Path:
    """Write random weights of Llama 3.2 1B's shape, with the tokenizer of a base."""
    tokenizer = load_tokenizer(base)
    shape = LlamaConfig(**SHAPE_1B, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    torch.manual_seed(0)
    with torch.device(device):
        LlamaForCausalLM(shape).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
