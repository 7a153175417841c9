"""Checkpoints: separate for each configuration, and resumed only if every file is intact.

transformers writes the files of a checkpoint one by one. Their checksums are written last: without them a checkpoint is
incomplete, and one that doesn't match them is damaged.
"""

import shutil
from itertools import count
from pathlib import Path
from typing import Any

from accelerate import PartialState
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from training.outputs import file_sha256, read_json, up_to_date, write_json

FOLDER = "checkpoints"
MARK = "run.json"  # in the folder: the run that the checkpoints belong to
CHECKSUMS = "checksums.json"  # in a checkpoint: file name -> sha256


class WriteChecksums(TrainerCallback):
    """Write the checksums of a checkpoint once every rank has written its part."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir), f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
            write_json(folder / CHECKSUMS, checksums(folder))


def resume_point(run_dir: Path, key: str, force: bool) -> str | None:
    """The newest intact checkpoint of this run, None to start from scratch; prints what is moved or skipped.

    key: fingerprint of what the checkpoints depend on. force: remove this run's checkpoints.
    """
    folder = own_folder(run_dir, key)
    if force and folder.exists():
        print(f"train: --force removes the checkpoints in {folder}")
        shutil.rmtree(folder)
    write_json(folder / MARK, {"fingerprint": key})
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


def own_folder(run_dir: Path, key: str) -> Path:
    """The folder of this run's checkpoints; those of another run are moved aside, its own are moved back."""
    folder, own = run_dir / FOLDER, run_dir / f"{FOLDER}-{key[:8]}"
    if folder.exists() and not up_to_date(folder / MARK, key):
        aside = free_name(run_dir, recorded_key(folder))
        print(f"train: moving the checkpoints of another configuration, data, base or number of processes to {aside}")
        folder.rename(aside)
    if own.exists() and not folder.exists():
        print(f"train: moving back the checkpoints in {own}")
        own.rename(folder)
    return folder


def recorded_key(folder: Path) -> str:
    try:
        return str(read_json(folder / MARK, "")["fingerprint"])
    except (OSError, ValueError, KeyError):
        return "unknown"


def free_name(run_dir: Path, key: str) -> Path:
    """An unused name for the folder of another run's checkpoints."""
    names = (f"{FOLDER}-{key[:8]}" + (f"-{number}" if number else "") for number in count())
    return next(path for path in (run_dir / name for name in names) if not path.exists())


def checksums(checkpoint: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(checkpoint.iterdir()) if path.name != CHECKSUMS}


def damage(checkpoint: Path) -> str | None:
    """Why a checkpoint can't be resumed; None if every file is intact."""
    if not (checkpoint / CHECKSUMS).exists():
        return "it is incomplete"
    try:
        written, found = read_json(checkpoint / CHECKSUMS, ""), checksums(checkpoint)
    except (OSError, ValueError):
        return f"its {CHECKSUMS} is damaged"
    missing = [name for name in written if name not in found]
    changed = [name for name in written if name in found and found[name] != written[name]]
    faults = [f"{', '.join(names)} {state}" for names, state in ((missing, "missing"), (changed, "damaged")) if names]
    return ", ".join(faults) or None
