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
    hf jobs uv run -d -v hf://buckets/OWNER/RUNS:/runs scripts/train_on_jobs.py $CONFIG --code ... --study --keep /runs
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
from pathlib import Path


def main() -> None:
    options = parse()
    code = fetch(options.code).resolve()
    python = interpreter(code)
    for name, words in commands(options).items():
        print(f"\n== {name}: {shlex.join(words)}", flush=True)
        call([python, *words], code)
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
    add = parser.add_argument
    add("config", metavar="CONFIG", help="a configuration's name, as the steps take it")
    add("--code", default=".", metavar="URL@COMMIT", help="the project, or a folder with it (%(default)s)")
    add("--out", type=Path, default=Path("outputs/job"), metavar="DIR", help="default: %(default)s")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change one field; repeatable")
    add("--limit", type=int, metavar="N", help="score N random questions")
    add("--benchmark", type=int, metavar="N", help="also ask the tasks of lm-eval, N questions each")
    add("--study", action="store_true", help="score validation for a study; publish nothing")
    add("--keep", type=Path, metavar="DIR", help="copy data and run to this folder after each step")
    add("--repo", metavar="OWNER/NAME", help="the adapter's; without it nothing is published")
    add("--publish", action="append", default=[], metavar="WORDS", help="more options for publish.py")
    add("--push", action="store_true", help="push, verify and tag; without it the plan is shown")
    options = parser.parse_args()
    if options.push and not options.repo:
        parser.error("--push needs --repo")
    if options.study and options.repo:
        parser.error("--study publishes nothing: leave --repo out, and publish what the study chooses")
    options.out = options.out.resolve()
    return options


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Step -> arguments of Python, in order. Before a push `--preflight` comes first, so that no paid work is lost."""
    changes = [word for change in (f"out={options.out}", *options.set) for word in ("--set", change)]

    def step(name: str, *more: str) -> list[str]:
        return ["-m", "training", name, options.config, *changes, *more]

    sample = ["--split", "validation"] if options.study else []
    sample += ["--limit", str(options.limit)] if options.limit else []
    steps = {"prepare": step("prepare"), "train": step("train"), "score": step("score", *sample)}
    if options.benchmark:
        steps["benchmark"] = step("benchmark", "--limit", str(options.benchmark))
    if not options.repo:
        return steps
    publish, more = ["scripts/publish.py", options.repo, "--run"], shlex.split(" ".join(options.publish))
    steps["publish"] = [*publish, str(run_folder(options)), *more]
    if not options.push:
        return steps
    steps["publish"].append("--push")
    # Before training there is no run yet: the configuration is given by its name, and by `--set`.
    ahead = str(options.out / "runs" / options.config)
    return {"preflight": [*publish, ahead, *more, "--preflight", *changes], **steps}


def run_folder(options: argparse.Namespace) -> Path:
    names = [setting.removeprefix("name=") for setting in options.set if setting.startswith("name=")]
    return options.out / "runs" / [options.config, *names][-1]


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
    call(["uv", "pip", "install", "--quiet", "--python", python, f"{code}[benchmarks,space]"])
    return python


def keep(options: argparse.Namespace) -> None:
    """Copy the prepared data and the run without checkpoints, from which a study is assembled."""
    for folder in (options.out / "data", run_folder(options)):
        if options.keep and folder.is_dir():
            target = options.keep / folder.relative_to(options.out)
            shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoints*", ".*"))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    main()
