"""Training on rented hardware: the client accepts the script, and it runs the steps in their order."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, command, load_script, settings
from small_models import make_model

from training.configs import STUDY
from training.outputs import read_json

SCRIPT = "scripts/train_on_jobs.py"
CODE = "https://github.com/owner/code@0123abc"


def planned(*words: str) -> dict[str, str]:
    """The steps' commands by their names."""
    job = load_script("train_on_jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train_on_jobs.py", *words])
        return {name: shlex.join(step) for name, step in job.commands(job.parse()).items()}


@pytest.mark.parametrize("config", [config.name for config in STUDY])
def test_the_client_accepts_a_job_for_each_configuration_of_the_study(config):
    words = ["--dry-run", "-v", "hf://buckets/owner/runs:/runs", SCRIPT, config, "--code", CODE, "--study"]
    result = subprocess.run(
        [Path(sys.executable).with_name("hf"), "jobs", "uv", "run", *words, "--keep", "/runs"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "HF_TOKEN"} | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = " ".join(result.stdout.split())
    assert f"args {config} --code {CODE} --study --keep /runs" in told
    assert "timeout 8h (from script)" in told, "the client's own 30 minutes would end it in the middle"
    assert "flavor a10g-small (from script)" in told
    assert "HF_TOKEN=" in told, "the secret travels by its name"
    assert "Job not submitted" in told


def test_a_push_is_checked_before_anything_is_paid_for():
    steps = planned(
        "r16", "--code", CODE, "--repo", "owner/Llama-x", "--push", "--publish", "--space owner/s --private"
    )
    assert list(steps) == ["preflight", "prepare", "train", "score", "publish"]
    assert "outputs/job/runs/r16 --space owner/s --private --preflight --set out=" in steps["preflight"]
    assert steps["publish"].endswith("--space owner/s --private --push")
    assert "outputs/job/runs/r16" in steps["publish"]
    plan = planned("r16", "--code", CODE, "--repo", "owner/Llama-x", "--set", "name=other")
    assert "--push" not in " ".join(plan.values())
    assert plan["publish"].endswith("outputs/job/runs/other")
    named = planned(
        "r16", "--code", CODE, "--repo", "owner/x", "--push", "--set", "name=other", "--set", "base_model=o/b"
    )
    assert "outputs/job/runs/r16 --preflight" in named["preflight"], "a configuration's name"
    assert named["preflight"].endswith("--set name=other --set base_model=o/b"), "of the base that is trained on"


def test_a_study_meets_validation_alone():
    steps = planned("r8", "--code", CODE, "--study", "--limit", "300")
    assert list(steps) == ["prepare", "train", "score"]
    assert steps["score"].endswith("--split validation --limit 300")


def test_tasks_of_lm_eval_are_asked_before_publishing():
    steps = planned("r16", "--code", CODE, "--repo", "owner/Llama-x", "--benchmark", "500")
    assert list(steps) == ["prepare", "train", "score", "benchmark", "publish"]
    assert steps["benchmark"].startswith("-m training benchmark r16") and steps["benchmark"].endswith("--limit 500")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["r16", "--push"], "--push needs --repo"),
        (["r16", "--study", "--repo", "o/n"], "--study publishes nothing"),
        (["r16", "--code", "https://github.com/owner/code"], "give URL@COMMIT"),
    ],
)
def test_what_can_not_work_is_said_in_one_line(words, says):
    result = command(SCRIPT, *words)
    assert result.returncode
    assert says in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_one_command_runs_every_step_up_to_the_plan_and_keeps_the_run(tmp_path):
    out, kept = tmp_path / "out", tmp_path / "kept"
    make_model(out / "base", "chatml")
    words = ["demo", "--out", out, "--limit", "8", "--keep", kept, *settings(out)]
    result = command(SCRIPT, *words, "--repo", "owner/small", "--publish", "--base-repo owner/small-base")
    names = [line.split(":")[0] for line in result.stdout.splitlines() if line.startswith("== ")]
    assert names == ["== prepare", "== train", "== score", "== publish"], result.stderr
    assert read_json(kept / "runs" / "demo" / "run.json", "")["steps"] > 0
    assert read_json(kept / "runs" / "demo" / "scores-test.json", "")["n"] == 8
    assert (kept / "data" / "data.json").exists()
    assert not list(kept.rglob("checkpoints"))
    assert "owner/small" in result.stdout + result.stderr
