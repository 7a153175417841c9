"""Keep the figures in the READMEs equal to what runs wrote: `python -m model_card.results [FILE.json …]`.

Each scores-test.json given is copied to model_card/results/CONFIG.json, with its run, data and picture, and each
file of scripts/benchmark.py to model_card/results/speed/. From these files and the Space's, results.md renders the
parts between markers: of README.md a table a subject, of model_card/results/README.md everything.
"""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

from model_card.build import AUDIT, alt_text, template
from training.command import run
from training.extras.speed import speed_table
from training.outputs import read_json, write_json, write_text
from training.release.bundle import read_benchmarks
from training.scoring import table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
SPEED = RESULTS / "speed"
README = ROOT / "README.md"
DETAILS = RESULTS / "README.md"
PART = re.compile(r"<!-- (\w+): written by `python -m model_card.results` -->.*?<!-- end of \1 -->", re.DOTALL)


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m model_card.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("files", nargs="*", type=Path, metavar="FILE.json", help="scores or speed to be shown")
    for path in arguments.parse_args().files:
        print(f"kept as {keep(path)}")
    parts = render_parts(**measured())
    for page in (README, DETAILS):
        write_text(page, with_parts(page.read_text(encoding="utf-8"), parts))


def keep(path: Path) -> Path:
    """Copy a run's scores, with what the README says about the run, or a measured speed, to model_card/results/."""
    result = read_json(path, "python -m training score CONFIG")
    if "rounds" in result:
        device = "gpu" if result["on_gpu"] else "cpu"
        target = SPEED / f"{device}-{result['shape']}-{result['vocabulary']}.json"
        write_json(target, result)
        return target
    trained = read_json(path.with_name("run.json"), "python -m training train CONFIG")
    about = {key: trained[key] for key in ("base", "data", "device", "precision", "minutes", "peak_gib", "steps")}
    about["epochs"] = trained["config"]["epochs"]
    target = RESULTS / f"{result['config']}.json"
    asked = read_benchmarks(path.parent, trained["adapter_sha256"])
    for task in asked["tasks"].values() if asked else ():
        task.pop("right", None)  # of every question; only answers.html shows it
    write_json(target, {"run": about, "scores": result, "benchmarks": asked})
    shutil.copyfile(path.with_name("scores.svg"), target.with_suffix(".svg"))
    return target


def measured() -> dict[str, Any]:
    """The results that are committed with the code, by the names that results.md has for them."""

    def stored(path: Path) -> dict[str, Any]:
        return read_json(path, f"git checkout {path}")

    names = ("safety", "languages", "checks", "sources")
    space = {name: stored(ROOT / "space" / f"{name}_results.json") for name in names}
    return space | {
        "results": [stored(path) for path in sorted(RESULTS.glob("*.json"), key=lambda path: path.stem)],
        "audit": table.audit_blocks(stored(AUDIT)),
        "speed": [stored(path) for path in sorted(SPEED.glob("*.json"))],
        "gpu": stored(RESULTS / "gpu" / "1b-h200.json"),
        "latency": stored(RESULTS / "space" / "latency.json"),
    }


def render_parts(**figures: Any) -> dict[str, str]:
    """Name -> part of a page, its markers included."""
    results = template("results.md", trim_blocks=True)
    text = results.render(folder=RESULTS, alt_text=alt_text, speed_table=speed_table, **figures)
    return {match[1]: match[0] for match in PART.finditer(text)}


def with_parts(page: str, parts: dict[str, str]) -> str:
    """A page with the text between its markers rendered again."""
    return PART.sub(lambda match: parts[match[1]], page)


if __name__ == "__main__":
    run(main)
