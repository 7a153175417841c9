"""Network settings, tokens and outages: one line that names the value and the remedy, whichever command meets them."""

from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
from conftest import script_here, step_here
from hub import WRITE_TOKEN, LocalHub
from hub.releasing import client_of, publish_here
from huggingface_hub import constants

from training.network import settings_fault, token_in_use
from training.outputs import write_json

NOWHERE = "http://127.0.0.1:9"  # nothing listens there
PREPARE = ("prepare", "r16")
TRAIN = ("train", "demo", "--set", "base_model=maintainer/x")
PUBLISH = ("publish", "maintainer/x", "--preflight")
ASK = ("ask", "maintainer/x", "What is gout?")
COMMANDS = {"prepare": PREPARE, "train": TRAIN, "publish": PUBLISH, "ask": ASK}


@pytest.fixture(autouse=True)
def own_network(monkeypatch: pytest.MonkeyPatch):
    """No setting of whoever runs the tests."""
    for name in ("HTTP", "HTTPS", "ALL", "NO"):
        monkeypatch.delenv(f"{name}_PROXY", raising=False)
        monkeypatch.delenv(f"{name.lower()}_proxy", raising=False)
    for name in ("HF_ENDPOINT", "SSL_CERT_FILE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)


def online(home: Path, *words: str, HF_ENDPOINT: str, **environment: str) -> CompletedProcess[str]:
    """A command in this process that may ask a Hub; what it caches goes to `home`."""
    write_json(home / "data" / "data.json", {})
    environment["HF_ENDPOINT"] = HF_ENDPOINT
    hub = SimpleNamespace(endpoint=HF_ENDPOINT, environment=lambda token: environment)
    paths = {"HF_TOKEN_PATH": home / "token", "HF_HUB_CACHE": home / "hub"}
    with client_of(hub), pytest.MonkeyPatch.context() as patch:
        for name, path in paths.items():  # which huggingface_hub read from HF_HOME at its import
            patch.setattr(constants, name, str(path))
        name, *words = words
        if name == "publish":
            return publish_here(hub, home, *words)
        if name == "ask":
            return script_here(name, *words, **environment)
        return step_here(name, *words, "--set", f"out={home}", **environment)


def one_line(done: CompletedProcess[str]) -> str:
    """The error; fails where there is more than one line, or a traceback."""
    assert done.returncode in (1, 2), done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith(("error: ", "unfinished: "))
    return line


@pytest.mark.parametrize(
    ("words", "name", "value", "remedy"),
    [
        (PREPARE, "ALL_PROXY", "socks5://127.0.0.1:9", "'socksio' package is not installed"),
        (PUBLISH, "SSL_CERT_FILE", "/nowhere/ca.pem", "No such file or directory; change or unset it"),
        (ASK, "SSL_CERT_FILE", __file__, "no certificate or crl found"),
        (TRAIN, "HF_ENDPOINT", "localhost:9", "write http://localhost:9"),
        (PUBLISH, "HTTPS_PROXY", "gopher://127.0.0.1:9", "Unknown scheme for proxy URL"),
    ],
)
def test_a_wrong_setting_ends_in_one_line_with_value_and_remedy(tmp_path, words, name, value, remedy):
    line = one_line(online(tmp_path, *words, **{"HF_ENDPOINT": NOWHERE, name: value}))
    assert f"{name}={value}" in line and remedy in line


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_without_a_network_every_command_ends_in_one_line(tmp_path, words):
    assert "check the n" in one_line(online(tmp_path, *words, HF_ENDPOINT=NOWHERE))


def test_settings_that_work_are_no_fault(monkeypatch):
    assert settings_fault() is None
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:8000")
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")  # the client reads it as http://
    monkeypatch.setenv("NO_PROXY", "localhost,.example")
    assert settings_fault() is None


def test_a_proxys_password_is_not_shown(monkeypatch):
    monkeypatch.setenv("all_proxy", "socks4://me:secret@proxy.example:1080")
    assert "all_proxy=socks4://proxy.example:1080" in settings_fault()
    monkeypatch.setenv("https_proxy", "me:se@cret@proxy.example:3128")  # as the client also reads it
    assert "https_proxy=proxy.example:3128" in settings_fault()
    monkeypatch.setenv("https_proxy", "http://me:sec/ret@proxy.example:3128")
    monkeypatch.delenv("all_proxy")
    assert "https_proxy=http://proxy.example:3128: no URL; " in settings_fault()


def test_the_token_is_named_by_where_it_comes_from(monkeypatch, tmp_path):
    saved = tmp_path / "token"
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(saved))
    assert token_in_use()[0] == "no token"
    saved.write_text("hf_saved", encoding="utf-8")
    source, remedy = token_in_use()
    assert source == f"the token saved in {saved}" and "hf auth login" in remedy
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    source, remedy = token_in_use()
    assert source == f"the token in HF_TOKEN, which hides the one saved in {saved}"
    assert remedy.startswith("unset HF_TOKEN")
    monkeypatch.setenv("HF_OIDC_RESOURCE", "maintainer/x")
    source, remedy = token_in_use()
    assert source == "the token by trusted publishing (HF_OIDC_RESOURCE=maintainer/x)"
    assert "trusted publishers" in remedy


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_revoked_token_that_hides_a_good_one_is_named_and_not_shown(tmp_path, words):
    (tmp_path / "token").write_text(WRITE_TOKEN, encoding="utf-8")
    with LocalHub(tmp_path / "hub") as hub:
        done = online(tmp_path, *words, **hub.environment("hf_revoked"))
    line = one_line(done)
    assert "answered 401" in line and "unset HF_TOKEN" in line
    assert f"the token in HF_TOKEN, which hides the one saved in {tmp_path / 'token'}" in line
    assert not any(token in done.stdout + done.stderr for token in ("hf_revoked", WRITE_TOKEN))
