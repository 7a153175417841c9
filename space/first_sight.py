"""What stands in the HTML itself: seen before gradio's megabyte of scripts has come, and where no script runs."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class FirstSight:
    """ASGI middleware that puts a few lines into the page as it is sent, and packs it, which gradio does not."""

    def __init__(self, app: ASGIApp, lines: str) -> None:
        self.app, self.page = app, GZipMiddleware(self.with_lines)
        self.lines = lines.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].rstrip("/")
        await (self.page if is_page else self.app)(scope, receive, send)

    async def with_lines(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}

        async def insert(message: Message) -> None:
            """The start waits for the body, whose length it names; gradio sends the page in one piece."""
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body = message["body"].replace(b"<gradio-app", self.lines + b"<gradio-app", 1)
            headers = [header for header in start["headers"] if header[0] != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            await send({**message, "body": body})

        await self.app(scope, receive, insert)
