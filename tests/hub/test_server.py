"""The local Hub answers the real clients as the Hub does, and fails in the ways that it is told."""

import hashlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from training.release.hub import connect

from . import FOREIGN_TOKEN, READ_TOKEN, WRITE_TOKEN, Fault, LocalHub
from .releasing import TIMEOUT, client_of

CARD = "---\nlicense: llama3.2\ntags:\n- lora\n---\n# A card\n"
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB: more than the server reads ahead


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub, client_of(hub):
        yield hub


@pytest.fixture(autouse=True)
def no_fault_is_left(hub: LocalHub) -> Iterator[None]:
    yield
    hub.disarm()


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(hub.endpoint, token=WRITE_TOKEN)


@pytest.fixture
def stranger(hub: LocalHub) -> HfApi:
    return HfApi(hub.endpoint, token=FOREIGN_TOKEN)


@pytest.fixture
def repo(api: HfApi, request: pytest.FixtureRequest) -> str:
    """A new model repository with a card and weights."""
    repo_id = f"maintainer/{hashlib.sha1(request.node.name.encode()).hexdigest()[:12]}"
    api.create_repo(repo_id)
    push(api, repo_id, {"README.md": CARD, "adapter_model.safetensors": WEIGHTS})
    return repo_id


def push(api: HfApi, repo_id: str, files: dict[str, str | bytes], **options: str) -> str:
    """Commit files and return the sha."""
    operations = [
        CommitOperationAdd(path, content.encode() if isinstance(content, str) else content)
        for path, content in files.items()
    ]
    return api.create_commit(repo_id, operations, commit_message="push", **options).oid


def head(api: HfApi, repo_id: str) -> str:
    return api.model_info(repo_id).sha


def download(api: HfApi, repo_id: str, path: str, cache: Path, revision: str = "main") -> bytes:
    return Path(api.hf_hub_download(repo_id, path, cache_dir=cache, revision=revision)).read_bytes()


# Commits


def test_a_commit_comes_back_as_it_was_pushed(api: HfApi, repo: str, tmp_path: Path) -> None:
    sha = head(api, repo)
    folder = Path(api.snapshot_download(repo, revision=sha, cache_dir=tmp_path))
    assert sorted(path.name for path in folder.iterdir()) == sorted(api.list_repo_files(repo))
    assert (folder / "README.md").read_text(encoding="utf-8") == CARD
    assert (folder / "adapter_model.safetensors").read_bytes() == WEIGHTS


