"""How fast training and scoring are, for scripts/benchmark.py: ours, the first users' recipe and trl's defaults.

Every recipe trains on the same rows of the same base, and answers the same questions.
"""

import argparse
import multiprocessing
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset, disable_progress_bars
from peft import PeftModel
from transformers import (
    AutoConfig,
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from space.contract import load_contract
from space.prompt import encode_prompt
from training.bases import local_folder
from training.configs import BASE, CONTRACT, EMBEDDED, MEDQUAD_SMOLLM2
from training.data.examples import encode_records
from training.model.generate import Generated, generate_answers, greedy
from training.model.load import load_tokenizer, pick_device, pick_precision
from training.model.trainer import CompletionTrainer
from training.outputs import read_json, read_jsonl, write_json
from training.run_record import git_state, peak_gib, processor
from training.scoring.table import markdown_table
from training.train import lora_model, sft_config

ONE_IN = 4  # questions are also asked one by one
# Llama-3.2-1B-Instruct, for `--shape 1b`: random weights need the same time and memory.
SHAPE_1B: dict[str, Any] = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
}
QUIET = {"num_train_epochs": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "logging_steps": 1}
Rows = list[dict[str, str]]


def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = benchmark(options, Path(folder))
    print("\n" + speed_table(report))
    if options.json:
        write_json(options.json, report)
        print(f"\nwritten to {options.json}")


