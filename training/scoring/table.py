"""The scores as people read them: tables in Markdown, for pages and the terminal, and the verdict in words."""

from collections.abc import Iterable, Sequence
from typing import Any

from training.scoring.intervals import FEW, sign

ROUGE_LABELS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
VIEWS = ("without disclaimer", "with disclaimer")
UNKNOWN = "–"
FEWEST_FACTS = 5  # compared; a table of fewer is noise
# What the first users of this system reported: a random 80/10/10 split, the disclaimer on both sides.
REPORTED = {
    "base": {"rouge1": 0.2547, "rouge2": 0.0455, "rougeL": 0.1226},
    "tuned": {"rouge1": 0.3359, "rouge2": 0.1884, "rougeL": 0.2367},
}
Scores = dict[str, Any]  # the content of scores-<split>.json


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, padded so that it can be read as it stands: the first column left, the others right."""
    widths = [max(4, *map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    forms = [f"<{widths[0]}", *(f">{width}" for width in widths[1:])]
    lines = [[format(cell, form) for cell, form in zip(line, forms, strict=True)] for line in (head, rule, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def terminal_text(blocks: Iterable[str]) -> str:
    """Paragraphs and tables as the terminal shows them."""
    return "\n\n".join(blocks).replace("**", "")


def scores_table(scores: Scores) -> str:
    """All systems, the gains, the rates, the facts and the verdict, for the terminal."""
    about = (
        f"{scores['config']}: {questions_text(scores)}, one greedy answer each of at most {scores['max_new_tokens']} "
        "tokens, ROUGE F1 × 100 (*: as first reported, with the disclaimer on both sides)"
    )
    tables = [systems_table(scores), rates_table(scores), *facts_blocks(scores), *marks_blocks(scores)]
    return terminal_text([about, *tables, verdict(scores)])


def count_text(scores: Scores) -> str:
    """How many questions were asked, of how many: "300 of 1,637"."""
    return f"{scores['n']:,} of {scores['of']:,}" if scores["n"] < scores["of"] else f"{scores['n']:,}"


def questions_text(scores: Scores) -> str:
    """Which questions were asked: "300 of 1,637 test questions"."""
    qtypes = scores.get("qtypes")  # older scores have none
    only = f" of the types {', '.join(qtypes)} alone" if qtypes else ""
    return f"{count_text(scores)} {scores['split']} questions{only}"


def system_name(name: str) -> str:
    return name if name in ("base", "tuned") else f"no model: {name}"


def percent(mean: float, plus: str = "") -> str:
    return f"{100 * mean:{plus}z.1f}"  # z: no -0.0


def points(score: dict[str, Any], plus: str = "") -> str:
    """A mean × 100 with its interval, if there is one."""
    between = "" if score["low"] is None else f" [{percent(score['low'], plus)}, {percent(score['high'], plus)}]"
    return percent(score["mean"], plus) + between


def gain_text(gain: dict[str, Any]) -> str:
    """A gain × 100 with its interval, and whether it is within noise."""
    return points(gain, "+") + ("" if sign(gain) else ", within noise")


def p_text(gain: dict[str, Any]) -> str:
    if gain["p"] is None:
        return UNKNOWN
    return "< 0.001" if gain["p"] < 0.001 else f"{gain['p']:.3f}"


def rate_text(rate: dict[str, Any] | float | None) -> str:
    """A share in per cent with its interval and k/n; a plain number with two digits."""
    if rate is None:
        return UNKNOWN
    if not isinstance(rate, dict):
        return f"{rate:.2f}"
    return f"{rate['share']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}] ({rate['k']}/{rate['n']})"


def systems_table(scores: Scores) -> str:
    """All systems with intervals, then the gains."""
    rows = [
        [system_name(name), *(points(system[VIEWS[0]][kind]) for kind in ROUGE_LABELS)]
        + [percent(system[VIEWS[1]][kind]["mean"]) for kind in ROUGE_LABELS]
        for name, system in scores["systems"].items()
    ]
    rows += [[name, *(gain_text(gain[kind]) for kind in gain), "", "", ""] for name, gain in scores["gains"].items()]
    return markdown_table(["", *ROUGE_LABELS.values(), *(f"{label}*" for label in ROUGE_LABELS.values())], rows)


def rates_table(scores: Scores) -> str:
    sides = scores["rates"]
    rows = [[label, *(rate_text(side[label]) for side in sides.values())] for label in sides["tuned"]]
    return markdown_table(["", *sides], rows)


def facts_blocks(scores: Scores) -> list[str]:
    """How many questions are compared by their facts, and, unless those are few, how they come out; [] without any."""
    facts = scores.get("facts")  # older scores have none
    if not facts or not facts["all"]["compared"]:
        return []
    whole = facts["all"]
    others = ", ".join(f"{reason} ({count:,})" for reason, count in whole["not compared"].items())
    left_out = f" ({facts['left out']:,} more were not asked)" if facts["left out"] else ""
    count = (
        f"{whole['asked']:,} questions ask for a gene, an inheritance pattern or a frequency{left_out}; "
        f"{whole['compared']:,} are compared.{f' The facts of the other references: {others}.' if others else ''}"
    )
    return [count, facts_table(facts)] if whole["compared"] >= FEWEST_FACTS else [count]


def facts_table(facts: dict[str, Any]) -> str:
    """Of each kind of fact the answers that are right, wrong, several or none; gains; McNemar's p."""
    kinds = {name: kind for name, kind in facts.items() if isinstance(kind, dict) and kind["compared"]}
    rows = [[system_name(name)] + [fact_text(kind["systems"][name]) for kind in kinds.values()]
            for name in facts["all"]["systems"]]  # fmt: skip
    rows += [[name, *(gain_text(kind["gains"][name]) for kind in kinds.values())] for name in facts["all"]["gains"]]
    rows.append(["McNemar's p, tuned and base", *(p_text(kind) for kind in kinds.values())])
    counts = [f"{name}, n = {kind['compared']:,}" for name, kind in kinds.items()]
    return markdown_table(["right / wrong / several / none, share right", *counts], rows)


