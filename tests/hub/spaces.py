"""Run a Space of the local Hub as the real Hub does: check out what was pushed, start app.py, report its stage."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .server import LocalHub
from .storage import Repo


@contextmanager
def running_space(hub: LocalHub, space: str, folder: Path) -> Iterator[list[str]]:
    """Start each commit of the Space that has an app.py, from a checkout under `folder`; yields the commits started.

    The Space is BUILDING from a push until its app answers, and RUNTIME_ERROR if the app ends.
    """
    repo, stop, started = hub.repo(space, "spaces"), threading.Event(), []
    hub.set_space(space, ["BUILDING"])

    def watch() -> None:
        app = None
        while not stop.wait(0.1):
            head = repo.head
            if head and head not in started and "app.py" in repo.commits[head].files:
                end(app)
                started.append(head)
                app = start(hub, repo, folder / head[:10], stop)
        end(app)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield started
    finally:
        stop.set()
        thread.join()


def start(hub: LocalHub, repo: Repo, checkout: Path, stop: threading.Event) -> subprocess.Popen:
    """Check out main and start its app, until it answers or ends."""
    for path, content in repo.contents().items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_bytes(content)
    port = free_port()
    with (checkout / "app.log").open("w", encoding="utf-8") as log:
        app = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=checkout, env=environment(hub, checkout, port), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    host = f"http://127.0.0.1:{port}"
    while app.poll() is None and not stop.is_set() and not answers(host):
        time.sleep(0.1)
    if app.poll() is None:
        repo.space.host, repo.space.stages = host, ["RUNNING"]
    else:
        repo.space.error = (checkout / "app.log").read_text(encoding="utf-8").strip().split("\n")[-1]
        repo.space.stages = ["RUNTIME_ERROR"]
    return app


def environment(hub: LocalHub, checkout: Path, port: int) -> dict[str, str]:
    """As in a public Space: no token, an empty cache, the port given."""
    kept = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "HF_HUB_OFFLINE", "PYTHONPATH")}
    return kept | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(checkout / ".cache"),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(host: str) -> bool:
    try:
        with urllib.request.urlopen(f"{host}/config", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def end(app: subprocess.Popen | None) -> None:
    if app and app.poll() is None:
        app.terminate()
        app.wait(60)
