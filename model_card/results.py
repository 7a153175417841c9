"""Keep the figures in the READMEs equal to what runs wrote: `python -m model_card.results [FILE.json …]`.

Each scores-test.json given is copied to model_card/results/CONFIG.json, with its run, data and picture, and each
file of scripts/benchmark.py to model_card/results/speed/. From these files and the Space's, the parts between markers
are rendered: in README.md one table a subject, in model_card/results/README.md everything.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from model_card.build import AUDIT, alt_text
from space.credit import Credit
from training.command import run
from training.configs import EMBEDDED
from training.outputs import read_json, write_json, write_text
from training.release.bundle import read_benchmarks
from training.scoring.benchmarks import benchmarks_blocks, benchmarks_sentences
from training.scoring.table import (
    ROUGE_LABELS,
    VIEWS,
    asked,
    audit_blocks,
    facts_blocks,
    markdown_table,
    marks_blocks,
    novel_sentence,
    points,
    rates_table,
    system_name,
    systems_table,
    types_table,
    verdict,
    written,
)
from training.speed.table import speed_table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
SPEED = RESULTS / "speed"
GPU = RESULTS / "gpu" / "1b-h200.json"
LATENCY = RESULTS / "space" / "latency.json"
SPACE = ROOT / "space"
MEASURED = {"safety": "fit_notices", "languages": "fit_languages", "checks": "measure_checks"}
README = ROOT / "README.md"
DETAILS = RESULTS / "README.md"


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m model_card.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("files", nargs="*", type=Path, metavar="FILE.json", help="scores or benchmark to be shown")
    for path in arguments.parse_args().files:
        print(f"kept as {keep(path)}")
    for page in (README, DETAILS):
        write_text(page, rendered(page))


def keep(path: Path) -> Path:
    """Copy a run's scores, with what the README says about the run, or a benchmark, to model_card/results/."""
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
    benchmarks = read_benchmarks(path.parent, trained["adapter_sha256"])
    write_json(target, {"run": about, "scores": result, **({"benchmarks": benchmarks} if benchmarks else {})})
    shutil.copyfile(path.with_name("scores.svg"), picture_of(result))
    return target


def picture_of(scores: dict[str, Any]) -> Path:
    return RESULTS / f"{scores['config']}.svg"


def kept(folder: Path = RESULTS) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)
    ]


def rendered(page: Path) -> str:
    """The page with its measured parts rendered again."""
    results, speed, gpu = kept(), kept(SPEED), json.loads(GPU.read_text(encoding="utf-8"))
    audit = audit_blocks(json.loads(AUDIT.read_text(encoding="utf-8")))
    worth = "\n".join(f"- {line}" for line in audit if isinstance(line, str))
    measured = [read_json(SPACE / f"{name}_results.json", f"scripts/{by}.py") for name, by in MEASURED.items()]
    pages = read_json(SPACE / "sources_results.json", "scripts/measure_sources.py")
    if page == README:
        parts = {
            "results": [summary(results[0]), *map(sentence, results[1:]), worth],
            "speed": [speed_summary(speed[0], gpu)],
            "space": [space_table(*measured), pages_sentence(pages)],
        }
    else:
        latency = read_json(LATENCY, f"tests/time_space.py BUNDLE --json {LATENCY}")
        speeds = [*map(speed_table, speed), gpu_table(gpu)]
        parts = {
            "results": [*map(section, results)],
            "audit": [written(audit)],
            "safety": [safety_table(*measured)],
            "speed": speeds,
            "latency": [latency_text(latency)],
        }
    text = page.read_text(encoding="utf-8")
    for name, paragraphs in parts.items():
        text = with_part(text, name, "\n\n".join(paragraphs))
    return text


def with_part(readme: str, name: str, text: str) -> str:
    """The README with the text between the two markers of this name; raises ValueError without them."""
    begin, end = f"<!-- {name}: written by `python -m model_card.results` -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"README.md has no line {begin!r} before a line {end!r}")
    return pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", readme)


