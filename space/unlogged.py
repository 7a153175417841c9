"""Nothing that is typed in the server's output: errors and warnings are told by kind and place, not in their words."""

import logging
import traceback
from collections.abc import Iterator
from typing import Any

# Loggers of what handles requests; "py" is that of warnings, and mcp writes to "root". Their words may quote a request,
# as pydantic's do.
HANDLERS = ("anyio", "asyncio", "concurrent", "gradio", "mcp", "py", "root", "sse_starlette", "starlette", "uvicorn")


def keep_unlogged() -> None:
    """From now on, in this process: gradio, uvicorn and asyncio print the traceback of whatever a request breaks."""
    traceback.TracebackException.format_exception_only = kind_alone  # type: ignore[method-assign, assignment]
    make = logging.getLogRecordFactory()

    def record(*given: Any, **named: Any) -> logging.LogRecord:
        made = make(*given, **named)
        if made.name.partition(".")[0] in HANDLERS:
            made.msg, made.args = f"{made.levelname} of {made.name} at {made.filename}:{made.lineno}", ()
        return made

    logging.setLogRecordFactory(record)
    logging.captureWarnings(True)


def kind_alone(error: traceback.TracebackException) -> Iterator[str]:
    """The last line of a traceback, without the error's words."""
    kind = error.exc_type
    yield f"{kind.__module__}.{kind.__qualname__}, whose words may quote what was typed\n" if kind else "no error\n"
