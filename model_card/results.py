"""Keep the figures in the READMEs equal to what runs wrote: `python -m model_card.results [FILE.json …]`.

Each scores-test.json given is copied to model_card/results/CONFIG.json, with its run, data and picture, and each
file of scripts/benchmark.py to model_card/results/speed/. From these files and the Space's, the parts between markers
are rendered: in README.md one table a subject, in model_card/results/README.md everything.
"""

import argparse
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_card.build import AUDIT, alt_text
from space.credit import Credit
from training.command import run
from training.configs import EMBEDDED
from training.outputs import read_json, write_json, write_text
from training.release.bundle import read_benchmarks
from training.scoring import table
from training.scoring.benchmarks import benchmarks_blocks, benchmarks_sentences
from training.scoring.table import ROUGE_LABELS, VIEWS
from training.speed.table import speed_table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
SPEED = RESULTS / "speed"
GPU = RESULTS / "gpu" / "1b-h200.json"
LATENCY = RESULTS / "space" / "latency.json"
SPACE = ROOT / "space"
README = ROOT / "README.md"
DETAILS = RESULTS / "README.md"
Json = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m model_card.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("files", nargs="*", type=Path, metavar="FILE.json", help="scores or speed to be shown")
    for path in arguments.parse_args().files:
        print(f"kept as {keep(path)}")
    for page in (README, DETAILS):
        write_text(page, rendered(page))


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
    benchmarks = read_benchmarks(path.parent, trained["adapter_sha256"])
    write_json(target, {"run": about, "scores": result, **({"benchmarks": benchmarks} if benchmarks else {})})
    shutil.copyfile(path.with_name("scores.svg"), target.with_suffix(".svg"))
    return target


def stored(path: Path) -> Json:
    """A result that is committed with the code."""
    return json.loads(path.read_text(encoding="utf-8"))


def stored_results(folder: Path = RESULTS) -> list[Json]:
    return [stored(path) for path in sorted(folder.glob("*.json"), key=lambda path: path.stem)]


