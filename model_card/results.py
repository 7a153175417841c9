"""Keep the README's figures what runs wrote: `python -m model_card.results [SCORES.json …]`.

Each scores-test.json that is named is copied to model_card/results/<config>.json, with the run and data it belongs to
and the picture beside it; then the README's parts between markers are rendered: results from all of these files, speed
from what `model_card.speed` kept, safety from the Space's safety_results.json, latency from what tests/time_space.py
wrote.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from model_card.build import alt_text
from model_card.speed import kept_reports, speed_part
from space.credit import Credit
from training.command import run
from training.outputs import read_json, write_json, write_text
from training.scoring.table import markdown_rates, markdown_table, markdown_types, novel_sentence, verdict

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).parents[1] / "README.md"
LATENCY = RESULTS / "space" / "latency.json"
SAFETY = Path(__file__).parents[1] / "space" / "safety_results.json"


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m model_card.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("scores", nargs="*", type=Path, metavar="SCORES.json", help="of a finished run, to be shown")
    for path in arguments.parse_args().scores:
        keep(path)
    write_text(README, rendered(README.read_text(encoding="utf-8")))


def keep(scores: Path) -> None:
    """Copy a run's scores, and what the README says of the run, to where they are kept."""
    result = read_json(scores, "python -m training.score CONFIG")
    trained = read_json(scores.with_name("run.json"), "python -m training.train CONFIG")
    about = {key: trained[key] for key in ("base", "data", "device", "precision", "minutes", "peak_gib", "steps")}
    about["epochs"] = trained["config"]["epochs"]
    write_json(RESULTS / f"{result['config']}.json", {"run": about, "scores": result})
    shutil.copyfile(scores.with_name("scores.svg"), picture_of(result))


def picture_of(scores: dict[str, Any]) -> Path:
    return RESULTS / f"{scores['config']}.svg"


def kept() -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def rendered(readme: str) -> str:
    """The README with its measured parts rendered anew."""
    readme = with_part(readme, "results", "\n\n".join(section(result) for result in kept()))
    readme = with_part(readme, "speed", speed_part(kept_reports()))
    readme = with_part(
        readme, "latency", latency_text(read_json(LATENCY, f"tests/time_space.py BUNDLE --json {LATENCY}"))
    )
    return with_part(
        readme, "safety", safety_table(read_json(SAFETY, "python scripts/fit_notices.py --medquad MEDQUAD.csv"))
    )


def with_part(readme: str, name: str, text: str) -> str:
    """The README with the text between its two markers of this name; raises ValueError if it has none."""
    begin, end = f"<!-- {name}: written by `python -m model_card.results` -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"{README.name} has no line {begin!r} before a line {end!r}")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", readme)


def safety_table(results: dict[str, Any]) -> str:
    """The notices on sets that the classifier has not learned from, the latest first; and on MedQuAD."""
    labels = {
        "sensitivity": "calls for help that get a notice",
        "specificity": "look-alikes that get none",
        "medquad_flagged": "MedQuAD questions that get one, and should not",
    }
    sets = {name: part for name, part in results.items() if "sensitivity" in part}
    shown = [
        (part[name], f"{which} set: {labels[name]}")
        for which, part in reversed(sets.items())
        for name in ("sensitivity", "specificity")
    ] + [(results["medquad_flagged"], labels["medquad_flagged"])]
    rows = ["| notices | | 95 % interval |", "|---|---:|---:|"]
    for rate, label in shown:
        between = f"{100 * rate['low']:.2f} % to {100 * rate['high']:.2f} %"
        rows.append(f"| {label} | {rate['k']:,} of {rate['n']:,} | {between} |")
    return "\n".join(rows)


def latency_text(taken: dict[str, Any]) -> str:
    """What the rules cost a message."""
    rules, machine = taken["rules"], taken["machine"]
    return (
        f"On {machine['name']}, {machine['cores']} cores, by `tests/time_space.py`: the rules take "
        f"{rules['median_ms']:.1f} ms of processor time for a message (median of {rules['messages']:,}; at worst "
        f"{rules['worst_ms']:.0f} ms), and {rules['long_ms']:.0f} ms for 100,000 characters."
    )


def section(result: dict[str, Any]) -> str:
    """One run: what it was, the sentence that its scores amount to, and the tables."""
    about, scores = result["run"], result["scores"]
    part = f"{scores['n']:,} of {scores['of']:,}" if scores["n"] < scores["of"] else f"all {scores['n']:,}"
    return "\n\n".join(
        [
            f"### `{scores['config']}`",
            f"Base: `{about['base']['model']}`, {about['base']['parameters']:,} parameters. "
            f"{about['epochs']:g} passes over {about['data']['records']['train']:,} training records of "
            f"{Credit.of(about['data']['source']).title or about['data']['source']['name']}, "
            f"{about['data']['split']} split; {part} {scores['split']} questions. "
            f"Trained in {about['minutes']} minutes "
            f"({about['precision']}, {about['device']}, peak {about['peak_gib']} GiB).",
            verdict(scores),
            markdown_table(scores),
            f"![{alt_text(picture_of(scores))}](model_card/results/{picture_of(scores).name})",
            folded("how the answers end, repeat and copy", markdown_rates(scores)),
            folded(
                "by question type, and where the reference is new",
                f"{markdown_types(scores)}\n\n{novel_sentence(scores)}",
            ),
        ]
    )


def folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


if __name__ == "__main__":
    run(main)
