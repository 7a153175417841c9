"""Training on rented hardware: what the client would submit, and the same script run here as a job runs it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

SCRIPT = ROOT / "scripts" / "train_on_jobs.py"


def header() -> dict:
    """The script's PEP 723 header."""
    lines = re.search(r"^# /// script\n(.*?)^# ///$", SCRIPT.read_text(encoding="utf-8"), re.M | re.S)[1]
    return tomllib.loads("".join(f"{line[2:]}\n" for line in lines.splitlines()))


def job(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_client_takes_the_script_with_its_hardware_time_and_secret(tmp_path):
    done = subprocess.run(
        [Path(sys.executable).with_name("hf"), "jobs", "uv", "run", "--dry-run", "--volume", f"{ROOT}:/project",
         "--volume", f"{tmp_path}:/outputs:rw", SCRIPT, "r16", "--repo", "owner/Llama-x"],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_" + 34 * "x", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for expected in ("a10g-small (from script)", "4h (from script)", "HF_TOKEN=***", "Job not submitted"):
        assert expected in done.stdout
    assert "xxxx" not in done.stdout + done.stderr


def test_the_job_installs_the_projects_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    gradio = [pin for pin in project["optional-dependencies"]["space"] if pin.startswith("gradio==")]
    assert header()["dependencies"] == [*project["dependencies"], *gradio]
    assert header()["requires-python"] == project["requires-python"]


def test_a_folder_that_is_not_the_project_is_an_error_that_names_it(tmp_path):
    done = job("r16", "--project", tmp_path)
    assert done.returncode == 2
    assert f"--project {tmp_path} is not this project: mount a clone of it with --volume" in done.stderr


@pytest.mark.slow
def test_jobs_of_a_study_run_apart_and_are_assembled_afterwards(tmp_path):
    """The second job goes on in what the first one left in outputs, and the study reads the folders of both."""
    values = SMALL | {"out": "outputs/study", "base_model": "outputs/study/base"}
    values |= {"dataset": "training/data/sample.csv", "dataset_licence": "apache-2.0"}
    small = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    words = ("--tiny-base", "--study", "--limit", "6", "--project", ROOT, "--outputs", outputs)
    first = job("demo", *small, *words)
    assert first.returncode == 0, first.stderr
    assert "$ python -m training.score demo" in first.stdout
    second = job("medquad-tiny", *small, *words)
    assert second.returncode == 0, second.stderr
    assert "outputs/study/base is up to date" in second.stdout
    assert not list(outputs.rglob("scores-test.json"))
    table = subprocess.run(
        [sys.executable, "-m", "training.study", "demo", "medquad-tiny", *small, "--limit", "6", "--assemble"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert table.returncode == 0, table.stderr
    assert (outputs / "study" / "study.json").exists()
