"""Gradio's queue with a share for each visitor, fair places, and nothing written that nobody reads.

A subclass, because gradio's own queue is first come, first served, and runs jobs whose answer nobody fetches.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal

from anyio.to_thread import run_sync
from gradio.queueing import Event, EventQueue, Queue
from limits import WAITING, client
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

MODEL = "model"  # the waiting line of all who want the model
NOTICES = "notices"  # fixed texts: no line
OF_SESSION, OF_CLIENT = 4, 16  # of them, from one tab or program, and from one network address
UNREAD_SECONDS = 10  # a job ends if nobody has begun to read it by then
FULL = "Too many people are asking at the moment. Please try again in a minute."
Pushed = tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]
SHARE_USED = "Too many questions from you, or from your network, are waiting already. Please wait for their answers."


class FairQueue(Queue):
    """The line for the model holds only jobs that somebody reads, in a fair order.

    screen: for each function of the API what reads a call's arguments before it waits; the result is in
    `request.state.turn` when the function runs. A turn with a fixed reply doesn't wait.
    """

    def __init__(self, screen: dict[Callable[..., Any], Callable[..., Any]], **arguments: Any) -> None:
        super().__init__(max_size=None, **arguments)
        self.ANALYTICS_MAX_EVENTS = 1
        self.screen = screen
        self.unread: list[Event] = []  # jobs that nobody reads yet
        self.readers: Counter[str] = Counter()  # open streams of a session or a job
        self.event_queue_per_concurrency_id[NOTICES] = EventQueue(NOTICES, None)

    @property
    def line(self) -> list[Event]:
        queue = self.event_queue_per_concurrency_id.get(MODEL)
        return queue.queue if queue else []

    async def push(self, body: Any, request: Request, username: str | None) -> Pushed:
        """Add a job as gradio does, then give it its place, or refuse it."""
        function = self.blocks.fns.get(body.fn_index)
        if function and function.fn in self.screen:
            body.data += [None] * (len(function.inputs) - len(body.data))  # gradio takes whole lists alone
            request.state.turn = await run_sync(self.screen[function.fn], *body.data)
        pushed = await super().push(body, request, username)
        # no `await` from here on, so that the job isn't started before it has its place
        event = self.event_ids_to_events.get(str(pushed[1])) if pushed[0] else None
        if event is None or event.concurrency_id != MODEL:
            return pushed
        self.line.remove(event)
        if getattr(getattr(request.state, "turn", None), "fixed", None):
            event.concurrency_id = NOTICES
            self.event_queue_per_concurrency_id[NOTICES].queue.append(event)
            return pushed
        for job in [job for job in self.unread if time.monotonic() - job.enqueue_time > UNREAD_SECONDS]:
            self.unread.remove(job)
            self.forget(job)
        if refusal := why_refused(event, [*self.line, *self.unread], self.running()):
            self.forget(event)
            return False, refusal, "queue_full"
        self.unread.append(event)
        if event.session_hash in self.readers:
            self.admit(event.session_hash)
        return pushed

    def compute_analytics_summary(self, records: list[Any]) -> dict[str, Any]:
        """None: gradio would make a table with pandas after each job, for a page that is switched off."""
        return {}

    def admit(self, reader: str) -> None:
        """Let the jobs of a session, or one job, wait in the line: somebody reads them."""
        read = [event for event in self.unread if reader in (event.session_hash, event._id)]
        if read:
            self.unread = [event for event in self.unread if event not in read]
            self.line[:] = fair_order([*self.line, *read], self.running())
            self.broadcast_estimations(MODEL)

    def leave(self, reader: str) -> None:
        """A stream has ended: gradio has ended its jobs, and those behind them have moved up."""
        self.readers -= Counter([reader])
        if MODEL in self.event_queue_per_concurrency_id:
            self.broadcast_estimations(MODEL)

    def running(self) -> list[Event]:
        return [event for job in self.active_jobs if job for event in job if event.concurrency_id == MODEL]

    def forget(self, event: Event) -> None:
        """What gradio holds of a job that won't run."""
        self.event_ids_to_events.pop(event._id, None)
        jobs = self.pending_event_ids_session.get(event.session_hash, set())
        jobs.discard(event._id)
        if not jobs:
            self.pending_event_ids_session.pop(event.session_hash, None)
            self.pending_messages_per_session.pop(event.session_hash, None)

    def place(self, session: str) -> tuple[int, int] | None:
        """A session's first place in the line, counted from 1, and how long the line is."""
        sessions = [event.session_hash for event in self.line]
        return (sessions.index(session) + 1, len(sessions)) if session in sessions else None


def sender(event: Event) -> str:
    """The client that a job came from."""
    return client(event.request.client.host if event.request.client else "")


def why_refused(event: Event, waiting: list[Event], running: list[Event]) -> str:
    """Why a job can't wait, or an empty string."""
    of_session = [other for other in (*waiting, *running) if other.session_hash == event.session_hash]
    of_client = [other for other in (*waiting, *running) if sender(other) == sender(event)]
    if len(of_session) >= OF_SESSION or len(of_client) >= OF_CLIENT:
        return SHARE_USED
    return FULL if len(waiting) >= WAITING else ""


def fair_order(waiting: Iterable[Event], running: Iterable[Event] = ()) -> list[Event]:
    """Every address's first job, then every address's second, …; jobs that run count as earlier ones.

    A session is the client's own claim, so it decides nothing.
    """
    counts, rounds = Counter(map(sender, running)), {}
    jobs = sorted(waiting, key=lambda job: job.enqueue_time)
    for job in jobs:
        counts[sender(job)] += 1
        rounds[job._id] = counts[sender(job)]
    return sorted(jobs, key=lambda job: rounds[job._id])


class Readers:
    """ASGI middleware that tells the queue whose answers are being read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader = session_or_job(scope)
        if not reader:
            await self.app(scope, receive, send)
            return
        queue = scope["app"].get_blocks()._queue
        queue.readers[reader] += 1
        queue.admit(reader)
        try:
            await self.app(scope, receive, send)
        finally:
            queue.leave(reader)


def session_or_job(scope: Scope) -> str:
    """Whose answers a request reads, or an empty string."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return ""
    request = Request(scope)
    if request.url.path == "/gradio_api/queue/data":
        return request.query_params.get("session_hash", "")
    place, _, job = request.url.path.rpartition("/")
    return job if place.startswith("/gradio_api/call/") else ""
