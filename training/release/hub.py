"""The Hub's client as a release uses it: a timeout everywhere, and retries after transient errors."""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from training.network import Unfinished, plain_errors, redacted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WAITS = (1.0, 4.0)  # seconds before the second and the third try

Answer = TypeVar("Answer")


def connect(timeout: float) -> "HfApi":
    """A client of the Hub that $HF_ENDPOINT names, that waits at most `timeout` seconds for any answer.

    TRAP: the timeout of a client factory does not hold for repo_info and listings, which pass timeout=None.
    """
    from huggingface_hub import HfApi, set_client_factory
    from huggingface_hub.utils import disable_progress_bars, httpx
    from huggingface_hub.utils._http import default_client_factory

    def limit(request: httpx.Request) -> None:
        request.extensions["timeout"] = httpx.Timeout(timeout, connect=min(timeout, 10)).as_dict()

    def client() -> httpx.Client:
        made = default_client_factory()
        made.event_hooks = {"request": [*made.event_hooks["request"], limit]}
        return made

    set_client_factory(client)
    logging.getLogger("huggingface_hub.utils._http").addFilter(told_shortly)
    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi()


def told_shortly(record: logging.LogRecord) -> bool:
    """Let the client's own retries be told without the query of an address, which may be a signature."""
    record.msg, record.args = "  " + redacted(re.sub(r"\?\S+", "", record.getMessage())), ()
    return True


def asked(what: str, call: Callable[[], Answer], waits: tuple[float, ...] | None = None) -> Answer:
    """The answer of a call that may be repeated, retried after transient errors.

    Raises Unfinished if it didn't pass, PermissionError or ValueError where a repetition can't help.
    """
    for wait in (*(WAITS if waits is None else waits), None):
        try:
            with plain_errors(what):
                return call()
        except Unfinished as error:
            if wait is None:
                raise
            print(f"  {redacted(str(error))}; trying again", flush=True)
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def write_to(repo: str, kind: str) -> None:
    """Under trusted publishing a token writes to one repository alone: from here on ask for that of this one."""
    if os.environ.get("HF_OIDC_RESOURCE"):
        os.environ["HF_OIDC_RESOURCE"] = f"spaces/{repo}" if kind == "space" else repo
