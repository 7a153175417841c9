"""Time and memory of one piece of work: peak memory in a new process, the share of the peak FLOP/s, `--help`."""

import csv
import multiprocessing
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import datasets
import psutil
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from training.__main__ import STEPS
from training.configs import DEMO
from training.datasets import SAMPLE
from training.model.load import DTYPES, pick_precision
from training.model.trainer import tiled_loss
from training.prepare import prepare
from training.speed.work import Work

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


@dataclass
class Memory:
    """MiB before some work and at its peak."""

    before: float
    peak: float = 0.0


@contextmanager
def watched() -> Iterator[Memory]:
    """Measure the memory of the work inside: GPU memory if there is a GPU, else resident memory."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        seen = Memory(torch.cuda.memory_allocated() / MIB)
        yield seen
        seen.peak = torch.cuda.max_memory_allocated() / MIB
        return
    process, stop = psutil.Process(), threading.Event()
    seen = Memory(process.memory_info().rss / MIB)

    def look() -> None:
        while not stop.wait(0.002):
            seen.peak = max(seen.peak, process.memory_info().rss / MIB)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()
        seen.peak = max(seen.peak, process.memory_info().rss / MIB)


def in_fresh_process(work: Callable[..., Any], *given: Any) -> Any:
    """The result of work(*given) in a new process, whose memory holds nothing but imported modules."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()  # imports torch once; Windows has none
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload([work.__module__])
    with ProcessPoolExecutor(1, context, quiet) as pool:
        return pool.submit(work, *given).result()


def quiet() -> None:
    """Turn off warnings and progress bars."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()


def share_of_ceiling(work: Work, tokens_per_second: float) -> dict[str, float | str]:
    """TFLOP/s of our training, and of large matrix products alone."""
    precision = pick_precision("auto", work.device)
    reached, ceiling = tokens_per_second * operations_a_token(work) / 1e12, ceiling_tflops(work.device, precision)
    figures = {"tflops": reached, "ceiling_tflops": ceiling, "share": reached / ceiling}
    return {"precision": precision} | {name: float(f"{value:.3g}") for name, value in figures.items()}


def operations_a_token(work: Work) -> float:
    """FLOP per token of a forward and backward pass on a row of median length.

    On a CPU torch does not count attention, a few percent.
    """
    rows = work.examples().sort("length")
    row = rows[len(rows) // 2]
    ids, labels = (torch.tensor([row[name]], device=work.device) for name in ("input_ids", "labels"))
    model = work.model("fp32").train()
    with FlopCounterMode(display=False) as counter:
        tiled_loss(model, model.get_output_embeddings().weight, ids, labels).backward()
    return counter.get_total_flops() / row["length"]


def ceiling_tflops(device: str, precision: str, seconds: float = 1.0) -> float:
    """TFLOP/s of large matrix products on this device, the best one within `seconds`."""
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(DTYPES[precision]) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e12


def prepare_scaling(folder: Path) -> list[dict[str, float]]:
    """Processor seconds and peak MiB of preparing 1, 4 and 16 times the rows of the embedded sample."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = []
    for times in (1, 4, 16):
        path = folder / f"rows-{times}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            for copy in range(times):  # with a number, so that no copy is dropped as a duplicate
                writer.writerows(row | {key: f"{row[key]} {copy}" for key in ("Question", "Answer")} for row in rows)
        result = in_fresh_process(prepare_file, path, folder / f"prepared-{times}")
        results.append({"rows": times * len(rows), **result})
        print(
            f"  prepare, {times * len(rows):,} rows: {result['seconds']:.1f} s, {result['peak_mib']:,} MiB", flush=True
        )
    return results


def prepare_file(path: Path, out: Path) -> dict[str, float]:
    """Prepare one file; for `in_fresh_process`."""
    config = replace(DEMO, dataset=str(path), out=str(out), base_model=str(out / "base"))
    with redirect_stdout(StringIO()), watched() as seen:
        started = time.process_time()
        prepare(config)
        seconds = time.process_time() - started
    return {"seconds": round(seconds, 2), "peak_mib": round(seen.peak)}


def start_up(best_of: int = 3) -> dict[str, float]:
    """Seconds until each command has printed its --help, the best of a few tries."""
    commands: dict[str, tuple[str, ...]] = {f"training {name}": ("-m", "training", name) for name in STEPS}
    commands |= {f"scripts/{path.name}": (str(path),) for path in sorted((ROOT / "scripts").glob("*.py"))}
    return {name: round(min(help_seconds(words) for _ in range(best_of)), 3) for name, words in commands.items()}


def help_seconds(words: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words, "--help"], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started
