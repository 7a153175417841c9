"""Push the Space pinned to a release, wait until it runs and answers, and put it back if it doesn't."""

import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from space.contract import Contract, load_contract
from space.licences import LLAMAS
from training.outputs import write_json, write_text
from training.release.hub import Unfinished, asked
from training.release.push import Remote, changes, ensure_repo, local_files, look, push_folder, short, tree

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HARDWARE = "zero-a10g"
WAITING = ("NO_APP_FILE", "BUILDING", "RUNNING_BUILDING", "APP_STARTING", "RUNNING_APP_STARTING", "SLEEPING")
PRELOADED = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
             "chat_template.jinja", "contract.toml", "golden.json", "run.json", "evaluation/scores-test.json",
             "evaluation/data.json", "LICENSE", "NOTICE")  # fmt: skip
BASE_PRELOADED = ("config.json", "generation_config.json", "model.safetensors.index.json")  # beside the weights
# What the app answers where the model did not (space/trouble.py): for good, or because of a crowd or a used up quota.
TROUBLE, BROKEN = "No answer just now", ("could not be loaded", "Something failed")


class SpaceFailed(ValueError):
    """The Space does not run or not answer with what was pushed: it is put back."""


@dataclass(frozen=True)
class Pin:
    """What a Space serves: the content of its release.json. `date` is that of the commit."""

    adapter: str
    revision: str
    version: str
    date: str
    base: str
    base_revision: str
    licence: str


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for the Space to run, between two looks, and for an answer."""

    run: float = 30 * 60
    look: float = 2
    answer: float = 300


def pin_of(api: "HfApi", remote: Remote, commit: str, version: str, bundle: Path) -> Pin:
    """The pin of a released commit, the same whenever it is made."""
    log = asked(f"looking at {remote.repo}", lambda: api.list_repo_commits(remote.repo, revision=commit))
    adapter = json.loads((bundle / "adapter_config.json").read_text(encoding="utf-8"))
    date = log[0].created_at.date().isoformat()
    run = json.loads((bundle / "run.json").read_text(encoding="utf-8"))
    base = (adapter["base_model_name_or_path"], adapter["revision"], run["base"]["licence"])
    return Pin(remote.repo, commit, version, date, *base)


def base_files(api: "HfApi", pin: Pin, bundle: Path) -> list[str]:
    """The files of the base that the Space needs, of those that its repository has."""
    run = json.loads((bundle / "run.json").read_text(encoding="utf-8"))
    there = tree(api, Remote(pin.base, "model"), pin.base_revision)
    return [name for name in (*run["base"]["weights"], *BASE_PRELOADED) if name in there]


def stage_space(folder: Path, source: Path, pin: Pin, base_files: list[str]) -> None:
    """Fill a fresh folder with the Space's files, release.json, and a README whose front matter names the release."""
    for name, path in local_files(source).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    write_json(folder / "release.json", asdict(pin))
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    write_text(readme, pinned_readme(text, pin, base_files))


def pinned_readme(text: str, pin: Pin, base_files: list[str]) -> str:
    """A Space's README that preloads exactly this release into the image, links to its card, and says what its base is
    built with where the licence of a Llama asks for it."""
    from huggingface_hub import RepoCard

    card = RepoCard(text or "# Chat\n")
    card.data.sdk = card.data.get("sdk") or "gradio"
    card.data.models = [pin.adapter, pin.base]
    card.data.preload_from_hub = [
        f"{pin.base} {','.join(base_files)} {pin.base_revision}",
        f"{pin.adapter} {','.join(PRELOADED)} {pin.revision}",
    ]
    card.text = re.sub(r"\n*^Built with .*Llama.*\n?", "", card.text, flags=re.MULTILINE)
    if pin.licence in LLAMAS and LLAMAS[pin.licence].built_with:
        card.text = f"{card.text.rstrip()}\n\n{LLAMAS[pin.licence].built_with}. {LLAMAS[pin.licence].notice}\n"
    return str(card)


def publish_space(api: "HfApi", space: str, source: Path, pin: Pin, bundle: Path, patience: Patience) -> str:
    """Push, wait, ask; returns the Space's commit. Raises ValueError once a failing Space is put back."""
    ensure_repo(api, space, "space", space_sdk="gradio", space_hardware=HARDWARE)
    remote = look(api, space, "space")
    with tempfile.TemporaryDirectory(prefix="space-") as temporary:
        stage_space(Path(temporary), source, pin, base_files(api, pin, bundle))
        before = commit_before(api, remote, Path(temporary))
        commit = push_folder(api, remote, Path(temporary), f"Serve {pin.adapter} {pin.version}")
    print(f"space: {space} is at {short(commit)}, pinned to {pin.adapter} {pin.version}", flush=True)
    try:
        wait_until_running(api, space, commit, patience)
        text = ask(api, space, load_contract(bundle / "contract.toml"), patience)
    except SpaceFailed as error:
        put_back(api, space, commit, before)
        raise ValueError(f"{error}; the Space is back at the files of {short(before)}, the release stands") from error
    print(f"space: it runs and answers: {shorten(text, 100, placeholder='…')}", flush=True)
    return commit


