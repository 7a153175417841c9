"""How near training comes to the matrix products that its device can do: counted operations, measured ceiling."""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from training.model.load import DTYPES, pick_precision
from training.model.trainer import tiled_loss
from training.speed.work import Work


def share_of_ceiling(work: Work, tokens_per_second: float) -> dict[str, float | str]:
    """The operations a second that our training does, beside those of large matrix products alone."""
    precision = pick_precision("auto", work.device)
    reached, ceiling = tokens_per_second * operations_a_token(work) / 1e12, ceiling_tflops(work.device, precision)
    figures = {"tflops": reached, "ceiling_tflops": ceiling, "share": reached / ceiling}
    return {"precision": precision} | {name: float(f"{value:.3g}") for name, value in figures.items()}


def operations_a_token(work: Work) -> float:
    """Multiplications and additions a token, counted on one row: torch's count of a step, forwards and backwards.

    On a CPU torch doesn't count attention, some percent of the whole.
    """
    rows = work.examples().sort("length")
    row = rows[len(rows) // 2]
    ids, labels = (torch.tensor([row[name]], device=work.device) for name in ("input_ids", "labels"))
    model = work.model("fp32").train()
    with FlopCounterMode(display=False) as counter:
        tiled_loss(model, model.get_output_embeddings().weight, ids, labels).backward()
    return counter.get_total_flops() / row["length"]


def ceiling_tflops(device: str, precision: str, seconds: float = 1.0) -> float:
    """TFLOP/s of large matrix products on this device, the best of all that fit into some seconds."""
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
