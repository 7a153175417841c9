"""The Hub as a release uses it: a client with a timeout, retries, and repositories that are made to equal a folder.

Every function may be repeated after an interruption: each looks at what the Hub holds before it writes.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import disable_progress_bars

from space.timeouts import wait_at_most
from training.network import Unfinished, plain_errors, redacted

WAITS = (1.0, 4.0)  # seconds before the second and the third try
KEPT = (".gitattributes",)  # created by the Hub, never pushed or deleted

Answer = TypeVar("Answer")


class GivenUp(Unfinished):
    """Another try at once won't help: all tries failed, or somebody must look first."""


# The client


def connect(timeout: float) -> HfApi:
    """A client of $HF_ENDPOINT that waits at most `timeout` seconds for any answer."""
    wait_at_most(timeout)
    logging.getLogger("huggingface_hub.utils._http").addFilter(hide_query)
    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi()


def hide_query(record: logging.LogRecord) -> bool:
    """Cut the query off the URLs in the client's retry messages: it may be a signature."""
    record.msg, record.args = "  " + redacted(re.sub(r"\?\S+", "", record.getMessage())), ()
    return True


def retry(what: str, call: Callable[[], Answer], waits: tuple[float, ...] = ()) -> Answer:
    """Make a call, and make it again after transient errors. waits: seconds before each other try, if not WAITS.

    Raises GivenUp if every try failed, PermissionError or ValueError if another try can't help.
    """
    for wait in (*(waits or WAITS), None):
        try:
            with plain_errors(what):
                return call()
        except Unfinished as error:
            if wait is None or isinstance(error, GivenUp) or constants.HF_HUB_OFFLINE:
                raise GivenUp(str(error)) from error
            print(f"  {redacted(str(error))}; trying again", flush=True)
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def use_token_for(repo: str, kind: str) -> None:
    """Under trusted publishing, whose tokens write to one repository each: request the one for this repository."""
    if os.environ.get("HF_OIDC_RESOURCE"):
        os.environ["HF_OIDC_RESOURCE"] = f"spaces/{repo}" if kind == "space" else repo


# Reading


@dataclass(frozen=True)
class Remote:
    """A repository as the Hub holds it."""

    repo: str
    kind: str = "model"  # or space, or dataset
    head: str = ""  # commit of main; empty if the repository doesn't exist, or this token may not see it
    private: bool = False
    tags: dict[str, str] = field(default_factory=dict)  # name -> commit


def look_up(api: HfApi, repo: str, kind: str = "model") -> Remote:
    """The repository as it is now."""

    def call() -> Remote:
        try:
            info = api.repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError as error:
            if isinstance(error, GatedRepoError):  # a subclass, although the repository exists
                raise
            return Remote(repo, kind)
        tags = api.list_repo_refs(repo, repo_type=kind).tags
        return Remote(repo, kind, info.sha or "", bool(info.private), {tag.name: tag.target_commit for tag in tags})

    return retry(f"reading {repo}", call)


def list_files(api: HfApi, remote: Remote, commit: str = "") -> dict[str, str]:
    """Path -> checksum of the files of a commit (default: of main): sha256 for LFS files, git's sha1 for others."""
    revision = commit or remote.head
    if not revision:
        return {}

    def call() -> dict[str, str]:
        entries = api.list_repo_tree(remote.repo, recursive=True, revision=revision, repo_type=remote.kind)
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    return retry(f"listing the files of {remote.repo}", call)


