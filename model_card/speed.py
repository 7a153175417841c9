"""Keep the README's table of speed what the benchmark wrote: `python -m model_card.speed BENCHMARK.json …` keeps files.

Each one that is named is copied to model_card/results/speed/, from where `python -m model_card.results` renders it.
"""

import argparse
import json
from pathlib import Path

from training.command import run
from training.outputs import read_json, write_json
from training.speed.table import Report, markdown, speed_table

SPEED = Path(__file__).with_name("results") / "speed"
GPU = Path(__file__).with_name("results") / "gpu" / "1b-h200.json"


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m model_card.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "reports", nargs="+", type=Path, metavar="BENCHMARK.json", help="of a quiet run, to be shown"
    )
    for path in arguments.parse_args().reports:
        print(f"kept as {keep_report(path)}")


def keep_report(path: Path) -> Path:
    """Copy a benchmark's file to where the README's are kept, named by device, shape and vocabulary."""
    report = read_json(path, f"python scripts/benchmark.py --json {path}")
    device = "gpu" if report["on_gpu"] else "cpu"
    target = SPEED / f"{device}-{report['shape']}-{report['vocabulary']}.json"
    write_json(target, report)
    return target


def kept_reports() -> list[Report]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(SPEED.glob("*.json"))]


def speed_part(reports: list[Report]) -> str:
    """The README's part about speed; says so where no GPU was measured."""
    return "\n\n".join([*(speed_table(report) for report in reports), gpu_table(json.loads(GPU.read_text("utf-8")))])


def gpu_table(report: Report) -> str:
    """Training of the 1B shape on a GPU: the better of two rounds, since the first one compiles kernels."""
    first = report["training"]["first recipe"]["best_tokens_per_second"]
    rows = [
        (
            name,
            f"{row['best_tokens_per_second']:,}",
            f"{row['best_tokens_per_second'] / first:.1f}",
            f"{row['peak_gib']:.1f}",
        )
        for name, row in report["training"].items()
    ]
    return (
        f"{report['gpu']}, torch {report['torch']}: random weights of Llama 3.2 1B's shape, {report['rows']} rows of "
        f"MedQuAD ({report['tokens']:,} tokens), the better of two rounds in turns. Scoring was not measured there.\n\n"
        + markdown(("training", "useful tokens/s", "ratio", "peak GiB"), rows)
    )


if __name__ == "__main__":
    run(main)
