"""Bring a release back: its files on main again, verified there, and the Space pinned to it. Tags stay."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from training.release.push import Remote, look, push_folder, short
from training.release.rights import check_rights
from training.release.space import snapshot
from training.release.steps import push_space, verify
from training.release.verify import fetch

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def roll_back(api: "HfApi", repo: str, tag: str, space: str | None, timeout: float) -> None:
    """Raises ValueError where there is no such tag or Space, or the token may not write."""
    remote = look(api, repo)
    released = remote.commit_of(tag)
    if released is None:
        there = ", ".join(name for name, _ in remote.tags) or "none"
        raise ValueError(f"--rollback {tag}: {repo} has no such tag; it has {there}")
    served = look(api, space, "space") if space else None
    if served and served.head is None:
        raise ValueError(f"--space {space}: there is no such Space")
    check_may_write(api, [remote, served] if served else [remote])
    with tempfile.TemporaryDirectory(prefix="rollback-") as temporary:
        folder = fetch(api, repo, released, Path(temporary))
        commit = push_folder(api, remote, folder, f"Roll back to {tag}")
        print(f"push: main of {repo} is at {short(commit)}, with the files of {tag}", flush=True)
        verify(repo, commit, folder, timeout, lenient=True)
        if served:
            app = snapshot(api, space, served.head, Path(temporary))  # its own files: only the pin changes
            push_space(api, repo, space, folder, (tag, released), app)
    print(f"done: {repo} is back at {tag}, verified; every tag stands where it stood", flush=True)


def check_may_write(api: "HfApi", remotes: list[Remote]) -> None:
    for check in check_rights(api, remotes, must=True):
        if check.ok is False:
            raise ValueError(f"{check.name}: {check.text}; nothing was pushed")