def files(folder: Path) -> list[Path]:
    """The files of a folder that are pushed, sorted: no hidden ones, no __pycache__."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and shown(path.relative_to(folder))]


def shown(path: Path) -> bool:
    return not any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def compare(api: HfApi, folder: Path, remote: Remote, commit: str = "") -> dict[str, str]:
    """Path -> new, changed or removed: what a push of the folder would do to a commit (default: main)."""
    revision = commit or remote.head
    if not revision:
        return {path.relative_to(folder).as_posix(): "new" for path in files(folder)}
    where: dict[str, Any] = {"repo_type": remote.kind, "revision": revision, "local_dir": folder}
    found = retry(f"comparing with {remote.repo}", lambda: api.verify_repo_checksums(remote.repo, **where))
    changed = {mismatch["path"]: "changed" for mismatch in found.mismatches}
    removed = dict.fromkeys({*found.missing_paths} - {*KEPT}, "removed")
    new = dict.fromkeys((path for path in found.extra_paths if shown(Path(path))), "new")
    return dict(sorted((changed | removed | new).items()))


def download(api: HfApi, remote: Remote, commit: str, cache: Path | None, only: list[str] | None = None) -> Path:
    """The files of a commit in a cache (default: the client's), every checksum verified.

    A damaged file is removed and fetched again: the client itself compares sizes only.
    """

    def call() -> Path:
        where: dict[str, Any] = {"repo_type": remote.kind, "cache_dir": cache, "allow_patterns": only}
        folder = Path(api.snapshot_download(remote.repo, revision=commit, **where))
        damaged = [name for name, state in compare(api, folder, remote, commit).items() if state == "changed"]
        for name in damaged:
            (folder / name).resolve().unlink()
        if damaged:
            raise Unfinished(f"a file of {remote.repo} was damaged on the way")
        return folder

    return retry(f"downloading {remote.repo}", call)


# Writing


def ensure_repo(api: HfApi, repo: str, kind: str = "model", private: bool = False, **space: Any) -> Remote:
    """The repository, created if it doesn't exist; space: SDK and hardware of a new Space.

    TRAP: create_repo(exist_ok=True) also "succeeds" on a repository that belongs to others, so we look first.
    """

    def call() -> Remote:
        there = look_up(api, repo, kind)
        if not there.head:
            api.create_repo(repo, repo_type=kind, private=private, **space)
            there = look_up(api, repo, kind)
        return there

    use_token_for(repo, kind)
    return retry(f"creating {repo}", call)


def push_folder(api: HfApi, remote: Remote, folder: Path, message: str, private: bool = False) -> str:
    """Make main equal to the folder in one commit, and return the commit; a missing repository is created.

    remote: as the plan saw it. If main has moved since, nothing is pushed, unless it holds these files already: then
    an earlier try landed and only its answer was lost. Raises Unfinished if main moved, ValueError if a file is missing
    afterwards.
    TRAP: upload_folder makes several commits where hf_xet is installed, so it is create_commit.
    """
    use_token_for(remote.repo, remote.kind)
    if not remote.head:
        remote = ensure_repo(api, remote.repo, remote.kind, private)

    def call() -> str:
        head = look_up(api, remote.repo, remote.kind).head
        states = compare(api, folder, remote, head)
        if not states:
            return head
        if head != remote.head:
            raise GivenUp(
                f"main of {remote.repo} is no longer at {short(remote.head)}, someone else pushed to it: look there "
                "first"
            )
        operations = [  # new objects for every try: the client marks them as uploaded
            CommitOperationDelete(name) if state == "removed" else CommitOperationAdd(name, folder / name)
            for name, state in states.items()
        ]
        return api.create_commit(
            remote.repo, operations, commit_message=message, repo_type=remote.kind, parent_commit=head or None
        ).oid

    commit = retry(f"pushing to {remote.repo}", call)
    if missing := compare(api, folder, remote, commit):
        raise ValueError(
            f"{', '.join(missing)} did not arrive in {remote.repo} at {short(commit)}: a .gitignore there drops files"
        )
    return commit


def set_tag(api: HfApi, repo: str, tag: str, commit: str, message: str) -> None:
    """Tag a commit. Raises ValueError if another commit has the tag: tags never move."""

    def call() -> None:
        there = look_up(api, repo).tags.get(tag, "")
        if not there:
            api.create_tag(repo, tag=tag, revision=commit, tag_message=message)
        elif there != commit:
            raise ValueError(f"{tag} of {repo} stands on {short(there)}, not on {short(commit)}: tags never move")

    use_token_for(repo, "model")
    retry(f"setting the tag {tag} of {repo}", call)


def short(commit: str | None) -> str:
    return commit[:10] if commit else "nothing"
