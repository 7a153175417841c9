"""A release is complete and verified, or nothing is under a tag and the same command finishes it."""

import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha1
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import SHARED, command, load_script, processor_seconds
from hub import FOREIGN_TOKEN, ID_TOKEN, READ_TOKEN, WRITE_TOKEN, Fault, LocalHub
from hub.releasing import (
    ACCEPT,
    TIMEOUT,
    client_of,
    folder_contents,
    last_line,
    pinned,
    private_key,
    publish_here,
    releasable,
    space_folder,
    start_publish,
    titles,
)
from hub.spaces import running_space
from huggingface_hub import HfApi, constants
from safetensors.numpy import load_file, save_file
from test_sources import write_table

from training.bases import Base
from training.configs import BASE, DEMO, MEDQUAD
from training.datasets import SAMPLE
from training.model.golden import compare_logits
from training.network import Unfinished, redacted
from training.prepare import prepare
from training.release import signing
from training.release.bundle import read_run
from training.release.checks import (
    Previous,
    check_base,
    check_belongs,
    check_card_on_hub,
    check_may_create,
    check_name,
    check_only_ours,
    check_options,
    check_our_space,
    check_rights,
    check_visibility,
    check_weights,
    gates,
)
from training.release.hub import Remote, compare, connect, download, ensure_repo, look_up, push_folder, set_tag
from training.release.plan import next_version, preflight, previous_release
from training.release.space import SOURCES, find_sources, pinned_readme