def gpu_table(report: dict[str, Any]) -> str:
    """Training of the 1B shape on a GPU: the faster of two rounds, since the first one compiles kernels."""
    first = report["training"]["first recipe"]["best_tokens_per_second"]
    rows = [
        (name, f"{speed:,}", f"{speed / first:.1f}", f"{row['peak_gib']:.1f}")
        for name, row in report["training"].items()
        for speed in [row["best_tokens_per_second"]]
    ]
    return (
        f"{report['gpu']}, torch {report['torch']}: random weights of Llama 3.2 1B's shape, {report['rows']} rows of "
        f"MedQuAD ({report['tokens']:,} tokens), the faster of two alternating rounds. Scoring was not measured there."
        f"\n\n{markdown_table(('training', 'useful tokens/s', 'ratio', 'peak GiB'), rows)}"
    )


def speed_summary(cpu: dict[str, Any], gpu: dict[str, Any]) -> str:
    """Training of the small base on a CPU and of the 1B shape on a GPU in one table, and scoring in a sentence."""
    head = ["training", "135M, tokens/s", "ratio", "peak GiB", "1B, tokens/s", "ratio", "peak GiB"]
    rows = []
    for row in cpu["training"]:
        other = gpu["training"][row["name"]]
        speed, first = (gpu["training"][name]["best_tokens_per_second"] for name in (row["name"], "first recipe"))
        small = [f"{row['tokens_per_second']:,}", f"{row['ratio']:.1f}", f"{row['peak_mib'] / 1024:.1f}"]
        rows.append([row["name"], *small, f"{speed:,}", f"{speed / first:.1f}", f"{other['peak_gib']:.1f}"])
    scoring = cpu["scoring"]
    return (
        f"By `python scripts/benchmark.py`, on rows of MedQuAD; padding is not counted. 135M: {cpu['base']} on "
        f"{cpu['machine']['name']}, {cpu['machine']['threads']} cores. 1B: random weights of Llama 3.2 1B's shape on "
        f"{gpu['gpu']}. First recipe: padded to 1,024 tokens, batches of 4, fp32.\n\n{markdown_table(head, rows)}\n\n"
        f"Scoring on the 135M base is {scoring['ratio']:.1f} times as fast as one question at a time; "
        f"{scoring['equal_answers']} of {scoring['questions']['first recipe']} answers are identical."
    )


def space_table(notices: dict[str, Any], languages: dict[str, Any], checks: dict[str, Any]) -> str:
    """What the Space's rules catch and what they wrongly take, in short; `safety_table` has the intervals."""
    english = [rates for rates in notices.values() if "sensitivity" in rates][-1]
    spared, sentences = english["specificity"], [rates for rates in checks.values() if "harmful" in rates][-1]
    false = spared | {"k": spared["n"] - spared["k"]}
    counts = [["English calls for help; look-alikes", of(english["sensitivity"]), of(false)]]
    for group, name in (("first", "es pt fr de it hi th"), ("others", "ten other languages")):
        rates = languages[group]
        calls = ", ".join(of(rates[kind]) for kind in ("crisis", "emergency", "poison"))
        counts.append([f"{name}: crises, emergencies, poisonings; look-alikes", calls, of(rates["none"])])
    of_sentences = of(sentences["harmful"]), of(sentences["harmless"])
    counts.append(["harmful sentences of answers; harmless ones", *of_sentences])
    counts.append(["questions of MedQuAD", "", of(notices["medquad_flagged"])])
    return markdown_table(("on unseen messages and sentences", "caught", "wrongly"), counts)


def of(rate: dict[str, float]) -> str:
    return f"{rate['k']:,} of {rate['n']:,}"


def safety_table(notices: dict[str, Any], languages: dict[str, Any], checks: dict[str, Any]) -> str:
    """The Space's notices and output checks on unseen messages and sentences, the latest English set."""
    english = [rates for rates in notices.values() if "sensitivity" in rates][-1]
    shown = [
        ("calls for help in English that get a notice", english["sensitivity"]),
        ("English look-alikes that get none", english["specificity"]),
        ("MedQuAD questions that get one, and should not", notices["medquad_flagged"]),
    ]
    for group, name in (("first", "es pt fr de it hi th"), ("others", "ten other languages")):
        rates = languages[group]
        shown += [
            (f"{name}: crises that get a notice", rates["crisis"]),
            (f"{name}: emergencies that get one", rates["emergency"]),
            (f"{name}: poisonings that get one", rates["poison"]),
            (f"{name}: look-alikes that get one, and should not", rates["none"]),
        ]
    sentences = [rates for rates in checks.values() if "harmful" in rates][-1]
    shown += [
        ("harmful sentences of answers that are left out", sentences["harmful"]),
        ("harmless ones that are left out, too", sentences["harmless"]),
    ]
    rows = [(label, of(rate), f"{100 * rate['low']:.1f} % to {100 * rate['high']:.1f} %") for label, rate in shown]
    return markdown_table(("on unseen messages", "", "95 % interval"), rows)