def benchmark(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything; folder: for random weights.

    Raises FileNotFoundError if data or base is missing, ValueError for the 1B shape without a GPU.
    """
    print(f"benchmark: shape {options.shape}", flush=True)
    silence_libraries()
    device = pick_device()
    if device == "cpu" and (options.device == "cuda" or options.shape == "1b"):
        raise ValueError("--device cuda, --shape 1b: there is no GPU here, and on a CPU a step takes minutes")
    remedy = "python -m training prepare CONFIG"
    train, test = (read_jsonl(options.data / f"{name}.jsonl", remedy) for name in ("train", "test"))
    base = local_folder(str(options.base or EMBEDDED))
    if options.shape == "1b":
        base = random_1b(base, folder)
    records = sample_by_length(train, options.rows)
    questions = random.Random(0).sample(test, min(options.questions, len(test)))
    lengths = encode(load_tokenizer(base), records)["length"]
    print(f"  {len(lengths)} rows of {sum(lengths) / len(lengths):.0f} tokens on average, on {device}", flush=True)
    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    return {
        "machine": {"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "git": git_state()},
        "on_gpu": device == "cuda",
        "shape": options.shape,
        "base": "random weights of Llama 3.2 1B's shape" if options.shape == "1b" else base.name,
        "data": read_json(options.data / "data.json", remedy)["source"]["title"],
        "rows": len(lengths),
        "tokens": sum(lengths),
        "rounds": options.rounds,
        "vocabulary": AutoConfig.from_pretrained(base).vocab_size,
        "max_tokens": BASE.max_tokens,
        "training": compare_training(base, records, sum(lengths), options.rounds),
        "scoring": compare_scoring(base, [row["question"] for row in questions], options.new_tokens),
    }


def sample_by_length(rows: Rows, count: int) -> Rows:
    """Rows at even steps through all rows in the order of their length: their mean length is that of all."""
    ordered, count = sorted(rows, key=lambda row: len(row["answer"])), min(count, len(rows))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def random_1b(base: Path, folder: Path) -> Path:
    """Write random weights of Llama 3.2 1B's shape, with the tokenizer of a base; returns the folder."""
    tokenizer = load_tokenizer(base)
    shape = LlamaConfig(**SHAPE_1B, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    torch.manual_seed(0)
    with torch.device(pick_device()):
        LlamaForCausalLM(shape).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def encode(tokenizer: PreTrainedTokenizerBase, records: Rows) -> Dataset:
    return encode_records(tokenizer, records, load_contract(CONTRACT), BASE.max_tokens)[0]


# Training: each recipe makes a trainer from the folder of a base, its tokenizer, the examples, and a folder for output


def first_recipe(base: Path, tokenizer: PreTrainedTokenizerBase, examples: Dataset, out: str) -> Trainer:
    """The first users': padded to `max_tokens`, batch 4, fp32, no activation checkpointing, loss on every token."""
    rows = examples.map(lambda example: {"labels": example["input_ids"]}, remove_columns="length")
    pad = DataCollatorForSeq2Seq(tokenizer, padding="max_length", max_length=BASE.max_tokens)
    return Trainer(new_model(base, "fp32"), TrainingArguments(out, **shared(4)), data_collator=pad, train_dataset=rows)


def trl_defaults(base: Path, tokenizer: PreTrainedTokenizerBase, examples: Dataset, out: str) -> Trainer:
    """trl's: batch 8, dynamic padding, activation checkpointing, completion loss, bf16 if the device has it."""
    arguments = SFTConfig(out, **shared(8), bf16=pick_precision("auto", pick_device()) == "bf16")
    rows = examples.remove_columns("length")
    return SFTTrainer(new_model(base, "fp32"), arguments, train_dataset=rows, processing_class=tokenizer)


def ours(base: Path, tokenizer: PreTrainedTokenizerBase, examples: Dataset, out: str) -> Trainer:
    """Ours: the trainer of `training.train`, in the precision that it would choose."""
    precision = pick_precision("auto", pick_device())
    arguments = sft_config(BASE, precision, len(examples))
    for key, value in {"output_dir": out, "eval_strategy": "no", **QUIET}.items():
        setattr(arguments, key, value)
    return CompletionTrainer(new_model(base, precision), arguments, train_dataset=examples, processing_class=tokenizer)


RECIPES = {"first recipe": first_recipe, "trl's defaults": trl_defaults, "ours": ours}


def new_model(base: Path, precision: str) -> PeftModel:
    """The base with a new adapter, the same at every call; it changes no answer yet."""
    return lora_model(base, BASE, precision, pick_device())


def shared(batch: int) -> dict[str, Any]:
    """The arguments that the recipes of others have in common with ours."""
    on_gpu = torch.cuda.is_available()
    return {
        **QUIET,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": BASE.batch_size * BASE.accumulation // batch,
        "learning_rate": BASE.learning_rate,
        "neftune_noise_alpha": BASE.neftune_alpha,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
    }


def training_costs(name: str, base: Path, records: Rows) -> tuple[float, int]:
    """Seconds of one epoch over the rows, and peak MiB of this process, which can't be reset: use a new one."""
    tokenizer = load_tokenizer(base)
    with tempfile.TemporaryDirectory() as out:
        trainer = RECIPES[name](base, tokenizer, encode(tokenizer, records), out)
        trainer.remove_callback(PrinterCallback)
        seconds = trainer.train().metrics["train_runtime"]
    return seconds, round(peak_gib() * 1024)


def compare_training(base: Path, records: Rows, tokens: int, rounds: int) -> list[dict[str, Any]]:
    """Median time and peak memory of each recipe in alternating rounds; ours is last."""
    seconds: dict[str, list[float]] = {name: [] for name in RECIPES}
    peaks = dict.fromkeys(RECIPES, 0)
    for number in range(rounds):
        for name in RECIPES:
            # In a process of its own: the memory that a recipe leaves behind would slow or crowd out the next one.
            taken, peak = in_fresh_process(training_costs, name, base, records)
            print(f"  training, round {number + 1} of {rounds}: {name} {taken:.1f} s, {peak:,} MiB", flush=True)
            seconds[name].append(taken)
            peaks[name] = max(peaks[name], peak)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    return [
        {
            "name": name,
            "tokens_per_second": round(tokens / median[name]),
            "ratio": round(median["first recipe"] / median[name], 2),
            "seconds": times,
            "peak_mib": peaks[name],
        }
        for name, times in seconds.items()
    ]


def in_fresh_process(work: Callable[..., Any], *given: Any) -> Any:
    """The result of work(*given) in a new process, whose memory holds nothing but imported modules."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()  # imports torch once; Windows has none
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload([work.__module__])
    with ProcessPoolExecutor(1, context, silence_libraries) as pool:
        return pool.submit(work, *given).result()


def silence_libraries() -> None:
    """Turn off warnings and progress bars."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    disable_progress_bars()


# Scoring


@torch.inference_mode()
def answer_singly(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], new_tokens: int
) -> list[Generated]:
    """The first users': `generate` for each question, with the adapter not merged."""
    decoding = greedy(model, tokenizer, new_tokens)
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=model.device)
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=decoding)
        answer = [token for token in output[0, len(prompt) :].tolist() if token not in decoding.eos_token_id]
        text = str(tokenizer.decode(answer, skip_special_tokens=True)).strip()
        answers.append(Generated(text, len(answer), len(answer) < new_tokens))
    return answers


