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
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
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
from training.configs import BASE, CONTRACT, EMBEDDED, MEDQUAD_SMOLLM2, TrainConfig
from training.data.examples import encode_records
from training.model.generate import generate_answers, greedy
from training.model.load import load_adapter, load_base, load_tokenizer, pick_device, pick_precision
from training.model.trainer import CompletionTrainer
from training.outputs import read_json, read_jsonl, write_json
from training.run_record import git_state, peak_gib, processor
from training.scoring.rouge import rouge_scores
from training.scoring.table import markdown_table
from training.train import lora_model, sft_config

ONE_IN = 4  # questions are also asked one by one
LONGEST = 8  # rows in the measurement of memory: whole batches of every recipe
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
PER_STEP = 16  # examples in an optimizer step, in every recipe
QUIET = {"num_train_epochs": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "logging_steps": 1}
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Work:
    """What every recipe works on. Holds no tensors, so it is cheap to send to another process."""

    config: TrainConfig
    base: Path  # its folder
    device: str
    adapter: Path | None  # None: a new one, which changes no answer
    data: str  # name of the data
    records: Rows  # to train on
    questions: Rows  # to answer, with references
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

    def model(self, precision: str) -> PeftModel:
        """The base with a new adapter, the same at every call."""
        return lora_model(self.base, self.config, precision, self.device)


def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = benchmark(options, Path(folder))
    print("\n" + speed_table(report))
    if options.json:
        write_json(options.json, report)
        print(f"\nwritten to {options.json}")


