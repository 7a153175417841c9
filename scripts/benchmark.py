"""Measure ours beside the first users' recipe and trl's defaults: same base, rows and questions, in turns, in one run.

  training  useful (non-padding) tokens a second and peak memory
  scoring   answers a second, and whether the answers are the same
  prepare   seconds and memory of 1, 4 and 16 parts of the rows
  start-up  seconds until each command has printed its --help

On a GPU also the share of the measured matrix-product ceiling that training reaches. Nothing else should run beside it.
"""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.command import run
from training.configs import DEMO, MEDQUAD_TINY
from training.outputs import write_json

if TYPE_CHECKING:
    from training.speed.work import Work


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        report = benchmark(options, Path(folder))
    from training.speed.table import speed_table

    print("\n" + speed_table(report))
    if options.json:
        write_json(options.json, report)
        print(f"\nwritten to {options.json}")


def parse() -> argparse.Namespace:
    here = MEDQUAD_TINY.data_dir if MEDQUAD_TINY.data_dir.exists() else DEMO.data_dir
    parser = argparse.ArgumentParser(
        prog="benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=("tiny", "1b"), default="tiny", help="1b: random weights of Llama 3.2 1B")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument("--data", type=Path, default=here, metavar="DIR", help="prepared, beside a base (%(default)s)")
    parser.add_argument("--dataset", type=Path, metavar="FILE.csv", help="for prepare (default: the sample)")
    parser.add_argument("--vocabulary", type=Path, metavar="DIR", help="another tokenizer; weights are then random")
    parser.add_argument("--rows", type=above_zero, default=64, metavar="N", help="trained on (%(default)s)")
    parser.add_argument("--questions", type=above_zero, default=64, metavar="N", help="asked (%(default)s)")
    parser.add_argument("--new-tokens", type=above_zero, metavar="N", help="an answer (default: the contract's)")
    parser.add_argument("--rounds", type=above_zero, default=2, metavar="N", help="turns of each (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def above_zero(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give at least 1")
    return int(text)


def benchmark(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The content of the JSON file; folder: for what is made on the way."""
    import warnings

    import transformers

    from training.speed.asking import compare_scoring
    from training.speed.commands import prepare_scaling, start_up
    from training.speed.memory import quiet
    from training.speed.work import make_work

    print(f"benchmark: shape {options.shape}, rows and questions of {options.data}", flush=True)
    quiet(warnings, transformers)
    work = make_work(options, folder)
    lengths = work.examples()["length"]
    print(f"  {len(lengths)} rows of {sum(lengths) / len(lengths):.0f} tokens on average, on {work.device}", flush=True)
    trained = training(work, options.rounds, folder)
    return {
        "machine": machine(work.device),
        "on_gpu": work.device == "cuda",
        "shape": options.shape,
        "data": "/".join(options.data.parts[-3:]),  # no whole path of whoever measured
        "rows": len(lengths),
        "tokens": sum(lengths),
        "vocabulary": len(work.tokenizer()),
        "max_tokens": work.config.max_tokens,
        "training": trained,
        "scoring": compare_scoring(work, options.rounds, DEMO.score_batch),
        "prepare": prepare_scaling(options.dataset, folder),
        "start_up_seconds": start_up(),
        **operations(work, {row["name"]: row["tokens_per_second"] for row in trained}["ours"], options.data),
    }


def machine(device: str) -> dict[str, Any]:
    import torch

    from training.run_record import git_state, processor

    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    return {"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "git": git_state()}


def training(work: "Work", rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Each recipe's rounds, taking turns, and its peak memory over the longest rows in a process of its own."""
    from dataclasses import replace

    from training.speed.memory import in_fresh_process, training_peak
    from training.speed.recipes import PER_STEP, RECIPES, train_once

    seconds: dict[str, list[float]] = {name: [] for name in RECIPES}
    losses = {}
    for number in range(rounds):
        for name in RECIPES:
            once = train_once(name, work, str(folder / "trained"))
            seconds[name].append(once["seconds"])
            losses[name] = once["loss"]
            print(f"  training, round {number + 1} of {rounds}: {name} {once['seconds']:.1f} s", flush=True)
    tokens = sum(work.examples()["length"])
    longest = sorted(work.records, key=lambda record: -len(record["answer"]))[:PER_STEP]
    rows = []
    for name, times in seconds.items():
        peak = in_fresh_process(training_peak, name, replace(work, records=longest), str(folder / "trained"))
        print(f"  memory: {name} {peak['peak_mib']:,} MiB", flush=True)
        speed = tokens * rounds / sum(times)
        ratio = sum(seconds["first recipe"]) / sum(times)
        figures = {"tokens_per_second": round(speed), "ratio": round(ratio, 2), "last_loss": round(losses[name], 4)}
        rows.append({"name": name, **figures, "seconds": [round(s, 4) for s in times], **peak})
    return rows


def operations(work: "Work", speed: float, data: Path) -> dict[str, Any]:
    """The share of the measured ceiling that our training reaches, and what a T4 would need for the 1B shape."""
    from transformers import AutoConfig

    from training.model.load import pick_precision
    from training.outputs import read_json
    from training.speed.operations import ceiling_tflops, operations_a_token, t4_estimate

    rows = work.examples()
    mean = sum(rows["length"]) / len(rows)
    counted = sum(label != -100 for labels in rows["labels"] for label in labels) / sum(rows["length"])
    precision = pick_precision("auto", work.device)
    shape = AutoConfig.from_pretrained(work.config.base_model)
    reached = speed * operations_a_token(shape, work.config.lora_rank, mean, counted) / 1e12
    ceiling = ceiling_tflops(work.device, precision)
    examples = read_json(data / "data.json", "python -m training.prepare CONFIG")["records"]["train"]
    figures = {"precision": precision, "tflops": round(reached, 4), "ceiling_tflops": round(ceiling, 3)}
    return {
        "operations": figures | {"share": round(reached / ceiling, 4)},
        "t4_estimate": t4_estimate(work.config, examples, mean, counted),
    }


if __name__ == "__main__":
    run(main)