parse = load_script("publish").parse
CARD = "---\nlicense: llama3.2\n---\n# A card\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """The local Hub, and a client in this process that may ask it and waits shortly."""
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub, client_of(hub):
        yield hub


@pytest.fixture(autouse=True)
def no_fault_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").disarm()


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(hub.endpoint, token=WRITE_TOKEN)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder to push, with a large file in it."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 1024)
    return folder


@pytest.fixture
def repo(api: HfApi, request: pytest.FixtureRequest) -> Remote:
    """A new repository, as the plan saw it."""
    name = f"maintainer/{sha1(request.node.name.encode()).hexdigest()[:12]}"
    ensure_repo(api, name)
    return look_up(api, name)


def test_a_retry_is_told_without_the_signature_of_an_address(caplog: pytest.LogCaptureFixture):
    connect(TIMEOUT)
    logging.getLogger("huggingface_hub.utils._http").warning(
        "'x' thrown while requesting PUT https://a/b?X-Sig=1 twice"
    )
    assert [record.getMessage() for record in caplog.records] == ["  'x' thrown while requesting PUT https://a/b twice"]


# Versions, gates and checks


def test_versions_count_up_by_what_changed():
    assert next_version(None, None, [], False) == "v1.0.0"
    assert next_version(None, None, ["v1.2.3", "v1.2.2"], same_weights=False) == "v1.3.0"
    assert next_version(None, None, ["v1.2.3"], same_weights=True) == "v1.2.4"
    assert next_version("v2.0.0", None, ["v1.2.3"], False) == "v2.0.0"
    with pytest.raises(ValueError, match=r"expected the form v1\.0\.0"):
        next_version("1.0", None, [], False)
    for taken in ("v1.2.3", "v1.2.2", "v0.9.0"):
        with pytest.raises(ValueError, match=r"v1\.2\.3 is released.*give a higher one"):
            next_version(taken, None, ["v1.2.3"], False)


def test_released_content_gets_no_second_version():
    assert next_version(None, "v1.0.0", ["v1.1.0", "v1.0.0"], True) == "v1.0.0"
    with pytest.raises(ValueError, match=r"released already, as v1\.0\.0"):
        next_version("v2.0.0", "v1.0.0", ["v1.0.0"], True)


def scores_with(low: float | None = 0.01, ended: float | None = 0.95, mean: float = 0.2) -> dict:
    tuned = {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "n": 80}
    rate = ended if ended is None else {"share": ended, "low": 0.0, "high": 1.0, "k": 0, "n": 80}
    return {
        "n": 80,
        "gains": {"gain of tuned over base": {"rougeL": {"mean": 0.03, "low": low, "high": 0.05, "n": 80}}},
        "rates": {"tuned": {"ended, where the reference fits": rate}},
        "systems": {"tuned": {"without disclaimer": {"rougeL": tuned}}},
    }


@pytest.mark.parametrize(
    ("scores", "passed"),
    [
        (scores_with(), [True, True, True]),
        (scores_with(low=0.0), [False, True, True]),
        (scores_with(low=None), [False, True, True]),
        (scores_with(ended=0.89), [True, False, True]),
        (scores_with(ended=None), [True, False, True]),
        (scores_with(mean=0.181), [True, True, True]),
        (scores_with(mean=0.179), [True, True, False]),
    ],
)
def test_gates_open_at_their_limits(scores: dict, passed: list[bool]):
    assert [gate.ok for gate in gates(scores, "abc", Previous("v1.0.0", scores_with(), "abc"))] == passed


def test_a_release_is_not_compared_over_other_questions():
    gate = gates(scores_with(mean=0.01), "abc", Previous("v1.0.0", scores_with(), "other"))[-1]
    assert gate.ok is None and "other questions" in gate.text


def logits(tuned: float, base: float, dtype: str = "bfloat16") -> dict:
    return {"dtype": dtype, "cases": [{"name": "a", "token_ids": [1], "tuned": [tuned], "base": [base]}]}


def test_logits_must_be_those_of_training_and_not_the_bases():
    assert compare_logits(logits(-1.0, -4.0), logits(-1.1, -4.1))["deviation"] == 0.1
    for found, recorded, complaint in (
        (logits(-1.0, -1.0), None, "changes nothing"),
        (logits(-1.0, -4.0), logits(-1.0, -5.0), "not the one trained on"),
        (logits(-1.0, -4.0), logits(-1.6, -4.0), "differ by 0.600"),
        (logits(-1.0, -4.0), logits(-1.1, -4.0, "float32"), "differ by 0.100"),
        (logits(-1.0, -1.2), logits(-1.15, -1.2), "differ by 0.150"),  # nearer to the base
    ):
        with pytest.raises(ValueError, match=complaint):
            compare_logits(found, recorded)


def test_an_adapter_with_nan_or_without_training_is_refused(tmp_path: Path):
    good = {"q.lora_A": np.ones((2, 2), np.float32), "q.lora_B": np.ones((2, 2), np.float32)}
    for name, changes, ok in (
        ("good", {}, True),
        ("nan", {"q.lora_A": np.full((2, 2), np.nan, np.float32)}, False),
        ("zero", {"q.lora_B": np.zeros((2, 2), np.float32)}, False),
    ):
        save_file(good | changes, tmp_path / name)
        assert check_weights(tmp_path / name).ok is ok


def test_a_llamas_fine_tune_must_be_named_so():
    assert check_name("me/Llama-3.2-1B-MedQuAD-LoRA", "llama3.2").ok
    assert not check_name("me/Med-Llama-3.2", "llama3.2").ok
    assert check_name("me/Med-Llama-3.2", "apache-2.0").ok
    with pytest.raises(ValueError, match="name: give OWNER/NAME"):
        check_options(parse(["me/a", "--space", "name"]))
    with pytest.raises(ValueError, match="a/b/c"):
        check_options(parse(["me/a", "--space", "a/b/c"]))


def test_a_base_that_others_cannot_load_is_refused(tmp_path: Path):
    folder = Base("outputs/base", None, tmp_path, "apache-2.0", {})
    assert "--base-repo OWNER/NAME" in check_base(folder, None).text and not check_base(folder, None).ok
    assert check_base(replace(folder, model="owner/base"), "owner/base").ok
    assert check_base(replace(folder, model="owner/base", revision="a" * 40), None).ok


def test_files_of_different_runs_are_not_released_together(small_out: Path, tmp_path: Path):
    run = releasable(small_out, tmp_path)
    scores = json.loads((run / "scores-test.json").read_text(encoding="utf-8"))
    trained = json.loads((run / "run.json").read_text(encoding="utf-8"))
    scores["adapter_sha256"] = trained["adapter_sha256"]
    (run / "scores-test.json").write_text(json.dumps(scores), encoding="utf-8")
    assert check_belongs(read_run(run)).ok
    weights = load_file(run / "adapter" / "adapter_model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, run / "adapter" / "adapter_model.safetensors")
    data = json.loads((tmp_path / "data" / "data.json").read_text(encoding="utf-8"))
    data["sha256"]["test"] = "0" * 64
    (tmp_path / "data" / "data.json").write_text(json.dumps(data), encoding="utf-8")
    (run / "scores-test.json").write_text(json.dumps(scores | {"adapter_sha256": "0" * 64}), encoding="utf-8")
    check = check_belongs(read_run(run))
    assert not check.ok
    assert all(name in check.text for name in ("data.json", "adapter_model.safetensors", "scores-test.json"))


def test_a_push_removes_only_what_a_release_put_there():
    removed = ["evaluation/loss.svg", "old.json"]
    assert check_only_ours(removed, {"old.json"}).ok
    check = check_only_ours(removed, set())
    assert not check.ok and "old.json" in check.text and "loss.svg" not in check.text


def test_a_release_is_as_public_as_its_publisher_means_it():
    public, hidden = Remote("me/a", "model", "1"), Remote("me/b", "model", "1", private=True)
    new, space = Remote("me/new", "model"), Remote("me/space", "space")
    assert check_visibility([public, new], private=False).ok and check_visibility([hidden, new], private=True).ok
    check = check_visibility([public], private=True)
    assert not check.ok and "public already" in check.text
    check = check_visibility([public, hidden, space], private=False)
    assert not check.ok and "me/b" in check.text and "can't read it" in check.text


def test_a_card_whose_metadata_is_no_yaml_fails_its_check():
    check = check_card_on_hub("---\ntitle: Ask: medicine\n---\n", "space")
    assert check.ok is False and "its metadata is no YAML" in check.text


def test_a_space_of_something_else_is_not_overwritten():
    assert check_our_space("me/space", {}).ok
    assert check_our_space("me/space", dict.fromkeys(("README.md", ".gitattributes"), "git:1")).ok
    assert check_our_space("me/space", dict.fromkeys(("app.py", "release.json"), "git:1")).ok
    check = check_our_space("me/space", dict.fromkeys(("README.md", "app.py"), "git:1"))
    assert not check.ok and "app.py" in check.text


def test_a_spaces_readme_preloads_exactly_the_release():
    pin = {"adapter": "me/adapter", "revision": "a" * 40, "base": "me/base", "base_revision": "b" * 40,
           "licence": "llama3.2", "sources": ""}  # fmt: skip
    needed = ["model.safetensors", "config.json"]
    text = pinned_readme("---\ntitle: Chat\nemoji: 📘\npreload_from_hub:\n- other\n---\n\n# Chat\n", pin, needed)
    assert "emoji: 📘" in text and "# Chat\n" in text and "other" not in text
    assert f"me/base model.safetensors,config.json {'b' * 40}" in " ".join(text.split())
    assert pinned_readme(text, pin, needed) == text
    assert "Built with Llama. Llama 3.2 is licensed under" in text
    assert "Llama" not in pinned_readme(text, pin | {"licence": "apache-2.0"}, needed)
    served = pinned_readme(text, pin | {"sources": SOURCES}, needed)
    assert f"datasets:\n- {SOURCES}\n" in served and served.count(SOURCES) == 1, "a data set can't be preloaded"


def test_the_table_of_pages_is_pinned_to_its_commit_where_the_hub_has_it(api: HfApi, hub: LocalHub, tmp_path: Path):
    assert not any(find_sources(api).values())
    commit = hub.seed(SOURCES, write_table(tmp_path / "data" / "train.parquet").parents[1], "datasets")
    assert tuple(find_sources(api).values()) == (SOURCES, commit, "data/train.parquet")


def test_no_token_survives_redaction(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "a secret\x01one")
    text = "Illegal header value b'Bearer a secret\\x01one' for hf_abcdefghijklmnopqrstuv, 'a secret\x01one'"
    assert redacted(text) == "Illegal header value b'Bearer <token>' for <token>, '<token>'"
    assert redacted("hf_jwt_eyJhbGciOiJSUzI1NiIsInR5.eyJz-dWIi.sig_x") == "<token>"
    assert redacted("in hf_raise_for_status, by hf_hub_download") == "in hf_raise_for_status, by hf_hub_download"


def test_a_release_is_compared_with_the_one_that_main_holds(api: HfApi, repo: Remote, bundle: Path):
    assert previous_release(api, repo, None) is None
    (bundle / "evaluation").mkdir()
    (bundle / "evaluation" / "data.json").write_text('{"sha256": {"test": "abc"}}', encoding="utf-8")
    for n, tag in enumerate(("v1.0.0", "v1.1.0")):
        (bundle / "evaluation" / "scores-test.json").write_text(f'{{"n": {n}}}', encoding="utf-8")
        set_tag(api, repo.repo, tag, push_folder(api, look_up(api, repo.repo), bundle, tag), tag)
    there = look_up(api, repo.repo)
    assert previous_release(api, there, None) == Previous("v1.1.0", {"n": 1}, "abc")
    assert previous_release(api, there, "v1.1.0").tag == "v1.0.0"  # not with itself
    (bundle / "evaluation" / "scores-test.json").write_text('{"n": 0}', encoding="utf-8")
    push_folder(api, there, bundle, "Roll back to v1.0.0")
    assert previous_release(api, look_up(api, repo.repo), None) == Previous("v1.0.0", {"n": 0}, "abc")


# One step of a push at a time, with a fault each


@pytest.mark.parametrize("action", ["500", "503", "429", "412", "drop", "lost", "slow"])
def test_a_commit_survives_what_passes(hub: LocalHub, api: HfApi, repo: Remote, bundle: Path, action: str):
    fault = Fault(action, path=f"{repo.repo}/commit/", seconds=0.2 if action == "slow" else 0)
    hub.inject(fault)
    commit = push_folder(api, repo, bundle, "Release")
    assert hub.faults[fault] >= 1
    assert titles(hub, repo.repo) == ["Release"]  # never twice
    assert hub.repo(repo.repo).contents(commit) == folder_contents(bundle)
    assert push_folder(api, look_up(api, repo.repo), bundle, "Release") == commit


@pytest.mark.parametrize(
    ("action", "error", "said"),
    [
        ("503", Unfinished, "answered 503"),
        ("hang", Unfinished, "did not answer in time"),
        ("drop", Unfinished, "connection to the Hub broke"),
        ("401", PermissionError, "answered 401"),
        ("403", PermissionError, "answered 403"),
        ("404", ValueError, "answered 404"),
        ("gated", PermissionError, "gated"),
    ],
)
def test_a_commit_that_is_refused_says_so_and_changes_nothing(
    hub: LocalHub, api: HfApi, repo: Remote, bundle: Path, action: str, error: type, said: str
):
    hub.inject(Fault(action, path=f"{repo.repo}/commit/", times=9))
    if action == "hang":
        connect(timeout=0.3)
    with pytest.raises(error, match=said):
        push_folder(api, repo, bundle, "Release")
    connect(TIMEOUT)
    assert look_up(api, repo.repo) == repo
    hub.disarm()
    push_folder(api, repo, bundle, "Release")
    assert titles(hub, repo.repo) == ["Release"]


def test_an_upload_and_a_download_survive_a_broken_connection(
    hub: LocalHub, api: HfApi, repo: Remote, bundle: Path, tmp_path: Path
):
    faults = Fault("drop", path="/_lfs/", method="PUT"), Fault("half", path="/resolve/.*safetensors", method="GET")
    hub.inject(*faults)
    commit = push_folder(api, repo, bundle, "Release")
    folder = download(api, repo, commit, tmp_path / "cache")
    assert folder_contents(folder).items() >= folder_contents(bundle).items()
    assert all(hub.faults[fault] == 2 for fault in faults)


def test_what_others_commit_meanwhile_is_not_overwritten(hub: LocalHub, api: HfApi, repo: Remote, bundle: Path):
    api.upload_file(path_or_fileobj=b"x", path_in_repo="theirs.txt", repo_id=repo.repo)
    with pytest.raises(Unfinished, match="someone else pushed to it"):
        push_folder(api, repo, bundle, "Release")
    assert set(hub.repo(repo.repo).contents()) == {"theirs.txt"}


def test_hidden_files_are_not_pushed(api: HfApi, repo: Remote, bundle: Path):
    for name in (".env", ".cache/x"):
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_text("mine", encoding="utf-8")
    assert ".env" not in compare(api, bundle, replace(repo, head=""))
    commit = push_folder(api, repo, bundle, "Release")
    assert compare(api, bundle, repo, commit) == {}


def test_a_file_that_gitignore_drops_is_missed(api: HfApi, repo: Remote, bundle: Path):
    api.upload_file(path_or_fileobj=b"*.safetensors\n", path_in_repo=".gitignore", repo_id=repo.repo)
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors did not arrive.*\.gitignore"):
        push_folder(api, look_up(api, repo.repo), bundle, "Release")


def test_a_flipped_bit_is_seen_and_fetched_again(hub: LocalHub, api: HfApi, repo: Remote, bundle: Path, tmp_path: Path):
    commit = push_folder(api, repo, bundle, "Release")
    for number, path in enumerate(("README.md", "adapter_model.safetensors")):  # git's sha1 and LFS's sha256
        fault = Fault("flip", path=f"/resolve/.*{path}", method="GET")
        hub.inject(fault)
        folder = download(api, repo, commit, tmp_path / str(number))
        assert hub.faults[fault] == 2
        assert (folder / path).read_bytes() == (bundle / path).read_bytes()
    hub.inject(Fault("flip", path="/resolve/.*safetensors", method="GET", times=9))
    with pytest.raises(Unfinished, match="damaged on the way"):
        download(api, repo, commit, tmp_path / "always")


def test_a_tag_is_set_once_and_never_moves(hub: LocalHub, api: HfApi, repo: Remote, bundle: Path):
    commit = push_folder(api, repo, bundle, "Release")
    hub.inject(Fault("lost", path="/tag/"))
    set_tag(api, repo.repo, "v1.0.0", commit, "Release")
    set_tag(api, repo.repo, "v1.0.0", commit, "Release")
    with pytest.raises(ValueError, match="tags never move"):
        set_tag(api, repo.repo, "v1.0.0", repo.head, "Release")
    assert hub.repo(repo.repo).tags == {"v1.0.0": commit}


def test_a_repository_is_created_once_though_the_answer_is_lost(hub: LocalHub, api: HfApi):
    hub.inject(Fault("lost", path="/api/repos/create"))
    ensure_repo(api, "maintainer/created", private=True)
    assert look_up(api, "maintainer/created").private


@pytest.mark.parametrize(("token", "said"), [(READ_TOKEN, "`read` may not create it"), (FOREIGN_TOKEN, "stranger")])
def test_a_token_that_may_not_write_is_refused_before_anything_is_pushed(
    hub: LocalHub, repo: Remote, token: str, said: str
):
    there, new = check_rights(HfApi(hub.endpoint, token=token), [repo, Remote("maintainer/new", "model")], True)[1:]
    assert not there.ok and "403" in there.text
    assert not new.ok and said in new.text
    assert all(c.ok for c in check_rights(HfApi(hub.endpoint, token=WRITE_TOKEN), [repo], True))


@pytest.mark.parametrize(("role", "ok"), [("read", False), ("contributor", True), ("write", True), ("admin", True)])
def test_who_may_only_read_in_an_organisation_is_told_before_anything_is_created(role: str, ok: bool):
    me = {"name": "member", "orgs": [{"name": "clinic", "roleInOrg": role}], "auth": {"accessToken": {"role": "write"}}}
    check = check_may_create(me, "clinic/new")
    assert check.ok is ok
    assert ok or "member `read` in clinic: `read` may not create it" in check.text
    assert check_may_create(me, "member/new").ok


def test_trusted_publishing_needs_no_stored_token(
    hub: LocalHub, repo: Remote, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_OIDC_RESOURCE", repo.repo)
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", ID_TOKEN)
    api = HfApi(hub.endpoint)
    token, may, other = check_rights(api, [repo, Remote("maintainer/new", "model")], True)
    assert token.ok and may.ok and not other.ok and "create it by hand" in other.text
    push_folder(api, repo, bundle, "Release")
    assert titles(hub, repo.repo) == ["Release"]


def test_trusted_publishing_asks_for_a_token_of_each_repository_that_it_writes(
    hub: LocalHub, api: HfApi, repo: Remote, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    ensure_repo(api, f"{repo.repo}-space", "space", space_sdk="gradio")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_OIDC_RESOURCE", repo.repo)
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", ID_TOKEN)
    ci = HfApi(hub.endpoint)
    space = look_up(ci, f"{repo.repo}-space", "space")
    assert all(check.ok for check in check_rights(ci, [repo, space], True))
    (bundle / "README.md").write_text("---\nsdk: gradio\n---\n", encoding="utf-8")
    push_folder(ci, space, bundle, "Serve")
    push_folder(ci, repo, bundle, "Release")
    set_tag(ci, repo.repo, "v1.0.0", look_up(ci, repo.repo).head, "Release")
    assert titles(hub, space.repo, "spaces") == ["Serve"] and set(hub.repo(repo.repo).tags) == {"v1.0.0"}
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", "another job")
    with pytest.raises(ValueError, match="invalid_grant"):
        push_folder(HfApi(hub.endpoint), space, bundle, "Serve")


def test_preflight_says_before_training_what_would_stop_a_release(
    hub: LocalHub, api: HfApi, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    (bundle / "adapter_model.safetensors").rename(bundle / "model.safetensors")
    hub.seed(BASE.base_model, bundle)
    hub.seed(MEDQUAD, bundle, "datasets")  # whose rows nobody reads yet
    licence = SHARED / "llama3.2-licence"
    options = parse(["maintainer/Med-Llama", "--llama-licence", str(licence), "--preflight"])
    with pytest.raises(ValueError, match="could not be published"):
        preflight(api, options)
    said = capsys.readouterr().out
    assert "FAILED  name" in said and "create maintainer/Med-Llama" in said and "card on the Hub" in said
    if licence.is_dir():
        options.repo = "maintainer/Llama-3.2-1B-x"
        preflight(api, options)
        assert "can be published" in capsys.readouterr().out


# The command


def test_help_is_printed_in_half_a_second():
    before = processor_seconds()
    assert "--rollback TAG" in command("scripts/publish.py", "--help").stdout
    assert processor_seconds() - before < 0.5


def test_a_refused_token_is_not_shown(hub: LocalHub, tmp_path: Path, small_out: Path):
    run = releasable(small_out, tmp_path / "out")
    for token, said in (("a-secret", "answered 401"), ("a-secret-é", "is the token whole?")):
        done = publish_here(hub, tmp_path, "maintainer/x", "--run", run, "--push", HF_TOKEN=token)
        assert done.returncode == 1 and said in last_line(done)
        assert "a-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x"], "x: give OWNER/NAME"),
        (["o/x", "--space", "x"], "x: give OWNER/NAME"),
        (["o/x", "--rollback"], "expected one argument"),
        (["o/x", "--rollback", "v1.0.0", "--push"], "not allowed with"),
        (["o/x", "--rollback", "v1.0.0"], "no such release of o/x, it is not there to see"),
        (["o/x", "--private", "--space", "o/y"], "can't read a private adapter"),
        (["o/x", "--base-repo", "o/x"], "a repository each"),
        (["o/x", "--accept", " "], "give the reason"),
        (["o/x", "--timeout", "0"], "give seconds above 0"),
        (["o/x", "--run", "nowhere/runs/r16"], "run.json is missing"),
        (["o/x", "--run", "nowhere"], "give a run's folder"),
        (["o/x", "--preflight", "--run", "nowhere"], "must be a configuration"),
    ],
)
def test_what_users_get_wrong_ends_in_one_line(hub: LocalHub, tmp_path: Path, words: list[str], said: str):
    done = publish_here(hub, tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "") and said in last_line(done)


def test_a_plan_needs_no_network_and_refuses_a_local_base(
    hub: LocalHub, tmp_path: Path, small_out: Path, monkeypatch: pytest.MonkeyPatch
):
    run = releasable(small_out, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    done = publish_here(hub, tmp_path, "maintainer/x", "--run", run)
    assert "the Hub is not asked" in done.stdout
    assert done.returncode == 1
    assert "--base-repo OWNER/NAME" in last_line(done) and "--accept REASON" in last_line(done)
    for part in ("new      adapter_model.safetensors", "sha256", "ok      weights", "FAILED  answers end"):
        assert part in done.stdout, part


def test_data_of_unknown_licence_is_not_published_until_prepare_is_told_and_the_run_stays(
    hub: LocalHub, tmp_path: Path, small_out: Path
):
    run, mine = releasable(small_out, tmp_path), tmp_path / "mine.csv"
    mine.write_bytes(SAMPLE.read_bytes())
    config = replace(DEMO, out=str(tmp_path), base_model=str(tmp_path / "base"), dataset=str(mine))
    prepare(config)
    refused = publish_here(hub, tmp_path, "maintainer/x", "--run", run)
    assert "FAILED  data" in refused.stdout
    assert "data: title, licence of mine.csv not known: run `python -m training prepare demo`" in last_line(refused)
    assert "--set dataset_title=TITLE --set dataset_licence=ID" in last_line(refused)
    prepare(replace(config, dataset_title="Mine", dataset_licence="cc-by-4.0", dataset_citation="Me, 2026"))
    told = publish_here(hub, tmp_path, "maintainer/x", "--run", run)
    assert re.search(r"ok +data +Mine, CC BY 4\.0", told.stdout), told.stdout
    assert "ok      one run" in told.stdout, "the data and the run are as they were"
    notice = (run / "release" / "NOTICE").read_text(encoding="utf-8")
    assert "Trained on Mine, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Me, 2026" in notice


@pytest.fixture(scope="module")
def story(hub: LocalHub, small_out: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A release from its first, killed try to a rollback: each step's outcome, and what the Hub held after it."""
    folder = tmp_path_factory.mktemp("story")
    run, home = releasable(small_out, folder), folder / "home"
    repo, space = "maintainer/story", "maintainer/story-space"
    words = [repo, "--run", run, "--base-repo", "maintainer/story-base", "--push", *ACCEPT]
    words += ["--space", space, "--space-folder", space_folder(folder / "space")]
    words += ["--sign", private_key(folder / "key.pem")] if find_spec("model_signing") else []
    told = SimpleNamespace(folder=folder, run=run, repo=repo, space=space)
    told.killed = killed_at_the_download(hub, home, words)
    told.after_kill = (titles(hub, repo), hub.repo(repo).tags)
    hub.set_space(space, ["BUILDING", "RUNTIME_ERROR"], error="no adapter")
    told.finished = publish_here(hub, home, *words)
    told.after_finish = (titles(hub, repo), hub.repo(repo).tags, hub.repo(space, "spaces").contents())
    told.bundle = folder_contents(run / "release")
    with running_space(hub, space, folder / "spaces"):
        told.again = publish_here(hub, home, *words)
    told.after_again = (titles(hub, repo), hub.repo(repo).tags, pinned(hub, space))
    HfApi(hub.endpoint, token=WRITE_TOKEN).upload_file(path_or_fileobj=b"x", path_in_repo="run.json", repo_id=repo)
    told.rolled_back = publish_here(hub, home, repo, "--rollback", "v1.0.0")
    return told


