"""How every command ends: one line on a full disk or a poor console, and nothing lost that was there before."""

import io
import os
import pkgutil
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from conftest import ROOT, command, settings, step_here
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from training.__main__ import STEPS, main
from training.command import user_error
from training.outputs import whole_folder, write_text

WITHOUT_POSIX = """
import builtins, importlib, sys
found = builtins.__import__

def without(name, scope=None, *more, **named):
    if name in ("resource", "fcntl", "pwd", "grp", "termios") and (scope or {}).get("__name__", "").startswith(OURS):
        raise ModuleNotFoundError(name)
    return found(name, scope, *more, **named)

OURS = ("training", "model_card", "scripts")
builtins.__import__ = without
for name in sys.argv[1:]:
    importlib.import_module(name)
from training.run_record import peak_gib
assert peak_gib() > 0
"""


def contents(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def write_state(path: Path) -> None:
    torch.save({"exp_avg": torch.zeros(1000, 1000)}, path)


def write_weights(path: Path) -> None:
    save_file({"lora_A": torch.zeros(1000, 1000)}, path)


def write_tokenizer(path: Path) -> None:
    Tokenizer(models.WordLevel({str(number): number for number in range(5000)}, "0")).save(str(path))


def write_lines(path: Path) -> None:
    path.write_text("x" * 100_000, encoding="utf-8")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond some bytes, which fails as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", [write_state, write_weights, write_tokenizer, write_lines])
def test_a_full_disk_is_recognised_whatever_library_met_it(write, tmp_path):
    with files_of_at_most(10_000), pytest.raises(Exception, match=r"\w") as failed:
        write(tmp_path / "file")
    assert re.match(r"the disk is full \(.+\): free some space", str(user_error(failed.value)))


def test_what_fails_for_another_reason_is_not_called_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError) as failed:
        write_lines(tmp_path / "missing" / "file")
    assert "disk" not in str(user_error(failed.value))


def test_a_folder_that_cannot_be_filled_leaves_the_old_one_and_no_trace(tmp_path):
    folder = tmp_path / "adapter"
    write_text(folder / "weights", "old")

    def fill() -> None:
        with whole_folder(folder) as new:
            write_text(new / "weights", "new")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (folder / "weights").read_text(encoding="utf-8") == "old"
    with whole_folder(folder) as new:
        write_text(new / "weights", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (folder / "weights").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize(
    "file",
    [
        "trainer_state.json",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("adapter_model.safetensors", "optimizer.pt")),
    ],
)
def test_training_on_a_full_disk_ends_in_one_line_and_loses_nothing(small_out, file):
    run = small_out / "runs" / f"full-{file}"
    shutil.copytree(small_out / "runs" / "demo", run)
    before = contents(run)
    size = max(path.stat().st_size for path in run.glob(f"checkpoints/*/*/{file}"))
    words = settings(small_out, name=run.name)  # another run in the same folder
    with files_of_at_most(size - 1):
        full = step_here("train", "demo", *words)
    assert full.returncode == 1
    assert full.stderr.count("\n") == 1 and "the disk is full" in full.stderr and "free some space" in full.stderr
    kept = {digest for path, digest in before.items() if path.startswith(("adapter/", "checkpoints/", "run.json"))}
    assert kept <= set(contents(run).values())
    assert step_here("train", "demo", *words).returncode == 0


def test_preparing_on_a_full_disk_keeps_the_data_that_was_there(small_out):
    before = contents(small_out / "data")
    with files_of_at_most(50_000):
        full = step_here("prepare", "demo", *settings(small_out), "--force")
    assert full.returncode == 1
    assert full.stderr.count("\n") == 1 and "the disk is full" in full.stderr
    assert contents(small_out / "data") == before
    assert not list(small_out.glob(".data*"))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_without_a_character_fails_no_step(small_out, encoding):
    out = small_out / f"Łódź-{encoding}"
    out.mkdir()
    (out / "base").symlink_to(small_out / "base")
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with redirect_stdout(console):
        main(["prepare", "demo", *settings(out), "--force"])
    console.seek(0)
    assert r"\u0141" in console.read(), "the path, as far as the console has its characters"


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "training"),
        *(("-m", "training", name) for name in STEPS),
        *((f"scripts/{path.name}",) for path in sorted((ROOT / "scripts").glob("*.py")) if path.stem != "fitting"),
        ("space/app.py",),
    ],
    ids=lambda words: words[-1],
)
def test_every_command_prints_its_help_on_any_console_without_importing_torch(words):
    done = command("-X", "importtime", *words, "--help", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "usage: " in done.stdout, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    if Path(str(words[-1])).stem.partition("_")[0] not in ("fit", "measure"):  # developers' scripts import at the top
        assert not imported & {"torch", "transformers", "numpy", "gradio"}, "half a second and more"


def test_the_help_of_a_step_lists_configurations_and_keys(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    assert "medquad-smollm2" in shown and "learning_rate" in shown


@pytest.mark.slow
def test_no_module_needs_what_windows_lacks():
    names = [name for room in ("training", "model_card") for name in modules(room)]
    assert "training.run_record" in names and "training.release.hub" in names
    done = command("-c", WITHOUT_POSIX, *names, PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "scripts")]))
    assert done.returncode == 0, done.stderr


def modules(room: str) -> list[str]:
    found = pkgutil.walk_packages([str(ROOT / room)], f"{room}.")
    return [module.name for module in found if not module.name.endswith("__main__")]
