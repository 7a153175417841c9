"""Peak memory of a piece of work, and a new process to measure it in."""

import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import datasets
import psutil
import torch
import transformers

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
