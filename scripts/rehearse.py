"""Play a whole release on a local Hub: publish, start the Space, ask it, release again, roll back. Nothing leaves here.

`rehearse.py` takes the demo run; `--run DIR` another one. Each step is the command that a maintainer types.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the local Hub is a tool of the tests

REPO, BASE_REPO, SPACE = "maintainer/Llama-rehearsal", "maintainer/Llama-rehearsal-base", "maintainer/rehearsal"
ACCEPT = "a rehearsal on a local Hub"


def main() -> None:
    parser = argparse.ArgumentParser(prog="rehearse.py", description=__doc__)
    parser.add_argument(
        "--run", type=Path, default=ROOT / "outputs/demo/runs/demo", metavar="DIR", help="a finished run"
    )
    parser.add_argument("--space-folder", type=Path, default=ROOT / "space", metavar="DIR", help="default: space/")
    parser.add_argument("--llama-licence", type=Path, metavar="DIR", help="LICENSE.txt and USE_POLICY.md of Llama 3.2")
    options = parser.parse_args()
    from hub import LocalHub
    from space_runner import running_space

    if not (options.run / "run.json").exists():
        sys.exit(f"error: {options.run} holds no finished run: `make demo` makes one")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary:
        folder = Path(temporary)
        with LocalHub(folder / "hub") as hub, running_space(hub, SPACE, folder / "spaces") as commits:
            environment = hub.environment() | {"HF_HOME": str(folder / "home")}
            run = copy_of(options.run, folder)
            words = release_words(run, options)
            if play("What a release would push", environment, *words, may_fail=True):
                words += ["--accept", ACCEPT]
                print("The rehearsal goes on with --accept, which passes a missed gate")
            play("The first release, with its Space", environment, *words, "--push")
            play("The same command again", environment, *words, "--push")
            (run / "loss.svg").unlink(missing_ok=True)
            play("A second release: the same run without a picture", environment, *words, "--push")
            play("Back to the first", environment, REPO, "--rollback", "v1.0.0", "--space", SPACE)
        print(f"\nrehearsed in {time.monotonic() - started:.0f} s; the Space was started {len(commits)} times")


def release_words(run: Path, options: argparse.Namespace) -> list[str]:
    words = [REPO, "--run", str(run), "--space", SPACE, "--space-folder", str(options.space_folder.resolve())]
    if (run.parents[1] / "base").is_dir():
        words += ["--base-repo", BASE_REPO]
    return words + (["--llama-licence", str(options.llama_licence.resolve())] if options.llama_licence else [])


def copy_of(run: Path, folder: Path) -> Path:
    """A copy of a run with the data and base beside it, so that the rehearsal leaves no trace in outputs/."""
    out = run.resolve().parents[1]
    for name in ("data", "base", f"runs/{run.resolve().name}"):
        if (out / name).exists():
            shutil.copytree(out / name, folder / "out" / name)
    return folder / "out" / "runs" / run.resolve().name


def play(title: str, environment: dict[str, str], *words: str, may_fail: bool = False) -> int:
    """Show a command, run it and return its exit code; ends the rehearsal if it fails and may not."""
    print(f"\n== {title}\n$ scripts/publish.py {' '.join(words)}", flush=True)
    started = time.monotonic()
    inherited = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "publish.py"), *words], env=inherited | environment, check=False
    )
    print(f"({time.monotonic() - started:.1f} s)", flush=True)
    if done.returncode and not may_fail:
        sys.exit(f"error: the rehearsal ended here, the command above returned {done.returncode}")
    return done.returncode


if __name__ == "__main__":
    main()
