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

RETRIED = (408, 425, 429, 500, 502, 503, 504)
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # in the order in which the client looks
SECRETS = (*TOKENS, "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
PROXIES = ("http", "https", "socks5", "socks5h")


class Unfinished(OSError):
    """The Hub or the network failed, not the release: running the same command again resumes."""


class Offline(ConnectionRefusedError):
    """The client is in offline mode."""


class Unreachable(ConnectionError):
    """The Hub or the package index can't be reached; the message names the request and the remedy."""


class Refused(PermissionError):
    """The Hub refuses the request with this token."""


def explained(error: BaseException) -> OSError | ValueError | None:
    """The error that ended a command in plain words; None if its own message is clear, or it is a bug."""
    if isinstance(error, Refused | Offline | Unfinished):
        return None
    what = f"asking {constants.ENDPOINT}"
    for link in causes(error):  # one of our errors may wrap it, but doesn't say which token was used
        if isinstance(link, RepositoryNotFoundError) or not isinstance(link, HfHubHTTPError):
            continue
        if link.response.status_code == 401:
            return refused(what, link)
    return None if isinstance(error, Unreachable) else plain(what, error)


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turn errors of the client into Unfinished, PermissionError or ValueError of one line; bugs pass unchanged."""
    try:
        yield
    except Unfinished:
        raise
    except Exception as error:
        clear = plain(what, error)
        if clear is None:
            raise
        raise clear from error


def plain(what: str, error: BaseException) -> OSError | ValueError | None:
    """An error of the client or the network as one of ours; None for any other.

    LFS failures arrive as RuntimeError, those of Xet as ConnectionError, an outage as LocalEntryNotFoundError; the
    HTTP error is their cause.
    """
    if isinstance(error, OfflineModeIsEnabled):
        return Offline(f"{what}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it")
    if isinstance(error, OIDCError):
        return PermissionError(f"{what}: no token by trusted publishing: {error}")
    if isinstance(error, httpx.LocalProtocolError | UnicodeEncodeError):  # the message may hold the token
        return ValueError(f"{what}: the request can't be sent, is the token whole? It is {token_source()}")
    if met_settings(error) and (fault := settings_fault()):
        return ValueError(f"{what}: {fault}")
    wrapped = isinstance(error, httpx.HTTPError | LocalEntryNotFoundError | RuntimeError | ConnectionError)
    if not wrapped and not isinstance(error, json.JSONDecodeError):
        return None
    cause = next((link for link in causes(error) if isinstance(link, httpx.HTTPError)), error)
    if isinstance(cause, HfHubHTTPError):
        return refused(what, cause)
    if isinstance(cause, httpx.TimeoutException):
        return Unfinished(f"{what}: the Hub did not answer in time")
    if isinstance(cause, httpx.TransportError | ConnectionError | json.JSONDecodeError):
        reason = f"{type(cause).__name__}: {cause}"
        return Unfinished(f"{what}: the connection to the Hub broke ({reason}); check the network")
    return None


def refused(what: str, error: HfHubHTTPError) -> OSError | ValueError:
    """An HTTP error status in plain words, with what to do about it."""
    status = error.response.status_code
    said = " ".join((error.server_message or error.response.reason_phrase or "no reason given").split())
    if isinstance(error, GatedRepoError):
        return PermissionError(f"{what}: the repository is gated ({said}); ask for access on its page first")
    if status in RETRIED:
        return Unfinished(f"{what}: the Hub answered {status} ({said})")
    if status == 412:
        return Unfinished(f"{what}: the Hub answered 412, something else changed it at the same time ({said})")
    if status in (401, 403):
        return Refused(f"{what}: the Hub answered {status} ({said}) to {token_source()}; {token_remedy()}")
    hint = "; check the name, and that the token may see it" if status == 404 else ""
    return ValueError(f"{what}: the Hub answered {status} ({said}){hint}")


def unavailable(option: str, repo: str, revision: str, error: HfHubHTTPError) -> OSError:
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


def met_settings(error: BaseException) -> bool:
    """Whether a wrong network setting may have caused the error: it came from HTTP, TLS or the choice of a proxy."""
    return any(
        isinstance(link, httpx.HTTPError | ssl.SSLError | ConnectionError)
        or (
            isinstance(link, FileNotFoundError) and link.errno and not link.filename
        )  # SSL_CERT_FILE, which it doesn't name
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
    for name, url in getproxies().items():
        scheme = url.partition("://")[0] if "://" in url else "http"
        shown, names = re.sub(r"//[^/@]*@", "//", url), (f"{name.upper()}_PROXY", f"{name}_proxy")
        variable = next((one for one in names if one in os.environ), f"the system's proxy for {name}")
        if name != "no" and scheme not in PROXIES:
            return f"{variable}={shown}: a proxy begins with http://, https:// or socks5://; change or unset it"
        if name != "no" and scheme.startswith("socks") and find_spec("socksio") is None:
            return f"{variable}={shown} is a SOCKS proxy: `pip install socksio`, or unset {variable}"
    return None


def token_source() -> str:
    """Where the client takes its token from, in words; never the token itself."""
    saved = Path(constants.HF_TOKEN_PATH)
    if resource := os.environ.get("HF_OIDC_RESOURCE"):
        return f"the token by trusted publishing (HF_OIDC_RESOURCE={resource})"
    if variable := token_variable():
        hides = f", which hides the one saved in {saved}" if saved.is_file() else ""
        return f"the token in {variable}{hides}"
    return f"the token saved in {saved}" if saved.is_file() else "no token"


def token_remedy() -> str:
    if os.environ.get("HF_OIDC_RESOURCE"):
        return "add this workflow to the repository's trusted publishers"
    if variable := token_variable():
        return f"unset {variable}, or set it to a valid token that may do it"
    return "log in with a valid token that may do it: `hf auth login`"


def token_variable() -> str | None:
    return next((name for name in TOKENS if os.environ.get(name, "").strip()), None)


def redacted(text: str) -> str:
    """The text without any token that this process can know."""
    for secret in known_secrets():
        text = text.replace(secret, "<token>")
    return re.sub(r"(?<=Bearer )[^\s'\"]+|\bhf_(?:jwt_)?[A-Za-z0-9]{20,}[\w.-]*", "<token>", text)


def known_secrets() -> list[str]:
    """Tokens of the environment and the token file, raw and as repr() writes them."""
    path = Path(constants.HF_TOKEN_PATH)
    found = [os.environ.get(name, "") for name in SECRETS]
    found.append(path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else "")
    return [form for secret in found if len(secret) > 3 for form in (secret, repr(secret)[1:-1])]
