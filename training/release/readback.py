"""Read a pushed commit back through a fresh process that knows its id alone, and compare it with the bundle."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from training.outputs import file_sha256
from training.release.hub import Unfinished
from training.release.push import KEPT, local_files, short

ROOT = Path(__file__).parents[2]


def read_back(repo: str, commit: str, bundle: Path, timeout: float, lenient: bool) -> dict[str, Any]:
    """What the fresh process found of a commit that must hold exactly the bundle.

    lenient: whether an answer that doesn't end is accepted. Raises ValueError where the release is wrong, Unfinished
    where the Hub failed.
    """
    facts = in_fresh_process(repo, commit, timeout)
    where = f"{repo} at {short(commit)}"
    expected = {name: file_sha256(path) for name, path in local_files(bundle).items()}
    found = {name: checksum for name, checksum in facts.pop("files").items() if name not in KEPT}
    wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    if wrong:
        raise Unfinished(f"{where}: {', '.join(wrong)} came back otherwise than pushed")
    if not facts["ended"] and not lenient:
        raise ValueError(
            f"{where}: the answer to the first golden question does not end within {facts['tokens']} tokens; "
            "look at it, and accept it with --accept REASON or train again"
        )
    return facts


def in_fresh_process(repo: str, commit: str, timeout: float) -> dict[str, Any]:
    """What `training.release.verify` prints; its progress is shown. The token reaches it as it reached us."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "training.release.verify", repo, commit, "--timeout", str(timeout)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8",
            env=os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        ) as process,
    ):  # fmt: skip
        last = ""
        for line in process.stdout:
            if last:
                print(f"  {last}", flush=True)
            last = line.strip()
        code = process.wait()
        errors.seek(0)
        said = errors.read().strip().split("\n")[-1]
    where = f"{repo} at {short(commit)}"
    if code == 0:
        return json.loads(last)
    if code < 0:
        raise Unfinished(f"{where}: the verifying process was killed by signal {-code}, was there memory enough?")
    raise (Unfinished if code == 2 else ValueError)(f"{where}: {said}")
