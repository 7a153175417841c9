"""What one visitor may send: ASGI middleware in front of every route, before a body is parsed.

Gradio limits uploaded files only; texts of any size would be read, parsed and screened.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The longest chat that the contract allows is about 90,000 characters; 100,000 are still read for a notice, and
# characters may take six bytes.
MOST_BYTES = 512 * 1024
DISCARDED_BYTES = 4 * 1024 * 1024  # of a body that is announced as too large, so that a browser reads the refusal
READ_SECONDS = 30  # for one body: a sender that trickles it holds memory
AT_ONCE = 2  # answers written at the same time
WAITING = 64  # answers that may wait their turn
MOST_POSTS, WINDOW = 120, 4  # posts from one address in so many seconds; a click makes a handful
DEEP_LINK = "/gradio_api/deep_link"  # would write the chat to the disk

# Where the proxy of Hugging Face Spaces may be: uvicorn takes the right-most address in `X-Forwarded-For` outside of
# these for the visitor's. What visitors put in that header themselves stands further left.
PROXIES = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"

URGENT = "In an emergency call 911 (US, Canada), 999 (UK), 112 (EU) or your local number."
TOO_LARGE = f"This text, or the chat with it, is too long to be sent. Please shorten it, or press Clear. {URGENT}"
TOO_MANY = f"Too many requests come from your network at the moment. Please wait a few seconds. {URGENT}"


def client(host: str) -> str:
    """Whom a share is counted for: an IPv4 address, or the /64 network that an IPv6 subscriber has."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


def refused(status: int, words: str, hang_up: bool = False) -> JSONResponse:
    """A refusal; gradio's page shows `error`, its Python client `detail`. hang_up: read no more of the request."""
    return JSONResponse({"error": words, "detail": words}, status, {"connection": "close"} if hang_up else None)


class Limits:
    """Refuse what is too large, too often, or a file; hand on everything else with its body already read."""

    def __init__(self, app: ASGIApp, answer: Callable[..., JSONResponse] = refused) -> None:
        self.app, self.answer = app, answer
        self.posts, self.window = Counter[str](), 0.0  # by address, and when counting them began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, refusal = None, self.refusal(scope)
        if not refusal:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    body = await read(receive)
            except TimeoutError:
                refusal = self.answer(408, "The request took too long.")
        if body:
            await self.app(scope, replay(body, receive), send)
        else:
            await (refusal or self.answer(413, TOO_LARGE, hang_up=True))(scope, receive, send)

    def refusal(self, scope: Scope) -> JSONResponse | None:
        """The answer to a request that its first lines rule out."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return self.answer(413, TOO_LARGE, hang_up=not length.isdigit() or int(length) > DISCARDED_BYTES)
        if headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
            return self.answer(415, "This page takes no files.")
        if scope["path"].rstrip("/") == DEEP_LINK:
            return self.answer(404, "There are no links to a chat.")
        if scope["method"] == "POST" and self.too_many(client(scope["client"][0] if scope["client"] else "")):
            return self.answer(429, TOO_MANY)
        return None

    def too_many(self, who: str) -> bool:
        """Count a post; whether it is one too many."""
        if time.monotonic() - self.window > WINDOW:
            self.posts, self.window = Counter(), time.monotonic()
        self.posts[who] += 1
        return self.posts[who] > MOST_POSTS


async def read(receive: Receive) -> Message | None:
    """The whole body as one message, or None as soon as it is too large, whatever length was announced."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return message
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            return None
        more = message.get("more_body", False)
    return {"type": "http.request", "body": b"".join(parts), "more_body": False}


def replay(first: Message, receive: Receive) -> Receive:
    """A `receive` that gives one message that was already read, then what comes."""
    waiting = [first]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