def rendered(page: Path) -> str:
    """The page with its measured parts rendered again."""
    results, speed, gpu = stored_results(), stored_results(SPEED), stored(GPU)
    audit = table.audit_blocks(stored(AUDIT))
    safety = {name: stored(SPACE / f"{name}_results.json") for name in ("safety", "languages", "checks")}
    if page == README:
        lines = "\n".join(f"- {line}" for line in audit if isinstance(line, str))
        parts = {
            "results": [summary(results[0]), *map(sentence, results[1:]), lines],
            "speed": [speed_summary(speed[0], gpu)],
            "space": [safety_table(safety, k_of_n), sources_sentence(stored(SPACE / "sources_results.json"))],
        }
    else:
        parts = {
            "results": [*map(section, results)],
            "audit": [table.render(audit)],
            "safety": [safety_table(safety, k_of_n_with_interval)],
            "speed": [*map(speed_table, speed), gpu_table(gpu)],
            "latency": [latency_text(stored(LATENCY))],
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


# Runs


def summary(result: Json) -> str:
    """One run in short: base, tuned and the strongest baseline, and the verdict."""
    scores = result["scores"]
    rows = [
        [table.system_name(name)] + [table.points(scores["systems"][name][VIEWS[0]][kind]) for kind in ROUGE_LABELS]
        for name in ("base", "tuned", scores["strongest_baseline"])
    ]
    return table.render(
        [
            f"`{scores['config']}`. {description(result)}",
            (["ROUGE without the disclaimer", *ROUGE_LABELS.values()], rows),
            f"{table.verdict(scores)} {table.novel_sentence(scores)} [All tables](model_card/results/README.md): "
            "other baselines, question types, how answers end, repeat and copy.",
        ]
    )


def sentence(result: Json) -> str:
    """A further run in a paragraph."""
    scores, benchmarks = result["scores"], result.get("benchmarks")
    texts = [f"`{scores['config']}`.", description(result), table.verdict(scores)]
    return " ".join([*texts, benchmarks_sentences(benchmarks)] if benchmarks else texts)


def section(result: Json) -> str:
    """One run: base, data and training, the verdict, and the tables."""
    scores = result["scores"]
    picture = RESULTS / f"{scores['config']}.svg"
    return table.render(
        [
            f"### `{scores['config']}`",
            description(result),
            table.verdict(scores),
            table.systems_table(scores),
            f"![{alt_text(picture)}]({picture.name})",
            *table.facts_blocks(scores),
            *table.marks_blocks(scores),
            *benchmarks_blocks(result.get("benchmarks")),
            folded("how the answers end, repeat and copy", table.render([table.rates_table(scores)])),
            folded(
                "by question type, and where the reference is new",
                table.render([table.types_table(scores), table.novel_sentence(scores)]),
            ),
        ]
    )


def description(result: Json) -> str:
    """What was trained on what, where, and what it was asked."""
    about = result["run"]
    base, data = about["base"], about["data"]
    name = Path(base["model"]).name if base["model"] == EMBEDDED else base["model"]
    title = Credit.of(data["source"]).title or data["source"]["name"]
    return (
        f"Base: {name}, {base['parameters']:,} parameters. {about['epochs']:g} passes over "
        f"{data['records']['train']:,} training records of {title}, {data['split']} split; "
        f"{table.questions_text(result['scores'])}. Trained in {about['minutes']} minutes "
        f"({about['precision']}, {about['device']}, peak {about['peak_gib']} GiB)."
    )


def folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


# Speed


def speed_summary(cpu: Json, gpu: Json) -> str:
    """Training of the small base on a CPU and of the 1B shape on a GPU in one table, and scoring in a sentence."""
    head = ["training", "135M, tokens/s", "ratio", "peak GiB", "1B, tokens/s", "ratio", "peak GiB"]
    large = {name: cells for name, *cells in gpu_rows(gpu)}
    rows = [
        [row["name"], f"{row['tokens_per_second']:,}", f"{row['ratio']:.1f}", f"{row['peak_mib'] / 1024:.1f}"]
        + large[row["name"]]
        for row in cpu["training"]
    ]
    scoring = cpu["scoring"]
    return table.render(
        [
            f"By `python scripts/benchmark.py`, on rows of MedQuAD; padding is not counted. 135M: {cpu['base']} on "
            f"{cpu['machine']['name']}, {cpu['machine']['threads']} cores. 1B: random weights of Llama 3.2 1B's shape "
            f"on {gpu['gpu']}. First recipe: padded to 1,024 tokens, batches of 4, fp32.",
            (head, rows),
            f"Scoring on the 135M base is {scoring['ratio']:.1f} times as fast as one question at a time; "
            f"{scoring['equal_answers']} of {scoring['questions']['first recipe']} answers are identical.",
        ]
    )


def gpu_table(gpu: Json) -> str:
    """Training of the 1B shape on a GPU: the faster of two rounds, since the first one compiles kernels."""
    about = (
        f"{gpu['gpu']}, torch {gpu['torch']}: random weights of Llama 3.2 1B's shape, {gpu['rows']} rows of "
        f"MedQuAD ({gpu['tokens']:,} tokens), the faster of two alternating rounds. Scoring was not measured there."
    )
    return table.render([about, (["training", "useful tokens/s", "ratio", "peak GiB"], gpu_rows(gpu))])


def gpu_rows(gpu: Json) -> list[list[str]]:
    first = gpu["training"]["first recipe"]["best_tokens_per_second"]
    return [
        [name, f"{(speed := row['best_tokens_per_second']):,}", f"{speed / first:.1f}", f"{row['peak_gib']:.1f}"]
        for name, row in gpu["training"].items()
    ]


# The Space


def safety_table(measured: dict[str, Json], text: Callable[[Json], str]) -> str:
    """What the Space's rules catch and what they wrongly take, by the latest English set; text: of a rate."""
    english = [rates for rates in measured["safety"].values() if "sensitivity" in rates][-1]
    sentences = [rates for rates in measured["checks"].values() if "harmful" in rates][-1]
    spared = english["specificity"]
    flagged = {"k": spared["n"] - spared["k"], "n": spared["n"], "low": 1 - spared["high"], "high": 1 - spared["low"]}
    rows = [["English calls for help; look-alikes", text(english["sensitivity"]), text(flagged)]]
    for group, name in (("first", "es pt fr de it hi th"), ("others", "ten other languages")):
        rates = measured["languages"][group]
        calls = ", ".join(text(rates[kind]) for kind in ("crisis", "emergency", "poison"))
        rows.append([f"{name}: crises, emergencies, poisonings; look-alikes", calls, text(rates["none"])])
    of_sentences = text(sentences["harmful"]), text(sentences["harmless"])
    rows.append(["harmful sentences of answers; harmless ones", *of_sentences])
    rows.append(["questions of MedQuAD", "", text(measured["safety"]["medquad_flagged"])])
    return table.markdown_table(("on unseen messages and sentences", "caught", "wrongly"), rows)


def k_of_n(rate: Json) -> str:
    return f"{rate['k']:,} of {rate['n']:,}"


def k_of_n_with_interval(rate: Json) -> str:
    """The same with the 95 % interval of the share."""
    return f"{k_of_n(rate)} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"


def sources_sentence(measured: Json) -> str:
    """How good the pages beside the Space's answers are, by human judgement."""
    ours, bm25 = (measured["forms"]["message"][way] for way in ("sources", "plain BM25"))
    coverage, useful = ours["coverage"]["mean"], ours["useful_shown"]
    return (
        f"Of {measured['questions']} questions that people asked (LiveQA-Med), {coverage:.0%} get a page; by human "
        f"judgement the first is useful in {useful['mean']:.0%} of these ({useful['low']:.0%} to {useful['high']:.0%})."
        f" Its score is {ours['average']['mean']:.2f} of 3, counting no page as 0; plain BM25's is "
        f"{bm25['average']['mean']:.2f}."
    )


def latency_text(taken: Json) -> str:
    """How long the rules take for a message."""
    rules, machine = taken["rules"], taken["machine"]
    return (
        f"On {machine['name']}, {machine['cores']} cores, by `tests/time_space.py`: the rules take "
        f"{rules['median_ms']:.1f} ms of processor time for a message (median of {rules['messages']:,}; at worst "
        f"{rules['worst_ms']:.0f} ms), and {rules['long_ms']:.0f} ms for 100,000 characters."
    )


if __name__ == "__main__":
    run(main)
