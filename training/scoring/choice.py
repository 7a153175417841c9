"""The study's rule: which configuration is taken, given the ROUGE-1 of each on the same validation questions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.scoring.intervals import FEW, Interval, mean_interval, paired_gain
from training.scoring.table import gain_text, points

DRAWS = 10_000
COSTS = ("trained parameters", "epochs")  # compared in this order, fewest first

WORDS = f"""\
Every configuration answers the same validation questions, greedily. Its score is the mean ROUGE-1 F1 of its answers \
without the disclaimer on either side; the highest mean is the best. Another configuration is worse than the best \
where the 95 % interval of their paired difference ({DRAWS:,} bootstrap draws of whole groups of questions, at least \
{FEW} groups) lies below 0; if it does not, the two are tied. Where every other is worse, the best wins. Otherwise it \
is a tie, and the cheapest of the best and those tied with it is taken: fewest {", then fewest ".join(COSTS)}, then \
the higher mean, then the name. Only the configuration that is taken meets the test split. The intervals are about \
other questions, not about another training seed: each configuration is trained once."""


@dataclass(frozen=True)
class Candidate:
    """A configuration's ROUGE-1 of each question [questions], and what it costs, as `COSTS` names it."""

    name: str
    scores: Sequence[float]
    cost: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """best: the highest mean. tied: who isn't worse than it, without itself. gains: of every other over the best."""

    best: str
    taken: Candidate
    tied: tuple[str, ...]
    gains: dict[str, Interval]


def choose(candidates: list[Candidate], groups: Sequence[str], seed: int) -> Choice:
    """Apply the rule, see `WORDS`.

    groups: [questions], index i is the same question here and in every candidate's scores.
    Raises ValueError without candidates, where two have one name, and like `paired_gain`.
    """
    names = [candidate.name for candidate in candidates]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a choice between {', '.join(names) or 'no configurations'}: give each a name of its own")
    ranked = sorted(candidates, key=lambda one: (-float(np.mean(one.scores)), one.cost, one.name))
    best, *others = ranked
    gains = {one.name: paired_gain(best.scores, one.scores, groups, DRAWS, seed) for one in others}
    tied = [one for one in others if not worse(gains[one.name])]
    taken = min([best, *tied], key=lambda one: (one.cost, ranked.index(one)))
    return Choice(best.name, taken, tuple(one.name for one in tied), gains)


def worse(gain: Interval) -> bool:
    """Whether a gain over the best is a loss beyond doubt."""
    return gain.high is not None and gain.high < 0 and gain.groups >= FEW


def verdict(choice: Choice) -> str:
    """The choice as a sentence or two."""
    taken = choice.taken.name
    if not choice.gains:
        return f"{taken} is the only configuration: there was nothing to choose."
    against = {name: f"{name} ({points(asdict(gain), '+')} points)" for name, gain in choice.gains.items()}
    if not choice.tied:
        return f"{taken} wins: every other is worse by more than noise, the closest {next(iter(against.values()))}."
    paid = " and ".join(f"{value:,} {what}" for value, what in zip(choice.taken.cost, COSTS, strict=True))
    noise = ", ".join(against[name] for name in choice.tied)
    text = f"Tie, the cheapest is taken: {taken} ({paid}). {choice.best} has the highest mean; within noise: {noise}."
    groups = next(iter(choice.gains.values())).groups
    return text if groups >= FEW else f"{text} {groups} groups are too few to show any difference."


def decision(candidates: list[Candidate], facts: list[dict[str, Any]], groups: list[str], seed: int) -> dict[str, Any]:
    """What study.json says of the choice: the rule, a row for each candidate with its facts, and the verdict."""
    choice = choose(candidates, groups, seed)
    rows = [
        {
            "name": one.name,
            **known,
            "rouge1": asdict(mean_interval(one.scores, groups, DRAWS, seed)),
            "gain_over_best": asdict(choice.gains[one.name]) if one.name in choice.gains else None,
            "winner": one is choice.taken,
        }
        for one, known in zip(candidates, facts, strict=True)
    ]
    return {
        "rule": {
            "words": WORDS,
            "split": "validation",
            "measure": "rouge1 without disclaimer",
            "interval": 0.95,
            "draws": DRAWS,
            "fewest_groups": FEW,
            "cost": list(COSTS),
            "seed": seed,
        },
        "n": len(groups),
        "groups": len(set(groups)),
        "rows": rows,
        "best": choice.best,
        "tied": list(choice.tied),
        "winner": choice.taken.name,
        "verdict": verdict(choice),
    }


def study_table(study: dict[str, Any]) -> str:
    """The content of study.json as a table for a terminal, with the verdict below."""
    part = f"{study['n']:,} of {study['of']:,}" if study["n"] < study["of"] else f"{study['n']:,}"
    lines = [f"study: {part} validation questions in {study['groups']:,} groups, ROUGE-1 × 100 without disclaimer", ""]
    head = "".join(f"{label:>10}" for label in ("rate", "rank", "alpha", "trained", "minutes"))
    lines.append(f"{'':16}{head}{'ROUGE-1':>20}   gain over the best")
    for row in study["rows"]:
        cells = (
            f"{row['learning_rate']:g}",
            f"{row['lora_rank']}",
            f"{row['lora_alpha']}",
            f"{row['trained_parameters']:,}",
            f"{row['minutes']:.1f}" + ("+" if row["resumed_from_step"] else " "),
        )
        values = "".join(f"{cell:>10}" for cell in cells)
        gain = gain_text(row["gain_over_best"]) if row["gain_over_best"] else "(highest mean)"
        taken = "  <- taken" if row["winner"] else ""
        lines.append(f"{row['name']:16}{values}{points(row['rouge1']):>20}   {gain}{taken}")
    if any(row["resumed_from_step"] for row in study["rows"]):
        lines.append("+ since the last resume")
    return "\n".join([*lines, "", study["verdict"]])
