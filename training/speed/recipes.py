"""Three ways to train on the same rows: the first users' notebook, trl's defaults, and ours."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from training.model.load import pick_precision
from training.progress import without_default_output
from training.speed.work import Work

if TYPE_CHECKING:
    from datasets import Dataset

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
    """trl's: batch 8 padded to its longest, bf16 over a base in fp32, activation checkpointing, completion loss."""
    arguments = SFTConfig(folder, **shared(work, 8), bf16=True)
    rows = work.examples().remove_columns("length")
    return SFTTrainer(work.model("fp32"), arguments, train_dataset=rows, processing_class=work.tokenizer())


def ours(work: Work, folder: str) -> Trainer:
    """Ours: as `training.train` does it, in the precision that it would choose."""
    return our_trainer(work, folder, pick_precision("auto", work.device), work.examples())


def ours_like_the_first(work: Work, folder: str) -> Trainer:
    """Ours in the precision of the first recipe, with the loss on the same tokens as there."""
    return our_trainer(work, folder, "fp32", work.examples().map(lambda row: {"labels": row["input_ids"]}))


def our_trainer(work: Work, folder: str, precision: str, rows: "Dataset") -> Trainer:
    from training.model.trainer import CompletionTrainer
    from training.train import sft_config

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


RECIPES: dict[str, Callable[[Work, str], Trainer]] = {
    "first recipe": first_recipe,
    "trl's defaults": trl_defaults,
    "ours": ours,
    "ours, fp32, full loss": ours_like_the_first,
}


class Clock(TrainerCallback):
    """Seconds of training alone, without what is made before it."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self.started


def train_once(name: str, work: Work, folder: str) -> dict[str, float]:
    """One pass of a recipe over the work's rows: its seconds and the last loss."""
    import torch

    trainer = without_default_output(RECIPES[name](work, folder))
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    if work.device == "cuda":
        torch.cuda.synchronize()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"seconds": clock.seconds, "loss": losses[-1] if losses else trainer.state.log_history[-1]["train_loss"]}
