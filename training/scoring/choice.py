"""The rule of the study: which configuration is chosen, given the ROUGE-1 of each on the same validation questions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from training.scoring.intervals import FEW, Interval, Scores, mean_interval, paired_gain, sign
from training.scoring.table import count_text, gain_text, markdown_table, points

DRAWS = 10_000
COSTS = ("trained parameters", "epochs")  # compared in this order, fewest first

WORDS = f"""\
Every configuration answers the same validation questions, greedily. Its score is the mean ROUGE-1 F1 of its answers \
without the disclaimer on either side; the highest mean is the best. Another configuration is worse than the best \
where the 95 % interval of their paired difference ({DRAWS:,} bootstrap draws of whole groups of questions, at least \
{FEW} groups) lies below 0; if it does not, the two are tied. Where every other is worse, the best wins. Otherwise it \
is a tie, and the cheapest of the best and those tied with it is chosen: fewest {", then fewest ".join(COSTS)}, then \
the higher mean, then the name. Only the chosen configuration is scored on the test split. The intervals are about \
other questions, not about another training seed: each configuration is trained once."""


class Candidate(NamedTuple):
    """A configuration with its ROUGE-1 of each question [questions] and the costs that `COSTS` names."""

    name: str
    scores: Scores
    cost: tuple[float, ...]


class Choice(NamedTuple):
    """best: has the highest mean. tied: the others that are not worse. gains: of every other over the best."""

    best: str
    chosen: Candidate
    tied: tuple[str, ...]
    gains: dict[str, Interval]


def choose(candidates: list[Candidate], groups: Sequence[str], seed: int) -> Choice:
    """Apply the rule in `WORDS`; raises like `paired_gain`.

    candidates: each with a name of its own. groups: [questions], in the order of every candidate's scores.
    """
    ranked = sorted(candidates, key=lambda one: (-float(np.mean(one.scores)), one.cost, one.name))
    best, *others = ranked
    gains = {one.name: paired_gain(best.scores, one.scores, groups, DRAWS, seed) for one in others}
    tied = [one for one in others if sign(gains[one.name]) >= 0 or gains[one.name]["groups"] < FEW]
    chosen = min([best, *tied], key=lambda one: (one.cost, ranked.index(one)))
    return Choice(best.name, chosen, tuple(one.name for one in tied), gains)


def choice_sentence(choice: Choice) -> str:
    """The choice in one or two sentences."""
    chosen = choice.chosen.name
    if not choice.gains:
        return f"{chosen} is the only configuration: there was nothing to choose."
    against = {name: f"{name} ({points(gain, '+')} points)" for name, gain in choice.gains.items()}
    if not choice.tied:
        return f"{chosen} wins: every other is worse by more than noise, the closest {next(iter(against.values()))}."
    paid = " and ".join(f"{value:,} {what}" for value, what in zip(choice.chosen.cost, COSTS, strict=True))
    noise = ", ".join(against[name] for name in choice.tied)
    text = f"Tie, the cheapest is chosen: {chosen} ({paid}). {choice.best} has the highest mean; within noise: {noise}."
    groups = next(iter(choice.gains.values()))["groups"]
    return text if groups >= FEW else f"{text} {groups} groups are too few to show any difference."


def decision(candidates: list[Candidate], facts: list[dict[str, Any]], groups: list[str], seed: int) -> dict[str, Any]:
    """What study.json says about the choice: the rule, a row per candidate with its facts, and the verdict."""
    choice = choose(candidates, groups, seed)
    rows = [
        {
            "name": one.name,
            **known,
            "rouge1": mean_interval(one.scores, groups, DRAWS, seed),
            "gain_over_best": choice.gains.get(one.name),
            "winner": one is choice.chosen,
        }
        for one, known in zip(candidates, facts, strict=True)
    ]
    return {
        "rule": {"words": WORDS, "draws": DRAWS, "fewest_groups": FEW, "cost": list(COSTS), "seed": seed},
        "n": len(groups),
        "groups": len(set(groups)),
        "rows": rows,
        "best": choice.best,
        "tied": list(choice.tied),
        "winner": choice.chosen.name,
        "verdict": choice_sentence(choice),
    }


def study_table(study: dict[str, Any]) -> str:
    """The content of study.json as a table for the terminal, with the verdict below."""
    head = ["", "rate", "rank", "alpha", "trained", "minutes", "ROUGE-1", "gain over the best", ""]
    rows = []
    for row in study["rows"]:
        settings = [row["name"], f"{row['learning_rate']:g}", str(row["lora_rank"]), str(row["lora_alpha"])]
        minutes = f"{row['minutes']:.1f}{' since the resume' if row['resumed_from_step'] else ''}"
        gain = gain_text(row["gain_over_best"]) if row["gain_over_best"] else "(highest mean)"
        scores = [points(row["rouge1"]), gain, "<- chosen" if row["winner"] else ""]
        rows.append([*settings, f"{row['trained_parameters']:,}", minutes, *scores])
    title = f"{count_text(study)} validation questions in {study['groups']:,} groups, ROUGE-1 × 100 without disclaimer"
    return "\n\n".join([f"study: {title}", markdown_table(head, rows), study["verdict"]])
