"""Errors of the Hub client and of the network settings as one line: what failed, which value caused it, the remedy."""

import json
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.request import getproxies

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

from training.outputs import causes

RETRIED = (408, 412, 425, 429, 500, 502, 503, 504)  # 412: another commit came between
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # in the order in which the client looks
SECRETS = (*TOKENS, "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")


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
    if may_be_settings(error) and (fault := settings_fault()):
        return ValueError(f"{what}: {fault}")
    carriers = (httpx.HTTPError, LocalEntryNotFoundError, RuntimeError, ConnectionError, json.JSONDecodeError)
    known = (httpx.HTTPError, OfflineModeIsEnabled)
    cause = next((link for link in causes(error) if isinstance(link, known)), error)
    if isinstance(cause, HfHubHTTPError):
        refused = cause.response.status_code == 401 and not isinstance(cause, RepositoryNotFoundError)
        unsaid = refused and isinstance(error, FileNotFoundError)  # which doesn't say what token was used
        return status_error(what, cause) if unsaid or isinstance(error, carriers) else None
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


def status_error(what: str, error: HfHubHTTPError) -> OSError | ValueError:
    """An HTTP error status in plain words, with what to do about it."""
    status = error.response.status_code
    reason = " ".join((error.server_message or error.response.reason_phrase or "no reason given").split())
    if isinstance(error, GatedRepoError):
        return PermissionError(f"{what}: the repository is gated ({reason}); ask for access on its page first")
    if status in RETRIED:
        return Unfinished(f"{what}: the Hub answered {status} ({reason})")
    if status in (401, 403):
        source, remedy = token_in_use()
        return PermissionError(f"{what}: the Hub answered {status} ({reason}) to {source}; {remedy}")
    hint = "; check the name, and that the token may see it" if status == 404 else ""
    return ValueError(f"{what}: the Hub answered {status} ({reason}){hint}")


def repository_error(option: str, repo: str, revision: str, error: HfHubHTTPError) -> OSError:
    """Why the Hub doesn't give a base or a data set, and what to do; option: base_model or dataset."""
    what, page = ("data set", f"datasets/{repo}") if option == "dataset" else ("model", repo)
    if isinstance(error, GatedRepoError):
        return PermissionError(
            f"{repo} is gated: ask for access on https://huggingface.co/{page}, then log in with `hf auth "
            "login` or HF_TOKEN as the account that was granted it"
        )
    if isinstance(error, RevisionNotFoundError):
        setting = option.removesuffix("_model") + "_revision"
        return FileNotFoundError(f"{setting}={revision}: {repo} has no such branch, tag or commit")
    return FileNotFoundError(
        f"{option}={repo}: the Hub has no such {what} that this token may see, and there is no such path here; check "
        "the name"
    )


def may_be_settings(error: BaseException) -> bool:
    """Whether a wrong network setting may have caused the error: it came from HTTP, TLS or the choice of a proxy."""
    return any(
        isinstance(link, httpx.HTTPError | ssl.SSLError | ConnectionError)
        or (isinstance(link, FileNotFoundError) and link.errno and not link.filename)  # SSL_CERT_FILE, unnamed
        or (isinstance(link, ImportError) and "socksio" in str(link))
        or (isinstance(link, ValueError) and "proxy URL" in str(link))
        for link in causes(error)
    )


def settings_fault() -> str | None:
    """The first network setting that can't work, and its remedy: endpoint, certificates, proxies."""
    endpoint = os.environ.get("HF_ENDPOINT", "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        return f"HF_ENDPOINT={endpoint} lacks its scheme: write http://{endpoint} or https://{endpoint}, or unset it"
    certificates = os.environ.get("SSL_CERT_FILE", "")
    try:
        ssl.create_default_context(cafile=certificates or None)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or "not readable"
        return f"SSL_CERT_FILE={certificates}: {reason}; give a file of certificates in PEM form, or unset it"
    for kind, url in getproxies().items():
        scheme = url.partition("://")[0] if "://" in url else "http"
        socks = scheme in ("socks5", "socks5h")
        if kind == "no" or scheme in ("http", "https") or (socks and find_spec("socksio")):
            continue
        variable = next((name for name in (f"{kind.upper()}_PROXY", f"{kind}_proxy") if name in os.environ), kind)
        needed = "a SOCKS proxy needs `pip install socksio`" if socks else "a proxy begins with http:// or socks5://"
        return f"{variable}={re.sub(r'//[^/@]*@', '//', url)}: {needed}; change or unset {variable}"
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
