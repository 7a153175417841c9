"""Around a training loop: its processes, a line at each log, a stop on NaN, checkpoints that resume only if intact.

transformers writes the files of a checkpoint one by one. Their checksums are written last: without them a checkpoint is
incomplete, and one that doesn't match them is damaged.
"""

import logging
import math
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from training.outputs import file_sha256, read_json, write_json

CHECKSUMS = "checksums.json"  # in a checkpoint: file name -> sha256
LOSSES = {"loss": "training", "eval_loss": "validation"}  # as the trainer logs them, and as we print them

# transformers warns when two checkpoints are less than a second apart; it orders them by step then, which is right.
logging.getLogger("transformers.trainer_utils").addFilter(lambda record: "mtime may not" not in record.getMessage())


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


class ProgressLines(TrainerCallback):
    """Print step, losses and time left at each log; stop if a loss is not finite."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Raises FloatingPointError if a loss is NaN or infinite."""
        losses = {name: given["logs"][key] for key, name in LOSSES.items() if key in given["logs"]}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the {name} loss is {loss} at step {state.global_step}: no adapter is written; "
                    "try a lower learning_rate, or precision=fp32 or bf16 instead of fp16"
                )
        if losses:
            done = state.global_step - self.first_step
            left = (time.monotonic() - self.started) / max(done, 1) * (state.max_steps - state.global_step)
            values = "  ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
            print(f"  step {state.global_step:5}/{state.max_steps}  {values}  ({left:.0f} s left)", flush=True)


class StopOnSignal(TrainerCallback):
    """On SIGTERM or Ctrl-C finish the step, save a checkpoint and stop; `received` is the signal's number.

    The signal reaches the ranks at different steps, so they compare notes after each one.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.before[number] = signal.signal(number, self._note)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.received = max(gather_object([self.received or 0])) or None
        if self.received:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


class WriteChecksums(TrainerCallback):
    """Write the checksums of a checkpoint once every rank has written its part."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir), f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            write_json(folder / CHECKSUMS, checksums(folder))


def resume_point(folder: Path, force: bool) -> str | None:
    """The newest intact checkpoint, None to start from scratch; prints what is kept, removed or skipped.

    folder: of this run's checkpoints, beside those of other configurations, data, bases and numbers of processes, which
    stay as they are. force: remove this run's checkpoints.
    """
    if not folder.exists() and (others := sorted(map(str, folder.parent.glob("*")))):
        print(f"train: keeping the checkpoints of other configurations, data or bases in {', '.join(others)}")
    if force and folder.exists():
        print(f"train: --force removes the checkpoints in {folder}")
        shutil.rmtree(folder)
    steps = {int(path.name.rpartition("-")[2]): path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")}
    for step in sorted(steps, reverse=True):
        if fault := damage(steps[step]):
            print(f"train: skipping {steps[step]}: {fault}")
        else:
            print(f"train: resuming from step {step}: configuration, data and base are the same")
            return str(steps[step])
    return None


def train_from(trainer: Trainer, checkpoint: str | None) -> None:
    """Train to the end. A checkpoint of the last step is only loaded: Trainer would train one step more."""
    if checkpoint:
        state = TrainerState.load_from_json(str(Path(checkpoint, "trainer_state.json")))
        if state.global_step >= state.max_steps:
            set_peft_model_state_dict(trainer.model, load_file(Path(checkpoint, "adapter_model.safetensors")))
            trainer.state = state
            return
    trainer.train(resume_from_checkpoint=checkpoint)


def checksums(checkpoint: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(checkpoint.iterdir()) if path.name != CHECKSUMS}


def damage(checkpoint: Path) -> str | None:
    """Why a checkpoint can't be resumed; None if every file is intact."""
    try:
        expected = read_json(checkpoint / CHECKSUMS, "")
    except (OSError, ValueError):
        return "it is incomplete"
    actual = checksums(checkpoint)
    wrong = [name for name in expected if actual.get(name) != expected[name]]
    return f"damaged or missing: {', '.join(wrong)}" if wrong else None
