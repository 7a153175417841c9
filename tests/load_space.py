"""Everybody at once: 50 visitors, a program that floods the queue, and a sender of 30 MB texts, against a local app.

The visitors come within 2.5 seconds; each asks for a notice and then for an answer. Bars: every notice within 1 s;
answers in the order in which they were asked for; the app's memory grows by less than 100 MiB. Prints the figures; ends
with exit code 1 if a bar is missed. Nothing else should run beside it.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
from space_app import ECHO, new_visitor, running_app

VISITORS = 50
EMERGENCY = "my dad has crushing chest pain and is sweating"
LARGE = b'{"data": ["' + b"x" * 30_000_000 + b'", null, null, null]}'
FLOODER, SENDER = "203.0.113.1", "203.0.113.2"
ARRIVAL_SECONDS = 2.5  # between the first visitor and the last
ANSWER_TOKENS = 32
SECONDS = 300  # the whole run, and any request
WARM_SECONDS = 3
NOTICE_SECONDS, GROWTH_MIB = 1.0, 100  # the bars
PLACES = 5  # two are written at a time, and the beginnings are noted by a client that reads fifty at a time
IN_TIME = f"every notice within {NOTICE_SECONDS} s"


@dataclass
class Figures:
    """What was measured. `order`: visitors as their answers began, numbered as they asked."""

    notices: list[float] = field(default_factory=list)  # seconds
    order: list[int] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)  # seconds
    flood: dict[int, int] = field(default_factory=dict)  # requests of the flooding program by status
    large: dict[int, int] = field(default_factory=dict)  # texts of 30 MB by status
    growth_mib: float = 0.0

    @property
    def displaced(self) -> int:
        """The most places by which an answer began before or after its turn."""
        return max((abs(place - number) for place, number in enumerate(self.order)), default=0)

    @property
    def missed(self) -> list[str]:
        bars = {
            IN_TIME: max(self.notices) <= NOTICE_SECONDS,
            "everybody is answered": len(self.order) == VISITORS,
            "answers begin in the order of the questions": self.displaced <= PLACES,
            "30 MB are refused": set(self.large) <= {413, 429} and bool(self.large),
            f"memory grows by less than {GROWTH_MIB} MiB": self.growth_mib < GROWTH_MIB,
        }
        return [bar for bar, met in bars.items() if not met]


async def call(web: httpx.AsyncClient, visitor: dict[str, str], text: str):
    """The job's number and then the lines of its answer."""
    route, data = "/gradio_api/call/chat_text", {"data": [text, None, ANSWER_TOKENS, None]}
    sent = await web.post(route, json=data, headers=visitor)
    sent.raise_for_status()
    yield sent.json()["event_id"]
    async with web.stream("GET", f"{route}/{sent.json()['event_id']}", headers=visitor) as lines:
        async for line in lines.aiter_lines():
            yield line


async def visit(web: httpx.AsyncClient, number: int, turn: list[asyncio.Event], figures: Figures) -> None:
    visitor = new_visitor()
    await asyncio.sleep(number * ARRIVAL_SECONDS / VISITORS)
    started = time.monotonic()
    said = [line async for line in call(web, visitor, EMERGENCY)]
    assert any("911" in line for line in said), said
    figures.notices.append(time.monotonic() - started)
    await turn[number].wait()  # they ask one after the other, so that there is an order
    started = time.monotonic()
    async for line in call(web, visitor, f"What is disease number {number}?"):
        turn[number + 1].set()
        if line.startswith("data:") and number not in figures.order and "Waiting" not in line and "null" not in line:
            figures.order.append(number)
    figures.answers.append(time.monotonic() - started)


def flood(address: str, said: Connection) -> None:
    """Post as fast as the server answers, read nothing, and claim to come from elsewhere each time."""
    data = {"data": ["What is gout?", None, ANSWER_TOKENS, None]}
    seen: dict[int, int] = {}
    with httpx.Client(base_url=address, timeout=SECONDS) as web:
        while not said.poll():
            headers = {"x-forwarded-for": f"{new_visitor()['x-forwarded-for']}, {FLOODER}"}
            status = web.post("/gradio_api/call/chat", json=data, headers=headers).status_code
            seen[status] = seen.get(status, 0) + 1
    said.send(seen)


def send_large(address: str, said: Connection) -> None:
    """Send texts of 30 MB, one after the other."""
    seen: dict[int, int] = {}
    headers = {"x-forwarded-for": SENDER, "content-type": "application/json"}
    while not said.poll():
        try:
            status = httpx.post(f"{address}/gradio_api/call/chat", content=LARGE, headers=headers).status_code
        except httpx.TransportError:  # the server hung up before it was all sent
            status = 413
        seen[status] = seen.get(status, 0) + 1
    said.send(seen)


@contextmanager
def beside(work: Callable[[str, Connection], None], address: str, seen: dict[int, int]) -> Iterator[None]:
    """Work in a process of its own meanwhile; `seen` is then filled with its requests by status."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(address, there), daemon=True)
    process.start()
    try:
        yield
        here.send("stop")
        seen.update(here.recv())
    finally:
        process.terminate()
        process.join()


async def visitors(address: str, figures: Figures) -> None:
    fresh = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # each a browser of its own
    async with (
        asyncio.timeout(SECONDS),
        httpx.AsyncClient(base_url=address, timeout=SECONDS, limits=fresh) as web,
    ):
        turn = [asyncio.Event() for _ in range(VISITORS + 1)]
        turn[0].set()
        await asyncio.gather(*(visit(web, number, turn, figures) for number in range(VISITORS)))


def memory_mib(folder: Path, what: str) -> float:
    """VmRSS: resident now; VmHWM: the most so far."""
    lines = Path(f"/proc/{(folder / 'app.pid').read_text(encoding='utf-8')}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in lines.splitlines() if line.startswith(what))


def measure() -> Figures:
    """Start the app over a small real model and load it."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "app"
        with running_app(folder, file=ECHO, SMALL_LLAMA="1") as address:
            httpx.get(address)
            before = memory_mib(folder, "VmRSS")
            with beside(flood, address, figures.flood), beside(send_large, address, figures.large):
                time.sleep(WARM_SECONDS)  # both have begun
                asyncio.run(visitors(address, figures))
            figures.growth_mib = memory_mib(folder, "VmHWM") - before
    return figures


def main() -> None:
    figures = measure()
    report = {
        "cores": os.cpu_count(),
        "notice_s": {"median": round(statistics.median(figures.notices), 2), "worst": round(max(figures.notices), 2)},
        "answer_s": {"median": round(statistics.median(figures.answers), 1), "worst": round(max(figures.answers), 1)},
        "displaced": figures.displaced,
        "flood": figures.flood,
        "refused_30_mb": figures.large,
        "growth_mib": round(figures.growth_mib),
        "missed": figures.missed,
    }
    print(json.dumps(report, indent=2))
    sys.exit(bool(figures.missed))


if __name__ == "__main__":
    main()
