# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = [  # the project's own pins
#     "torch==2.13.0",
#     "transformers==5.23.0",
#     "tokenizers==0.23.3",
#     "trl==1.16.0",
#     "peft==0.21.2",
#     "accelerate==1.15.0",
#     "datasets==5.2.0",
#     "evaluate==0.4.6",
#     "rouge_score==0.1.2",
#     "nltk==3.10.4",
#     "huggingface_hub==2.4.0",
#     "safetensors==0.8.0",
#     "numpy==2.4.6",
#     "pandas==3.1.1",
#     "networkx==3.6.1",
#     "jinja2==3.1.6",
#     "matplotlib==3.11.2",
#     "bm25s==0.3.16",
#     "textstat==0.7.8",
#     "gradio==6.31.0",
# ]
#
# [tool.hf-jobs]
# flavor = "a10g-small"  # 24 GB; the default would be a CPU
# timeout = "4h"  # the default is 30 minutes
# secrets = ["HF_TOKEN"]  # by name: its value never stands in a command or a file
# ///
"""Prepare, train, score and publish on rented hardware, by one command:

  git clone --quiet . /tmp/project && mkdir -p outputs
  hf jobs uv run --volume /tmp/project:/project --volume ./outputs:/outputs:rw \\
      scripts/train_on_jobs.py r16 --repo OWNER/Llama-3.2-1B-MedQuAD-LoRA

What a release needs is checked before anything is trained. After each step its files are copied to /outputs, where the
next job goes on. `--study` stops after the scores on validation: give each configuration a job of its own, fetch
outputs/, and `python -m training.study r16 --assemble` makes the table. Without --repo nothing is published.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(options.project, project, ignore=shutil.ignore_patterns("outputs", ".venv"))
        copy(options.outputs, project / "outputs")
        for words in commands(options, project):
            print(f"\n$ {shlex.join(['python', *words])}", flush=True)
            done = subprocess.run([sys.executable, *words], cwd=project, env=environment(project), check=False)
            copy(project / "outputs", options.outputs)  # also what a failed step leaves: its checkpoints
            if done.returncode:
                sys.exit(f"error: the step above returned {done.returncode}; a new job goes on from there")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="r16, r8, r32, as-reported, …")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a field of it")
    parser.add_argument("--limit", metavar="N", help="score a seeded part of N questions")
    parser.add_argument("--tiny-base", action="store_true", help="make the base too, for a configuration without one")
    parser.add_argument("--project", type=Path, default=Path("/project"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--outputs", type=Path, default=Path("/outputs"), metavar="DIR", help="default: %(default)s")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--repo", metavar="OWNER/NAME", help="then publish it there, verified")
    end.add_argument("--study", action="store_true", help="score on validation only, and publish nothing")
    parser.add_argument("--publish", nargs=argparse.REMAINDER, default=[], help="what follows goes to publish.py")
    options = parser.parse_args()
    if not (options.project / "training").is_dir():
        parser.error(f"--project {options.project} is not this project: mount a clone of it with --volume")
    if options.publish and not options.repo:
        parser.error("--publish needs --repo OWNER/NAME")
    return options


def commands(options: argparse.Namespace, project: Path) -> list[list[str]]:
    """The steps as words after `python`, in order."""
    changed = [options.config, *(word for setting in options.set for word in ("--set", setting))]
    limit = ["--limit", options.limit] if options.limit else []
    release = []
    if options.repo:
        release = ["scripts/publish.py", options.repo, "--run", run_folder(project, changed), *options.publish]
    steps = [[*release, "--preflight"]] if release else []
    steps.append(["-m", "training.prepare", *changed])
    if options.tiny_base:
        steps.append(["-m", "training.tiny_base", *changed])
    steps.append([*launcher(), "-m", "training.train", *changed])
    steps.append([*launcher(), "-m", "training.score", *changed, *limit, *(["--split", "validation"] * options.study)])
    return [*steps, [*release, "--push"]] if release else steps


def launcher() -> list[str]:
    """torchrun, where there are several GPUs."""
    import torch

    gpus = torch.cuda.device_count()
    return ["-m", "torch.distributed.run", "--nproc_per_node", str(gpus)] if gpus > 1 else []


def run_folder(project: Path, changed: list[str]) -> str:
    """Where the configuration's run lies, as the project itself says."""
    sys.path.insert(0, str(project))
    from training.configs import CONFIGS, override

    name, *settings = changed
    return str(override(CONFIGS[name], settings[1::2]).run_dir)


def environment(project: Path) -> dict[str, str]:
    """The project importable, and nothing on the way that waits for a person."""
    return os.environ | {"PYTHONPATH": str(project), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
