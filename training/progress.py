"""Callbacks of a training run: a line at each log, a stop on NaN, a checkpoint on a signal."""

import logging
import math
import signal
import time
from types import FrameType
from typing import Any

from accelerate.utils import gather_object
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

LOSSES = {"loss": "training", "eval_loss": "validation"}  # as the trainer logs them, and as we print them

# transformers warns when two checkpoints are less than a second apart; it orders them by step then, which is right.
logging.getLogger("transformers.trainer_utils").addFilter(lambda record: "mtime may not" not in record.getMessage())


def without_default_output(trainer: Trainer) -> Trainer:
    """The trainer without the dictionaries and bars that transformers prints."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


class ProgressLines(TrainerCallback):
    """Print step, losses and time left at each log; stop if a loss is not finite."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Raises FloatingPointError if a loss is NaN or infinite."""
        losses = {name: logs[key] for key, name in LOSSES.items() if logs and key in logs}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the {name} loss is {loss} at step {state.global_step}: no adapter is written; "
                    "try a lower learning_rate, or precision=fp32 or bf16 instead of fp16"
                )
        if losses and state.is_world_process_zero:
            done = state.global_step - self.first_step
            left = (time.monotonic() - self.started) / max(done, 1) * (state.max_steps - state.global_step)
            shown = "  ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
            print(f"  step {state.global_step:5}/{state.max_steps}  {shown}  ({left:.0f} s left)", flush=True)


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