def pages_sentence(measured: dict[str, Any]) -> str:
    """How good the pages beside the Space's answers are, by human judgement."""
    found, plain = (measured["forms"]["message"][way] for way in ("sources", "plain BM25"))
    shown, useful = found["coverage"]["mean"], found["useful_shown"]
    return (
        f"Of {measured['questions']} questions that people asked (LiveQA-Med), {shown:.0%} get a page; by human "
        f"judgement the first is useful in {useful['mean']:.0%} of these ({useful['low']:.0%} to {useful['high']:.0%})."
        f" Its score is {found['average']['mean']:.2f} of 3, counting no page as 0; plain BM25's is "
        f"{plain['average']['mean']:.2f}."
    )


def latency_text(taken: dict[str, Any]) -> str:
    """How long the rules take for a message."""
    rules, machine = taken["rules"], taken["machine"]
    return (
        f"On {machine['name']}, {machine['cores']} cores, by `tests/time_space.py`: the rules take "
        f"{rules['median_ms']:.1f} ms of processor time for a message (median of {rules['messages']:,}; at worst "
        f"{rules['worst_ms']:.0f} ms), and {rules['long_ms']:.0f} ms for 100,000 characters."
    )


def summary(result: dict[str, Any]) -> str:
    """One run in short: base, tuned and the strongest baseline, and the verdict."""
    scores = result["scores"]
    shown = ("base", "tuned", scores["strongest_baseline"])
    rows = [
        [system_name(name)] + [points(scores["systems"][name][VIEWS[0]][kind]) for kind in ROUGE_LABELS]
        for name in shown
    ]
    return "\n\n".join(
        [
            f"`{scores['config']}`. {description(result)}",
            markdown_table(["ROUGE without the disclaimer", *ROUGE_LABELS.values()], rows),
            f"{verdict(scores)} {novel_sentence(scores)} [All tables](model_card/results/README.md): other baselines, "
            "question types, how answers end, repeat and copy.",
        ]
    )


def sentence(result: dict[str, Any]) -> str:
    """A further run in a paragraph."""
    said = f"`{result['scores']['config']}`. {description(result)} {verdict(result['scores'])}"
    return f"{said} {benchmarks_sentences(result['benchmarks'])}" if "benchmarks" in result else said


def section(result: dict[str, Any]) -> str:
    """One run: base, data and training, the verdict, and the tables."""
    scores = result["scores"]
    new = written([types_table(scores), novel_sentence(scores)])
    return "\n\n".join(
        [
            f"### `{scores['config']}`",
            description(result),
            written([verdict(scores), systems_table(scores)]),
            f"![{alt_text(picture_of(scores))}]({picture_of(scores).name})",
            *filter(
                None,
                [written([*facts_blocks(scores), *marks_blocks(scores), *benchmarks_blocks(result.get("benchmarks"))])],
            ),
            folded("how the answers end, repeat and copy", written([rates_table(scores)])),
            folded("by question type, and where the reference is new", new),
        ]
    )


def description(result: dict[str, Any]) -> str:
    """What was trained on what, where, and what it was asked."""
    about, scores = result["run"], result["scores"]
    base, data = about["base"], about["data"]
    name = Path(base["model"]).name if base["model"] == EMBEDDED else base["model"]
    title = Credit.of(data["source"]).title or data["source"]["name"]
    return (
        f"Base: {name}, {base['parameters']:,} parameters. {about['epochs']:g} passes over "
        f"{data['records']['train']:,} training records of {title}, {data['split']} split; "
        f"{asked(scores)}. Trained in {about['minutes']} minutes "
        f"({about['precision']}, {about['device']}, peak {about['peak_gib']} GiB)."
    )


def folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


if __name__ == "__main__":
    run(main)
