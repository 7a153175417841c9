"""Answers of the local Hub that fail, for requests chosen by method, path and number."""

import asyncio
import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .storage import HubError

ANSWERS = {
    "401": HubError(401, "Invalid credentials in Authorization header"),
    "403": HubError(403, "Forbidden by a fault"),
    "404": HubError(404, "Repository not found", "RepoNotFound"),
    "412": HubError(412, "A commit has happened since. Please refresh and try again."),
    "429": HubError(429, "Too many requests"),
    "500": HubError(500, "Internal error"),
    "503": HubError(503, "Service unavailable"),
    "gated": HubError(403, "Access to this repository is restricted", "GatedRepo"),
}
ACTIONS = {
    **dict.fromkeys(ANSWERS, "answer with this error and do nothing"),
    "drop": "close the connection while the request's body is being sent, and do nothing",
    "lost": "do it, and close the connection without an answer",
    "half": "close the connection after half of the answer's body",
    "flip": "change one bit of the answer's body",
    "slow": "wait `seconds`, then answer",
    "hang": "never answer",
}


@dataclass(frozen=True)
class Fault:
    """A fault for `times` requests with this method and path, from the nth on."""

    action: str
    path: str = ""  # regex, searched in the path
    method: str = ""  # "" is any
    nth: int = 1
    times: int = 1
    seconds: float = 0  # waited by "slow"; Retry-After of "429"

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r} of a Fault must be one of {', '.join(ACTIONS)}")

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("", method) and bool(re.search(self.path, path))


def error_response(_: Request | None, error: HubError) -> Response:
    return JSONResponse({"error": error.message}, error.status, error.headers)


async def play(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request with a fault."""
    transport: asyncio.Transport = receive.__self__.transport  # uvicorn's: ASGI cannot cut a connection
    if fault.action in ANSWERS:
        await Request(scope, receive).body()
        response = error_response(None, ANSWERS[fault.action])
        if fault.action == "429":
            response.headers["Retry-After"] = f"{fault.seconds:.0f}"
        await response(scope, receive, send)
    elif fault.action == "drop":
        await receive()  # the first piece of the body: uvicorn reads at most 64 kB ahead
        transport.abort()
        await disconnected(receive)
    elif fault.action == "lost":
        await app(scope, receive, nowhere)
        transport.abort()
        await disconnected(receive)
    elif fault.action == "half":
        await app(scope, receive, first_half(send))
        transport.close()  # after flushing its buffer
        await disconnected(receive)
    elif fault.action == "hang":
        await disconnected(receive)
    elif fault.action == "slow":
        await asyncio.sleep(fault.seconds)
        await app(scope, receive, send)
    else:
        await app(scope, receive, flipped(send))


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def nowhere(message: Message) -> None:
    """A `send` that sends nothing."""


def first_half(send: Send) -> Send:
    left = 0  # bytes of the half still to send

    async def send_half(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            left = int(dict(message["headers"])[b"content-length"]) // 2
            await send(message)
        elif left:
            piece = message["body"][:left]
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    return send_half


def flipped(send: Send) -> Send:
    done = False

    async def send_flipped(message: Message) -> None:
        nonlocal done
        body = bytearray(message.get("body", b""))
        if body and not done:
            body[len(body) // 2] ^= 1
            done, message = True, message | {"body": bytes(body)}
        await send(message)

    return send_flipped
