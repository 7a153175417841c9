"""The benchmark: measure every recipe on the same work, and show the figures."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from training.configs import MEDQUAD_SMOLLM2
from training.model.load import pick_precision
from training.outputs import write_json
from training.run_record import git_state, processor
from training.scoring.rouge import rouge_scores
from training.speed.measure import in_fresh_process, quiet
from training.speed.recipes import RECIPES, one_by_one, together, training_peak, training_seconds, tuned
from training.speed.table import speed_table
from training.speed.work import Work, make_work

ONE_IN = 4  # questions are also asked one by one


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
    quiet()
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
        "vocabulary": work.vocabulary(),
        "max_tokens": work.config.max_tokens,
        "training": compare_training(work, options.rounds, folder),
        "scoring": compare_scoring(work),
    }


def compare_training(work: Work, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Time of each recipe in alternating rounds, and peak memory on a batch of the longest rows; ours is last."""
    seconds: dict[str, list[float]] = {name: [] for name in RECIPES}
    for number in range(rounds):
        for name in RECIPES:
            # in a process of its own: the memory that a recipe leaves behind would slow or crowd out the next one
            seconds[name].append(in_fresh_process(training_seconds, name, work, str(folder / "trained")))
            print(f"  training, round {number + 1} of {rounds}: {name} {seconds[name][-1]:.1f} s", flush=True)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    tokens, rows = sum(work.examples()["length"]), []
    for name, recipe in RECIPES.items():
        peak = in_fresh_process(training_peak, name, work.longest(recipe.batch), str(folder / "trained"))
        print(f"  memory: {name} {peak['peak_mib']:,} MiB", flush=True)
        speed, ratio = tokens / median[name], median["first recipe"] / median[name]
        times = [round(each, 4) for each in seconds[name]]
        rows.append(
            {"name": name, "tokens_per_second": round(speed), "ratio": round(ratio, 2), "seconds": times, **peak}
        )
    return rows


def compare_scoring(work: Work) -> dict[str, Any]:
    """New tokens per second: ours answers all questions, the first recipe every fourth of them."""
    prompts, batch = work.prompts(), MEDQUAD_SMOLLM2.score_batch
    # As `training.answers` chooses it: fp32 on a CPU, the precision of training on a GPU.
    precision = "fp32" if work.device == "cpu" else pick_precision("auto", work.device)
    slow, fast = tuned(work, "fp32"), tuned(work, precision)
    fast.merge_adapter()
    started = time.perf_counter()
    first, first_tokens = one_by_one(slow, work, prompts[::ONE_IN])
    between = time.perf_counter()
    every, our_tokens = together(fast, work, prompts, batch)
    seconds = {"first recipe": between - started, "ours": time.perf_counter() - between}
    print("  scoring: " + ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items()), flush=True)
    speeds = {"first recipe": first_tokens / seconds["first recipe"], "ours": our_tokens / seconds["ours"]}
    compared, references = every[::ONE_IN], [row["answer"] for row in work.questions[::ONE_IN]]
    return {
        "questions": {"first recipe": len(first), "ours": len(every)},
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
