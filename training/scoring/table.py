"""The scores as people read them: a table for the terminal, one for the card, and the sentence that they amount to."""

from typing import Any

KINDS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
VIEWS = ("without disclaimer", "with disclaimer")
Scores = dict[str, Any]  # the content of scores-<split>.json


def scores_table(scores: Scores) -> str:
    """Means × 100 of all systems, the gains with their intervals, and the rates, for a terminal."""
    lines = [heading(scores), "", f"{'':36}{'without disclaimer':>21}{'with, as first reported':>28}"]
    lines.append(f"{'mean ROUGE F1 × 100':36}" + "     ".join(2 * ["    R-1    R-2    R-L"]))
    for name, system in scores["systems"].items():
        cells = ["".join(f"{100 * system[view][kind]['mean']:7.1f}" for kind in KINDS) for view in VIEWS]
        lines.append(f"{name if system['model'] else 'no model: ' + name:36}" + "     ".join(cells))
    lines.append("")
    for name, gain in scores["gains"].items():
        lines.append(f"{name}:")
        lines += [f"  {label}  {gain_text(gain[kind])}" for kind, label in KINDS.items()]
    lines.append("")
    lines.append(f"{'':34}" + "".join(f"{side:>12}" for side in scores["rates"]))
    for label, sides in rate_rows(scores):
        lines.append(f"{label:34}" + "".join(f"{text.split(' ')[0]:>12}" for text in sides.values()))
    return "\n".join(lines)


def heading(scores: Scores) -> str:
    part = f"{scores['n']:,} of {scores['of']:,}" if scores["n"] < scores["of"] else f"{scores['n']:,}"
    limit = f"at most {scores['max_new_tokens']} tokens"
    return f"{scores['config']}: {part} {scores['split']} questions, one greedy answer each of {limit}"


def gain_text(gain: dict[str, float]) -> str:
    """A gain × 100 with its interval, and whether it is more than noise."""
    noise = ", within noise" if gain["low"] is None or gain["low"] <= 0 <= gain["high"] else ""
    return f"{points(gain, '+')}{noise}"


def points(score: dict[str, float], sign: str = "") -> str:
    """A mean × 100 with its interval, where more than one group allows one."""
    form = f"{sign}.1f"
    between = "" if score["low"] is None else f" [{100 * score['low']:{form}}, {100 * score['high']:{form}}]"
    return f"{100 * score['mean']:{form}}{between}"


def markdown_table(scores: Scores) -> str:
    """All systems with intervals, then the gains, as a table of the card."""
    rows = [
        "| | "
        + " | ".join(KINDS.values())
        + " | "
        + " | ".join(f"{label}, as first reported" for label in KINDS.values())
        + " |"
    ]
    rows.append("|---|" + 6 * "---:|")
    for name, system in scores["systems"].items():
        plain = [points(system["without disclaimer"][kind]) for kind in KINDS]
        full = [f"{100 * system['with disclaimer'][kind]['mean']:.1f}" for kind in KINDS]
        label = f"**{name}**" if system["model"] else f"no model: {name}"
        rows.append(f"| {label} | " + " | ".join(plain + full) + " |")
    for name, gain in scores["gains"].items():
        rows.append(f"| {name} | " + " | ".join(gain_text(gain[kind]) for kind in KINDS) + " | | | |")
    return "\n".join(rows)


def rate_rows(scores: Scores) -> list[tuple[str, dict[str, str]]]:
    """What else was counted: a label, and for base and tuned the share with k of n, or the number."""
    return [
        (label, {side: rate_text(scores["rates"][side][label]) for side in scores["rates"]})
        for label in next(iter(scores["rates"].values()))
    ]


def rate_text(rate: dict[str, float] | float | None) -> str:
    """A share as per cent with its interval and k/n; a plain number as it is."""
    if rate is None:
        return "–"
    if not isinstance(rate, dict):
        return f"{rate:.2f}"
    return f"{rate['share']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}] ({rate['k']}/{rate['n']})"


def markdown_rates(scores: Scores) -> str:
    """The rates as a table of the card, a row each."""
    sides = list(scores["rates"])
    rows = ["| | " + " | ".join(sides) + " |", "|---|" + len(sides) * "---:|"]
    rows += [f"| {label} | " + " | ".join(texts[side] for side in sides) + " |" for label, texts in rate_rows(scores)]
    return "\n".join(rows)


def markdown_types(scores: Scores) -> str:
    """The ROUGE-L gains by question type; p is Holm's, over the types with enough groups for a test."""
    names = list(scores["by_type"])
    rows = ["| ROUGE-L by question type | n | " + " | p | ".join(names) + " | p |", "|---|" + 5 * "---:|"]
    for qtype, first in scores["by_type"][names[0]].items():
        cells = [
            f"{points(scores['by_type'][name][qtype], '+')} | {p_text(scores['by_type'][name][qtype])}"
            for name in names
        ]
        rows.append(f"| {qtype} | {first['n']:,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def p_text(gain: dict[str, float]) -> str:
    if gain["p"] is None:
        return "–"
    return "< 0.001" if gain["p"] < 0.001 else f"{gain['p']:.3f}"


def novel_sentence(scores: Scores) -> str:
    """What is left of the gains where the reference shares little with the training answers."""
    part = scores["novel"]
    if not part:
        return "Every reference shares at least a fifth of its 8-grams with the training answers."
    gains = [f"the {name} is {gain_text(gain['rougeL'])}" for name, gain in part["gains"].items()]
    return (
        f"On the {part['n']:,} of {scores['n']:,} questions whose reference shares under a fifth of its 8-grams with "
        f"the training answers, {' and '.join(gains)} (ROUGE-L)."
    )


def grade_sentence(scores: Scores) -> str:
    """The reading grades; a side without a word has none."""
    grades = [f"{name} {grade:.1f}" for name, grade in scores["readability"].items() if grade is not None]
    return f"Flesch-Kincaid grade, median: {', '.join(grades)}."


def verdict(scores: Scores) -> str:
    """The sentence that the ROUGE-L gains over base and over the strongest floor amount to."""
    over_base, over_floor = (scores["gains"][name]["rougeL"] for name in scores["gains"])
    floor = scores["strongest_floor"]
    sentences = [
        compare("the base", over_base),
        compare(f"the strongest answer that needs no model ({floor})", over_floor),
    ]
    return " ".join(sentences)


def compare(other: str, gain: dict[str, float]) -> str:
    text = f"{points(gain, '+')} ROUGE-L points, n = {gain['n']:,}"
    if gain["low"] is not None and gain["low"] > 0:
        return f"Tuned **beats** {other} ({text})."
    if gain["high"] is not None and gain["high"] < 0:
        return f"Tuned **falls short of** {other} ({text})."
    return f"Tuned **does not beat** {other}: the difference is within noise ({text})."
