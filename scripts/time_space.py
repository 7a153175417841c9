"""Time the chat as a visitor meets it: the Space's app on a local bundle, asked through its API.

  start-up     seconds until the page answers, and until the first answer's first words (the model loads in between)
  first words  of later questions
  rules        CPU milliseconds of one message, over the labelled messages of tests/cases, and of 100,000 characters

Nothing else should run beside it.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from training.command import run
from training.outputs import write_json

if TYPE_CHECKING:
    from gradio_client import Client

ROOT = Path(__file__).parents[1]
CASES = ROOT / "tests" / "cases" / "told.jsonl"
QUESTIONS = ("What is asthma?", "What are the symptoms of gout?", "How is anaemia treated?", "What causes migraine?")
SECONDS = 180  # until the page must answer
LONG = 100_000  # characters


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="time_space.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="such as outputs/demo/runs/demo/bundle")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if not (options.bundle / "contract.toml").is_file():
        raise FileNotFoundError(f"{options.bundle} holds no contract.toml: name a bundle, which `make demo` makes")
    report = {"machine": machine(), "rules": rules(), **served(options.bundle.resolve())}
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def machine() -> dict[str, Any]:
    from training.run_record import git_state, processor

    return {"name": processor(), "cores": os.cpu_count(), "git": git_state()}


def rules() -> dict[str, float]:
    """CPU milliseconds of `screen`: half of the messages take less than the median, none more than the worst."""
    from space.safety import screen

    said = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    turns = [case.get("turns") or [case["text"]] for case in said]
    screen(["reads the rules"])
    taken = [milliseconds(lambda each=each: screen(each)) for each in turns]
    text = ("my head feels odd and i wonder why. " * LONG)[:LONG] + " My wife is unconscious"
    return {
        "messages": len(taken),
        "median_ms": round(statistics.median(taken), 2),
        "worst_ms": round(max(taken), 1),
        "long_ms": round(min(milliseconds(lambda: screen([text])) for _ in range(3)), 1),
    }


def milliseconds(work: Any) -> float:
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def served(bundle: Path) -> dict[str, float]:
    """Seconds of start-up and of first words."""
    from gradio_client import Client

    started = time.monotonic()
    with app(bundle) as address:
        page = time.monotonic() - started
        client = Client(address, verbose=False)
        first_words(client, QUESTIONS[0])
        loaded = time.monotonic() - started
        return {
            "page_s": round(page, 1),
            "first_answer_s": round(loaded, 1),
            "first_words_s": round(statistics.median(first_words(client, question) for question in QUESTIONS), 2),
        }


def first_words(client: "Client", question: str) -> float:
    """Seconds until the first part of the answer arrives."""
    start = time.monotonic()
    job = client.submit(question, api_name="/chat")
    while not any(job.outputs()):
        if job.done():
            job.result()
            raise RuntimeError(f"the app answered {question!r} with nothing")
        time.sleep(0.005)
    seconds = time.monotonic() - start
    job.result()
    return seconds


@contextmanager
def app(bundle: Path) -> Iterator[str]:
    """The address of the app, started on the bundle in an empty folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, ROOT / "space" / "app.py", "--adapter", bundle]
        own = os.environ | {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(words, cwd=folder, env=own, stdout=subprocess.DEVNULL)
        try:
            wait(address, process)
            yield address
        finally:
            process.terminate()
            process.wait()


def wait(address: str, process: subprocess.Popen) -> None:
    for _ in range(SECONDS * 20):
        if process.poll() is not None:
            raise RuntimeError(f"the app ended with exit code {process.returncode} before its page answered")
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise TimeoutError(f"the page did not answer within {SECONDS} s")


if __name__ == "__main__":
    run(main)