def fact_text(outcomes: dict[str, dict[str, Any]]) -> str:
    """How many answers have each outcome, and the share of the right ones: "5 / 3 / 0 / 2, 50% [24%, 76%]"."""
    counts = " / ".join(str(rate["k"]) for rate in outcomes.values())
    return f"{counts}, {rate_text(outcomes['right']).rsplit(' (', 1)[0]}"


def marks_blocks(scores: Scores) -> list[str]:
    """How a person judged a sample of the answers; [] if nobody did."""
    if not (marks := scores.get("marks")):
        return []
    rows = [[side, *map(rate_text, rates.values())] for side, rates in marks.items()]
    about = "A person judged these answers without knowing which is whose:"
    return [about, markdown_table(["", *marks["tuned"]], rows)]


def verdict(scores: Scores) -> str:
    """What the ROUGE-L gains over the base and the strongest baseline show, and, where any were asked for, facts."""
    over_base, over_baseline = (gain["rougeL"] for gain in scores["gains"].values())
    baseline = f"the strongest answer that needs no model ({scores['strongest_baseline']})"
    facts = [scores["facts"]["sentence"]] if facts_blocks(scores) else []
    return " ".join([gain_sentence("the base", over_base), gain_sentence(baseline, over_baseline), *facts])


def gain_sentence(other: str, gain: dict[str, Any]) -> str:
    says = {1: "**beats** {}", -1: "**falls short of** {}", 0: "**does not beat** {}: the difference is within noise"}
    text = f"{points(gain, '+')} ROUGE-L points, n = {gain['n']:,}"
    return f"Tuned {says[sign(gain)].format(other)} ({text})."


def audit_blocks(audit: dict[str, Any]) -> list[str]:
    """What ROUGE can tell and what it can't, and how often each metric scores the better of two answers higher."""
    figures = audit["all"]
    rivals = [name for name, figure in figures.items() if not figure["gains"]]
    rows = [
        [name, f"{figure['n']:,} ({figure['groups']:,})", points(figure)]
        + [gain_text(figure["gains"][rival]) if name not in rivals else "" for rival in rivals]
        for name, figure in figures.items()
    ]
    head = ["scores the better answer higher", "pairs (questions)", "%", *(f"over {rival}" for rival in rivals)]
    enough = {name: figure for name, figure in figures.items() if figure["groups"] >= FEW}
    shares = {name: f"{name} ({percent(figure['mean'])} %)" for name, figure in figures.items()}
    able = [shares[name] for name in enough if name in ROUGE_LABELS.values() and (enough[name]["low"] or 0) > 0.5]
    better = [shares[name] for name in enough if {*map(sign, enough[name]["gains"].values())} == {1}]
    return [
        "**What ROUGE can tell:** the better of two answers, more often than a coin: "
        f"{', '.join(able) or 'no kind of it'}.",
        f"**What it can't:** what is true. Of the metrics with at least {FEW} questions, {', '.join(better) or 'none'} "
        f"does better than both {' and '.join(shares[rival] for rival in rivals)}, which know nothing of truth.",
        markdown_table(head, rows),
    ]


def comparison_blocks(runs: list[tuple[Scores, dict[str, Any]]]) -> list[str]:
    """The figures first reported above those of other runs, and what leaked into train; runs: scores and data.json."""
    rows = [[f"first reported: {name}", *[UNKNOWN] * len(ROUGE_LABELS), *map(percent, means.values())]
            for name, means in REPORTED.items()]  # fmt: skip
    sentences = ["first reported: random split"]
    for scores, data in runs:
        for name, system in scores["systems"].items():
            means = [system[view][kind]["mean"] for view in VIEWS for kind in ROUGE_LABELS]
            rows.append([f"{scores['config']}: {system_name(name)}", *map(percent, means)])
        leaks = ", ".join(f"{share:.1%} of test {what}" for what, share in data["leakage"].items())
        sentences.append(
            f"{scores['config']}: {data['split']} split, {count_text(scores)} questions; also in train: {leaks}"
        )
    heads = [*ROUGE_LABELS.values(), *(f"{label}*" for label in ROUGE_LABELS.values())]
    return [markdown_table(["mean ROUGE F1 × 100; *: with the disclaimer", *heads], rows), "\n".join(sentences)]
