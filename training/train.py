"""Step 2: train a LoRA adapter on the prepared examples.

Reads OUT/data and the base. Writes runs/CONFIG/{adapter/, run.json, loss.svg}. Ctrl-C and SIGTERM save a checkpoint,
and the same command resumes from it. The two newest checkpoints are kept, also after the end; --force removes them and
trains from scratch.
"""

import argparse
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, set_seed
from trl import SFTConfig

from space.contract import Contract, load_contract
from space.prompt import has_system_role
from training.bases import Base, base_key, find_base, remember_folder, set_base
from training.configs import CONTRACT, TrainConfig
from training.data.examples import encode_records, length_report
from training.loop import (
    ProgressLines,
    StopOnSignal,
    WriteChecksums,
    join,
    resume_point,
    silence_other_ranks,
    train_from,
)
from training.model.golden import golden_logits
from training.model.load import check_template, load_base, load_tokenizer, lora_targets, pick_device, pick_precision
from training.model.trainer import PAD_TO, CompletionTrainer
from training.outputs import (
    file_sha256,
    fingerprint,
    read_json,
    read_jsonl,
    up_to_date,
    whole_folder,
    write_json,
    write_text,
)
from training.run_record import energy_meter, machine_facts, training_facts
from training.scoring.plots import length_distribution, loss_curves

FORMAT = 1
# Fields that are not in the run's key: they don't change the adapter, or (data, base) enter it as checksums.
NOT_TRAINING = ("out", "dataset", "dataset_revision", "dataset_title", "dataset_licence", "dataset_citation",
                "question_column", "answer_column", "qtype_column", "group_column", "split", "base_model", "base_id",
                "base_revision", "base_licence", "score_batch", "answer_tokens", "report_to")  # fmt: skip
Examples = dict[str, Dataset]  # train and validation


def main(options: argparse.Namespace) -> None:
    silence_other_ranks()
    train(options.config, options.force)


def train(config: TrainConfig, force: bool = False) -> None:
    """Write the run's adapter, run.json and plots; after a signal save a checkpoint and exit with 130 or 143."""
    contract = load_contract(CONTRACT)
    data = read_json(config.data_dir / "data.json", f"python -m training prepare {config.name}")
    base = find_base(config)
    base_sum = base_key(base, config)
    key = run_key(config, data, contract, base_sum)
    run_json, weights = config.run_dir / "run.json", config.run_dir / "adapter" / "adapter_model.safetensors"
    if not force and up_to_date(run_json, key) and weights.exists():
        name_base(run_json, base)
        print(f"train: {weights.parent} is up to date")
        return
    print_if_base_moved(run_json, base)
    processes = join("train")
    device = pick_device()
    precision = pick_precision(config.precision, device)
    tokenizer = load_tokenizer(base.files)
    check_template(tokenizer, contract)
    examples, counts = encode_splits(tokenizer, config, contract)
    model = lora_model(base.files, config, precision, device)
    trainable, total = model.get_nb_trainable_parameters()
    print(f"train: {trainable:,} of {total:,} parameters are trained ({trainable / total:.2%}), {precision}, {device}")
    # A folder for all that decides the steps; the number of processes decides the examples of each.
    checkpoints = config.run_dir / "checkpoints" / fingerprint(key, processes.num_processes)[:8]
    main_rank = processes.is_main_process
    [checkpoint] = broadcast_object_list([resume_point(checkpoints, force) if main_rank else None])
    trainer, stop = make_trainer(config, model, tokenizer, examples, precision)
    trainer.args.output_dir = str(checkpoints)
    started = time.monotonic()
    with energy_meter() as energy:
        train_from(trainer, checkpoint)
    if stop.received:
        print(f"train: stopped at step {trainer.state.global_step} with a checkpoint; the same command resumes from it")
        sys.exit(128 + stop.received)
    if not trainer.is_world_process_zero():
        return
    save_adapter(model, tokenizer, config, base)
    record = {
        "fingerprint": key,
        "config": config.public(),
        "data": {name: data[name] for name in ("source", "split", "records", "sha256")},
        "contract_sha256": contract.sha256,
        "base": base.record() | {"parameters": total - trainable, "trainable": trainable},
        "base_key": base_sum,
        "prompt": {
            "end_of_turn": tokenizer.eos_token,
            "system_role": has_system_role(tokenizer, tokenizer.chat_template),
        },
        "adapter_sha256": file_sha256(weights),
        "examples": counts,
        "tokens": length_report(np.array(examples["train"]["length"]), config.max_tokens),
        "golden_logits": golden_logits(model, tokenizer, contract),
        **training_facts(trainer, examples["train"]["length"], started, checkpoint),
        **machine_facts(device, precision),
        **({"energy": energy} if energy else {}),
    }
    save_run(config, record, examples)


def run_key(config: TrainConfig, data: dict[str, Any], contract: Contract, base: str) -> str:
    """Fingerprint of what the adapter depends on: configuration, data, contract and base (`bases.base_key`)."""
    chosen = {name: value for name, value in vars(config).items() if name not in NOT_TRAINING}
    return fingerprint(FORMAT, chosen, data["sha256"], contract.sha256, base)


