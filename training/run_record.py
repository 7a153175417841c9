"""What `run.json` records besides configuration and base: losses, speed, memory, versions, git, machine."""

import logging
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate import PartialState
from transformers import Trainer

STACK = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")


def training_facts(trainer: Trainer, lengths: list[int], started: float, checkpoint: str | None) -> dict[str, Any]:
    """Losses by step, time, speed of the steps after the last resume, and where it resumed.

    lengths: [examples], tokens. started: `time.monotonic()` before training.
    """
    state, names = trainer.state, {"loss": "loss", "eval_loss": "validation"}
    logged = [(entry, key, name) for entry in state.log_history for key, name in names.items() if key in entry]
    seconds = time.monotonic() - started
    skipped = int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0
    tokens = sum(lengths) * trainer.args.num_train_epochs * (state.global_step - skipped) / state.max_steps
    return {
        "steps": state.global_step,
        "resumed_from_step": skipped,
        "losses": [{"step": entry["step"], name: round(entry[key], 4)} for entry, key, name in logged],
        "minutes": round(seconds / 60, 2),
        "tokens_per_second": round(tokens / seconds),
        "peak_gib": round(peak_gib(), 2),
    }


@contextmanager
def energy_meter() -> Iterator[dict[str, Any]]:
    """Energy and CO₂ of this machine meanwhile, filled in at the end; empty where codecarbon is not installed.

    No network is asked: the CO₂ is that of the grid of $CODECARBON_COUNTRY_ISO_CODE, else of the world's average.
    """
    facts: dict[str, Any] = {}
    if find_spec("codecarbon") is None or not PartialState().is_main_process:
        yield facts
        return
    from codecarbon import OfflineEmissionsTracker  # optional

    logging.getLogger("codecarbon").setLevel(logging.ERROR)  # importing it sets another level
    with OfflineEmissionsTracker(output_methods=[], log_level="error") as tracker:
        yield facts
    if data := getattr(tracker, "final_emissions_data", None):  # its own errors it only logs
        used = {"kwh": data.energy_consumed, "co2_kg": data.emissions}
        facts |= {name: float(f"{value:.3g}") for name, value in used.items()}
        facts |= {"grid": data.country_name or "world average", "by": f"codecarbon {version('codecarbon')}"}


def machine_facts(device: str, precision: str) -> dict[str, Any]:
    """Device, versions, and the state of the code."""
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU ({torch.get_num_threads()} threads)",
        "processes": PartialState().num_processes,
        "precision": precision,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in STACK} | {"torch": torch.__version__},  # with its CUDA version
        "contents_sha256": {name: contents_sha256(name) for name in STACK},
        "git": git_state(),
    }


def contents_sha256(package: str) -> str:
    """The checksum of the sorted lines `path,sha256=…` in an installed package's RECORD, without what pip adds.

    The same for every installation of a wheel.
    """
    lines = (distribution(package).read_text("RECORD") or "").splitlines()
    brought = [line.rpartition(",")[0] for line in lines if ",sha256=" in line]
    kept = sorted(line for line in brought if ".dist-info/" not in line and not line.startswith(".."))
    return sha256("\n".join(kept).encode()).hexdigest()


def processor() -> str:
    """The name of the processor, if the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def peak_gib() -> float:
    """Peak memory of this process in GiB: GPU memory if there is one, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    try:
        import resource
    except ImportError:  # on Windows
        memory = psutil.Process().memory_info()
        return getattr(memory, "peak_wset", memory.rss) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on a Mac, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def git_state() -> dict[str, Any]:
    """Commit, and whether tracked files differ from it; None for both outside of a checkout."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    commit, _, changed = described.partition("-")
    return {"commit": commit, "dirty": bool(changed)}