def killed_at_the_download(hub: LocalHub, home: Path, words: list[object]) -> str:
    """Kill a push whose commit has landed and is read back; returns every command line that ran meanwhile."""
    fault, waiting = Fault("hang", path="/resolve/"), time.monotonic() + 600
    hub.inject(fault)
    process = start_publish(hub, home, *words)
    while not hub.faults[fault]:
        assert process.poll() is None and time.monotonic() < waiting, process.communicate()[0]
        time.sleep(0.05)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    hub.disarm()
    return "\n".join(line.decode(errors="replace") for line in lines)


def test_a_killed_push_leaves_no_tag_and_the_same_command_finishes_it(story, hub):
    assert story.after_kill == (["Release v1.0.0"], {})
    commits, tagged, _ = story.after_finish
    assert commits == ["Release v1.0.0"] and set(tagged) == {"v1.0.0"}
    assert hub.repo(story.repo).contents("v1.0.0") == story.bundle


def test_a_space_that_does_not_run_is_put_back_and_the_release_stands(story):
    assert story.finished.returncode == 1
    assert "no adapter" in last_line(story.finished) and "the release stands" in last_line(story.finished)
    assert "app.py" not in story.after_finish[2]  # there was none before


def test_pushing_again_makes_no_second_release_and_brings_the_space(story):
    assert story.again.returncode == 0, story.again.stderr
    commits, tagged, pin = story.after_again
    assert (commits, tagged) == story.after_finish[:2]
    assert (pin["adapter"], pin["revision"], pin["version"]) == (story.repo, tagged["v1.0.0"], "v1.0.0")
    assert "v1.0.0 heard: What are" in story.again.stdout