def benchmark(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything; folder: for temporary files."""
    print(f"benchmark: shape {options.shape}", flush=True)
    silence_libraries()
    work = make_work(options, folder)
    lengths = work.examples()["length"]
    print(f"  {len(lengths)} rows of {sum(lengths) / len(lengths):.0f} tokens on average, on {work.device}", flush=True)
    name = torch.cuda.get_device_name() if work.device == "cuda" else processor()
    return {
        "machine": {"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "git": git_state()},
        "on_gpu": work.device == "cuda",
        "shape": options.shape,
        "base": "random weights of Llama 3.2 1B's shape" if options.shape == "1b" else work.base.name,
        "data": work.data,
        "rows": len(lengths),
        "tokens": sum(lengths),
        "rounds": options.rounds,
        "vocabulary": AutoConfig.from_pretrained(work.base).vocab_size,
        "max_tokens": work.config.max_tokens,
        "training": compare_training(work, sum(lengths), options.rounds, folder),
        "scoring": compare_scoring(work),
    }


def make_work(options: argparse.Namespace, scratch: Path) -> Work:
    """The work that the options describe; scratch: a folder for random weights.

    Raises FileNotFoundError if data or base is missing, ValueError for the 1B shape without a GPU.
    """
    device = options.device or pick_device()
    if options.shape == "1b" and device == "cpu":
        raise ValueError("--shape 1b: there is no GPU here, and on a CPU a step takes minutes; leave the option out")
    remedy = "python -m training prepare CONFIG"
    train, test = (read_jsonl(options.data / f"{name}.jsonl", remedy) for name in ("train", "test"))
    base = local_folder(str(options.base or EMBEDDED))
    return Work(
        config=replace(MEDQUAD_SMOLLM2, max_tokens=BASE.max_tokens),  # the same rows for every recipe
        base=random_1b(base, device, scratch / "base") if options.shape == "1b" else base,
        device=device,
        adapter=options.adapter,
        data=read_json(options.data / "data.json", remedy)["source"]["title"],
        records=sample_by_length(train, options.rows),
        questions=random.Random(0).sample(test, min(options.questions, len(test))),
        new_tokens=options.new_tokens,
    )


def sample_by_length(rows: Rows, count: int) -> Rows:
    """A random sample stratified by length, shuffled: its mean length is that of all rows."""
    ordered, count, dice = sorted(rows, key=lambda row: len(row["answer"])), min(count, len(rows)), random.Random(0)
    bounds = [number * len(ordered) // count for number in range(count + 1)]
    return dice.sample([dice.choice(ordered[start:end]) for start, end in pairwise(bounds)], count)


def random_1b(base: Path, device: str, folder: Path) -> Path:
    """Write random weights of Llama 3.2 1B's shape, with the tokenizer of a base."""
    tokenizer = load_tokenizer(base)
    shape = LlamaConfig(**SHAPE_1B, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    torch.manual_seed(0)
    with torch.device(device):
        LlamaForCausalLM(shape).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def first_recipe(work: Work, folder: str) -> Trainer:
    """The first users': padded to `max_tokens`, batch 4, fp32, no activation checkpointing, loss on every token."""
    rows = work.examples().map(lambda example: {"labels": example["input_ids"]}, remove_columns="length")
    pad = DataCollatorForSeq2Seq(work.tokenizer(), padding="max_length", max_length=work.config.max_tokens)
    arguments = TrainingArguments(folder, **shared(work, 4))
    return Trainer(work.model("fp32"), arguments, data_collator=pad, train_dataset=rows)


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


RECIPES = {"first recipe": first_recipe, "trl's defaults": trl_defaults, "ours": ours}


def training_costs(name: str, work: Work, folder: str) -> dict[str, float]:
    """Seconds of one epoch over the rows, peak MiB of this process, and the part of it that training added.

    For a process of its own: a peak can't be reset.
    """
    trainer = RECIPES[name](work, folder)
    trainer.remove_callback(PrinterCallback)
    before = torch.cuda.memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss
    seconds = trainer.train().metrics["train_runtime"]
    peak = peak_gib() * 1024
    return {"seconds": seconds, "peak_mib": round(peak), "growth_mib": round(peak - before / 2**20)}


def tuned_model(work: Work, precision: str) -> PeftModel:
    if work.adapter is None:
        return work.model(precision).eval()
    return load_adapter(load_base(work.base, precision, work.device), work.adapter, work.device)


@torch.inference_mode()
def answer_singly(model: PeftModel, work: Work, prompts: list[list[int]]) -> tuple[list[str], int]:
    """The first users': `generate` for each question, with the adapter not merged. Texts, and the tokens of all."""
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


def compare_training(work: Work, tokens: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Time of each recipe in alternating rounds, and peak memory on the longest rows; ours is last."""
    out = str(folder / "trained")
    seconds: dict[str, list[float]] = {name: [] for name in RECIPES}
    for number in range(rounds):
        for name in RECIPES:
            # In a process of its own: the memory that a recipe leaves behind would slow or crowd out the next one.
            seconds[name].append(in_fresh_process(training_costs, name, work, out)["seconds"])
            print(f"  training, round {number + 1} of {rounds}: {name} {seconds[name][-1]:.1f} s", flush=True)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    rows = []
    longest = replace(work, records=sorted(work.records, key=lambda row: -len(row["answer"]))[:LONGEST])
    for name, times in seconds.items():
        costs = in_fresh_process(training_costs, name, longest, out)
        print(f"  memory: {name} {costs['peak_mib']:,} MiB", flush=True)
        speed, ratio = tokens / median[name], median["first recipe"] / median[name]
        rows.append(
            {"name": name, "tokens_per_second": round(speed), "ratio": round(ratio, 2), **costs, "seconds": times}
        )
    return rows


def compare_scoring(work: Work) -> dict[str, Any]:
    """New tokens per second: ours answers all questions, the first recipe every fourth of them."""
    prompts, batch = work.prompts(), MEDQUAD_SMOLLM2.score_batch
    # As `training.answers` chooses it: fp32 on a CPU, the precision of training on a GPU.
    precision = "fp32" if work.device == "cpu" else pick_precision("auto", work.device)
    slow, fast = tuned_model(work, "fp32"), tuned_model(work, precision)
    fast.merge_adapter()
    started = time.perf_counter()
    first, first_tokens = answer_singly(slow, work, prompts[::ONE_IN])
    between = time.perf_counter()
    answers = generate_answers(fast, work.tokenizer(), prompts, work.new_tokens, batch)
    seconds = {"first recipe": between - started, "ours": time.perf_counter() - between}
    print("  scoring: " + ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items()), flush=True)
    tokens = {"first recipe": first_tokens, "ours": sum(answer.tokens for answer in answers)}
    speeds = {name: tokens[name] / seconds[name] for name in seconds}
    compared = [answer.text for answer in answers[::ONE_IN]]
    references = [row["answer"] for row in work.questions[::ONE_IN]]
    return {
        "questions": {"first recipe": len(first), "ours": len(answers)},
        "batch": batch,
        "new_tokens": work.new_tokens,
        "precision": precision,
        "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
        "tokens_per_second": {name: round(speed, 2) for name, speed in speeds.items()},
        "ratio": round(speeds["ours"] / speeds["first recipe"], 2),
        "equal_answers": sum(a == b for a, b in zip(first, compared, strict=True)),
        "rouge_l": {
            name: round(float(rouge_scores(answers, references)["rougeL"].mean()), 4)
            for name, answers in (("first recipe", first), ("ours", compared))
        },
    }


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


def speed_table(report: dict[str, Any]) -> str:
    """A report in Markdown, for the terminal and the README: machine and data, and the figures."""
    machine, scoring = report["machine"], report["scoring"]
    training = [
        (row["name"], f"{row['tokens_per_second']:,}", f"{row['ratio']:.1f}", f"{row['peak_mib']:,}",
         f"{row['growth_mib']:,}")
        for row in report["training"]
    ]  # fmt: skip
    answering = [
        (name, f"{speed:,.1f}", f"{scoring['ratio'] if name == 'ours' else 1:.1f}", f"{scoring['questions'][name]:,}")
        for name, speed in scoring["tokens_per_second"].items()
    ]
    rounds = "each recipe once" if report["rounds"] == 1 else f"medians of {report['rounds']} alternating rounds"
    compared, rouge = scoring["questions"]["first recipe"], scoring["rouge_l"]
    equal = f"{scoring['equal_answers']} of {compared} greedy answers are identical"
    if scoring["equal_answers"] < compared:
        equal += f"; ROUGE-L of all is {rouge['ours']:.4f}, of the first recipe {rouge['first recipe']:.4f}"
    return "\n\n".join(
        [
            f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}: `{report['base']}`, "
            f"{report['vocabulary']:,} tokens in the vocabulary, {report['rows']:,} rows of {report['data']} "
            f"({report['tokens']:,} tokens, at most {report['max_tokens']:,} in a row). All in one run, {rounds}.",
            markdown_table(("training", "useful tokens/s", "ratio", "peak MiB", "of it training"), training),
            markdown_table(("scoring", "new tokens/s", "ratio", "questions"), answering),
            f"{equal} ({scoring['precision']}, at most {scoring['new_tokens']} tokens an answer).",
        ]
    )
