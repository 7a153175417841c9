"""The scores as people read them: tables for the terminal and in Markdown, and the verdict in words."""

from collections.abc import Iterable, Sequence
from typing import Any

ROUGE_LABELS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
VIEWS = ("without disclaimer", "with disclaimer")
UNKNOWN = "–"
# What the first users of this system reported: a random 80/10/10 split, the disclaimer on both sides.
REPORTED = {
    "rouge1": {"base": 0.2547, "tuned": 0.3359},
    "rouge2": {"base": 0.0455, "tuned": 0.1884},
    "rougeL": {"base": 0.1226, "tuned": 0.2367},
}
Scores = dict[str, Any]  # the content of scores-<split>.json
Cells = Sequence[str]


def plain_table(head: Cells, rows: Iterable[Cells]) -> str:
    """A table for the terminal: the first column is aligned left, the others right."""
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines if place < len(line)) for place in range(len(head))]
    shown = [
        "  ".join(f"{cell:{'>' if place else ''}{widths[place]}}" for place, cell in enumerate(line)) for line in lines
    ]
    return "\n".join(line.rstrip() for line in shown)


def markdown_table(head: Cells, rows: Iterable[Cells]) -> str:
    """The same table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def scores_table(scores: Scores) -> str:
    """Means × 100 of all systems, the gains with their intervals, and the rates, for the terminal."""
    labels = [f"R-{label[-1]}" for label in ROUGE_LABELS.values()]
    head = ["mean ROUGE F1 × 100", *labels, *(f"{label}*" for label in labels)]
    means = [
        [system_name(name, system), *(percent(system[view][kind]["mean"]) for view in VIEWS for kind in ROUGE_LABELS)]
        for name, system in scores["systems"].items()
    ]
    gains = [[name, *(gain_text(gain[kind]) for kind in ROUGE_LABELS)] for name, gain in scores["gains"].items()]
    rates = [[label, *(text.split(" ")[0] for text in sides.values())] for label, sides in rate_rows(scores)]
    tables = (
        (head, means),
        (["", *ROUGE_LABELS.values()], gains),
        (["", *scores["rates"]], rates),
    )
    note = "* as first reported: with the disclaimer on both sides"
    shown = [heading(scores), *(plain_table(*table) for table in tables), note]
    if has_facts(scores):
        shown += [facts_count(scores), plain_table(*facts_table(scores)), scores["facts"]["sentence"].replace("**", "")]
    return "\n\n".join(shown)


def heading(scores: Scores) -> str:
    limit = f"at most {scores['max_new_tokens']} tokens"
    questions = f"{part(scores)} {scores['split']} questions{only_types(scores)}"
    return f"{scores['config']}: {questions}, one greedy answer each of {limit}"


def part(scores: Scores) -> str:
    """How many questions were asked, of how many."""
    return f"{scores['n']:,} of {scores['of']:,}" if scores["n"] < scores["of"] else f"{scores['n']:,}"


def only_types(scores: Scores) -> str:
    """Which question types alone were asked, if not all."""
    qtypes = scores.get("qtypes")  # older scores have none
    return f" of the types {', '.join(qtypes)} alone" if qtypes else ""


def system_name(name: str, system: dict[str, Any]) -> str:
    return name if system["model"] else f"no model: {name}"


def percent(mean: float, sign: str = "") -> str:
    return f"{100 * mean:{sign}.1f}"


def gain_text(gain: dict[str, Any]) -> str:
    """A gain × 100 with its interval, and whether it is within noise."""
    noise = ", within noise" if gain["low"] is None or gain["low"] <= 0 <= gain["high"] else ""
    return f"{points(gain, '+')}{noise}"


def points(score: dict[str, Any], sign: str = "") -> str:
    """A mean × 100 with its interval, if there is one."""
    between = "" if score["low"] is None else f" [{percent(score['low'], sign)}, {percent(score['high'], sign)}]"
    return percent(score["mean"], sign) + between


def systems_table(scores: Scores) -> str:
    """All systems with intervals, then the gains, for the card."""
    labels = ROUGE_LABELS.values()
    rows = []
    for name, system in scores["systems"].items():
        plain, full = (system[view] for view in VIEWS)
        label = f"**{name}**" if system["model"] else system_name(name, system)
        means = [percent(full[kind]["mean"]) for kind in ROUGE_LABELS]
        rows.append([label, *(points(plain[kind]) for kind in ROUGE_LABELS), *means])
    for name, gain in scores["gains"].items():
        rows.append([name, *(gain_text(gain[kind]) for kind in ROUGE_LABELS), "", "", ""])
    return markdown_table(["", *labels, *(f"{label}, as first reported" for label in labels)], rows)


def rate_rows(scores: Scores) -> list[tuple[str, dict[str, str]]]:
    """A label, and for each side the share with interval and k/n, or the number."""
    return [
        (label, {side: rate_text(scores["rates"][side][label]) for side in scores["rates"]})
        for label in next(iter(scores["rates"].values()))
    ]


def rate_text(rate: dict[str, Any] | float | None) -> str:
    """A share in per cent with its interval and k/n; a plain number with two digits."""
    if rate is None:
        return UNKNOWN
    if not isinstance(rate, dict):
        return f"{rate:.2f}"
    return f"{rate['share']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}] ({rate['k']}/{rate['n']})"


def rates_table(scores: Scores) -> str:
    """The rates for the card."""
    return markdown_table(["", *scores["rates"]], [[label, *sides.values()] for label, sides in rate_rows(scores)])


def has_facts(scores: Scores) -> bool:
    """Whether any question is compared by its fact; older scores know nothing of facts."""
    return bool(scores.get("facts") and scores["facts"]["all"]["compared"])


def facts_count(scores: Scores) -> str:
    """How many questions about facts were asked, and how many of them are compared."""
    facts, whole = scores["facts"], scores["facts"]["all"]
    why = {
        "none": "no fact in the reference",
        "several": "several facts in the reference",
        "in the question": "given away by the question",
    }
    counts = whole["not compared"]
    others = ", ".join(f"{text} ({counts[reason]:,})" for reason, text in why.items() if reason in counts)
    left_out = f" ({facts['left out']:,} more were not asked)" if facts["left out"] else ""
    return (
        f"{whole['asked']:,} questions ask for a gene, an inheritance pattern or a frequency{left_out}; "
        f"{whole['compared']:,} are compared.{f' Not compared: {others}.' if others else ''}"
    )


def facts_table(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """Head and rows: of each kind of fact the answers that are right, wrong, several or none; gains; McNemar's p."""
    parts = {name: part for name, part in scores["facts"].items() if isinstance(part, dict) and part["compared"]}
    if len(parts) == 2:  # "all" is the same as the one kind
        del parts["all"]
    first = next(iter(parts.values()))
    rows = [
        [
            system_name(name, {"model": name in ("base", "tuned")}),
            *(fact_text(part["systems"][name]) for part in parts.values()),
        ]
        for name in first["systems"]
    ]
    rows += [[name, *(gain_text(part["gains"][name]) for part in parts.values())] for name in first["gains"]]
    rows.append(["McNemar's p, tuned and base", *(p_text(part) for part in parts.values())])
    return [
        "right / wrong / several / none, share right",
        *(f"{name}, n = {part['compared']:,}" for name, part in parts.items()),
    ], rows


