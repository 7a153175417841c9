"""What the tests of publishing share: a run to publish, the command as a user types it, and what the Hub then holds."""

import json
import shutil
import subprocess
import sys
from os import environ
from pathlib import Path

from conftest import ROOT, command
from hub import WRITE_TOKEN, LocalHub
from hub_storage import Repo

OWNER = "maintainer"
ACCEPT = ("--accept", "a test of sixty thousand parameters")  # which has learned next to nothing

# A Space as small as one can be: it says which release it serves, and the disclaimer.
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


def space_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    return folder


def online(hub: LocalHub, home: Path, token: str = WRITE_TOKEN) -> dict[str, str]:
    """Environment of a process that may ask the local Hub and nothing else."""
    return hub.environment(token) | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}


def publish(hub: LocalHub, home: Path, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
    return command("scripts/publish.py", *words, **(online(hub, home) | changes))


def start_publish(hub: LocalHub, home: Path, *words: object) -> subprocess.Popen[str]:
    """The command, not waited for, as the leader of a process group of its own."""
    words = [sys.executable, "scripts/publish.py", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    return subprocess.Popen(words, cwd=ROOT, env=environ | online(hub, home), start_new_session=True, **pipes)


def titles(hub: LocalHub, repo: str, kind: str = "models") -> list[str]:
    """Titles of the commits of main, newest first, but for the Hub's own first one."""
    return [commit["title"] for commit in Repo(hub.root, kind, repo).log("main")][:-1]


def tags(hub: LocalHub, repo: str) -> dict[str, str]:
    store = Repo(hub.root, "models", repo)
    return store.settings()["tags"] if store.exists() else {}


def contents(hub: LocalHub, repo: str, revision: str = "main", kind: str = "models") -> dict[str, bytes]:
    """Path -> content of a commit's files, but for the Hub's own .gitattributes."""
    store = Repo(hub.root, kind, repo)
    files = store.files(revision)
    return {path: store.blob(file.oid).read_bytes() for path, file in files.items() if path != ".gitattributes"}


def folder_contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that an error ends in; fails where there is a traceback or more than one such line."""
    lines = done.stderr.strip().split("\n")
    said = [line for line in lines if line.startswith(("error: ", "unfinished: "))]
    assert "Traceback" not in done.stderr and len(said) == 1 and said[0] == lines[-1], done.stderr
    return said[0]


def pinned(hub: LocalHub, space: str) -> dict[str, str]:
    """What the Space's release.json says."""
    return json.loads(contents(hub, space, kind="spaces")["release.json"])
