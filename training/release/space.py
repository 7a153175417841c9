"""Push the Space pinned to a release, wait until it runs and answers, and put back what it replaced if it doesn't."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

from huggingface_hub import HfApi, RepoCard

from space.contract import Contract, load_contract
from space.licences import LLAMAS, space_title
from training.network import Unfinished
from training.outputs import read_json, write_json, write_text
from training.release import hub

HARDWARE = "zero-a10g"
WAITING = ("NO_APP_FILE", "BUILDING", "RUNNING_BUILDING", "APP_STARTING", "RUNNING_APP_STARTING", "SLEEPING")
START_SECONDS, LOOK_SECONDS, ANSWER_SECONDS = 30 * 60, 2, 300  # to start, between looks, to answer
PRELOADED = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json",
             "chat_template.jinja", "contract.toml", "golden.json", "run.json", "evaluation/scores-test.json",
             "evaluation/data.json", "LICENSE", "NOTICE")  # fmt: skip
SOURCES = "lavita/MedQuAD"  # the data set with the addresses of MedQuAD's pages
BASE_FILES = ("config.json", "generation_config.json", "model.safetensors.index.json")  # beside the weights
# How the app says that the model gave no answer (space/serving.py): for good, else because of load or a used-up quota.
TROUBLE, BROKEN = "No answer just now", ("could not be loaded", "Something failed")


class SpaceFailed(ValueError):
    """The Space does not run, or does not answer, with what was pushed."""


def publish_space(
    api: HfApi,
    space: str,
    source: Path,
    adapter: hub.Remote,
    version: str,
    bundle: Path,
    exports: Sequence[str] = (),
    answered: str = "",
) -> str:
    """Push, wait, ask; returns the Space's commit. Raises ValueError if it failed, after restoring what was replaced.

    source: the app's folder. adapter: its head is the released commit. bundle: the files of that commit. exports:
    other repositories to link to. answered: the Space's commit that answered last; if it fails now, it stays.
    """
    remote = hub.ensure_repo(api, space, "space", space_sdk="gradio", space_hardware=HARDWARE)
    pin = make_pin(api, adapter, version, bundle)
    with tempfile.TemporaryDirectory(prefix="space-") as temporary:
        folder, readme = Path(temporary), Path(temporary, "README.md")
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        write_json(folder / "release.json", pin)
        there = hub.list_files(api, hub.Remote(pin["base"]), pin["base_revision"])
        needed = [
            name for name in (*read_json(bundle / "run.json", "")["base"]["weights"], *BASE_FILES) if name in there
        ]
        write_text(readme, pinned_readme(readme.read_text(encoding="utf-8"), pin, needed, exports))
        commit = hub.push_folder(api, remote, folder, f"Serve {adapter.repo} {version}")
    pages = "{sources_file} of {sources} at {sources_revision:.10}".format(**pin) if pin["sources"] else "none"
    print(f"space: {space} is at {hub.short(commit)}, pinned to {adapter.repo} {version}; pages: {pages}", flush=True)
    try:
        wait_until_running(api, space, commit)
        text = ask(api, space, load_contract(bundle / "contract.toml"))
    except SpaceFailed as error:
        if commit == answered:
            raise ValueError(f"{error}; it answered with these files before, so they stay") from error
        old = restore(api, replace(remote, head=commit))
        raise ValueError(f"{error}; the Space has the files of {old} again, the release stands") from error
    print(f"space: it runs and answers: {shorten(text, 100, placeholder='…')}", flush=True)
    return commit


def restore(api: HfApi, failed: hub.Remote) -> str:
    """Push the files of the commit before a Space's last one, unless that is its first; returns that commit's name."""
    what = f"reading the history of {failed.repo}"
    log = hub.retry(what, lambda: api.list_repo_commits(failed.repo, repo_type="space", revision=failed.head))
    before = log[min(1, len(log) - 1)].commit_id
    with tempfile.TemporaryDirectory(prefix="space-") as cache:
        hub.push_folder(api, failed, hub.download(api, failed, before, Path(cache)), f"Put back {hub.short(before)}")
    return hub.short(before)


# The files


def make_pin(api: HfApi, adapter: hub.Remote, version: str, bundle: Path) -> dict[str, str]:
    """What the Space serves, its release.json: a released commit, its date, its base, and the table of pages."""
    log = hub.retry(f"looking at {adapter.repo}", lambda: api.list_repo_commits(adapter.repo, revision=adapter.head))
    config = read_json(bundle / "adapter_config.json", "")
    pin = {
        "adapter": adapter.repo,
        "revision": adapter.head,
        "version": version,
        "date": log[0].created_at.date().isoformat(),
        "base": config["base_model_name_or_path"],
        "base_revision": config["revision"],
        "licence": read_json(bundle / "run.json", "")["base"]["licence"],
    }
    return pin | find_sources(api)


def find_sources(api: HfApi) -> dict[str, str]:
    """Data set, commit and file of the table of pages; empty where the Hub doesn't have it: the Space then says so."""
    remote = hub.look_up(api, SOURCES, "dataset")
    tables = [name for name in hub.list_files(api, remote) if name.endswith(".parquet")]
    found = (SOURCES, remote.head, tables[0]) if len(tables) == 1 else ("", "", "")
    return dict(zip(("sources", "sources_revision", "sources_file"), found, strict=True))


