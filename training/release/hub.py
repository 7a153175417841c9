"""The Hub as a release uses it: a client with a timeout, retries, and repositories that are made to equal a folder.

Every function may be repeated after an interruption: each looks at what the Hub holds before it writes.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import disable_progress_bars
from huggingface_hub.utils.sha import git_hash

from space.timeouts import wait_at_most
from training.network import Unfinished, plain_errors, redacted
from training.outputs import file_sha256

WAITS = (1.0, 4.0)  # seconds before the second and the third try
KEPT = (".gitattributes",)  # created by the Hub, never pushed or deleted

Answer = TypeVar("Answer")

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


def retry(what: str, call: Callable[[], Answer], waits: tuple[float, ...] | None = None) -> Answer:
    """Make a call, and make it again after transient errors.

    Raises Unfinished if every try failed, PermissionError or ValueError if another try can't help.
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
    """Under trusted publishing, whose tokens write to one repository each: request the one for this repository."""
    if os.environ.get("HF_OIDC_RESOURCE"):
        os.environ["HF_OIDC_RESOURCE"] = f"spaces/{repo}" if kind == "space" else repo


# Reading


@dataclass(frozen=True)
class Remote:
    """A repository as the Hub holds it; `head` is None if it doesn't exist, or this token may not see it."""

    repo: str
    kind: str = "model"  # or space
    head: str | None = None  # commit of main
    private: bool = False
    tags: tuple[tuple[str, str], ...] = ()  # (name, commit)
    reached: bool = True  # False if the Hub can't be reached

    @property
    def main(self) -> str:
        """The commit of main; raises Unfinished if the Hub doesn't show the repository (yet)."""
        if self.head is None:
            raise Unfinished(f"the Hub doesn't show {self.repo}")
        return self.head

    def commit_of(self, tag: str) -> str | None:
        return dict(self.tags).get(tag)


def look_up(api: HfApi, repo: str, kind: str = "model", waits: tuple[float, ...] | None = None) -> Remote:
    """The repository as it is now."""

    def call() -> Remote:
        try:
            info = api.repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError as error:
            if isinstance(error, GatedRepoError):  # a subclass, although the repository exists
                raise
            return Remote(repo, kind)
        refs = api.list_repo_refs(repo, repo_type=kind)
        return Remote(repo, kind, info.sha, bool(info.private), tuple((t.name, t.target_commit) for t in refs.tags))

    return retry(f"reading {repo}", call, waits)


@dataclass(frozen=True)
class Remotes:
    """The repositories of a release; base and Space are None if not requested."""

    adapter: Remote
    base: Remote | None
    space: Remote | None
    exports: tuple[Remote, ...]

    def all(self) -> list[Remote]:
        return [remote for remote in (self.adapter, self.base, self.space, *self.exports) if remote]


def look_up_all(
    look: Callable[..., Remote], repo: str, base: str | None, space: str | None, exports: Sequence[str] = ()
) -> Remotes:
    """The repositories as `look` finds them, by id and kind."""
    return Remotes(
        look(repo), look(base) if base else None, look(space, "space") if space else None, tuple(map(look, exports))
    )


def list_files(
    api: HfApi, remote: Remote, commit: str | None = None, waits: tuple[float, ...] | None = None
) -> dict[str, str]:
    """Path -> checksum of the files of a commit (default: of main): "sha256:…" for LFS files, "git:…" for others."""
    revision = commit or remote.head
    if revision is None:
        return {}

    def call() -> dict[str, str]:
        entries = api.list_repo_tree(remote.repo, recursive=True, revision=revision, repo_type=remote.kind)
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
        return {file.path: f"sha256:{file.lfs.sha256}" if file.lfs else f"git:{file.blob_id}" for file in files}

    return retry(f"listing the files of {remote.repo}", call, waits)


def download(api: HfApi, remote: Remote, commit: str, cache: Path | None, only: list[str] | None = None) -> Path:
    """The files of a commit in a cache (default: the client's), every checksum verified.

    A damaged file is removed and fetched again: the client itself compares sizes only.
    """

    def call() -> Path:
        where: dict[str, Any] = {"repo_type": remote.kind, "cache_dir": cache, "allow_patterns": only}
        folder = Path(api.snapshot_download(remote.repo, revision=commit, **where))
        for name, state in compare(api, folder, remote, commit, waits=()).items():
            if state == "changed":
                (folder / name).resolve().unlink()
                raise Unfinished(f"a file of {remote.repo} was damaged on the way")
        return folder

    return retry(f"downloading {remote.repo}", call)


