"""Checkpoints: kept unless --force is given, kept apart by configuration, and resumed only where they are whole."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import settings, step_here

from training.loop import CHECKSUMS, resume_point
from training.outputs import file_sha256, read_json

# What transformers must find to go on as if it had never stopped; a missing one it would pass over in silence.
NEEDED = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "optimizer.pt",
    "rng_state.pth",
    "scheduler.pt",
    "trainer_state.json",
)
KEPT = {"name": "kept", "evaluations": 4, "precision": "fp32"}  # in which every machine computes the same twice


@pytest.fixture(scope="module")
def finished(small_out) -> Path:
    """The folder of a finished run, whose two newest checkpoints stay."""
    result = step_here("train", "demo", *settings(small_out, **KEPT))
    assert result.returncode == 0, result.stderr
    return small_out / "runs" / "kept"


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def folder_of(run: Path) -> Path:
    """The folder of the checkpoints of a run under whose name nothing else was trained."""
    [folder] = (run / "checkpoints").iterdir()
    return folder


def checkpoints(run: Path) -> list[Path]:
    return sorted(folder_of(run).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def test_a_finished_run_keeps_its_two_newest_checkpoints_with_every_file(finished):
    steps = read_json(finished / "run.json", "")["steps"]
    assert len(checkpoints(finished)) == 2
    assert checkpoints(finished)[-1].name == f"checkpoint-{steps}"
    for checkpoint in checkpoints(finished):
        assert set(read_json(checkpoint / CHECKSUMS, "")) >= set(NEEDED)


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip_a_bit], ids=["missing", "truncated", "flipped"])
@pytest.mark.parametrize("name", [*NEEDED, CHECKSUMS])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(copy, capsys, name, damage):
    before, newest = checkpoints(copy)
    damage(newest / name)
    assert resume_point(folder_of(copy), force=False) == str(before)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"train: skipping {newest}: ")
    assert name == CHECKSUMS or name in first
    assert second.startswith("train: resuming from step")
    assert newest.exists(), "skipped, not removed"


def test_with_every_checkpoint_damaged_the_run_starts_anew_and_says_so(copy, capsys):
    for checkpoint in checkpoints(copy):
        (checkpoint / "optimizer.pt").unlink()
    assert resume_point(folder_of(copy), force=False) is None
    assert capsys.readouterr().out.count("damaged or missing: optimizer.pt") == 2
    assert len(checkpoints(copy)) == 2


def test_checkpoints_of_another_run_are_kept_and_named(copy, capsys):
    mine, newest = folder_of(copy), checkpoints(copy)[-1]
    other = mine.with_name("another")
    assert resume_point(other, force=False) is None
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("train: keeping the checkpoints of other configurations") and line.endswith(str(mine))
    other.mkdir()
    assert resume_point(mine, force=False) == str(newest)


def test_force_removes_the_checkpoints_of_this_run_alone(copy, capsys):
    mine = folder_of(copy)
    resume_point(mine.with_name("another"), force=True)
    assert checkpoints(copy)
    assert resume_point(mine, force=True) is None
    assert "--force removes the checkpoints" in capsys.readouterr().out
    assert not mine.exists()


def test_a_run_resumes_from_its_own_checkpoints_after_another_configuration_ran(small_out, finished):
    adapter, [first, second] = finished / "adapter" / "adapter_model.safetensors", checkpoints(finished)
    weights = file_sha256(adapter)
    other = step_here("train", "demo", *settings(small_out, **KEPT | {"lora_rank": 2, "epochs": 0.05}))
    assert other.returncode == 0 and "keeping the checkpoints of other configurations" in other.stdout, other.stderr
    assert file_sha256(adapter) != weights
    truncate(second / "optimizer.pt")
    again = step_here("train", "demo", *settings(small_out, **KEPT))
    assert again.returncode == 0, again.stderr
    assert f"skipping {second}" in again.stdout and f"resuming from step {first.name.split('-')[1]}" in again.stdout
    assert file_sha256(adapter) == weights
    shutil.rmtree(next(folder for folder in (finished / "checkpoints").iterdir() if folder != second.parent))


def test_a_run_that_was_stopped_after_its_last_step_takes_no_further_one(small_out, finished):
    adapter = finished / "adapter" / "adapter_model.safetensors"
    whole = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    (finished / "run.json").unlink()
    shutil.rmtree(finished / "adapter")
    again = step_here("train", "demo", *settings(small_out, **KEPT))
    assert again.returncode == 0, again.stderr
    assert f"resuming from step {whole['steps']}" in again.stdout
    assert file_sha256(adapter) == whole["adapter_sha256"]
    record = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    same = ("fingerprint", "steps", "losses", "golden_logits", "adapter_sha256")
    assert {key: record[key] for key in same} == {key: whole[key] for key in same}


def test_the_spelling_of_the_bases_path_does_not_matter(small_out, finished):
    before = [path.name for path in checkpoints(finished)]
    for base in (f"{small_out}/base/", f"{small_out}/../{small_out.name}/base"):
        again = step_here("train", "demo", *settings(small_out, **KEPT | {"base_model": base}))
        assert again.returncode == 0 and "is up to date" in again.stdout, again.stdout + again.stderr
    assert [path.name for path in checkpoints(finished)] == before