def pinned_readme(text: str, pin: dict[str, str], base_files: list[str], exports: Sequence[str] = ()) -> str:
    """A Space's README that preloads exactly this release, links to its card, and names a Llama base as required."""
    card, licence = RepoCard(text), pin["licence"]
    card.data["sdk"] = card.data.get("sdk") or "gradio"
    if card.data.get("title") == space_title("llama3.2"):  # not one of the maintainer's own
        card.data["title"] = space_title(licence)
    card.data["models"] = [pin["adapter"], pin["base"], *exports]
    card.data["datasets"] = [pin["sources"]] if pin["sources"] else None
    # no data set: the Hub's build takes each entry for a model, and fails. The app fetches its six megabytes at start.
    card.data["preload_from_hub"] = [
        f"{pin['base']} {','.join(base_files)} {pin['base_revision']}",
        f"{pin['adapter']} {','.join(PRELOADED)} {pin['revision']}",
    ]
    card.text = re.sub(r"\n*^Built with .*Llama.*\n?", "", card.text, flags=re.MULTILINE)
    if licence in LLAMAS and LLAMAS[licence].built_with:
        card.text = f"{card.text.rstrip()}\n\n{LLAMAS[licence].built_with}. {LLAMAS[licence].notice}\n"
    return str(card)


# The running app


def wait_until_running(api: HfApi, space: str, commit: str) -> None:
    """Wait until the Space runs this commit, printing every new stage; raises SpaceFailed if it stops in another."""
    started, shown = time.monotonic(), ""
    while time.monotonic() - started < START_SECONDS:
        runtime = hub.retry(f"waiting for {space}", lambda: api.get_space_runtime(space))
        if runtime.stage != shown:
            print(f"  {time.monotonic() - started:4.0f} s  {runtime.stage}", flush=True)
            shown = runtime.stage
        if runtime.stage == "RUNNING" and runtime.raw.get("sha") in (None, commit):
            return
        if runtime.stage not in (*WAITING, "RUNNING"):
            raise SpaceFailed(f"{space} ended in {runtime.stage}: {runtime.raw.get('errorMessage') or 'see its logs'}")
        time.sleep(LOOK_SECONDS)
    raise Unfinished(f"{space} is still {shown} after {START_SECONDS / 60:.0f} minutes: see its logs")


def ask(api: HfApi, space: str, contract: Contract) -> str:
    """The Space's answer to the first golden question; raises SpaceFailed if it is not an answer of the model."""
    info = hub.retry(f"looking at {space}", lambda: api.space_info(space))
    token = api.token if info.private else False  # a public Space needs no token, so it gets none
    question = contract.golden[0].messages[0]["content"]
    try:
        given = hub.retry(f"asking {space}", lambda: answer_of(info.host or "", token, question), (2, 5, 10))
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


def answer_of(host: str, token: str | bool | None, question: str) -> str:
    """What /chat answers; raises SpaceFailed for an error of the app, Unfinished if it can't be reached."""
    import httpx  # only the extra `space` has gradio_client and its httpx, which is not huggingface_hub's
    from gradio_client import Client

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # TRAP: analytics_enabled=False alone still reports
    client = None
    try:
        client = Client(host, token=token, verbose=False, analytics_enabled=False)
        said = client.submit(question, api_name="/chat").result(timeout=ANSWER_SECONDS)
        return str(said["text"] if isinstance(said, dict) else said)  # a text alone by the app of an earlier release
    except httpx.HTTPError as error:
        raise Unfinished(f"{host} can't be reached ({type(error).__name__})") from error
    except (ValueError, TimeoutError) as error:  # AppError is a ValueError
        raise SpaceFailed(f"{host} fails on /chat: {str(error) or type(error).__name__}") from error
    finally:
        if client:
            client.close()