def compare_scoring(base: Path, questions: list[str], new_tokens: int) -> dict[str, Any]:
    """New tokens per second: ours answers all questions, the first recipe every fourth of them."""
    tokenizer, contract = load_tokenizer(base), load_contract(CONTRACT)
    prompts = [encode_prompt(tokenizer, [{"role": "user", "content": asked}], contract) for asked in questions]
    # As `score` chooses it: fp32 on a CPU, the precision of training on a GPU.
    precision = pick_precision("auto", "cuda") if torch.cuda.is_available() else "fp32"
    slow, fast = new_model(base, "fp32").eval(), new_model(base, precision).eval()
    fast.merge_adapter()
    started = time.perf_counter()
    first = answer_singly(slow, tokenizer, prompts[::ONE_IN], new_tokens)
    between = time.perf_counter()
    all_answers = generate_answers(fast, tokenizer, prompts, new_tokens, MEDQUAD_SMOLLM2.score_batch)
    seconds = {"first recipe": between - started, "ours": time.perf_counter() - between}
    print("  scoring: " + ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items()), flush=True)
    answers = {"first recipe": first, "ours": all_answers}
    speeds = {name: sum(answer.tokens for answer in answers[name]) / seconds[name] for name in answers}
    return {
        "questions": {name: len(given) for name, given in answers.items()},
        "new_tokens": new_tokens,
        "precision": precision,
        "tokens_per_second": {name: round(speed, 2) for name, speed in speeds.items()},
        "ratio": round(speeds["ours"] / speeds["first recipe"], 2),
        "equal_answers": sum(a.text == b.text for a, b in zip(first, all_answers[::ONE_IN], strict=True)),
    }


def speed_table(report: dict[str, Any]) -> str:
    """A report in Markdown, for the terminal and the README: machine and data, and the figures."""
    machine, scoring = report["machine"], report["scoring"]
    training = [
        (row["name"], f"{row['tokens_per_second']:,}", f"{row['ratio']:.1f}", f"{row['peak_mib']:,}")
        for row in report["training"]
    ]
    answering = [
        (name, f"{speed:,.1f}", f"{scoring['ratio'] if name == 'ours' else 1:.1f}", f"{scoring['questions'][name]:,}")
        for name, speed in scoring["tokens_per_second"].items()
    ]
    rounds = "each recipe once" if report["rounds"] == 1 else f"medians of {report['rounds']} alternating rounds"
    return "\n\n".join(
        [
            f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}: `{report['base']}`, "
            f"{report['vocabulary']:,} tokens in the vocabulary, {report['rows']:,} rows of {report['data']} "
            f"({report['tokens']:,} tokens, at most {report['max_tokens']:,} in a row). All in one run, {rounds}.",
            markdown_table(("training", "useful tokens/s", "ratio", "peak MiB"), training),
            markdown_table(("scoring", "new tokens/s", "ratio", "questions"), answering),
            f"{scoring['equal_answers']} of {scoring['questions']['first recipe']} greedy answers are identical "
            f"({scoring['precision']}, at most {scoring['new_tokens']} tokens an answer).",
        ]
    )
