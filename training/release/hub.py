"""The Hub's client as a release uses it: a timeout everywhere, patience with what passes, errors of one line."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WAITS = (1.0, 4.0)  # seconds before the second and the third try
RETRIED = (408, 425, 429, 500, 502, 503, 504)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")

Answer = TypeVar("Answer")


class Unfinished(OSError):
    """The Hub or the network failed on the way, nothing is wrong with the release: the same command goes on."""


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
    """The answer of a call that may be repeated, tried again after trouble that passes.

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


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """What the client raises, as one of the errors that `asked` names; anything else is a bug and stays as it is."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled, OIDCError
    from huggingface_hub.utils import httpx

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ConnectionRefusedError(f"{what}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it") from error
    except OIDCError as error:
        raise PermissionError(f"{what}: no token by trusted publishing: {error}") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"{what}: the request can't be sent, is the token whole? ({error.reason})") from error
    except Unfinished:
        raise
    # LFS trouble comes as RuntimeError, Xet's as ConnectionError, an outage as LocalEntryNotFoundError with a cause
    except (httpx.HTTPError, LocalEntryNotFoundError, RuntimeError, ConnectionError, json.JSONDecodeError) as error:
        told = plain(what, cause_of(error))
        if told is error:
            raise
        raise told from error


def cause_of(error: BaseException) -> BaseException:
    """The error of HTTP that stands behind another one, or the error itself."""
    from huggingface_hub.utils import httpx

    found: BaseException | None = error
    while found is not None and not isinstance(found, httpx.HTTPError):
        found = found.__cause__
    return found or error


def plain(what: str, error: BaseException) -> BaseException:
    """One line that says what failed, how, and what to do."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx

    if isinstance(error, HfHubHTTPError):
        return refused(what, error)
    if isinstance(error, httpx.LocalProtocolError):
        return ValueError(f"{what}: the request can't be sent, is the token whole? ({error})")
    if isinstance(error, httpx.TimeoutException):
        return Unfinished(f"{what}: the Hub did not answer in time")
    if isinstance(error, (httpx.TransportError, json.JSONDecodeError)) or (
        isinstance(error, ConnectionError) and not isinstance(error, OfflineModeIsEnabled)
    ):
        return Unfinished(f"{what}: the connection to the Hub broke ({type(error).__name__})")
    return error


def refused(what: str, error: "Exception") -> Exception:
    """An answer other than success: who has to do what about it."""
    from huggingface_hub.errors import GatedRepoError

    status = error.response.status_code
    said = " ".join((error.server_message or error.response.reason_phrase or "no reason given").split())
    if isinstance(error, GatedRepoError):
        return PermissionError(f"{what}: the repository is gated ({said}); ask for access on its page first")
    if status in RETRIED:
        return Unfinished(f"{what}: the Hub answered {status} ({said})")
    if status == 412:
        return Unfinished(f"{what}: the Hub answered 412, something else changed it at the same time ({said})")
    if status in (401, 403):
        return PermissionError(f"{what}: the Hub answered {status} ({said}); log in with a token that may do it")
    hint = "; check the name, and that the token may see it" if status == 404 else ""
    return ValueError(f"{what}: the Hub answered {status} ({said}){hint}")


def redacted(text: str) -> str:
    """The text without any token that this process could know of."""
    for secret in known_secrets():
        text = text.replace(secret, "<token>")
    return re.sub(r"(?<=Bearer )[^\s'\"]+|\bhf_(?:jwt_)?[A-Za-z0-9]{20,}[\w.-]*", "<token>", text)


def known_secrets() -> list[str]:
    """Tokens in the environment and in the token file, as they stand there and as repr() writes them."""
    from huggingface_hub import constants

    path = Path(constants.HF_TOKEN_PATH)
    found = [os.environ.get(name, "") for name in SECRETS]
    found.append(path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else "")
    return [form for secret in found if len(secret) > 3 for form in (secret, repr(secret)[1:-1])]
