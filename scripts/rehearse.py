"""Play a whole release on a local Hub: publish, start the Space, ask it, release again, roll back. Nothing leaves here.

`rehearse.py` takes the demo run; `--run DIR` another one whose base is a folder. Each step is the command that a
maintainer types.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from training.command import run

if TYPE_CHECKING:
    from hub import LocalHub

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the local Hub is a tool of the tests

REPO, BASE_REPO, SPACE = "maintainer/Llama-rehearsal", "maintainer/Llama-rehearsal-base", "maintainer/rehearsal"
ACCEPT = "a rehearsal on a local Hub"
QUESTION = "What are the symptoms of gout?"
PLAN = ("files: ", "scores: ", "checks", "gates", "  ")  # lines of a plan, which each command shows


def main() -> None:
    parser = argparse.ArgumentParser(prog="rehearse.py", description=__doc__)
    parser.add_argument(
        "--run", type=Path, default=Path("outputs/demo/runs/demo"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--space-folder", type=Path, default=ROOT / "space", metavar="DIR", help="default: space/")
    parser.add_argument("--llama-licence", type=Path, metavar="DIR", help="LICENSE.txt and USE_POLICY.md of Llama 3.2")
    options = parser.parse_args()
    if not (options.run / "run.json").exists():
        sys.exit(f"error: {options.run} holds no finished run: `make demo` makes one")
    if not (options.run / "base.json").exists():
        sys.exit(f"error: {options.run} was trained on a base from the Hub, which a local Hub doesn't hold")
    from hub import LocalHub
    from space_runner import running_space

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary:
        folder = Path(temporary)
        with LocalHub(folder / "hub") as hub, running_space(hub, SPACE, folder / "spaces") as commits:
            print(f"A local Hub listens at {hub.endpoint}; everything below happens there and in a copy of the run")
            rehearse(hub, folder, options)
        print(f"\nRehearsed in {time.monotonic() - started:.0f} s; the Space was started {len(commits)} times")


def rehearse(hub: "LocalHub", folder: Path, options: argparse.Namespace) -> None:
    """The steps, each with what it prints; a maintainer's own commands differ in the names alone."""
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= hub.environment() | {"HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    copied = copy_of(options.run, folder)
    words = release_words(copied, options)
    if play("What a release would push", folder, environment, words, may_fail=True):
        words += ["--accept", ACCEPT]
        print("\nA missed gate stops a release. The rehearsal goes on with --accept, whose reason the card then tells.")
    play("The first release, with its Space", folder, environment, [*words, "--push"])
    ask(hub)
    play("The same command again makes no second release", folder, environment, [*words, "--push"])
    (folder / copied / "loss.svg").unlink(missing_ok=True)
    play("A second release: the same run without a picture", folder, environment, [*words, "--push"])
    play("Back to the first", folder, environment, [REPO, "--rollback", "v1.0.0", "--space", SPACE])
    ask(hub)


def release_words(run: Path, options: argparse.Namespace) -> list[str]:
    words = [REPO, "--run", str(run), "--base-repo", BASE_REPO, "--space", SPACE]
    if options.space_folder != ROOT / "space":
        words += ["--space-folder", str(options.space_folder.resolve())]
    return words + (["--llama-licence", str(options.llama_licence.resolve())] if options.llama_licence else [])


def copy_of(run: Path, folder: Path) -> Path:
    """Copy a run with the data beside it; returns its path in the folder, where the commands are run."""
    run = run.resolve()
    out, copied = run.parents[1], Path("outputs", run.parents[1].name)
    for name in ("data", f"runs/{run.name}"):
        if (out / name).exists():
            shutil.copytree(out / name, folder / copied / name)
    return copied / "runs" / run.name


def play(title: str, folder: Path, environment: dict[str, str], words: list[str], may_fail: bool = False) -> int:
    """Show a command and run it; a plan is shown in full once. Ends the rehearsal if it fails and may not."""
    shown = " ".join(f'"{word}"' if " " in word else word for word in words)
    print(f"\n== {title}\n$ python scripts/publish.py {shown}", flush=True)
    started = time.monotonic()
    script = str(ROOT / "scripts" / "publish.py")
    with subprocess.Popen(
        [sys.executable, script, *words],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    ) as process:  # fmt: skip
        show(process.stdout, whole="--push" not in words)
    print(f"({time.monotonic() - started:.1f} s, exit code {process.returncode})", flush=True)
    if process.returncode and not may_fail:
        sys.exit(f"error: the rehearsal ended here, the command above returned {process.returncode}")
    return process.returncode


def show(lines: Iterable[str], whole: bool) -> None:
    """Print lines as they come; of a plan, if not whole, only how long it was."""
    hidden, planning = 0, not whole
    for line in lines:
        planning = planning and line.startswith(("plan: ", *PLAN))
        if planning and not line.startswith("plan: "):
            hidden += 1
            continue
        if hidden:
            print(f"  … files, scores, checks and gates as above: {hidden} lines", flush=True)
            hidden = 0
        print(line, end="", flush=True)


def ask(hub: "LocalHub") -> None:
    """Ask the running Space one question, as anyone can, and show its answer."""
    from gradio_client import Client
    from hub_storage import Repo, read_space

    host = read_space(Repo(hub.root, "spaces", SPACE).folder)["host"]
    print(f"\n== A visitor asks the Space\n  {QUESTION}", flush=True)
    client = Client(host, verbose=False, analytics_enabled=False)
    answer = client.submit(QUESTION, api_name="/chat").result(timeout=300)
    for line in str(answer).splitlines():
        print(textwrap.fill(line, 110, initial_indent="  > ", subsequent_indent="  > ") or "  >", flush=True)
    client.close()


if __name__ == "__main__":
    run(main)