def fact_text(outcomes: dict[str, dict[str, Any]]) -> str:
    """How many answers have each outcome, and the share of the right ones: "5 / 3 / 0 / 2, 50% [24%, 76%]"."""
    counts = " / ".join(str(rate["k"]) for rate in outcomes.values())
    return f"{counts}, {rate_text(outcomes['right']).rsplit(' (', 1)[0]}"


def agreement_sentence(agreement: dict[str, dict[str, dict[str, Any]]]) -> str:
    """How well facts are found, by the labels that were made without the rules that find them (facts.json)."""
    kinds = agreement["independent"]

    def counted(figure: str, name: str) -> str:
        return f"{kinds[name][figure]['k']} of {kinds[name][figure]['n']}"

    found = [f"{name} {counted('precision', name)} and {counted('recall', name)}" for name in kinds]
    single = [f"{name} {counted('precision where one is found', name)}" for name in kinds]
    return (
        f"Precision and recall: {', '.join(found)}. Precision where exactly one fact is found, as in the references "
        f"compared: {', '.join(single)}."
    )


def types_table(scores: Scores) -> str:
    """The ROUGE-L gains by question type for the card; p is corrected by Holm, over the types with enough groups."""
    gains = scores["by_type"]
    rows = [
        [
            qtype,
            f"{gain['n']:,}",
            *(text for by in gains.values() for text in (points(by[qtype], "+"), p_text(by[qtype]))),
        ]
        for qtype, gain in next(iter(gains.values())).items()
    ]
    return markdown_table(["ROUGE-L by question type", "n", *(text for name in gains for text in (name, "p"))], rows)


