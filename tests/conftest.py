"""What many tests share: the contract, a small run of the whole pipeline, and the material beside a checkout."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read where huggingface_hub is imported

import importlib.util
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest
from huggingface_hub import constants
from small_models import make_model
from space_app import echo  # noqa: F401  one app for the tests of the Space that one process runs

from space.contract import Contract, load_contract
from training.__main__ import main
from training.command import run
from training.configs import CONTRACT
from training.model.load import load_tokenizer

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # the real data and tokenizer, where a developer keeps them

# Enough to run every step for real, and no more: a model of 35,000 random parameters, and 15 steps of training.
SMALL = {"epochs": 0.1, "evaluations": 2, "lora_rank": 4, "learning_rate": 5e-3, "answer_tokens": 32}
LONGEST = ("test_maintainer_path", "test_space_page", "test_publish", "test_export", "test_limits", "test_app")
# of huggingface_hub, which tests change for a Hub of their own
SETTINGS = ("ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_HUB_DISABLE_XET", "HF_TOKEN_PATH")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest begin first, so that no process waits for another at the end."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="module", autouse=True)
def leaves_the_next_file_what_it_found() -> Iterator[None]:
    """No file's tests may depend on those that the same process ran before: in parallel these are others each time."""
    found = process_state()
    yield
    assert process_state() == found


def process_state() -> dict[str, object]:
    return {name: getattr(constants, name) for name in SETTINGS} | {"folder": Path.cwd()}


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load_contract(CONTRACT)


@pytest.fixture(scope="session")
def real_tokenizer():
    """The real Llama 3 tokenizer; the test is skipped where it isn't at hand."""
    folder = SHARED / "llama3-tokenizer"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def real_medquad() -> Path:
    path = SHARED / "medquad" / "medDataset_processed.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def settings(out: Path, **changes: object) -> list[str]:
    """`--set` arguments of a small run in a folder of its own."""
    values = SMALL | {"out": out, "base_model": out / "base"} | changes
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def command(*words: object, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of ours as a user types it, in the project's root, without a network."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def step(name: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return command("-m", "training", name, *words, **environment)


def here(main: Callable[[], object], *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command does, in this process, without the seconds that another one takes to import torch."""
    code, said, errors = 0, io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(errors):
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["command", *map(str, words)])
        for key, value in environment.items():
            patch.setenv(key, value)
        try:
            run(main)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            errors.write(f"{end.code}\n" if isinstance(end.code, str) else "")
    if serving := sys.modules.get("serving"):  # what the terminal chat has loaded is gone for the next test
        serving.SERVED, sys.modules["sources"]._index = serving.Served(), None
    return subprocess.CompletedProcess(words, code, said.getvalue(), errors.getvalue())


def step_here(name: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return here(main, name, *words, **environment)


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def script_here(name: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return here(load_script(name).main, *words, **environment)


def processor_seconds() -> float:
    """Of all commands that have ended; unlike wall time it hardly depends on other work on the machine."""
    taken = os.times()
    return taken.children_user + taken.children_system


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """The result of each step, from data to bundle, on the embedded sample; "out" holds the folder."""
    out = tmp_path_factory.mktemp("small")
    make_model(out / "base", "llama3", licence="apache-2.0")  # Llama's needs texts that are not in every checkout
    results = {"out": out}
    for name, *words in (("prepare",), ("train",), ("score", "--limit", "12"), ("bundle",)):
        results[name] = step_here(name, "demo", *settings(out), *words)
    failed = [f"{name}: {result.stderr}" for name, result in results.items() if name != "out" and result.returncode]
    assert not failed, failed
    return results


@pytest.fixture(scope="session")
def small_out(small_run) -> Path:
    return small_run["out"]
