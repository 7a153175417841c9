"""What stands in the HTML itself: seen before gradio's megabyte of scripts has come, and where no script runs."""

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
    """ASGI middleware that puts a few lines into the page as it is sent."""

    def __init__(self, app: ASGIApp, lines: str) -> None:
        self.app = app
        self.lines = f'<div id="first">{STYLE}{lines}{WAIT}</div>'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message = {}

        async def with_lines(message: Message) -> None:
            """The start waits for the body, whose length it names."""
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start:
                headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
                await send({**start, "headers": headers})
                start = {}
            body = message.get("body", b"")
            await send({**message, "body": body.replace(b"<gradio-app", self.lines + b"<gradio-app", 1)})

        await self.app(scope, receive, with_lines)
