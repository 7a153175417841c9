"""Errors of the Hub client and of the network settings as one line: what failed, which value caused it, the remedy."""

import json
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    OIDCError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

RETRIED = (408, 412, 425, 429, 500, 502, 503, 504)  # 412: another commit came between
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # in the order in which the client looks
SECRETS = (*TOKENS, "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
SETTINGS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


class Unfinished(OSError):
    """The Hub, the package index or the network failed: running the same command again may succeed."""


@contextmanager
def plain_errors(what: str, instead: str = "") -> Iterator[None]:
    """Turn errors of the client into Unfinished, PermissionError or ValueError of one line; bugs pass unchanged.

    instead: what can be done without the Hub.
    """
    try:
        yield
    except Exception as error:
        if clear := client_error(what, error, instead):
            raise clear from error
        raise


def client_error(what: str, error: BaseException, instead: str = "") -> OSError | ValueError | None:
    """An error of the client or the network as one of ours; None for any other.

    LFS failures arrive as RuntimeError, those of Xet as ConnectionError, an outage as LocalEntryNotFoundError; the
    HTTP error is their cause.
    """
    if isinstance(error, OIDCError):
        return PermissionError(f"{what}: no token by trusted publishing: {error}")
    if isinstance(error, httpx.LocalProtocolError | UnicodeEncodeError):  # the message may hold the token
        return ValueError(f"{what}: the request can't be sent, is the token whole? It is {token_in_use()[0]}")
    carriers = (httpx.HTTPError, LocalEntryNotFoundError, RuntimeError, ConnectionError, json.JSONDecodeError)
    known = (httpx.HTTPError, OfflineModeIsEnabled)
    cause = next((link for link in causes(error) if isinstance(link, known)), error)
    if isinstance(cause, HfHubHTTPError):
        refused = cause.response.status_code == 401 and not isinstance(cause, RepositoryNotFoundError)
        unsaid = refused and isinstance(error, FileNotFoundError)  # which doesn't say what token was used
        return status_error(what, cause, instead) if unsaid or isinstance(error, carriers) else None
    if passed_through_httpx(error) and (fault := settings_fault()):
        return ValueError(f"{what}: {fault}")
    if not isinstance(error, carriers):
        return None
    if isinstance(cause, OfflineModeIsEnabled):
        return Unfinished(f"{what}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it{instead}")
    if isinstance(cause, httpx.TimeoutException):
        return Unfinished(f"{what}: the Hub did not answer in time{instead}")
    if isinstance(cause, httpx.TransportError | ConnectionError | json.JSONDecodeError):
        reason = f"{type(cause).__name__}: {cause}"
        return Unfinished(f"{what}: the connection to the Hub broke ({reason}); check the network{instead}")
    return None


def status_error(what: str, error: HfHubHTTPError, instead: str) -> OSError | ValueError:
    """An HTTP error status in plain words, with what to do about it."""
    status = error.response.status_code
    reason = " ".join((error.server_message or error.response.reason_phrase or "no reason given").split())
    answered, (source, remedy) = f"{what}: the Hub answered {status} ({reason})", token_in_use()
    if isinstance(error, GatedRepoError):
        page = f"https://huggingface.co/{'datasets/' if error.repo_type == 'dataset' else ''}{error.repo_id}"
        return PermissionError(f"{what}: the repository is gated ({reason}); ask for access on {page}, then {remedy}")
    if status in RETRIED:
        return Unfinished(answered)
    if isinstance(error, RevisionNotFoundError):
        return ValueError(f"{what}: {error.repo_id} has no such branch, tag or commit")
    if isinstance(error, RepositoryNotFoundError) or status == 404:  # the Hub answers 401 if nobody is logged in
        return ValueError(f"{answered}; check the name, and that {source} may see it{instead}")
    if status in (401, 403):
        return PermissionError(f"{answered} to {source}; {remedy}")
    return ValueError(answered)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and the errors that caused it, newest first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def passed_through_httpx(error: BaseException) -> bool:
    """Whether the HTTP client raised the error or one that caused it, so that a network setting may be wrong."""
    frames = (frame for link in causes(error) for frame, _ in traceback.walk_tb(link.__traceback__))
    return any(frame.f_globals.get("__name__", "").startswith(httpx.__name__) for frame in frames)


def settings_fault() -> str | None:
    """The network setting that can't work, and its remedy; None if the HTTP client takes them all."""
    endpoint = os.environ.get("HF_ENDPOINT", "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        return f"HF_ENDPOINT={endpoint} lacks its scheme: write http://{endpoint} or https://{endpoint}, or unset it"
    try:
        httpx.Client().close()
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        without_password = partial(re.sub, r"^(\w+://)?.*@", r"\1")
        names = [name for name in os.environ if name.upper() in SETTINGS]
        values = ", ".join(f"{name}={without_password(os.environ[name])}" for name in names)
        told = "no URL" if isinstance(error, httpx.InvalidURL) else error  # which quotes what may be of the password
        return f"{values or 'the settings of the network'}: {told}; change or unset it"
    return None


def token_in_use() -> tuple[str, str]:
    """Where the client takes its token from, in words, and what to do if the Hub refuses it; never the token itself."""
    saved = Path(constants.HF_TOKEN_PATH)
    if resource := os.environ.get("HF_OIDC_RESOURCE"):
        source = f"the token by trusted publishing (HF_OIDC_RESOURCE={resource})"
        return source, "add this workflow to the repository's trusted publishers"
    if variable := next((name for name in TOKENS if os.environ.get(name, "").strip()), None):
        hidden = f", which hides the one saved in {saved}" if saved.is_file() else ""
        return f"the token in {variable}{hidden}", f"unset {variable}, or set it to a valid token that may do it"
    source = f"the token saved in {saved}" if saved.is_file() else "no token"
    return source, "log in with a valid token that may do it: `hf auth login`"


def redacted(text: str) -> str:
    """The text without any token that this process can know."""
    saved = Path(constants.HF_TOKEN_PATH)
    secrets = [os.environ.get(name, "") for name in SECRETS]
    secrets.append(saved.read_text(encoding="utf-8", errors="replace").strip() if saved.is_file() else "")
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "<token>").replace(repr(secret)[1:-1], "<token>")
    return re.sub(r"(?<=Bearer )[^\s'\"]+|\bhf_(?:jwt_)?[A-Za-z0-9]{20,}[\w.-]*", "<token>", text)
