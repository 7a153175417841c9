"""Helpers for tests of publishing: a run to publish, the command as users type it, and what the Hub then holds."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import huggingface_hub
import pytest
from conftest import ROOT, command
from huggingface_hub.utils._http import default_client_factory

from training.release import hub as client
from training.release.hub import connect

from .server import WRITE_TOKEN, LocalHub

TIMEOUT = 30  # seconds; tests of an answer that never comes set a short one
ACCEPT = ("--accept", "a test of sixty thousand parameters")  # which have learned next to nothing

# The smallest Space: its answer names the release that it serves, and holds the disclaimer.
APP = """
import json
from pathlib import Path

import gradio

release = json.loads(Path(__file__).with_name("release.json").read_text(encoding="utf-8"))


def chat(message, history):
    yield "Let me think"
    yield f"{release['version']} heard: {message} Disclaimer: Consult a healthcare professional for medical advice"


gradio.ChatInterface(chat, api_name="chat", cache_examples=False).launch()
"""
README = "---\ntitle: Chat\nemoji: 📘\nsdk: gradio\nsdk_version: 6.31.0\n---\n\n# Chat\n"


def releasable(small_out: Path, folder: Path) -> Path:
    """A copy of the small run, with the base and data beside it; returns the run's folder."""
    for name in ("data", "base", "runs/demo"):
        shutil.copytree(small_out / name, folder / name)
    return folder / "runs" / "demo"


def private_key(path: Path) -> Path:
    """A new key to sign releases with; needs the extra `signing`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    made = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(made.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return path


def space_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    return folder


def online(hub: LocalHub, home: Path, token: str = WRITE_TOKEN) -> dict[str, str]:
    """Environment of a process that may use the local Hub and no other."""
    return hub.environment(token) | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}


def publish(hub: LocalHub, home: Path, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
    return command("scripts/publish.py", *words, **(online(hub, home) | changes))


@contextmanager
def client_of(hub: LocalHub) -> Iterator[pytest.MonkeyPatch]:
    """Let this process use the local Hub, by LFS and with short waits: huggingface_hub read its settings at import.

    What a test changes of them must go through the patch given here: another one, undone later, would bring back the
    local Hub after its end.
    """
    constants = huggingface_hub.constants
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.endpoint)
        patch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.endpoint)  # of huggingface_hub's own functions
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)  # the suite runs with it
        patch.setattr(client, "WAITS", (0.01, 0.01))
        connect(TIMEOUT)
        yield patch
        huggingface_hub.set_client_factory(default_client_factory)


def publish_here(hub: LocalHub, home: Path, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """The command in this process, within `client_of`: saves the seconds in which another one imports torch."""
    spec = spec_from_file_location("publish", ROOT / "scripts" / "publish.py")
    module, said, errors = module_from_spec(spec), io.StringIO(), io.StringIO()
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(errors):
        patch.chdir(ROOT)
        for key, value in (online(hub, home) | changes).items():
            patch.setenv(key, value)
        try:
            code = module.main([str(word) for word in words])
        except SystemExit as end:  # argparse
            code = 1
            errors.write(f"{end.code}\n")
    connect(TIMEOUT)  # as client_of had it
    return subprocess.CompletedProcess(words, code, said.getvalue(), errors.getvalue())


def start_publish(hub: LocalHub, home: Path, *words: object) -> subprocess.Popen[str]:
    """Start the command, as the leader of a process group."""
    words = [sys.executable, "scripts/publish.py", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    return subprocess.Popen(words, cwd=ROOT, env=os.environ | online(hub, home), start_new_session=True, **pipes)


def titles(hub: LocalHub, repo: str, kind: str = "models") -> list[str]:
    """Titles of the commits of main, newest first, without the Hub's own first commit."""
    found = hub.repo(repo, kind)
    return [commit.title for commit in found.log()][:-1] if found.head else []


def folder_contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line that an error ends in; fails if there is a traceback or more than one such line."""
    lines = done.stderr.strip().split("\n")
    said = [line for line in lines if line.startswith(("error: ", "unfinished: ", "stopped: "))]
    assert "Traceback" not in done.stderr and len(said) == 1 and said[0] == lines[-1], done.stderr
    return said[0]


def pinned(hub: LocalHub, space: str) -> dict[str, str]:
    """The Space's release.json."""
    return json.loads(hub.repo(space, "spaces").contents()["release.json"])