def test_the_tree_shows_sizes_checksums_and_folders(api: HfApi, repo: str) -> None:
    push(api, repo, {"evaluation/scores.json": "{}"})
    tree = {entry.path: entry for entry in api.list_repo_tree(repo, recursive=True)}
    weights = tree["adapter_model.safetensors"]
    assert (weights.size, weights.lfs.sha256) == (len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    assert tree["evaluation/scores.json"].lfs is None
    assert [entry.path for entry in api.list_repo_tree(repo, "evaluation")] == ["evaluation/scores.json"]
    assert "evaluation/scores.json" not in [entry.path for entry in api.list_repo_tree(repo)]
    info = api.get_paths_info(repo, ["evaluation", "README.md", "nothing"])
    assert [entry.path for entry in info] == ["README.md", "evaluation"]


def test_the_same_content_again_makes_no_commit(api: HfApi, repo: str) -> None:
    before = head(api, repo)
    assert push(api, repo, {"README.md": CARD, "adapter_model.safetensors": WEIGHTS}) == before
    assert push(api, repo, {"README.md": CARD + "more"}) != before


def test_a_stale_parent_is_refused(api: HfApi, repo: str) -> None:
    stale = head(api, repo)
    push(api, repo, {"a.txt": "1"}, parent_commit=stale)
    with pytest.raises(HfHubHTTPError) as error:
        push(api, repo, {"a.txt": "2"}, parent_commit=stale)
    assert error.value.response.status_code == 412
    assert [commit.title for commit in api.list_repo_commits(repo)] == ["push", "push", "initial commit"]


def test_deleted_files_stay_readable_at_older_commits(api: HfApi, repo: str, tmp_path: Path) -> None:
    before = push(api, repo, {"old.txt": "a", "older.txt": "b"})
    api.create_commit(repo, [CommitOperationDelete("old.txt")], commit_message="clean")
    assert api.list_repo_files(repo) == [".gitattributes", "README.md", "adapter_model.safetensors", "older.txt"]
    assert download(api, repo, "old.txt", tmp_path, revision=before) == b"a"
    with pytest.raises(EntryNotFoundError):
        api.create_commit(repo, [CommitOperationDelete("old.txt")], commit_message="clean again")


def test_what_gitignore_names_is_dropped_silently(api: HfApi, repo: str) -> None:
    push(api, repo, {".gitignore": "*.log\n# comment\n", "train.log": "x", "run.json": "{}"})
    assert "run.json" in api.list_repo_files(repo) and "train.log" not in api.list_repo_files(repo)


def test_an_upload_that_is_not_what_was_announced_is_refused(hub: LocalHub, repo: str) -> None:
    address = f"{hub.endpoint}/_lfs/models/{repo}/{hashlib.sha256(b'right').hexdigest()}"
    assert httpx.put(address, content=b"wrong").status_code == 400
    assert httpx.put(address, content=b"right").status_code == 200


def test_a_missing_file_revision_or_repository_is_named(api: HfApi, repo: str, tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        download(api, repo, "nothing.txt", tmp_path)
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo, revision="v9")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("maintainer/nothing")


# Tags and cards


def test_a_tag_stays_where_it_was_set(api: HfApi, repo: str) -> None:
    released = head(api, repo)
    api.create_tag(repo, tag="v1.0.0", revision=released)
    newer = push(api, repo, {"README.md": CARD + "newer"})
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag(repo, tag="v1.0.0", revision=newer)
    assert error.value.response.status_code == 409
    refs = api.list_repo_refs(repo)
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1.0.0", released)]
    assert [(branch.name, branch.target_commit) for branch in refs.branches] == [("main", newer)]
    assert api.model_info(repo, revision="v1.0.0").sha == released


@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        ("---\nlicense: llama-3.2\n---\n", '"license" must be one of'),
        ("---\n- a\n- b\n---\n", "must be a mapping"),
        ("---\nlicense: [\n---\n", "YAML metadata is invalid"),
        ("---\nlicense: mit\nmodel-index:\n- name: x\n---\n", "results"),
    ],
)
def test_a_card_that_breaks_the_rules_is_refused(api: HfApi, repo: str, card: str, complaint: str) -> None:
    before = head(api, repo)
    with pytest.raises(ValueError, match=complaint):
        push(api, repo, {"README.md": card})
    assert head(api, repo) == before


# Rights


def test_the_token_says_who_it_is(hub: LocalHub) -> None:
    api = HfApi(hub.endpoint)
    for token, role in ((WRITE_TOKEN, "write"), (READ_TOKEN, "read")):
        assert api.whoami(token)["name"] == "maintainer"
        assert api.whoami(token)["auth"]["accessToken"]["role"] == role
    assert api.whoami(FOREIGN_TOKEN)["name"] == "stranger"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami("hf_unknown")


def test_only_a_write_token_of_the_owner_may_write(hub: LocalHub, api: HfApi, repo: str) -> None:
    before = head(api, repo)
    api.auth_check(repo, write=True)
    for token in (READ_TOKEN, FOREIGN_TOKEN, False):
        other = HfApi(hub.endpoint, token=token)
        other.auth_check(repo)
        for forbidden in (
            lambda api: api.auth_check(repo, write=True),
            lambda api: push(api, repo, {"a.txt": "a"}),
            lambda api: api.create_tag(repo, tag="v1"),
            lambda api: api.create_repo(f"{repo}-2"),
        ):
            with pytest.raises(HfHubHTTPError) as error:
                forbidden(other)
            assert error.value.response.status_code == (403 if token else 401)
    assert head(api, repo) == before
    api.create_repo("clinic/shared-model")  # an organisation of the owner


def test_creating_a_foreign_repository_that_exists_seems_to_succeed(stranger: HfApi, repo: str) -> None:
    assert stranger.create_repo(repo, exist_ok=True).repo_id == repo


def test_a_private_repository_is_not_there_for_others(hub: LocalHub, api: HfApi, stranger: HfApi) -> None:
    api.create_repo("maintainer/secret", private=True)
    assert api.model_info("maintainer/secret").private
    for other in (stranger, HfApi(hub.endpoint, token=False)):
        with pytest.raises(RepositoryNotFoundError):
            other.model_info("maintainer/secret")