def commit_before(api: "HfApi", remote: Remote, staged: Path) -> str:
    """The commit to go back to: main, or its parent where main holds the staged files already."""
    if set(changes(staged, tree(api, remote, remote.head)).values()) - {"same"}:
        return remote.head
    log = asked(f"reading the history of {remote.repo}", lambda: api.list_repo_commits(remote.repo, repo_type="space"))
    return log[min(1, len(log) - 1)].commit_id


def wait_until_running(api: "HfApi", space: str, commit: str, patience: Patience) -> None:
    """Wait until the Space runs this commit, printing every new stage; raises SpaceFailed for a stage that is final."""
    started, shown = time.monotonic(), ""
    while time.monotonic() - started < patience.run:
        runtime = asked(f"waiting for {space}", lambda: api.get_space_runtime(space))
        if runtime.stage != shown:
            print(f"  {time.monotonic() - started:4.0f} s  {runtime.stage}", flush=True)
            shown = runtime.stage
        if runtime.stage == "RUNNING" and runtime.raw.get("sha") in (None, commit):
            return
        if runtime.stage not in (*WAITING, "RUNNING"):
            raise SpaceFailed(f"{space} ended in {runtime.stage}: {runtime.raw.get('errorMessage') or 'see its logs'}")
        time.sleep(patience.look)
    raise Unfinished(f"{space} is still {shown} after {patience.run / 60:.0f} minutes: see its logs")


def ask(api: "HfApi", space: str, contract: Contract, patience: Patience) -> str:
    """The Space's last words to the first golden question; raises SpaceFailed where they are no answer of the model."""
    info = asked(f"looking at {space}", lambda: api.space_info(space))
    question = contract.golden[0].messages[0]["content"]
    token = api.token if info.private else False  # a public Space needs no token, so it gets none
    try:
        given = asked(f"asking {space}", lambda: answer_of(info.host, token, question, patience), (2, 5, 10))
    except Unfinished as error:
        raise SpaceFailed(f"{error}: it does not answer") from error
    if contract.disclaimer not in given:
        raise SpaceFailed(f"{space} answers without the disclaimer: {given[:80]!r}")
    if TROUBLE in given:
        words = " ".join(given.partition(TROUBLE)[2].strip("*. ").split())[:120]
        if any(mark in given for mark in BROKEN):
            raise SpaceFailed(f"{space} runs, but does not answer: {words}")
        raise Unfinished(f"{space} runs, but can't answer now: {words}")
    return given


def answer_of(host: str, token: str | bool | None, question: str, patience: Patience) -> str:
    """What /chat answers; raises SpaceFailed for an error of the app, Unfinished while it can't be reached."""
    import httpx  # gradio_client's, another one than huggingface_hub's
    from gradio_client import Client

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # TRAP: analytics_enabled=False alone still reports
    client = None
    try:
        client = Client(host, token=token, verbose=False, analytics_enabled=False)
        return str(client.submit(question, api_name="/chat").result(timeout=patience.answer))
    except httpx.HTTPError as error:
        raise Unfinished(f"{host} can't be reached ({type(error).__name__})") from error
    except (ValueError, TimeoutError) as error:  # AppError is a ValueError
        raise SpaceFailed(f"{host} fails on /chat: {error or type(error).__name__}") from error
    finally:
        if client:
            client.close()


def put_back(api: "HfApi", space: str, commit: str, before: str) -> None:
    """Let main hold the files of an earlier commit again."""
    remote = Remote(space, "space", commit)
    with tempfile.TemporaryDirectory(prefix="space-") as cache:
        push_folder(api, remote, snapshot(api, space, before, Path(cache)), f"Put back {short(before)}")


def snapshot(api: "HfApi", space: str, commit: str, cache: Path) -> Path:
    """A commit of a Space, in an empty cache."""

    def call() -> Any:
        return api.snapshot_download(space, repo_type="space", revision=commit, cache_dir=cache)

    return Path(asked(f"downloading {space} at {short(commit)}", call))
