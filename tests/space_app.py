"""Start the Space for tests: as people do with an adapter, or with a model that repeats its question.

`python tests/space_app.py` is the latter: the real page, API, queue and rules over a stand-in that answers at a known
pace (ECHO_DELAY seconds a token) with the question it was asked, so that a crossed answer is seen. With SMALL_LLAMA=1
it is a real model instead, of random weights. RELEASE is what the page says it serves, as JSON.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from hub.spaces import answers, end, free_port

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "space"
sys.path.insert(0, str(SPACE))  # the folder's modules import each other by their plain names

QUESTION = "What are the symptoms of asthma?"
ECHO = Path(__file__)
SENTENCES = [f"This is sentence number {word}." for word in ("one", "two", "three", "four", "five", "six", "seven")]
BREAK = "break the model"  # in a question: the model fails with an error that quotes it
SLOWLY = "say it slowly"  # in a question: after its first words the answer goes on for minutes without any more
PAUSE = 0.1  # seconds between its empty tokens
WAITING = 24  # answers that may wait in the app of the tests: more than one address may send
MUTE = "mute in a chat"  # in a question: the model answers it alone, and says nothing where a history stands before it
HEADER, HEADER_END, TURN_END = "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"


@contextmanager
def running_app(
    folder: Path, *words: object, file: Path = SPACE / "app.py", port: int = 0, **environment: str
) -> Iterator[str]:
    """The address of an app that was started in an empty folder; its output goes to app.log there."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    own = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hub"),
        "GRADIO_TEMP_DIR": str(folder / "temporary"),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    kept = {key: value for key, value in os.environ.items() if key not in ("ADAPTER", "ADAPTER_REVISION", "HF_TOKEN")}
    with (folder / "app.log").open("w", encoding="utf-8") as log:
        app = subprocess.Popen(
            [sys.executable, file, *map(str, words)],
            cwd=folder, env=kept | own | environment, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    (folder / "app.pid").write_text(str(app.pid), encoding="utf-8")
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: app.poll() is not None or answers(address), 180, "the app starts")
        assert app.poll() is None, (folder / "app.log").read_text(encoding="utf-8")
        yield address
    finally:
        end(app)
        with suppress(ProcessLookupError):  # workers that ZeroGPU forked outlive an app that is terminated
            os.killpg(app.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and folder of an app whose model repeats the question: about 100 tokens of 10 ms."""
    folder = tmp_path_factory.mktemp("echo") / "app"
    with running_app(folder, file=ECHO, ECHO_DELAY="0.01") as address:
        yield address, folder


NUMBERS = count(1)


def new_visitor() -> dict[str, str]:
    """Headers of somebody who has not asked yet: the app takes the address from the proxy on its own machine."""
    n = next(NUMBERS)
    return {"x-forwarded-for": f"198.18.{n // 250}.{n % 250 + 1}"}


def connect(address: str, visitor: dict[str, str] | None = None) -> Client:
    return Client(address, verbose=False, analytics_enabled=False, headers=visitor or new_visitor())


class Job:
    """A question to `/chat` as a program sends it; its answer is read only if `read` is called."""

    def __init__(self, address: str, text: str, visitor: dict[str, str] | None = None, length: int = 512):
        self.host, self.visitor = address.removeprefix("http://"), visitor or new_visitor()
        self.sent = httpx.post(
            f"{address}/gradio_api/call/chat",
            json={"data": [text, None, length, None]},
            headers=self.visitor,
            timeout=60,
        )
        self.id = self.sent.json().get("event_id", "")

    def read(self) -> "Job":
        """Begin to read; what comes waits in the socket."""
        self.connection = http.client.HTTPConnection(self.host, timeout=120)
        self.connection.request("GET", f"/gradio_api/call/chat/{self.id}", headers=self.visitor)
        return self

    def until(self, words: str) -> str:
        """Wait until the stream has held the words; returns what it said so far."""
        self.response = getattr(self, "response", None) or self.connection.getresponse()
        self.seen = getattr(self, "seen", "")
        while words not in self.seen:
            line = self.response.readline().decode()
            assert line, f"the stream ended without {words!r}: {self.seen}"
            self.seen += line
        return self.seen

    def close(self) -> None:
        """Go away."""
        if response := getattr(self, "response", None):
            response.close()
        self.connection.close()


@contextmanager
def busy(address: str, jobs: int = 2, visitors: int = 1) -> Iterator[list[Job]]:
    """While so many jobs that take minutes run or wait, each of them read; of so many visitors in turn."""
    people = [new_visitor() for _ in range(visitors)]
    asked = []
    try:
        for n in range(jobs):
            asked.append(with_place(address, f"What is gout? {SLOWLY}", people[n % visitors]).read())
            if n < 2:
                asked[-1].until("You asked me this")
        yield asked
    finally:
        for job in asked:
            job.close()


def with_place(address: str, text: str, visitor: dict[str, str]) -> Job:
    """A job that waits or runs; for a moment none may, until the app sees that earlier readers have gone."""
    jobs: list[Job] = []
    wait_for(lambda: jobs.append(Job(address, text, visitor)) or jobs[-1].id, 60, "a place in the queue")
    return jobs[-1]


class Line:
    """A line to the app that can be cut: a port that hands bytes on in both directions."""

    def __init__(self, address: str):
        host, port = address.removeprefix("http://").split(":")
        self.server, self.port, self.open = (host, int(port)), free_port(), []
        self.address = f"http://127.0.0.1:{self.port}"
        self.mend()

    def mend(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones until the line is mended."""
        for each in (self.listener, *self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.open = []

    def accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection(self.server)
                self.open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=(source, target), daemon=True).start()

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def wait_for(ready, seconds: float, what: str) -> float:
    """Wait until it is so; returns the seconds that it took."""
    started = time.monotonic()
    while not ready():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - started


def small_tokenizer():
    from small_models import make_tokenizer

    return make_tokenizer("llama3")


def small_llama():
    """An Assistant over a real Llama of random weights, greedy: what was read decides an answer, and nothing else."""
    from dataclasses import replace

    from assistant import Assistant
    from contract import load_contract
    from small_models import random_model

    tokenizer = small_tokenizer()
    model = random_model("llama3", tokenizer).eval()
    contract = load_contract(ROOT / "training" / "contract.toml")
    greedy = replace(contract, decoding=replace(contract.decoding, top_p=1e-9))
    ends = frozenset([tokenizer.convert_tokens_to_ids(TURN_END)])
    return Assistant({"tuned": model, "base": model}, tokenizer, greedy, ends)


def echo_assistant(delay: float):
    """An Assistant whose models answer with the last question, the base with other words than the tuned one."""
    import torch
    from assistant import Assistant
    from contract import load_contract
    from transformers import LlamaConfig

    tokenizer = small_tokenizer()
    ids = tokenizer.convert_tokens_to_ids

    def last_question(read: list[int]) -> tuple[str, int]:
        """The question that a prompt ends in, and how many there are."""
        ends = [i for i, token in enumerate(read) if token == ids(TURN_END)]
        start = max(i for i, token in enumerate(read[: ends[-1]]) if token == ids(HEADER_END))
        return tokenizer.decode(read[start + 1 : ends[-1]]).strip(), len(ends) // 2

    class Echo:
        """Looks like a model to `write`; what it has read hangs on the cache, as in a real one."""

        config = LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, max_position_embeddings=4096)
        device = torch.device("cpu")

        def __init__(self, opening: str):
            self.opening = opening

        def num_parameters(self) -> int:
            return 1_000_000_000

        def __call__(self, piece, past_key_values, **_):
            cache = past_key_values
            cache.read = [*getattr(cache, "read", []), *piece[0].tolist()]
            if hasattr(cache, "script"):
                time.sleep(delay)
                cache.said += 1
            elif tokenizer.decode(cache.read[-40:]).endswith(f"assistant{HEADER_END}\n\n"):  # the prompt is whole
                question, turns = last_question(cache.read)
                cache.script, cache.said = self.script(question, turns), 0
            script, said = getattr(cache, "script", [0]), getattr(cache, "said", 0)
            token = script[min(said, len(script) - 1)]
            if token == tokenizer.pad_token_id:
                time.sleep(PAUSE)
            logits = torch.full((1, 1, len(tokenizer)), -1e4)
            logits[0, 0, token] = 1e4
            return type("Output", (), {"logits": logits})

        def script(self, question: str, turns: int) -> list[int]:
            if BREAK in question:
                raise ValueError(f"can't say {question}")
            if MUTE in question and turns > 1:
                return [ids(TURN_END)]
            text = " ".join([f"{self.opening} {question}", f"That was turn {turns}.", *SENTENCES])
            plain = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            if SLOWLY in question:
                return [*plain[:50], tokenizer.pad_token_id]
            return [*plain, ids(TURN_END)]

    models = {"tuned": Echo("You asked me this:"), "base": Echo("The base was asked this:")}
    contract = load_contract(ROOT / "training" / "contract.toml")
    return Assistant(models, tokenizer, contract, frozenset([ids(TURN_END)]))


def main() -> None:
    # Where there is no CUDA, `spaces` leaves torch alone only if it finds none; all else of ZeroGPU is as it is there:
    # the scheduler is asked, and each answer is written by a forked worker.
    sys.modules["torch"] = None
    import spaces  # noqa: F401

    del sys.modules["torch"]
    import fair_queue
    import serving
    from page import LAUNCH, build
    from release import Release
    from unlogged import keep_unlogged

    fair_queue.WAITING = WAITING
    delay = float(os.environ.get("ECHO_DELAY", "0"))
    serving.SERVED.assistant = small_llama() if "SMALL_LLAMA" in os.environ else echo_assistant(delay)
    serving.load_table()
    if "RELEASE" in os.environ:
        serving.SERVED.release = Release(**json.loads(os.environ["RELEASE"]))
    serving.SERVED.loaded.set()
    keep_unlogged()
    build().launch(**LAUNCH)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
