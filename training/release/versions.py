"""Which version a release gets, and what the releases on the Hub hold. A tag never moves."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.outputs import read_json
from training.release.gates import Previous
from training.release.hub import asked
from training.release.push import KEPT, Remote, changes, tree

if TYPE_CHECKING:
    from huggingface_hub import HfApi

VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
WEIGHTS = "adapter_model.safetensors"


def versions(remote: Remote) -> list[tuple[str, str]]:
    """The releases' (tag, commit), newest first."""
    found = [(tag, commit) for tag, commit in remote.tags if VERSION.fullmatch(tag)]
    return sorted(found, key=lambda pair: number(pair[0]), reverse=True)


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, VERSION.fullmatch(version).groups()))


def released_as(api: "HfApi", remote: Remote, bundle: Path) -> str | None:
    """The tag under which the bundle is released already, apart from its card; None if it is new."""
    for tag, commit in versions(remote):
        states = changes(bundle, tree(api, remote, commit))
        if {name for name, state in states.items() if state != "same"} <= {"README.md"}:
            return tag
    return None


def choose_version(wanted: str | None, released: str | None, latest: str | None, same_weights: bool) -> str:
    """The version to release as: what was released already keeps its own.

    A new one is v1.0.0 at first, then a new minor version, or a patch where the weights are the same. Raises
    ValueError for a wanted version that is none, that isn't above the newest one, or that would release the same
    content under a second name.
    """
    if wanted and not VERSION.fullmatch(wanted):
        raise ValueError(f"--version {wanted}: expected the form v1.0.0")
    if released:
        if wanted not in (None, released):
            raise ValueError(f"--version {wanted}: this content is released already, as {released}")
        return released
    if wanted and latest and number(wanted) <= number(latest):
        raise ValueError(f"--version {wanted}: {latest} is released, and tags never move; give a higher one")
    if wanted or latest is None:
        return wanted or "v1.0.0"
    major, minor, patch = number(latest)
    return f"v{major}.{minor}.{patch + 1}" if same_weights else f"v{major}.{minor + 1}.0"


def version_of(api: "HfApi", remote: Remote, bundle: Path, wanted: str | None, released: str | None) -> str:
    """`choose_version` from what the Hub holds; raises as it does."""
    if not versions(remote):
        return choose_version(wanted, None, None, False)
    latest, commit = versions(remote)[0]
    same_weights = changes(bundle, tree(api, remote, commit)).get(WEIGHTS) == "same"
    return choose_version(wanted, released, latest, same_weights)


def files_of_newest(api: "HfApi", remote: Remote) -> set[str]:
    """Paths of the newest release's files."""
    return set(tree(api, remote, versions(remote)[0][1])) if versions(remote) else set()


def ours(listed: dict[str, str]) -> dict[str, str]:
    """A listing without the Hub's own files."""
    return {path: checksum for path, checksum in listed.items() if path not in KEPT}


def previous_release(api: "HfApi", remote: Remote, released: str | None, cache: Path) -> Previous | None:
    """Scores of the release that main holds, or of the newest one where main holds none, or this one.

    cache: an empty folder, since a cache keeps a damaged file.
    """
    others = [pair for pair in versions(remote) if pair[0] != released]
    if not others:
        return None
    main = ours(tree(api, remote, remote.head))
    tag, commit = next((pair for pair in others if ours(tree(api, remote, pair[1])) == main), others[0])

    def fetch(name: str) -> dict[str, Any]:
        path = api.hf_hub_download(remote.repo, f"evaluation/{name}", revision=commit, cache_dir=cache)
        return read_json(Path(path), "")

    scores, data = (asked(f"reading {name} of {tag}", lambda name=name: fetch(name)) for name in
                    ("scores-test.json", "data.json"))  # fmt: skip
    return Previous(tag, scores, data["sha256"]["test"])
