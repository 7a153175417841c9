"""Gradio's queue with a share for each visitor and fair places.

A subclass, because gradio's own queue is first come, first served.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal

from anyio.to_thread import run_sync
from gradio.queueing import Event, EventQueue, Queue
from limits import WAITING, client
from starlette.requests import Request

MODEL = "model"  # the waiting line of all who want the model
NOTICES = "notices"  # fixed texts: no line
OF_SESSION, OF_CLIENT = 4, 16  # jobs that wait or run, from one tab or program, and from one network address
FULL = "Too many people are asking at the moment. Please try again in a minute."
SHARE_USED = "Too many questions from you, or from your network, are waiting already. Please wait for their answers."
Pushed = tuple[bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]]


class FairQueue(Queue):
    """The line for the model is in a fair order, and nobody fills it alone.

    screen: for each function of the API what reads a call's arguments before it waits; the result is in
    `request.state.turn` when the function runs. A turn with a fixed reply doesn't wait.
    """

    def __init__(self, screen: dict[Callable[..., Any], Callable[..., Any]], **arguments: Any) -> None:
        super().__init__(max_size=None, **arguments)
        self.ANALYTICS_MAX_EVENTS = 1
        self.screen = screen
        self.event_queue_per_concurrency_id[NOTICES] = EventQueue(NOTICES, None)

    @property
    def line(self) -> list[Event]:
        queue = self.event_queue_per_concurrency_id.get(MODEL)
        return queue.queue if queue else []

    async def push(self, body: Any, request: Request, username: str | None) -> Pushed:
        """Refuse a job, or add it as gradio does and then give it its place."""
        function, fixed = self.blocks.fns.get(body.fn_index), None
        if function and function.fn in self.screen:
            body.data += [None] * (len(function.inputs) - len(body.data))  # gradio takes whole lists alone
            request.state.turn = await run_sync(self.screen[function.fn], *body.data)
            fixed = request.state.turn.fixed
        waits = function and function.concurrency_id == MODEL and not fixed
        if waits and (refusal := why_refused(body.session_hash or "", sender(request), self.line, self.running())):
            return False, refusal, "queue_full"
        pushed = await super().push(body, request, username)
        # no `await` from here on, so that the job isn't started before it has its place
        event = self.event_ids_to_events.get(str(pushed[1])) if pushed[0] else None
        if event and event.concurrency_id == MODEL and fixed:
            self.line.remove(event)
            event.concurrency_id = NOTICES
            self.event_queue_per_concurrency_id[NOTICES].queue.append(event)
        elif event:
            self.line[:] = fair_order(self.line, self.running())
        return pushed

    def running(self) -> list[Event]:
        return [event for job in self.active_jobs if job for event in job if event.concurrency_id == MODEL]

    def compute_analytics_summary(self, records: list[Any]) -> dict[str, Any]:
        """None: gradio would make a table with pandas after each job, for a page that is switched off."""
        return {}

    def place(self, session: str) -> tuple[int, int] | None:
        """A session's first place in the line, counted from 1, and how long the line is."""
        sessions = [event.session_hash for event in self.line]
        return (sessions.index(session) + 1, len(sessions)) if session in sessions else None


def sender(request: Request) -> str:
    """The client that a job came from."""
    return client(request.client.host if request.client else "")


def why_refused(session: str, address: str, waiting: list[Event], running: list[Event]) -> str:
    """Why another job of a session and an address can't wait, or an empty string."""
    sessions = [event.session_hash for event in (*waiting, *running)]
    addresses = [sender(event.request) for event in (*waiting, *running)]
    if sessions.count(session) >= OF_SESSION or addresses.count(address) >= OF_CLIENT:
        return SHARE_USED
    return FULL if len(waiting) >= WAITING else ""


def fair_order(waiting: Iterable[Event], running: Iterable[Event] = ()) -> list[Event]:
    """Every address's first job, then every address's second, …; jobs that run count as earlier ones.

    A session is the client's own claim, so it decides nothing.
    """
    counts, rounds = Counter(sender(event.request) for event in running), {}
    events = sorted(waiting, key=lambda event: event.enqueue_time)
    for event in events:
        counts[sender(event.request)] += 1
        rounds[event._id] = counts[sender(event.request)]
    return sorted(events, key=lambda event: rounds[event._id])
