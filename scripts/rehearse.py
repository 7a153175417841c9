"""Rehearse a whole release on a local Hub: publish, start the Space, ask it, release again, roll back.

`rehearse.py` takes the demo run; `--run DIR` another run whose base is a folder. Every step is the command that a
maintainer types; nothing leaves this machine.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.command import run

ROOT = Path(__file__).parents[1]
REPO, BASE_REPO, SPACE = "maintainer/Llama-rehearsal", "maintainer/Llama-rehearsal-base", "maintainer/rehearsal"


def main() -> None:
    parser = argparse.ArgumentParser(prog="rehearse.py", description=__doc__)
    parser.add_argument(
        "--run", type=Path, default=Path("outputs/demo/runs/demo"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--space-folder", type=Path, metavar="DIR", help="default: space/")
    parser.add_argument("--llama-licence", type=Path, metavar="DIR", help="LICENSE.txt and USE_POLICY.md of Llama 3.2")
    options = parser.parse_args()
    if not (options.run / "run.json").exists():
        sys.exit(f"error: {options.run} holds no finished run: `make demo` makes one")
    if not (options.run / "base.json").exists():
        sys.exit(f"error: {options.run} was trained on a base from the Hub, which a local Hub doesn't hold")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary, local_hub(Path(temporary) / "hub") as hub:
        print(f"A local Hub listens at {hub['HF_ENDPOINT']}; all of this happens there and on a copy of the run")
        rehearse(hub, Path(temporary), options)
    print(f"\nRehearsed in {time.monotonic() - started:.0f} s")


@contextmanager
def local_hub(folder: Path) -> Iterator[dict[str, str]]:
    """Start the tests' Hub, which also runs the Space; yields the environment of its clients."""
    words = [sys.executable, "-m", "hub", "--root", str(folder), "--space", SPACE]
    with subprocess.Popen(words, cwd=ROOT / "tests", stdout=subprocess.PIPE, encoding="utf-8") as server:
        try:
            export = next((line for line in server.stdout or () if line.startswith("export ")), None)
            if export is None:
                sys.exit("error: the local Hub does not start")
            yield dict(pair.split("=", 1) for pair in export.split()[1:])
        finally:
            server.terminate()


def rehearse(hub: dict[str, str], folder: Path, options: argparse.Namespace) -> None:
    """The steps, each with its output; a maintainer's commands differ only in the names."""
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= hub | {"HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    run = options.run.resolve()
    out, copy = run.parents[1], Path("outputs", run.parents[1].name)  # relative, as users write it
    for name in ("data", f"runs/{run.name}"):
        shutil.copytree(out / name, folder / copy / name)
    words = [REPO, "--run", str(copy / "runs" / run.name), "--base-repo", BASE_REPO, "--space", SPACE]
    folders = {"--space-folder": options.space_folder, "--llama-licence": options.llama_licence}
    words += [word for option, path in folders.items() if path for word in (option, str(path.resolve()))]
    words += ["--accept", "a rehearsal on a local Hub"]  # a small model may miss a gate
    play("What a release would push", folder, environment, words)
    play("The first release, whose Space is asked a question", folder, environment, [*words, "--push"])
    play("The same command again makes no second release", folder, environment, [*words, "--push"])
    (folder / copy / "runs" / run.name / "loss.svg").unlink(missing_ok=True)
    play("A second release: the same run without a picture", folder, environment, [*words, "--push"])
    play("Back to the first", folder, environment, [REPO, "--rollback", "v1.0.0", "--space", SPACE])


def play(title: str, folder: Path, environment: dict[str, str], words: list[str]) -> None:
    """Show a command and run it; if it fails, the rehearsal ends."""
    print(f"\n== {title}\n$ python scripts/publish.py {shlex.join(words)}", flush=True)
    started = time.monotonic()
    script = str(ROOT / "scripts" / "publish.py")
    code = subprocess.run([sys.executable, script, *words], cwd=folder, env=environment, check=False).returncode
    print(f"({time.monotonic() - started:.1f} s)", flush=True)
    if code:
        sys.exit(f"error: the rehearsal ended here, the command above returned {code}")


if __name__ == "__main__":
    run(main)
