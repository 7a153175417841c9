"""Two processes train and score as one does: same losses, same answers, same scores, and one voice that writes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, command, settings, step_here
from torch.distributed.run import get_args_parser

from training.outputs import file_sha256, read_json, read_jsonl

pytestmark = pytest.mark.slow
# What differs by process: the noise of NEFTune and dropout is drawn in each. fp32, so that sums agree closely.
ALIKE = {"precision": "fp32", "neftune_alpha": 0, "lora_dropout": 0.0, "epochs": 0.3, "evaluations": 3}
ONE = ALIKE | {"name": "one", "batch_size": 4, "accumulation": 4}
# What a step does with its group, seen before its end and at the end of the interpreter
STEP = """
import atexit
import torch
from training.command import run
from training.loop import join

def say():
    print("in a group" if torch.distributed.is_initialized() else "in no group", flush=True)

def main():
    join("step")
    torch.distributed.barrier()  # or one may be gone before the other has connected to it
    say()
    atexit.register(say)

run(main)
"""
TWO = ALIKE | {"name": "two", "batch_size": 4, "accumulation": 2}


def launch(step: str, *words: str) -> list[str]:
    """The command line that starts two processes, as the README has it; standalone: on a port that is free."""
    assert get_args_parser().parse_args(["--standalone", "--nproc-per-node", "2", "x.py"]).nproc_per_node == "2"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return [*launcher, "-m", "training", step, "demo", *words]


@pytest.fixture(scope="module")
def one(small_out, small_run) -> Path:
    result = step_here("train", "demo", *settings(small_out, **ONE))
    assert result.returncode == 0, result.stderr
    return small_out / "runs" / "one"


def start_and_kill(folder: Path, words: list[str]) -> None:
    """Start a group that trains, and kill it once a checkpoint is whole."""
    process = subprocess.Popen(
        [sys.executable, *launch("train", *words)],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/*/checkpoint-*/checksums.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    group = psutil.Process(process.pid)
    for one in (*group.children(recursive=True), group):
        one.kill()
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def two(small_out, small_run) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run of two processes, and what it printed."""
    result = command(*launch("train", *settings(small_out, **TWO)), OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    return small_out / "runs" / "two", result


def test_the_losses_are_those_of_one_process_with_the_same_examples_a_step(one, two):
    alone, together = (read_json(folder / "run.json", "") for folder in (one, two[0]))
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert alone["steps"] == together["steps"] > 8
    for mine, theirs in zip(alone["losses"], together["losses"], strict=True):
        assert mine == pytest.approx(theirs, abs=2e-4)
    assert len({loss["loss"] for loss in alone["losses"] if "loss" in loss}) > 3, "a curve, not a line"


def test_only_the_first_process_speaks_and_writes(two):
    folder, result = two
    lines = result.stdout.splitlines()
    assert "train: 2 processes on cpu" in lines
    assert sorted(lines) == sorted(set(lines)), "no line twice"
    assert sum("adapter in" in line for line in lines) == 1
    names = {path.name for path in folder.iterdir()}
    assert names - {"base.json"} == {"adapter", "run.json", "loss.svg", "lengths.svg", "checkpoints"}, "nothing more"


def test_answers_and_scores_are_those_of_one_process(small_out, two):
    folder, _ = two
    words = [*settings(small_out, **TWO), "--limit", "15", "--set", "score_batch=4"]
    result = command(*launch("score", *words), OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "score: 2 processes on cpu" in lines
    assert [line.split("(")[0].split()[-1] for line in lines if "tuned answered" in line] == ["8/21", "16/21", "21/21"]
    assert len([line for line in lines if line.startswith("score:")]) == 3, "no line twice"
    found = [(folder / name).read_text(encoding="utf-8") for name in ("answers-test.jsonl", "scores-test.json")]
    assert len(read_jsonl(folder / "answers-test.jsonl", "")) == 21  # 6 of them beside the limit, about facts
    assert step_here("score", "demo", *words, "--force").returncode == 0
    again = [(folder / name).read_text(encoding="utf-8") for name in ("answers-test.jsonl", "scores-test.json")]
    assert found[0] == again[0]
    assert json.loads(found[1]) == json.loads(again[1])
    assert not list(folder.glob("*.partial*"))


def test_a_killed_group_goes_on_to_the_same_adapter(small_out, two):
    folder, words = small_out / "runs" / "killed", settings(small_out, **TWO | {"name": "killed"})
    start_and_kill(folder, words)
    result = command(*launch("train", *words), OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("resuming from step") == 1
    weights = [run / "adapter" / "adapter_model.safetensors" for run in (two[0], folder)]
    assert file_sha256(weights[0]) == file_sha256(weights[1])


def test_a_group_of_which_one_fails_ends_in_its_error_and_aborts_nothing(small_out, small_run):
    words = settings(small_out, **TWO | {"name": "nan", "learning_rate": 1e30})
    ended = command(*launch("train", *words), OMP_NUM_THREADS="1")
    assert ended.returncode == 1
    assert "error: the " in ended.stderr and "loss is" in ended.stderr
    assert "terminate called" not in ended.stderr and "SIGABRT" not in ended.stderr


def test_every_process_has_left_the_group_when_the_interpreter_ends(tmp_path):
    script = tmp_path / "step.py"
    script.write_text(STEP, encoding="utf-8")
    ended = command("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", script, OMP_NUM_THREADS="1")
    assert ended.returncode == 0, ended.stderr
    # the two write to one pipe: their lines may run together
    assert (ended.stdout.count("in a group"), ended.stdout.count("in no group")) == (2, 2)


def test_a_launcher_that_starts_fewer_than_asked_is_told(small_out, small_run):
    words = settings(small_out, name="alone", epochs=0.02)
    launcher = ("-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu")
    launched = command(*launcher, "-m", "training", "train", "demo", *words)
    assert launched.returncode == 0, launched.stderr
    assert "train: 1 process: on a CPU `accelerate launch` starts no more" in launched.stdout
    assert "torchrun --nproc_per_node N -m training train" in launched.stdout
