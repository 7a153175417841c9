"""Checkpoints: separate for each configuration, and resumed only if every file is intact.

transformers writes the files of a checkpoint one by one. Their checksums are written last: without them a checkpoint is
incomplete, and one that doesn't match them is damaged.
"""

import shutil
from pathlib import Path
from typing import Any

from accelerate import PartialState
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from training.outputs import file_sha256, read_json, write_json

CHECKSUMS = "checksums.json"  # in a checkpoint: file name -> sha256


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
    if not (checkpoint / CHECKSUMS).exists():
        return "it is incomplete"
    try:
        expected, actual = read_json(checkpoint / CHECKSUMS, ""), checksums(checkpoint)
    except (OSError, ValueError):
        return f"its {CHECKSUMS} is damaged"
    wrong = [name for name in expected if actual.get(name) != expected[name]]
    return ", ".join(f"{name} {'damaged' if name in actual else 'missing'}" for name in wrong) or None
