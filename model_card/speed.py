"""Keep the README's table of speed what the benchmark wrote: `python -m model_card.speed BENCHMARK.json …` keeps files.

Each one that is named is copied to model_card/results/speed/, from where `python -m model_card.results` renders it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from training.command import run
from training.outputs import read_json, write_json
from training.speed.table import machine_text

SPEED = Path(__file__).with_name("results") / "speed"
Report = dict[str, Any]  # the content of the benchmark's JSON file


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
    parts = [speed_section(report) for report in reports]
    if not any(report["on_gpu"] for report in reports):
        parts.append(
            "**No GPU was at hand**: tokens/s, memory and the share of the ceiling on one are missing, and the line "
            "about the T4 is an estimate. `python scripts/benchmark.py --shape 1b` measures them where there is one."
        )
    return "\n\n".join(parts)


def speed_section(report: Report) -> str:
    """One benchmark: where it ran, the tables, and what follows from counting."""
    scoring, done, t4 = (report[key] for key in ("scoring", "operations", "t4_estimate"))
    prepare, slowest = report["prepare"], max(report["start_up_seconds"].values())
    scaling = ", ".join(f"{row['rows']:,} rows {row['seconds']:.1f} s and {row['peak_mib']:,} MiB" for row in prepare)
    fits = "fits" if t4["fits"] else "does not fit"
    sentences = [
        f"{scoring['equal_answers']} of {scoring['questions']} greedy answers are the same to the letter.",
        f"`prepare`: {scaling}.",
        f"Every `--help` within {slowest:.2f} s.",
        f"Training does {done['share']:.0%} of the operations a second that matrix products reach there "
        f"({done['precision']}).",
        f"Estimated for Llama 3.2 1B on a T4, from counted operations and bytes: {t4['hours']:.1f} hours at "
        f"{t4['share_of_peak_assumed']:.0%} of its peak rate and {t4['peak_gib']:.1f} GiB, which {fits} its 16 GB.",
    ]
    return "\n\n".join(
        [
            f"{machine_text(report)}: shape `{report['shape']}`, "
            f"{report['vocabulary']:,} tokens in the vocabulary, {report['rows']:,} rows of `{report['data']}` of "
            f"up to {report['max_tokens']:,} tokens, each recipe in turn in one run.",
            training_table(report["training"]),
            scoring_table(scoring),
            " ".join(sentences),
        ]
    )


def training_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| training | useful tokens/s | ratio | peak MiB | of it training |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        figures = f"{row['tokens_per_second']:,} | {row['ratio']:.1f} | {row['peak_mib']:,} | {row['growth_mib']:,}"
        lines.append(f"| {row['name']} | {figures} |")
    return "\n".join(lines)


def scoring_table(scoring: dict[str, Any]) -> str:
    lines = ["| scoring | answers/s | ratio |", "|---|---:|---:|"]
    for name, speed in scoring["answers_per_second"].items():
        lines.append(f"| {name} | {speed:.2f} | {scoring['ratio'] if name == 'ours' else 1:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
