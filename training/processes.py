"""Several processes, as torchrun or `accelerate launch` start them: join the group, print on rank 0."""

import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState


def silence_other_ranks() -> None:
    """Silence stdout on all ranks except 0; errors are printed by every rank."""
    if int(os.environ.get("RANK", "0")):
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)


def join(step: str) -> PartialState:
    """The group of processes that run a step; raises ValueError if fewer joined than were started."""
    state = PartialState(cpu=not torch.cuda.is_available())
    launch = f"torchrun --nproc_per_node N -m training {step}"
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != state.num_processes:
        raise ValueError(f"{started} processes were started but {state.num_processes} joined: start with `{launch}`")
    if state.num_processes > 1:
        print(f"{step}: {state.num_processes} processes on {state.device.type}")
    elif "ACCELERATE_MIXED_PRECISION" in os.environ and not torch.cuda.is_available():
        print(f"{step}: 1 process: on a CPU `accelerate launch` starts no more, use `{launch}`")
    return state
