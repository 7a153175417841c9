"""What stands in the HTML itself: seen before gradio's megabyte of scripts has come, and where no script runs."""

import gzip

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gone as soon as gradio has drawn the page, which begins with the same lines.
STYLE = """<style>
#first { width: 100%; max-width: 54rem; margin: 0 auto; padding: 1rem; box-sizing: border-box; }
#first { font: 1rem/1.45 system-ui, sans-serif; }
#first .notice { padding: 0.75rem 1rem; border: 1px solid #64748b; border-left: 4px solid #0f766e; }
#first a { color: inherit; font-weight: 650; }
#first .notice p { margin: 0; }
body:has(gradio-app .top) #first { display: none; }
</style>"""
WAIT = "<p>The chat is loading. It needs JavaScript.</p>"


class FirstSight:
    """ASGI middleware that puts a few lines into the page as it is sent, and packs it, which gradio does not."""

    def __init__(self, app: ASGIApp, lines: str) -> None:
        self.app = app
        self.lines = f'<div id="first">{STYLE}{lines}{WAIT}</div>'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        packs = b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b"")
        start: Message = {}

        async def with_lines(message: Message) -> None:
            """The start waits for the body, whose length it names; gradio sends the page in one piece."""
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body = message["body"].replace(b"<gradio-app", self.lines + b"<gradio-app", 1)
            body = gzip.compress(body, 6) if packs else body
            headers = [header for header in start["headers"] if header[0] != b"content-length"]
            headers += [(b"content-length", str(len(body)).encode()), (b"vary", b"Accept-Encoding")]
            headers += [(b"content-encoding", b"gzip")] * packs
            await send({**start, "headers": headers})
            await send({**message, "body": body})

        await self.app(scope, receive, with_lines)
