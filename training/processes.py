"""Several processes, as torchrun or `accelerate launch` start them: accelerate joins them, the first one speaks."""

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
