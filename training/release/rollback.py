"""Bring a release back: its files on main again, verified there, and the Space pinned to it. Tags stay."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from training.release.push import Remote, push_folder, short, tree
from training.release.rights import check_our_space, check_rights
from training.release.space import snapshot
from training.release.steps import push_space, verify
from training.release.verify import fetch
from training.release.wanted import OnHub, Wanted, look_at_hub

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def roll_back(api: "HfApi", wanted: Wanted, tag: str) -> None:
    """Raises ValueError where there is no such tag or Space, or the token may not write."""
    hub = look_at_hub(api, wanted, must=True)
    released = released_commit(hub.adapter, tag)
    check_writable(api, hub)
    repo, timeout = wanted.repo, wanted.timeout
    with tempfile.TemporaryDirectory(prefix="rollback-") as temporary:
        folder = fetch(api, repo, released, Path(temporary))
        commit = push_folder(api, hub.adapter, folder, f"Roll back to {tag}")
        print(f"push: main of {repo} is at {short(commit)}, with the files of {tag}", flush=True)
        verify(repo, commit, folder, timeout, lenient=True)
        if wanted.space:
            app = snapshot(api, wanted.space, hub.space.head, Path(temporary))  # its own files: only the pin changes
            push_space(api, repo, wanted.space, folder, (tag, released), app)
    print(f"done: {repo} is back at {tag}, verified; every tag stands where it stood")
    print(f"  adapter  {api.endpoint}/{repo}", flush=True)
    if wanted.space:
        print(f"  space    {api.endpoint}/spaces/{wanted.space}", flush=True)


def released_commit(remote: Remote, tag: str) -> str:
    """The commit under a tag; raises ValueError naming the tags that there are."""
    if remote.head is None:
        raise ValueError(f"--rollback {tag}: there is no repository {remote.repo} that this token may see")
    released = remote.commit_of(tag)
    if released is None:
        there = ", ".join(name for name, _ in remote.tags) or "none"
        raise ValueError(f"--rollback {tag}: {remote.repo} has no such tag; it has {there}")
    return released


def check_writable(api: "HfApi", hub: OnHub) -> None:
    """Raises ValueError where the Space is missing or not ours, or the token may not write."""
    written, checks = [hub.adapter], []
    if hub.space:
        if hub.space.head is None:
            raise ValueError(f"--space {hub.space.repo}: there is no such Space")
        written.append(hub.space)
        checks.append(check_our_space(hub.space.repo, tree(api, hub.space, hub.space.head)))
    for check in (*checks, *check_rights(api, written, must=True)):
        if check.ok is False:
            raise ValueError(f"{check.name}: {check.text}; nothing was pushed")
