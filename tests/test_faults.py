"""Every fault at every call of a release: `make test-all`; test_publish.py has one of each.

After the first run the release is complete and verified, or nothing is under a tag; the same command then finishes it,
with one release commit and one tag.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from conftest import command
from hub import ID_TOKEN, WRITE_TOKEN, Fault, LocalHub
from hub.releasing import (
    ACCEPT,
    client_of,
    folder_contents,
    last_line,
    pinned,
    publish_here,
    releasable,
    space_folder,
    start_publish,
    titles,
)
from hub.spaces import running_space

pytestmark = pytest.mark.faults

MODEL, SPACE = "/api/models/{repo}", "/api/spaces/{repo}-space"
# What a first release asks the Hub: method and path
CALLS = {
    "look": ("GET", MODEL + "$"),
    "tags": ("GET", MODEL + "/refs"),
    "who am I": ("GET", "/api/whoami-v2"),
    "validate card": ("POST", "/api/validate-yaml"),
    "create": ("POST", "/api/repos/create"),
    "files": ("GET", MODEL + "/tree/"),
    "preupload": ("POST", MODEL + "/preupload/"),
    "LFS batch": ("POST", "{repo}.git/info/lfs/objects/batch"),
    "LFS upload": ("PUT", "/_lfs/models/{repo}/"),
    "LFS verify": ("POST", "/_lfs/models/{repo}/"),
    "commit": ("POST", MODEL + "/commit/"),
    "file head": ("HEAD", "/{repo}/resolve/"),
    "download": ("GET", "/{repo}/resolve/.*safetensors"),
    "tag": ("POST", MODEL + "/tag/"),
    "base commit": ("POST", "/{repo}-base/commit/"),
    "base upload": ("PUT", "/_lfs/models/{repo}-base/"),
    "base download": ("GET", "/{repo}-base/resolve/.*safetensors"),
    "history": ("GET", MODEL + "/commits/"),
    "Space look": ("GET", SPACE + "$"),
    "Space files": ("GET", SPACE + "/tree/"),
    "Space preupload": ("POST", SPACE + "/preupload/"),
    "Space commit": ("POST", SPACE + "/commit/"),
    "Space runtime": ("GET", SPACE + "/runtime"),
}
NUMBERS = count(1)
REFUSED = ("401", "403", "404", "gated")
WRITES = ("create", "preupload", "LFS batch", "LFS upload", "LFS verify", "commit", "tag", "base commit")
KILLED = (
    "look", "create", "preupload", "LFS upload", "commit", "download", "tag", "base upload", "base commit",
    "base download", "history", "Space commit", "Space runtime",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One fault at one call, and how the first run must end: its exit code."""

    action: str
    call: str
    code: int = 0
    nth: int = 1
    times: int = 1
    seconds: float = 0

    def __str__(self) -> str:
        often = "" if self.times == 1 else " for good"
        return f"{self.action}{often}, {self.call}" + (f" {self.nth}" if self.nth > 1 else "")


