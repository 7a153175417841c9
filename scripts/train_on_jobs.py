# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = []  # the steps get theirs from --code
#
# [tool.hf-jobs]
# flavor = "a10g-small"
# timeout = "8h"  # the client's own is 30 minutes
# secrets = ["HF_TOKEN"]
# name = "med-llama"
# ///
"""Run prepare, train, score and publish with one command on rented hardware of Hugging Face:

  hf jobs uv run scripts/train_on_jobs.py r16 --code https://github.com/OWNER/CODE@COMMIT \\
      --repo OWNER/Llama-3.2-1B-MedQuAD-LoRA --push

Only this file is uploaded; the project comes from --code. Without --push the plan is shown and nothing is pushed.
For a study run one job for each configuration, keep all in one mounted bucket, and compare them here:

  for CONFIG in r16 r8 r32; do
    hf jobs uv run -d -v hf://buckets/OWNER/RUNS:/runs scripts/train_on_jobs.py $CONFIG --code … --study --keep /runs
  done
  hf buckets sync hf://buckets/OWNER/RUNS outputs/medquad && python -m training study r16 --assemble

Hardware, time limit and secrets are in the header above; `--flavor`, `--timeout` and `--dry-run` go before the script.
"""

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from io import TextIOWrapper
from pathlib import Path


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a missing character must not end a paid job
    options = parse()
    code = options.code if options.show else str(fetch(options.code).resolve())
    python = "python" if options.show else interpreter(Path(code))
    for name, words in commands(options).items():
        print(f"\n== {name}: {shlex.join(words)}", flush=True)
        if options.show:
            continue
        call([python, *words], Path(code))
        keep(options)


def call(words: list[str], folder: Path | None = None) -> None:
    """Run a command; if it fails, exit with its exit code. It has printed the reason."""
    code = subprocess.run(words, cwd=folder, check=False).returncode
    if code:
        sys.exit(code if code > 0 else 128 - code)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train_on_jobs.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", metavar="CONFIG", help="a configuration's name, as the steps take it")
    parser.add_argument(
        "--code", default=".", metavar="URL@COMMIT", help="the project, or a folder with it (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/job"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field; repeatable")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="GPUs to train and score on (%(default)s)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="score N random questions")
    parser.add_argument("--benchmark", type=int, metavar="N", help="also ask the tasks of lm-eval, N questions each")
    parser.add_argument("--study", action="store_true", help="score validation for a study; publish nothing")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy data and run to this folder after each step")
    parser.add_argument("--repo", metavar="OWNER/NAME", help="the adapter's; without it nothing is published")
    parser.add_argument("--publish", action="append", default=[], metavar="WORDS", help="more options for publish.py")
    parser.add_argument("--push", action="store_true", help="push, verify and tag; without it the plan is shown")
    parser.add_argument("--show", action="store_true", help="only print the steps' commands")
    options = parser.parse_args()
    if options.push and not options.repo:
        parser.error("--push needs --repo")
    if options.study and options.repo:
        parser.error("--study publishes nothing: leave --repo out, and publish what the study chooses")
    return options


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Step -> arguments of Python, in order. Before a push `--preflight` comes first, so that no paid work is lost."""
    out = options.out.resolve()
    changes = [f"out={out}", *options.set]
    given = [options.config, *(word for change in changes for word in ("--set", change))]
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(options.processes)]
    launcher = several if options.processes > 1 else []
    asked = ["--split", "validation"] if options.study else []
    asked += ["--limit", str(options.limit)] if options.limit else []
    more = [word for words in options.publish for word in shlex.split(words)]
    publish = ["scripts/publish.py", options.repo, "--run", str(run_folder(options)), *more]
    # Before training there is no run yet: the configuration is given by its name, and by `--set`.
    ahead = [options.out.resolve() / "runs" / options.config, *more, "--preflight", *given[1:]]
    preflight = ["scripts/publish.py", options.repo, "--run", *map(str, ahead)]
    steps = {
        "preflight": preflight if options.push else None,
        "prepare": ["-m", "training", "prepare", *given],
        "train": [*launcher, "-m", "training", "train", *given],
        "score": [*launcher, "-m", "training", "score", *given, *asked],
        "benchmark": ["-m", "training", "benchmark", *given, "--limit", str(options.benchmark)]
        if options.benchmark
        else None,
        "publish": [*publish, *(["--push"] if options.push else [])] if options.repo else None,
    }
    return {name: words for name, words in steps.items() if words}


def run_folder(options: argparse.Namespace) -> Path:
    names = [setting.removeprefix("name=") for setting in options.set if setting.startswith("name=")]
    return options.out.resolve() / "runs" / (names[-1] if names else options.config)


def fetch(code: str) -> Path:
    """The folder of the project: the given one, or a new checkout of URL@COMMIT."""
    if Path(code).is_dir():
        return Path(code)
    url, sign, commit = code.rpartition("@")
    if not sign or not commit or "/" in commit:
        sys.exit(f"error: --code {code}: give URL@COMMIT, so that the same code runs next time, or a folder")
    target = Path("code").resolve()
    shutil.rmtree(target, ignore_errors=True)
    call(["git", "clone", "--quiet", url, str(target)])
    call(["git", "-C", str(target), "checkout", "--quiet", commit])
    return target


def interpreter(code: Path) -> str:
    """A Python with the project's pinned packages: this one, or a new environment made by uv."""
    if importlib.util.find_spec("trl") and importlib.util.find_spec("peft"):
        return sys.executable
    environment = Path("environment").resolve()
    call(["uv", "venv", "--quiet", "--python", sys.executable, str(environment)])
    python = str(environment / "bin" / "python")
    call(["uv", "pip", "install", "--quiet", "--python", python, f"{code}[benchmarks]"])
    return python


def keep(options: argparse.Namespace) -> None:
    """Copy the prepared data and the run without checkpoints, from which a study is assembled."""
    if not options.keep:
        return
    for folder in (options.out.resolve() / "data", run_folder(options)):
        if folder.is_dir():
            target = options.keep / folder.relative_to(options.out.resolve())
            shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoints*", ".*"))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    main()