def p_text(gain: dict[str, Any]) -> str:
    if gain["p"] is None:
        return UNKNOWN
    return "< 0.001" if gain["p"] < 0.001 else f"{gain['p']:.3f}"


def novel_sentence(scores: Scores) -> str:
    """The gains on questions whose reference shares little with the training answers."""
    novel = scores["novel"]
    if not novel:
        return "Every reference shares at least a fifth of its 8-grams with the training answers."
    gains = [f"the {name} is {gain_text(gain['rougeL'])}" for name, gain in novel["gains"].items()]
    return (
        f"On the {novel['n']:,} of {scores['n']:,} questions whose reference shares under a fifth of its 8-grams with "
        f"the training answers, {' and '.join(gains)} (ROUGE-L)."
    )


def grade_sentence(scores: Scores) -> str:
    """The reading grades of the sides that have one."""
    grades = [f"{name} {grade:.1f}" for name, grade in scores["readability"].items() if grade is not None]
    return f"Flesch-Kincaid grade, median: {', '.join(grades)}."


def verdict(scores: Scores) -> str:
    """What the ROUGE-L gains over the base and over the strongest baseline show."""
    over_base, over_baseline = (gain["rougeL"] for gain in scores["gains"].values())
    baseline = f"the strongest answer that needs no model ({scores['strongest_baseline']})"
    return f"{compare('the base', over_base)} {compare(baseline, over_baseline)}"


def compare(other: str, gain: dict[str, Any]) -> str:
    text = f"{points(gain, '+')} ROUGE-L points, n = {gain['n']:,}"
    if gain["low"] is not None and gain["low"] > 0:
        return f"Tuned **beats** {other} ({text})."
    if gain["high"] is not None and gain["high"] < 0:
        return f"Tuned **falls short of** {other} ({text})."
    return f"Tuned **does not beat** {other}: the difference is within noise ({text})."


def comparison(runs: list[tuple[Scores, dict[str, Any]]]) -> str:
    """The figures first reported beside those of other runs, with and without the disclaimer, for the terminal.

    runs: scores-test.json and data.json of each.
    """
    columns = [reported_column(), *(run_column(*run, view) for run in runs for view in reversed(VIEWS))]
    labels = list(dict.fromkeys(label for column in reversed(columns) for label in column))
    rows = [[label, *(column.get(label, UNKNOWN) for column in columns)] for label in labels]
    return plain_table(["mean ROUGE F1 × 100", "first reported", *("" for _ in columns[1:])], rows)


def reported_column() -> dict[str, str]:
    means = {name: {kind: REPORTED[kind][name] for kind in ROUGE_LABELS} for name in ("base", "tuned")}
    return {"split": "random", "disclaimer": VIEWS[1].split()[0]} | mean_cells(means)


def run_column(scores: Scores, data: dict[str, Any], view: str) -> dict[str, str]:
    """Row label -> cell of one run, with or without the disclaimer."""
    systems = scores["systems"]
    means = {
        system_name(name, system): {kind: system[view][kind]["mean"] for kind in ROUGE_LABELS}
        for name, system in systems.items()
    }
    head = {"run": scores["config"], "split": data["split"], "disclaimer": view.split()[0], "questions": part(scores)}
    leakage = {f"test {what} also in train": f"{share:.1%}" for what, share in data["leakage"].items()}
    return head | mean_cells(means) | leakage


def mean_cells(means: dict[str, dict[str, float]]) -> dict[str, str]:
    """System -> ROUGE -> mean, as cells; and the gain of tuned over base."""
    cells = {f"{label} {name}": percent(means[name][kind]) for kind, label in ROUGE_LABELS.items() for name in means}
    gains = {kind: means["tuned"][kind] - means["base"][kind] for kind in ROUGE_LABELS}
    return cells | {f"{label} gain": percent(gains[kind], "+") for kind, label in ROUGE_LABELS.items()}
