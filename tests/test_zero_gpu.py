"""ZeroGPU without a GPU: the installed `spaces` package asks a scheduler of ours and forks its workers on the CPU.

Quota, queue, worker errors and Stop so take the paths that they take there; CUDA and the packing of weights do not.
"""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest
from space_app import BREAK, ECHO, QUESTION, ROOT, SENTENCES, SLOWLY, running_app, wait_for

# isort: split
from gradio_client import Client
from history import TROUBLE

WORKER = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-none", "allowToken": "token"}
SENTINEL = "zzqxwombat"


class Scheduler(ThreadingHTTPServer):
    """What a Space asks for GPU time. `mode`: ok, quota, full, queue or timeout; `asked`: paths and their queries."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.mode, self.asked = "ok", []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def told(self, path: str) -> list[dict[str, str]]:
        return [query for asked, query in list(self.asked) if asked == path]


class Answer(BaseHTTPRequestHandler):
    server: Scheduler

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""

    def do_POST(self) -> None:
        url = urlparse(self.path)
        self.server.asked.append((url.path, {key: values[0] for key, values in parse_qs(url.query).items()}))
        status, kind, body = 200, "application/json", json.dumps(WORKER)
        if url.path == "/schedule":
            status, kind, body = {
                "ok": (200, kind, body),
                "quota": (429, kind, json.dumps({"left": 12, "wait": 2053})),
                "full": (503, kind, "{}"),
                "queue": (200, "text/event-stream", f"event: succeeded\ndata: {body}\n\n"),
                "timeout": (200, "text/event-stream", "event: failed\n\n"),
            }[self.server.mode]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The scheduler, a client that a visitor's browser could be, and the app's log."""
    scheduler = Scheduler()
    folder = tmp_path_factory.mktemp("zero") / "app"
    environment = {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{scheduler.server_port}",
        "ECHO_DELAY": "0.01",
        "SOURCES": str(ROOT / "training" / "data" / "sample.csv"),
        "OMP_NUM_THREADS": "1",  # a forked worker must not find OpenMP's threads gone
    }
    try:
        with running_app(folder, file=ECHO, **environment) as address:
            client = Client(address, verbose=False, analytics_enabled=False, headers={"x-ip-token": "someone"})
            yield scheduler, client, folder / "app.log"
    finally:
        scheduler.shutdown()
        scheduler.server_close()


@pytest.fixture
def scheduler(space):
    space[0].mode = "ok"
    space[0].asked.clear()
    yield space[0]
    space[0].mode = "ok"


@pytest.fixture
def client(space):
    return space[1]


def test_an_answer_is_written_by_a_worker_in_the_time_that_was_asked_for(scheduler, client, contract):
    said = client.predict(QUESTION, api_name="/chat_text")
    assert SENTENCES[-1] in said and said.endswith(contract.disclaimer)
    assert [query["durationSeconds"] for query in scheduler.told("/schedule")] == ["30"]
    client.predict(QUESTION, None, 32, api_name="/chat_text")
    client.predict(QUESTION, api_name="/compare")
    assert [query["durationSeconds"] for query in scheduler.told("/schedule")] == ["30", "16", "30"]
    wait_for(lambda: len(scheduler.told("/release")) == 3, 10, "each GPU is given back")
    assert {query["fail"] for query in scheduler.told("/release")} == {"false"}


def test_fixed_texts_use_no_gpu(scheduler, client):
    for text in ("", "a" * 3000, "my dad has crushing chest pain and is sweating", "i want to kill myself"):
        client.predict(text, api_name="/chat_text")
    assert scheduler.told("/schedule") == []


def test_a_used_up_quota_is_explained_with_the_time_left(scheduler, client, contract):
    scheduler.mode = "quota"
    for told in (client.predict(QUESTION, api_name="/chat"), client.predict(QUESTION, api_name="/compare")["base"]):
        said = told["text"]
        assert told["kind"] == "failed" and said.startswith(TROUBLE) and said.endswith(contract.disclaimer)
        assert "free time on the graphics processor is used up" in said and "again in 0:34:13 (hours" in said
        assert [page["title"] for page in told["sources"]] == ["Asthma: symptoms"], "there is a page to read instead"
    assert "911" in client.predict("my dad has crushing chest pain and is sweating", api_name="/chat_text")


def test_a_place_in_the_queue_ends_in_an_answer(scheduler, client):
    scheduler.mode = "queue"
    assert SENTENCES[-1] in client.predict(QUESTION, api_name="/chat_text")


@pytest.mark.parametrize("mode", ["timeout", "full"])
def test_no_gpu_at_all_is_explained(scheduler, client, contract, mode):
    scheduler.mode = mode
    said = client.predict(QUESTION, api_name="/chat_text")
    assert "All graphics processors are taken" in said and said.endswith(contract.disclaimer)


def test_a_worker_that_fails_is_explained_and_quotes_nobody(space, scheduler, client, contract):
    said = client.predict(f"What if I {BREAK} with {SENTINEL}?", api_name="/chat_text")
    assert "stopped in the middle" in said and said.endswith(contract.disclaimer)
    log = space[2].read_text(encoding="utf-8")
    assert "ValueError at space_app.py" in log and SENTINEL not in log
    assert SENTENCES[-1] in client.predict(QUESTION, api_name="/chat_text"), "the next one is answered"


def test_a_worker_that_dies_leaves_what_was_written_and_an_explanation(scheduler, client, contract):
    job = client.submit(f"{QUESTION} {SLOWLY}", api_name="/chat_text")
    wait_for(lambda: "You asked me this" in str(job.outputs()[-1:]), 60, "its first words")
    os.kill(int(scheduler.told("/allow")[-1]["pid"]), signal.SIGKILL)
    said = job.result(timeout=30)
    assert "You asked me this" in said and SENTENCES[-1] not in said
    assert "stopped in the middle" in said and said.endswith(contract.disclaimer)


def test_stop_gives_the_gpu_back_long_before_the_answer_would_have_ended(scheduler, client):
    """The one that is stopped began after another of its length, which is still being written."""
    jobs = []
    for _ in range(2):
        jobs.append(client.submit(f"What is gout? {SLOWLY}", api_name="/chat_text"))
        wait_for(lambda: "You asked me this" in str(jobs[-1].outputs()[-1:]), 120, "its first words")
    jobs[1].cancel()
    wait_for(lambda: scheduler.told("/release"), 60, "a GPU is given back")
    assert not jobs[0].done()
    jobs[0].cancel()
    wait_for(lambda: len(scheduler.told("/release")) == 2, 60, "the other one too")
