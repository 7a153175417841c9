"""Three ways to train on the same rows: the first users' notebook, trl's defaults, and ours."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from training.configs import MEDQUAD_SMOLLM2
from training.model.load import pick_precision
from training.model.trainer import CompletionTrainer
from training.progress import without_default_output
from training.speed.memory import watched
from training.speed.work import Work
from training.train import sft_config

PER_STEP = 16  # examples an optimizer step sees, in every recipe
QUIET = {"num_train_epochs": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "logging_steps": 1}


def first_recipe(work: Work, folder: str) -> Trainer:
    """The first users': padded to `max_tokens`, batch 4, fp32, no activation checkpointing, loss on every token."""
    tokenizer, length = work.tokenizer(), work.config.max_tokens

    def padded(example: dict[str, list[int]]) -> dict[str, list[int]]:
        ids = example["input_ids"]
        free = length - len(ids)
        return {
            "input_ids": ids + free * [tokenizer.pad_token_id],
            "attention_mask": len(ids) * [1] + free * [0],
            "labels": ids + free * [-100],
        }

    rows = work.examples().map(padded, remove_columns=["length"])
    return Trainer(work.model("fp32"), TrainingArguments(folder, **shared(work, 4)), train_dataset=rows)


def trl_defaults(work: Work, folder: str) -> Trainer:
    """trl's: batch 8 padded to its longest, activation checkpointing, completion loss; bf16 where the device has it."""
    bf16 = pick_precision("auto", work.device) == "bf16"
    arguments = SFTConfig(folder, **shared(work, 8), bf16=bf16)
    rows = work.examples().remove_columns("length")
    return SFTTrainer(work.model("fp32"), arguments, train_dataset=rows, processing_class=work.tokenizer())


def ours(work: Work, folder: str) -> Trainer:
    """Ours: as `training.train` does it, in the precision that it would choose."""
    precision, rows = pick_precision("auto", work.device), work.examples()
    arguments = sft_config(work.config, precision, len(rows))
    for key, value in {"output_dir": folder, "eval_strategy": "no", **QUIET}.items():
        setattr(arguments, key, value)
    return CompletionTrainer(work.model(precision), arguments, train_dataset=rows, processing_class=work.tokenizer())


def shared(work: Work, batch: int) -> dict[str, Any]:
    """What a recipe that isn't ours is given beside its own choices."""
    return {
        **QUIET,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": PER_STEP // batch,
        "learning_rate": work.config.learning_rate,
        "neftune_noise_alpha": work.config.neftune_alpha,
        "use_cpu": work.device == "cpu",
        "dataloader_pin_memory": work.device != "cpu",
    }


@dataclass(frozen=True)
class Recipe:
    """How to make its trainer, and how many examples that holds at once."""

    trainer: Callable[[Work, str], Trainer]
    batch: int


RECIPES = {
    "first recipe": Recipe(first_recipe, 4),
    "trl's defaults": Recipe(trl_defaults, 8),
    "ours": Recipe(ours, MEDQUAD_SMOLLM2.batch_size),
}


class Clock(TrainerCallback):
    """Seconds of training alone, without what is made before it."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.started


def training_seconds(name: str, work: Work, folder: str) -> float:
    """What one pass of a recipe over the work's rows takes."""
    trainer, clock = without_default_output(RECIPES[name].trainer(work, folder)), Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds


def training_peak(name: str, work: Work, folder: str) -> dict[str, int]:
    """MiB that a recipe needs at most, and how much of it came with training; for `in_fresh_process`."""
    trainer = without_default_output(RECIPES[name].trainer(work, folder))
    with watched() as seen:
        trainer.train()
    return {"peak_mib": round(seen.peak), "growth_mib": round(seen.peak - seen.before)}
