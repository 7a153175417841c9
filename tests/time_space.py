"""Time the chat as a visitor meets it: the Space's app on a local bundle, asked through its API.

  start-up     seconds until the page answers, and until the first answer's first words (the model loads in between)
  first words  of later questions
  rules        CPU milliseconds of one message, over the labelled messages of tests/cases, and of 100,000 characters

Nothing else should run beside it.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from gradio_client import Client
from space_app import running_app  # also finds the Space's modules by their plain names

from safety import screen  # isort: skip
from training.command import run
from training.outputs import write_json
from training.run_record import git_state, processor

MESSAGES = Path(__file__).with_name("cases") / "messages.parquet"
QUESTIONS = ("What is asthma?", "What are the symptoms of gout?", "How is anaemia treated?", "What causes migraine?")
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
    machine = {"name": processor(), "cores": os.cpu_count(), "git": git_state()}
    report = {"machine": machine, "rules": rules(), **served(options.bundle.resolve())}
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)


def rules() -> dict[str, float]:
    """CPU milliseconds of `screen`: half of the messages take less than the median, none more than the worst."""
    turns = [list(each) for each in pd.read_parquet(MESSAGES)["turns"][::10]]
    screen(["loads the classifier"])
    taken = [best_of(2, lambda each=each: screen(each)) for each in turns]
    text = ("my head feels odd and i wonder why. " * LONG)[:LONG] + " My wife is unconscious"
    return {
        "messages": len(taken),
        "median_ms": round(statistics.median(taken), 2),
        "worst_ms": round(max(taken), 1),
        "long_ms": round(best_of(3, lambda: screen([text])), 1),
    }


def best_of(times: int, work: Callable[[], Any]) -> float:
    """CPU milliseconds; the least, since the others hold what the interpreter does beside it."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    return min(taken)


def served(bundle: Path) -> dict[str, float]:
    """Seconds of start-up and of first words."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder), "--adapter", bundle) as address:
        page = time.monotonic() - started
        client = Client(address, verbose=False)
        first_words(client, QUESTIONS[0])
        loaded = time.monotonic() - started
        return {
            "page_s": round(page, 1),
            "first_answer_s": round(loaded, 1),
            "first_words_s": round(statistics.median(first_words(client, question) for question in QUESTIONS), 2),
        }


def first_words(client: Client, question: str) -> float:
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


if __name__ == "__main__":
    run(main)