def test_a_gated_repository_shows_itself_but_not_its_files(
    hub: LocalHub, api: HfApi, stranger: HfApi, repo: str, tmp_path: Path
) -> None:
    hub.repo(repo).gated = True
    assert stranger.model_info(repo).gated == "manual"
    with pytest.raises(GatedRepoError):
        stranger.auth_check(repo)
    with pytest.raises(GatedRepoError):
        download(stranger, repo, "README.md", tmp_path)
    assert download(api, repo, "README.md", tmp_path) == CARD.encode()


def test_a_ci_job_exchanges_its_identity_for_a_token_of_one_repository(
    hub: LocalHub, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{hub.endpoint}/_hub/id-token")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "any")
    monkeypatch.setenv("HF_OIDC_RESOURCE", repo)
    ci = HfApi(hub.endpoint)
    ci.auth_check(repo, write=True)
    push(ci, repo, {"from-ci.txt": "x"})
    assert ci.file_exists(repo, "from-ci.txt")
    with pytest.raises(HfHubHTTPError) as error:
        ci.create_repo("maintainer/other")
    assert error.value.response.status_code == 401


# Faults


@pytest.mark.parametrize("action", ["401", "403", "404", "412", "429", "500", "503", "gated"])
def test_a_commit_that_is_refused_changes_nothing(hub: LocalHub, api: HfApi, repo: str, action: str) -> None:
    before = head(api, repo)
    fault = Fault(action, path="/commit/main", method="POST")
    hub.inject(fault)
    with pytest.raises(HfHubHTTPError) as error:
        push(api, repo, {"a.txt": "a"})
    assert error.value.response.status_code == (403 if action == "gated" else int(action))
    assert isinstance(error.value, GatedRepoError) == (action == "gated")
    assert (head(api, repo), hub.faults[fault]) == (before, 1)
    assert push(api, repo, {"a.txt": "a"}) != before  # once only


def test_an_upload_survives_one_broken_connection(hub: LocalHub, api: HfApi, repo: str) -> None:
    fault = Fault("drop", path="/_lfs/", method="PUT")
    hub.inject(fault)
    sha = push(api, repo, {"adapter_model.safetensors": WEIGHTS[::-1]})
    assert (head(api, repo), hub.faults[fault]) == (sha, 2)  # the client tried again


def test_a_dropped_commit_does_not_land(hub: LocalHub, api: HfApi, repo: str) -> None:
    before = head(api, repo)
    hub.inject(Fault("drop", path="/commit/"))
    with pytest.raises(httpx.TransportError):
        push(api, repo, {"a.txt": "a"})
    assert head(api, repo) == before


def test_a_commit_whose_answer_is_lost_has_landed(hub: LocalHub, api: HfApi, repo: str) -> None:
    before = head(api, repo)
    hub.inject(Fault("lost", path="/commit/"))
    with pytest.raises(httpx.TransportError):
        push(api, repo, {"a.txt": "a"}, parent_commit=before)
    landed = head(api, repo)
    assert landed != before
    assert push(api, repo, {"a.txt": "a"}, parent_commit=landed) == landed


def test_a_download_cut_in_half_is_resumed(hub: LocalHub, api: HfApi, repo: str, tmp_path: Path) -> None:
    fault = Fault("half", path="/resolve/.*safetensors", method="GET")
    hub.inject(fault)
    assert download(api, repo, "adapter_model.safetensors", tmp_path) == WEIGHTS
    assert hub.faults[fault] == 2


def test_a_flipped_bit_passes_the_client(hub: LocalHub, api: HfApi, repo: str, tmp_path: Path) -> None:
    hub.inject(Fault("flip", path="/resolve/.*safetensors", method="GET"))
    damaged = download(api, repo, "adapter_model.safetensors", tmp_path / "1")
    assert len(damaged) == len(WEIGHTS)
    assert sum(a != b for a, b in zip(damaged, WEIGHTS, strict=True)) == 1
    assert download(api, repo, "adapter_model.safetensors", tmp_path / "2") == WEIGHTS


def test_a_slow_answer_arrives_a_hanging_one_times_out(hub: LocalHub, api: HfApi, repo: str) -> None:
    hub.inject(Fault("slow", path="/api/models/", seconds=0.3))
    start = time.monotonic()
    head(api, repo)
    assert time.monotonic() - start > 0.3
    hub.inject(Fault("hang", path="/api/models/"))
    connect(timeout=0.5)
    with pytest.raises(httpx.TimeoutException):
        head(api, repo)
    connect(TIMEOUT)
    head(api, repo)


def test_too_many_requests_makes_the_client_wait_as_told(hub: LocalHub, api: HfApi, repo: str) -> None:
    fault = Fault("429", path="/preupload/", seconds=0)
    hub.inject(fault)
    start = time.monotonic()
    push(api, repo, {"a.txt": "a"})
    assert time.monotonic() - start > 1  # the client adds a second
    assert hub.faults[fault] == 2


def test_an_outage_while_downloading_is_no_missing_file(hub: LocalHub, api: HfApi, repo: str, tmp_path: Path) -> None:
    hub.inject(Fault("503", path="/revision/main"))
    with pytest.raises(LocalEntryNotFoundError):
        api.snapshot_download(repo, cache_dir=tmp_path)


def test_faults_meet_the_nth_request(hub: LocalHub, api: HfApi, repo: str) -> None:
    fault = Fault("500", path=f"/api/models/{repo}$", nth=2)
    hub.inject(fault)
    head(api, repo)
    with pytest.raises(HfHubHTTPError):
        head(api, repo)
    head(api, repo)
    assert hub.faults[fault] == 3
    with pytest.raises(ValueError, match="must be one of"):
        Fault("explode")


# Spaces


@pytest.fixture
def space(api: HfApi, hub: LocalHub, request: pytest.FixtureRequest) -> Callable[[list[str]], str]:
    """Make a Space that goes through these stages after each push of an app."""
    repo_id = f"maintainer/{hashlib.sha1(request.node.name.encode()).hexdigest()[:12]}"

    def make(*plans: list[str], **options: str) -> str:
        hub.set_space(repo_id, *plans, **options)
        api.create_repo(repo_id, repo_type="space", space_sdk="gradio", space_hardware="zero-a10g")
        assert api.get_space_runtime(repo_id).stage == "NO_APP_FILE"
        return repo_id

    return make


def test_a_space_goes_through_the_stages_it_was_told(api: HfApi, space: Callable) -> None:
    repo_id = space(["BUILDING", "RUNTIME_ERROR"], ["RUNNING", "BUILDING", "RUNNING"], error="no adapter")
    push(api, repo_id, {"app.py": "1"}, repo_type="space")
    first = api.wait_for_space(repo_id, poll_interval=0.01)
    assert (first.stage, first.raw["errorMessage"]) == ("RUNTIME_ERROR", "no adapter")
    second = push(api, repo_id, {"app.py": "2"}, repo_type="space")
    looks = [api.get_space_runtime(repo_id) for _ in range(4)]
    assert [look.stage for look in looks] == ["RUNNING", "BUILDING", "RUNNING", "RUNNING"]
    assert [look.raw["sha"] == second for look in looks] == [False, False, True, True]
    assert looks[-1].hardware == "zero-a10g"


def test_a_space_card_has_rules_of_its_own(api: HfApi, space: Callable) -> None:
    repo_id = space(["RUNNING"])
    for card, complaint in (("short_description: " + "x" * 61, "60"), ("colorFrom: orange", "colorFrom")):
        with pytest.raises(ValueError, match=complaint):
            push(api, repo_id, {"README.md": f"---\nsdk: gradio\n{card}\n---\n"}, repo_type="space")


def test_starting_a_hub_closes_no_handler_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, handler = [], logging.NullHandler()
    monkeypatch.setattr(handler, "close", lambda: closed.append(handler))
    with LocalHub(tmp_path):
        assert not closed


# By hand


def test_the_command_prints_what_a_client_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hub", "--root", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT / "tests", stdout=subprocess.PIPE, encoding="utf-8") as server:
        export = next(line for line in server.stdout if line.startswith("export "))
        settings = dict(pair.split("=", 1) for pair in export.split()[1:])
        assert settings["HF_HUB_DISABLE_XET"] == "1"
        api = HfApi(settings["HF_ENDPOINT"], token=settings["HF_TOKEN"])
        api.create_repo("maintainer/kept")
        assert push(api, "maintainer/kept", {"README.md": CARD}) == head(api, "maintainer/kept")
        server.terminate()
