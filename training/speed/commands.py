"""Preparing 1, 4 and 16 times the rows, and how long each command takes to say what it does."""

import csv
import subprocess
import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

from training.configs import DEMO
from training.speed.memory import in_fresh_process, watched

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "training" / "data" / "sample.csv"
TIMES = (1, 4, 16)
STEPS = ("prepare", "train", "score", "study", "bundle")


def prepare_scaling(dataset: Path | None, folder: Path) -> list[dict[str, float]]:
    """Seconds and peak MiB of preparing 1, 4 and 16 parts of a data set's rows; of the sample, 1, 4 and 16 times it."""
    rows = read_rows(dataset or SAMPLE)
    results = []
    for times in TIMES:
        chosen = rows[: len(rows) * times // TIMES[-1]] if dataset else repeated(rows, times)
        path = folder / f"rows-{times}.csv"
        write_rows(path, chosen)
        result = in_fresh_process(prepare_file, path, folder / f"prepared-{times}")
        results.append({"rows": len(chosen), **result, "rows_per_second": round(len(chosen) / result["seconds"])})
        print(f"  prepare, {len(chosen):,} rows: {result['seconds']:.1f} s, {result['peak_mib']:,} MiB", flush=True)
    return results


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def repeated(rows: list[dict[str, str]], times: int) -> list[dict[str, str]]:
    """The rows with a number at the end of what they ask and answer, so that each copy is a row of its own."""
    texts = [key for key in rows[0] if key.lower() in ("question", "answer")]
    return [row | {key: f"{row[key]} {copy}" for key in texts} for copy in range(times) for row in rows]


def prepare_file(path: Path, out: Path) -> dict[str, float]:
    """Prepare one file; for `in_fresh_process`."""
    from training.prepare import prepare

    config = replace(DEMO, dataset=str(path), out=str(out), base_model=str(out / "base"))
    with redirect_stdout(StringIO()), watched() as seen:
        started = time.perf_counter()
        prepare(config)
        seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "peak_mib": round(seen.peak)}


def start_up(best_of: int = 3) -> dict[str, float]:
    """Seconds until each command has printed its --help, the best of a few tries."""
    commands = {f"training.{name}": ("-m", f"training.{name}") for name in STEPS}
    commands |= {f"scripts/{path.name}": (str(path),) for path in sorted((ROOT / "scripts").glob("*.py"))}
    return {name: round(min(help_seconds(words) for _ in range(best_of)), 3) for name, words in commands.items()}


def help_seconds(words: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words, "--help"], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started