def name_base(run_json: Path, base: Base) -> None:
    """Record a Hub id, commit or licence of the base that was declared only after training."""
    record = read_json(run_json, "")
    named = record["base"] | base.record()
    if named != record["base"]:
        write_json(run_json, record | {"base": named})
        set_base(run_json.parent / "adapter", base)
        print(f"train: {run_json} now names the base {base.model} at {base.revision or 'no commit'}, {base.licence}")


def print_if_base_moved(run_json: Path, base: Base) -> None:
    """Print that a finished run is trained again because the base's repository has a new commit."""
    before = read_json(run_json, "")["base"] if run_json.exists() else {}
    if base.revision and before.get("model") == base.model and before["revision"] != base.revision:
        print(f"train: {base.model} is now at {base.revision}; --set base_revision={before['revision']} keeps the run")


def encode_splits(
    tokenizer: PreTrainedTokenizerBase, config: TrainConfig, contract: Contract
) -> tuple[Examples, dict[str, dict[str, int]]]:
    """Train and validation as token ids and labels, and counts of what happened to their records."""
    splits, counts = {}, {}
    for name in ("train", "validation"):
        records = read_jsonl(config.data_dir / f"{name}.jsonl", f"python -m training prepare {config.name}")
        if name == "validation" and config.validation_limit:
            records = records[: config.validation_limit]  # sorted by a hash of their text: as good as random
        splits[name], counts[name] = encode_records(tokenizer, records, contract, config.max_tokens)
        print(f"train: {name:10} " + ", ".join(f"{count:,} {what}" for what, count in counts[name].items()))
    return splits, counts


def lora_model(folder: Path, config: TrainConfig, precision: str, device: str) -> PeftModel:
    """The base in a folder with a new LoRA adapter, which is float32 in every precision of the base."""
    base = load_base(folder, precision, device, config.quantize)
    if config.quantize == "4bit":
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    set_seed(config.seed)
    return get_peft_model(base, lora_config(base, config))


def lora_config(base: PreTrainedModel, config: TrainConfig) -> LoraConfig:
    """PEFT's settings; the adapted layers depend on the architecture of the base."""
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=lora_targets(base),
    )


def make_trainer(
    config: TrainConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    precision: str,
) -> tuple[CompletionTrainer, StopOnSignal]:
    """The trainer of the encoded examples, and the callback that knows whether a signal stopped it."""
    stop = StopOnSignal()
    longest_first = np.argsort(examples["validation"]["length"], kind="stable")[::-1]  # batches of similar length
    trainer = CompletionTrainer(
        model,
        sft_config(config, precision, len(examples["train"]), PartialState().num_processes),
        train_dataset=examples["train"],
        eval_dataset=examples["validation"].select(longest_first),
        processing_class=tokenizer,
        callbacks=[WriteChecksums(), ProgressLines(), stop],
    )
    trainer.remove_callback(PrinterCallback)  # prints dictionaries
    return trainer, stop


def sft_config(config: TrainConfig, precision: str, examples: int, processes: int = 1) -> SFTConfig:
    """trl's arguments. Batches hold examples of similar length, so that there is little padding."""
    if config.report_to != "none" and find_spec(config.report_to) is None:
        package = config.report_to
        raise ValueError(f"report_to={package}: it is not installed, `pip install {package}` or leave it out")
    per_step = config.batch_size * config.accumulation * processes
    steps = max(round(examples / per_step * config.epochs), 1)
    every = max(steps // config.evaluations, 1)
    return SFTConfig(
        str(config.run_dir / "checkpoints"),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        train_sampling_strategy="group_by_length",
        pad_to_multiple_of=PAD_TO,
        max_length=None,  # the examples are cut already, in a way that keeps their ends
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup,
        neftune_noise_alpha=config.neftune_alpha or None,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        activation_checkpointing=False,
        ddp_find_unused_parameters=False,
        logging_steps=max(steps // 20, 1),
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,  # one may be damaged
        seed=config.seed,
        report_to=config.report_to,
        trackio_static_space_id=False,
        hub_private_repo=True,  # if trackio's own settings name a Space, it is private
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def save_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, config: TrainConfig, base: Base) -> None:
    """Write adapter/: weights, a reproducible config, tokenizer and contract."""
    with whole_folder(config.run_dir / "adapter") as new:
        model.save_pretrained(str(new))
        (new / "README.md").unlink(missing_ok=True)  # PEFT's stub of a card
        set_base(new, base)
        tokenizer.save_pretrained(new)
        shutil.copyfile(CONTRACT, new / "contract.toml")
    remember_folder(config.run_dir, base, config)


def save_run(config: TrainConfig, record: dict[str, Any], examples: Examples) -> None:
    """Write the plots, and run.json last: it marks the run as finished."""
    folder = config.run_dir
    lengths = {name: list(split["length"]) for name, split in examples.items()}
    write_text(folder / "lengths.svg", length_distribution(lengths, config.max_tokens))
    curves = ([(e["step"], e[name]) for e in record["losses"] if name in e] for name in ("loss", "validation"))
    write_text(folder / "loss.svg", loss_curves(*curves))
    write_json(folder / "run.json", record)
    print(
        f"train: {record['steps']} steps in {record['minutes']:.1f} minutes, {record['tokens_per_second']:,} tokens/s, "
        f"peak {record['peak_gib']} GiB; adapter in {folder / 'adapter'}"
    )
