"""Several processes, as torchrun or `accelerate launch` start them: join and leave the group, print on rank 0."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState


def let_first_speak() -> None:
    """Silence what every process but the first would print too; errors are shown by all of them."""
    if int(os.environ.get("RANK", "0")):
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until this process ends)


def join(step: str) -> "PartialState":
    """Who takes part in a step; alone, where nothing launched several.

    Raises ValueError where other processes were asked for than there are.
    """
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    several = f"torchrun --nproc_per_node N -m training.{step}"
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    if asked != state.num_processes:
        raise ValueError(
            f"{asked} processes were asked for and {state.num_processes} took part: start with `{several}`"
        )
    if state.num_processes > 1:
        print(f"{step}: {state.num_processes} processes on {state.device.type}")
    elif "ACCELERATE_MIXED_PRECISION" in os.environ and not torch.cuda.is_available():
        print(f"{step}: 1 process: on a CPU `accelerate launch` starts no more, `{several}` does")
    return state


def leave_group(failed: bool) -> None:
    """Shut the process group down, if one was joined: its threads can abort an interpreter that ends before them.

    failed: whether this process ends by an error. NCCL would then wait for the others, which torchrun ends.
    """
    distributed = sys.modules.get("torch.distributed")
    if not (distributed and distributed.is_available() and distributed.is_initialized()):
        return
    if not (failed and distributed.get_backend() == "nccl"):
        distributed.destroy_process_group()
