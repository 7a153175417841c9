"""Ways to train on the same rows and to answer the same questions: the first users', trl's defaults, and ours."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from training.configs import MEDQUAD_SMOLLM2
from training.data.examples import IGNORED
from training.model.generate import generate_answers, greedy
from training.model.load import load_adapter, load_base, pick_precision
from training.model.trainer import CompletionTrainer
from training.progress import without_default_output
from training.speed.measure import watched
from training.speed.work import Work
from training.train import sft_config

PER_STEP = 16  # examples in an optimizer step, in every recipe
QUIET = {"num_train_epochs": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "logging_steps": 1}
Answers = tuple[list[str], int]  # texts in the order of the prompts, and the tokens of all


def first_recipe(work: Work, folder: str) -> Trainer:
    """The first users': padded to `max_tokens`, batch 4, fp32, no activation checkpointing, loss on every token."""
    tokenizer, length = work.tokenizer(), work.config.max_tokens

    def padded(example: dict[str, list[int]]) -> dict[str, list[int]]:
        ids = example["input_ids"]
        free = length - len(ids)
        return {
            "input_ids": ids + free * [tokenizer.pad_token_id],
            "attention_mask": len(ids) * [1] + free * [0],
            "labels": ids + free * [IGNORED],
        }

    rows = work.examples().map(padded, remove_columns=["length"])
    return Trainer(work.model("fp32"), TrainingArguments(folder, **shared(work, 4)), train_dataset=rows)


def trl_defaults(work: Work, folder: str) -> Trainer:
    """trl's: batch 8, dynamic padding, activation checkpointing, completion loss, bf16 if the device has it."""
    bf16 = pick_precision("auto", work.device) == "bf16"
    arguments = SFTConfig(folder, **shared(work, 8), bf16=bf16)
    rows = work.examples().remove_columns("length")
    return SFTTrainer(work.model("fp32"), arguments, train_dataset=rows, processing_class=work.tokenizer())


def ours(work: Work, folder: str) -> Trainer:
    """Ours: the trainer of `training.train`, in the precision that it would choose."""
    precision, rows = pick_precision("auto", work.device), work.examples()
    arguments = sft_config(work.config, precision, len(rows))
    for key, value in {"output_dir": folder, "eval_strategy": "no", **QUIET}.items():
        setattr(arguments, key, value)
    return CompletionTrainer(work.model(precision), arguments, train_dataset=rows, processing_class=work.tokenizer())


def shared(work: Work, batch: int) -> dict[str, Any]:
    """The arguments that the recipes of others have in common with ours."""
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
    """How to make the trainer, and its batch size."""

    trainer: Callable[[Work, str], Trainer]
    batch: int


RECIPES = {
    "first recipe": Recipe(first_recipe, 4),
    "trl's defaults": Recipe(trl_defaults, 8),
    "ours": Recipe(ours, MEDQUAD_SMOLLM2.batch_size),
}


class Clock(TrainerCallback):
    """Seconds of training, without preparations."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.started


def training_seconds(name: str, work: Work, folder: str) -> float:
    """Seconds of one epoch over the rows; for `in_fresh_process`."""
    trainer, clock = without_default_output(RECIPES[name].trainer(work, folder)), Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds


def training_peak(name: str, work: Work, folder: str) -> dict[str, int]:
    """Peak MiB of a recipe, and the part of it that training added; for `in_fresh_process`."""
    trainer = without_default_output(RECIPES[name].trainer(work, folder))
    with watched() as seen:
        trainer.train()
    return {"peak_mib": round(seen.peak), "growth_mib": round(seen.peak - seen.before)}


def tuned(work: Work, precision: str) -> PeftModel:
    if work.adapter is None:
        return work.model(precision).eval()
    return load_adapter(load_base(work.base, precision, work.device), work.adapter, work.device)


@torch.inference_mode()
def one_by_one(model: PeftModel, work: Work, prompts: list[list[int]]) -> Answers:
    """The first users': `generate` for each question, with the adapter not merged."""
    tokenizer = work.tokenizer()
    decoding = greedy(model, tokenizer, work.new_tokens)
    texts, tokens = [], 0
    for prompt in prompts:
        ids = torch.tensor([prompt], device=work.device)
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=decoding)
        answer = [token for token in output[0, len(prompt) :].tolist() if token not in decoding.eos_token_id]
        tokens += len(answer)
        texts.append(str(tokenizer.decode(answer, skip_special_tokens=True)).strip())
    return texts, tokens


def together(model: PeftModel, work: Work, prompts: list[list[int]], batch: int) -> Answers:
    """Ours: batches that a row leaves when its answer ends, with the adapter merged."""
    tokenizer = work.tokenizer()
    batches = generate_answers(model, tokenizer, prompts, greedy(model, tokenizer, work.new_tokens), batch)
    answers = sorted((answer for batch in batches for answer in batch), key=lambda answer: answer.index)
    return [answer.text for answer in answers], sum(answer.tokens for answer in answers)