# A folder against a commit


def local_files(folder: Path) -> dict[str, Path]:
    """Path in the repository -> file, for all files of a folder that are pushed: no hidden ones, no __pycache__."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path
        for name, path in files.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    }


def compare(
    api: HfApi, folder: Path, remote: Remote, commit: str | None = None, waits: tuple[float, ...] | None = None
) -> dict[str, str]:
    """Path -> new, changed or removed: what a push of the folder would do to a commit (default: main)."""
    listed, files = list_files(api, remote, commit, waits), local_files(folder)

    def same(path: Path, expected: str) -> bool:
        kind, checksum = expected.split(":")
        return checksum == (file_sha256(path) if kind == "sha256" else git_hash(path.read_bytes()))

    changed = {name: "changed" for name in files.keys() & listed if not same(files[name], listed[name])}
    new = dict.fromkeys(files.keys() - listed, "new")
    return dict(sorted((changed | new | dict.fromkeys(listed.keys() - files - {*KEPT}, "removed")).items()))


# Writing


def ensure_repo(api: HfApi, repo: str, kind: str = "model", private: bool = False, **space: Any) -> None:
    """Create the repository if it doesn't exist; space: SDK and hardware of a new Space.

    TRAP: create_repo(exist_ok=True) also "succeeds" on a repository that belongs to others, so we look first.
    """

    def call() -> None:
        if look_up(api, repo, kind, waits=()).head is None:
            api.create_repo(repo, repo_type=kind, private=private, **space)

    write_to(repo, kind)
    retry(f"creating {repo}", call)


def push_folder(api: HfApi, remote: Remote, folder: Path, message: str, private: bool = False) -> str:
    """Make main equal to the folder in one commit, and return the commit; a missing repository is created.

    remote: as the plan saw it. If main has moved since, nothing is pushed, unless it holds these files already: then
    an earlier try landed and only its answer was lost. Raises Unfinished if main moved, ValueError if a file is missing
    afterwards.
    TRAP: upload_folder makes several commits where hf_xet is installed, so it is create_commit.
    """
    write_to(remote.repo, remote.kind)
    if remote.head is None:
        ensure_repo(api, remote.repo, remote.kind, private)
        remote = look_up(api, remote.repo, remote.kind)

    def call() -> str | None:
        head = look_up(api, remote.repo, remote.kind, waits=()).head
        states = compare(api, folder, remote, head, waits=())
        if not states:
            return head
        if head != remote.head:
            return None
        operations = [  # new objects for every try: the client marks them as uploaded
            CommitOperationDelete(name) if state == "removed" else CommitOperationAdd(name, folder / name)
            for name, state in states.items()
        ]
        return api.create_commit(
            remote.repo, operations, commit_message=message, repo_type=remote.kind, parent_commit=head
        ).oid

    commit = retry(f"pushing to {remote.repo}", call)
    if commit is None:
        raise Unfinished(
            f"main of {remote.repo} is no longer at {short(remote.head)}, someone else pushed to it: look there first"
        )
    if missing := compare(api, folder, remote, commit):
        raise ValueError(
            f"{', '.join(missing)} did not arrive in {remote.repo} at {short(commit)}: a .gitignore there drops files"
        )
    return commit


def set_tag(api: HfApi, repo: str, tag: str, commit: str, message: str) -> None:
    """Tag a commit. Raises ValueError if another commit has the tag: tags never move."""

    def call() -> None:
        there = look_up(api, repo, waits=()).commit_of(tag)
        if there is None:
            api.create_tag(repo, tag=tag, revision=commit, tag_message=message)
        elif there != commit:
            raise ValueError(f"{tag} of {repo} stands on {short(there)}, not on {short(commit)}: tags never move")

    write_to(repo, "model")
    retry(f"setting the tag {tag} of {repo}", call)


def short(commit: str | None) -> str:
    return commit[:10] if commit else "nothing"
