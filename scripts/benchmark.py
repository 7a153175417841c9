"""Measure ours beside the first users' recipe and trl's defaults: same base, rows and questions, in turns, in one run.

  training  useful (non-padding) tokens a second, peak memory, and the share of what matrix products reach
  scoring   new tokens a second, and whether the answers are the same
  prepare   seconds and memory of 1, 4 and 16 parts of the rows
  start-up  seconds until each command has printed its --help

About a quarter of an hour on two cores, on which nothing else should run.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.command import run
from training.configs import EMBEDDED
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
    parser = argparse.ArgumentParser(
        prog="benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shape",
        choices=("135m", "1b"),
        default="135m",
        help="135m: the embedded base; 1b: random weights of Llama 3.2 1B's shape, for a GPU",
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="DIR",
        help=f"another base; with --shape 1b its tokenizer alone (default: {EMBEDDED})",
    )
    parser.add_argument(
        "--adapter",
        type=Path,
        metavar="DIR",
        help="trained on the base, for scoring (default: a fresh one, which changes no answer)",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="prepared (default: that of medquad-smollm2, else the embedded sample)"
    )
    parser.add_argument("--dataset", type=Path, metavar="FILE.csv", help="for prepare (default: the sample)")
    parser.add_argument("--rows", type=above_zero, default=16, metavar="N", help="trained on (%(default)s)")
    parser.add_argument("--questions", type=above_zero, default=64, metavar="N", help="asked (%(default)s)")
    parser.add_argument("--new-tokens", type=above_zero, default=96, metavar="N", help="an answer (%(default)s)")
    parser.add_argument("--rounds", type=above_zero, default=1, metavar="N", help="of training (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def above_zero(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give at least 1")
    return int(text)


def benchmark(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The content of the JSON file; folder: for what is made on the way."""
    from training.speed.asking import compare_scoring
    from training.speed.commands import prepare_scaling, start_up
    from training.speed.memory import quiet
    from training.speed.operations import share_of_ceiling
    from training.speed.work import make_work

    print(f"benchmark: shape {options.shape}", flush=True)
    quiet()
    work = make_work(options, folder)
    lengths = work.examples()["length"]
    print(f"  {len(lengths)} rows of {sum(lengths) / len(lengths):.0f} tokens on average, on {work.device}", flush=True)
    training = compare_training(work, options.rounds, folder)
    return {
        "machine": machine(work.device),
        "on_gpu": work.device == "cuda",
        "shape": options.shape,
        "base": "random weights of Llama 3.2 1B's shape" if options.shape == "1b" else work.base.name,
        "data": work.data,
        "rows": len(lengths),
        "tokens": sum(lengths),
        "rounds": options.rounds,
        "vocabulary": work.vocabulary(),
        "max_tokens": work.config.max_tokens,
        "training": training,
        "operations": share_of_ceiling(work, training[-1]["tokens_per_second"]),
        "scoring": compare_scoring(work),
        "prepare": prepare_scaling(options.dataset, folder),
        "start_up_seconds": start_up(),
    }


def machine(device: str) -> dict[str, Any]:
    import torch

    from training.run_record import git_state, processor

    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    return {"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "git": git_state()}


def compare_training(work: "Work", rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Each recipe's rounds, taking turns, and its peak memory on a batch of the longest rows; ours comes last."""
    from training.speed.memory import in_fresh_process
    from training.speed.recipes import RECIPES, training_peak, training_seconds

    seconds: dict[str, list[float]] = {name: [] for name in RECIPES}
    for number in range(rounds):
        for name in RECIPES:
            seconds[name].append(training_seconds(name, work, str(folder / "trained")))
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


if __name__ == "__main__":
    run(main)
