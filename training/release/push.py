"""Make a repository hold exactly a folder's files, in one commit, and set tags; every step may be repeated."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.outputs import file_sha256
from training.release.hub import Unfinished, asked, write_to

if TYPE_CHECKING:
    from huggingface_hub import HfApi

KEPT = (".gitattributes",)  # the Hub's own, made with the repository


@dataclass(frozen=True)
class Remote:
    """What the Hub holds of one repository; `head` is None where there is none that this token may see."""

    repo: str
    kind: str  # model | space
    head: str | None = None  # commit of main
    private: bool = False
    tags: tuple[tuple[str, str], ...] = ()  # (name, commit)

    def commit_of(self, tag: str) -> str | None:
        return dict(self.tags).get(tag)


def look(api: "HfApi", repo: str, kind: str = "model", waits: tuple[float, ...] | None = None) -> Remote:
    """The repository as it is now."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def call() -> Remote:
        try:
            info = api.repo_info(repo, repo_type=kind)
        except GatedRepoError:  # a RepositoryNotFoundError too, though it is there
            raise
        except RepositoryNotFoundError:
            return Remote(repo, kind)
        refs = api.list_repo_refs(repo, repo_type=kind)
        return Remote(repo, kind, info.sha, bool(info.private), tuple((t.name, t.target_commit) for t in refs.tags))

    return asked(f"looking at {repo}", call, waits)


def tree(api: "HfApi", remote: Remote, commit: str, waits: tuple[float, ...] | None = None) -> dict[str, str]:
    """Path -> checksum of every file of a commit: "sha256:…" of an LFS file, "git:…" of another."""
    from huggingface_hub import RepoFile

    def call() -> dict[str, str]:
        entries = api.list_repo_tree(remote.repo, recursive=True, revision=commit, repo_type=remote.kind)
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
        return {file.path: f"sha256:{file.lfs.sha256}" if file.lfs else f"git:{file.blob_id}" for file in files}

    return asked(f"listing the files of {remote.repo}", call, waits)


def git_sha1(path: Path) -> str:
    """What git calls the content of a file."""
    content = path.read_bytes()
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


def same(path: Path, checksum: str) -> bool:
    """Whether a file has the checksum of a listing."""
    kind, expected = checksum.split(":")
    return (file_sha256(path) if kind == "sha256" else git_sha1(path)) == expected


def local_files(folder: Path) -> dict[str, Path]:
    """Path in the repository -> file, of all that would be pushed from a folder: no hidden files, no byte code."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in paths}
    hidden = {name for name in names if any(part.startswith(".") or part == "__pycache__" for part in name.parts)}
    return {name.as_posix(): path for name, path in names.items() if name not in hidden}


def changes(folder: Path, listed: dict[str, str]) -> dict[str, str]:
    """Path -> new, changed, same or removed, of a folder against a listing."""
    files = local_files(folder)
    states = {
        name: ("same" if same(path, listed[name]) else "changed") if name in listed else "new"
        for name, path in files.items()
    }
    return states | {name: "removed" for name in listed if name not in files and name not in KEPT}


def listing(folder: Path, states: dict[str, str]) -> list[str]:
    """One line a file that a push would send or remove: state, path, size and sha256; a count of the others."""
    files = local_files(folder)
    lines = []
    for name in sorted(name for name, state in states.items() if state != "same"):
        path = files.get(name)
        facts = f"{path.stat().st_size:>12,} B  sha256 {file_sha256(path)[:16]}…" if path else ""
        lines.append(f"  {states[name]:8} {name:36}{facts}".rstrip())
    same_ones = list(states.values()).count("same")
    return [*lines, f"  {'same':8} {same_ones} files"] if same_ones else lines


def ensure_repo(api: "HfApi", repo: str, kind: str = "model", private: bool = False, **space: Any) -> None:
    """Create the repository if it doesn't exist; space: the SDK and hardware of a new Space.

    TRAP: create_repo(exist_ok=True) "succeeds" on a repository that others own, so we look first.
    """

    def call() -> None:
        if look(api, repo, kind, ()).head is None:
            api.create_repo(repo, repo_type=kind, private=private, **space)

    write_to(repo, kind)
    asked(f"creating {repo}", call)


def push_folder(api: "HfApi", remote: Remote, folder: Path, message: str) -> str:
    """Make main hold the folder's files and nothing else, and return the commit that does.

    remote: the repository as the plan saw it; if main has moved since, to other files, nothing is pushed. After a
    lost answer main is read again, and a commit that landed is recognised by its content.
    Raises Unfinished if main moved, ValueError if a file did not arrive.
    """

    def call() -> str | None:
        head = look(api, remote.repo, remote.kind, ()).head
        states = changes(folder, tree(api, remote, head, ()))
        if set(states.values()) <= {"same"}:
            return head
        if head != remote.head:
            return None
        operations = commit_operations(folder, states)  # fresh at every try: the client marks them as used
        return api.create_commit(
            remote.repo, operations, commit_message=message, repo_type=remote.kind, parent_commit=head
        ).oid

    write_to(remote.repo, remote.kind)
    commit = asked(f"pushing to {remote.repo}", call)
    if commit is None:
        raise Unfinished(f"main of {remote.repo} is no longer at {short(remote.head)}, others changed it: look there")
    wrong = [name for name, state in changes(folder, tree(api, remote, commit)).items() if state != "same"]
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)} did not arrive in {remote.repo} at {short(commit)}: a .gitignore there drops files"
        )
    return commit


def commit_operations(folder: Path, states: dict[str, str]) -> list[Any]:
    """The client's operations that turn a listing into the folder."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    files = local_files(folder)
    adds = [CommitOperationAdd(name, files[name]) for name, state in states.items() if state in ("new", "changed")]
    return adds + [CommitOperationDelete(name) for name, state in states.items() if state == "removed"]


def set_tag(api: "HfApi", repo: str, tag: str, commit: str, message: str) -> None:
    """Tag a commit. Raises ValueError if the tag stands on another one: tags never move."""

    def call() -> None:
        there = look(api, repo, waits=()).commit_of(tag)
        if there is None:
            api.create_tag(repo, tag=tag, revision=commit, tag_message=message)
        elif there != commit:
            raise ValueError(f"{tag} of {repo} stands on {short(there)}, not on {short(commit)}: tags never move")

    write_to(repo, "model")
    asked(f"setting the tag {tag} of {repo}", call)


def short(commit: str | None) -> str:
    return commit[:10] if commit else "nothing"