PASSING = [Cell("503", call) for call in CALLS]
BROKEN = [Cell(action, call) for call in WRITES for action in ("drop", "lost")]
CUT = [Cell(action, call) for call in ("download", "base download") for action in ("half", "flip")]
FOR_GOOD = [
    *(Cell("503", call, 2, times=99) for call in ("look", "create", "commit", "tag", "Space runtime")),
    Cell("flip", "download", 2, times=99),
    *(Cell("hang", call, 2, times=99) for call in ("look", "commit", "tag", "Space commit")),
]
SLOW = [
    *(Cell("hang", call) for call in ("look", "files", "commit", "tag")),
    *(Cell("slow", call, seconds=1) for call in ("commit", "LFS upload", "download")),
]
DENIED = [
    *(Cell(action, call, 1) for action in REFUSED for call in ("create", "preupload", "LFS batch", "commit", "tag")),
    *(Cell(action, "look", 1) for action in ("401", "403", "gated")),
    Cell("404", "look", 0),  # as if there were no repository, which is so
    Cell("412", "commit"),
    Cell("412", "commit", 2, times=99),
    *(Cell(action, "Space commit", 1) for action in REFUSED),
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub, client_of(hub):
        yield hub


class Release:
    """A release of its own for each test: repositories, a home and the words of the command."""

    def __init__(self, hub: LocalHub, folder: Path, small_out: Path, with_space: bool) -> None:
        self.hub, self.home = hub, folder / "home"
        self.repo = f"maintainer/r{next(NUMBERS)}"
        self.run = releasable(small_out, folder)
        self.words = [self.repo, "--run", self.run, "--base-repo", f"{self.repo}-base", "--push", *ACCEPT]
        if with_space:
            self.words += ["--space", f"{self.repo}-space", "--space-folder", space_folder(folder / "space")]

    def fault(self, cell: Cell) -> Fault:
        if cell.action == "hang":
            self.words += ["--timeout", "3"]
        method, path = CALLS[cell.call]
        fault = Fault(cell.action, path.replace("{repo}", self.repo), method, cell.nth, cell.times, cell.seconds)
        self.hub.inject(fault)
        return fault

    def publish(self, **changes: str) -> CompletedProcess[str]:
        return publish_here(self.hub, self.home, *self.words, **changes)

    def check_nothing_half(self) -> None:
        """Under a tag there is the whole release, or there is no tag."""
        for tag in self.hub.repo(self.repo).tags:
            assert self.hub.repo(self.repo).contents(tag) == folder_contents(self.run / "release")

    def check_complete(self) -> None:
        assert titles(self.hub, self.repo) == ["Release v1.0.0"]  # once, whatever happened
        assert set(self.hub.repo(self.repo).tags) == {"v1.0.0"}
        self.check_nothing_half()
        assert self.hub.repo(self.repo).tags["v1.0.0"] == self.hub.repo(self.repo).head
        assert len(titles(self.hub, f"{self.repo}-base")) == 1


@pytest.fixture
def release(hub: LocalHub, small_out: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Release]:
    """The Space is run where the fault concerns it."""
    cell = request.getfixturevalue("cell") if "cell" in request.fixturenames else Cell("", "Space commit")
    with_space = cell.call.startswith(("Space", "history"))
    release = Release(hub, tmp_path, small_out, with_space)
    if with_space:
        with running_space(hub, f"{release.repo}-space", tmp_path / "spaces"):
            yield release
    else:
        yield release
    hub.disarm()


@pytest.mark.parametrize("cell", [*PASSING, *BROKEN, *CUT, *FOR_GOOD, *SLOW, *DENIED], ids=str)
def test_a_fault_leaves_a_release_whole_or_untagged_and_the_next_run_finishes_it(cell, release):
    fault = release.fault(cell)
    first = release.publish()
    assert release.hub.faults[fault] >= cell.nth, "the fault was never met"
    text = last_line(first) if first.returncode else ""
    release.check_nothing_half()
    release.hub.disarm()
    second = release.publish()
    assert WRITE_TOKEN not in first.stdout + first.stderr + second.stdout + second.stderr
    assert first.returncode == cell.code, text
    assert second.returncode == 0, second.stderr
    release.check_complete()


@pytest.mark.parametrize("action", ["500", "429"])
@pytest.mark.parametrize("part", range(4))
def test_trouble_at_every_fourth_call_passes(action, part, release):
    calls = list(CALLS)[part::4]
    faults = [release.fault(Cell(action, call)) for call in calls]
    done = release.publish()
    assert done.returncode == 0, done.stderr
    assert all(release.hub.faults[fault] for fault in faults), release.hub.faults
    release.check_complete()


@pytest.mark.parametrize("cell", [Cell("hang", call) for call in KILLED], ids=str)
def test_a_killed_release_is_finished_by_the_same_command(cell, release):
    fault = release.fault(cell)
    process = start_publish(release.hub, release.home, *release.words)
    waiting = time.monotonic() + 600
    while not release.hub.faults[fault]:
        assert process.poll() is None and time.monotonic() < waiting, process.communicate()[0]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    release.check_nothing_half()
    release.hub.disarm()
    second = release.publish()
    assert second.returncode == 0, second.stderr
    release.check_complete()


def test_a_second_release_and_a_rollback_move_the_space_and_no_tag(release):
    space = f"{release.repo}-space"
    assert release.publish().returncode == 0
    first = release.hub.repo(release.repo).tags
    (release.run / "loss.svg").unlink()
    assert release.publish().returncode == 0
    both = release.hub.repo(release.repo).tags
    assert set(both) == {"v1.0.0", "v1.0.1"} and pinned(release.hub, space)["version"] == "v1.0.1"
    fault = Fault("lost", f"/api/models/{release.repo}/commit/")
    release.hub.inject(fault)
    done = publish_here(release.hub, release.home, release.repo, "--rollback", "v1.0.0", "--space", space)
    assert done.returncode == 0 and release.hub.faults[fault] == 1, done.stderr
    assert release.hub.repo(release.repo).tags == both and both.items() >= first.items()
    assert release.hub.repo(release.repo).contents() == release.hub.repo(release.repo).contents("v1.0.0")
    assert pinned(release.hub, space)["revision"] == both["v1.0.0"]


def test_an_adapter_that_is_not_what_was_trained_gets_no_tag(hub, small_out, tmp_path):
    release = Release(hub, tmp_path, small_out, with_space=False)
    path = release.run / "run.json"
    whole = path.read_text(encoding="utf-8")
    record = json.loads(whole)
    record["golden_logits"]["cases"][0]["tuned"][0] += 5
    path.write_text(json.dumps(record), encoding="utf-8")
    first = release.publish()
    text = last_line(first)
    assert first.returncode == 1 and "verification failed" in text and "no tag was set" in text
    assert not hub.repo(release.repo).tags
    path.write_text(whole, encoding="utf-8")
    second = release.publish()
    assert second.returncode == 0, second.stderr
    assert set(hub.repo(release.repo).tags) == {"v1.0.0"}
    release.check_nothing_half()


def test_a_space_that_does_not_build_is_put_back_and_the_next_run_brings_it(hub, small_out, tmp_path):
    release = Release(hub, tmp_path, small_out, with_space=True)
    space = f"{release.repo}-space"
    hub.set_space(space, ["BUILDING", "BUILD_ERROR"], error="no matching distribution")
    first = release.publish()
    text = last_line(first)
    assert first.returncode == 1 and "no matching distribution" in text and "the release stands" in text
    release.check_complete()
    assert set(hub.repo(space, "spaces").contents()) == {"README.md"}  # as the Hub created it
    with running_space(hub, space, tmp_path / "spaces"):
        second = release.publish()
    assert second.returncode == 0 and pinned(hub, space)["version"] == "v1.0.0", second.stderr
    release.check_complete()
    hub.repo(space, "spaces").space.stages = ["RUNTIME_ERROR"]
    third = release.publish()
    assert third.returncode == 1 and "answered with these files before, so they stay" in last_line(third)
    assert pinned(hub, space)["version"] == "v1.0.0"


def test_a_release_from_ci_needs_no_stored_token(release):
    assert release.publish().returncode == 0  # by hand the first time: a CI token can't create repositories
    (release.run / "loss.svg").unlink()
    github = {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{release.hub.endpoint}/_hub/id-token",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a-request-token",
    }
    done = release.publish(HF_TOKEN="", HF_OIDC_RESOURCE=release.repo, **github)
    assert done.returncode == 0, done.stderr
    assert set(release.hub.repo(release.repo).tags) == {"v1.0.0", "v1.0.1"}
    assert pinned(release.hub, f"{release.repo}-space")["version"] == "v1.0.1"
    assert not [secret for secret in (ID_TOKEN, "hf_jwt", "a-request-token") if secret in done.stdout + done.stderr]


def test_a_rehearsal_plays_the_whole_story(small_out, tmp_path):
    run = releasable(small_out, tmp_path / "out")
    words = ["--run", run, "--space-folder", space_folder(tmp_path / "space")]
    done = command("scripts/rehearse.py", *words, HF_HUB_OFFLINE="0", timeout=1800)
    assert done.returncode == 0, done.stderr
    for part in (
        "v1.0.0 heard: What",
        "v1.0.1 heard: What",
        "is back at v1.0.0",
        "nothing to do",
    ):
        assert part in done.stdout, part