def test_a_rollback_brings_the_files_back_and_moves_no_tag(story, hub):
    assert story.rolled_back.returncode == 0, story.rolled_back.stderr
    assert hub.repo(story.repo).contents() == story.bundle
    assert titles(hub, story.repo)[0] == "Roll back to v1.0.0"
    assert hub.repo(story.repo).tags == story.after_finish[1]


def test_a_release_is_signed_once_and_a_changed_file_is_found_when_it_is_read_back(story, hub, tmp_path):
    pytest.importorskip("model_signing", reason="the extra `signing` is not installed")
    for done in (story.finished, story.rolled_back):
        assert "the signature fits, by the key with sha256" in done.stdout
    for name, content in hub.repo(story.repo).contents("v1.0.0").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert signing.verify(tmp_path) in (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "contract.toml").write_text("changed", encoding="utf-8")
    with pytest.raises(ValueError, match=r"Hash mismatch for 'contract\.toml'"):
        signing.verify(tmp_path)


def test_the_token_is_nowhere(story):
    assert "publish.py" in story.killed and "spawn_main" in story.killed  # command lines of all processes
    assert WRITE_TOKEN not in story.killed
    for done in (story.finished, story.again, story.rolled_back):
        assert WRITE_TOKEN not in done.stdout + done.stderr
    files = [path for path in story.folder.rglob("*") if path.is_file()]
    assert len(files) > 50 and not [path for path in files if WRITE_TOKEN.encode() in path.read_bytes()]


def test_the_card_tells_why_a_missed_gate_was_accepted_and_where_to_try_it(story, hub):
    card = hub.repo(story.repo).contents("v1.0.0")["README.md"].decode()
    assert ACCEPT[1] in card and "answers end" in card and "**Published all the same:**" in card
    assert f"https://huggingface.co/spaces/{story.space}" in card and 'revision="v1.0.0"' in card
    report = json.loads((story.run / "published.json").read_text(encoding="utf-8"))
    assert ACCEPT[1] in report["accepted"] and report["version"] == "v1.0.0"
    assert report["verified"]["effect"] > 0 and report["space"]["repo"] == story.space
