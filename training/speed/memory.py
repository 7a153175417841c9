"""Peak memory of one piece of work, in a process of its own."""

import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

MIB = 1 << 20


@contextmanager
def watched() -> Iterator[SimpleNamespace]:
    """Fills in `before` and `peak`, in MiB: of the GPU where one is used, else this process's resident memory."""
    import psutil
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        seen = SimpleNamespace(before=torch.cuda.memory_allocated() / MIB, peak=0.0)
        yield seen
        seen.peak = torch.cuda.max_memory_allocated() / MIB
        return
    process, stop = psutil.Process(), threading.Event()
    seen = SimpleNamespace(before=process.memory_info().rss / MIB, peak=0.0)

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
    """What work(*given) returns, called where nothing else was loaded before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), quiet) as pool:
        return pool.submit(work, *given).result()


def quiet() -> None:
    """Leave out the warnings and progress bars of the other recipes."""
    import datasets
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
