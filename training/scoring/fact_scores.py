"""Whether answers state the right fact: the gene, the inheritance pattern, the frequency.

ROUGE rewards form; a fact has to be known. Only questions whose reference states exactly one fact are compared, unless
the question gives it away. An answer that names several facts, or none, is not right.
"""

import re
from collections import Counter
from typing import Any

from training.scoring.baselines import nearest_answers
from training.scoring.facts import KINDS, Fact, fact_texts, stated
from training.scoring.intervals import mcnemar, paired_gain, wilson

Line = dict[str, Any]  # a line of answers-<split>.jsonl
Record = dict[str, str]  # a line of data/*.jsonl

OUTCOMES = ("right", "wrong", "several", "none")
MAJORITY, NEAREST = "majority of the training answers", "nearest training question of the type"
SYSTEMS = ("base", "tuned", MAJORITY, NEAREST)


def score_facts(lines: list[Line], train: list[Record], seed: int) -> tuple[dict[str, Any], list[Line | None]]:
    """How often base, tuned and two baselines without a model state the right fact, and the comparison of each line.

    A comparison: {"group", "kind", "reference", "compared", system -> {"named", "outcome"}}; None for lines of other
    types. "compared" is "yes", or why not: the reference states "several" or "none", or the fact is "in the question".
    """
    train = sorted(train, key=lambda record: record["id"])  # so that ties don't depend on the order
    of_line: dict[str, Line] = {}
    for qtype in KINDS:
        asked, trained = ([row for row in rows if row["qtype"] == qtype] for rows in (lines, train))
        of_line |= zip([line["id"] for line in asked], compare_type(qtype, asked, trained, seed), strict=True)
    comparisons = [of_line[line["id"]] for line in lines if line["id"] in of_line]
    names = [kind.name for kind in KINDS.values()]
    report = {name: score_kinds(comparisons, [name], seed) for name in names}
    report["all"] = score_kinds(comparisons, names, seed)
    return report | {"sentence": facts_sentence(report["all"])}, [of_line.get(line["id"]) for line in lines]


def compare_type(qtype: str, lines: list[Line], train: list[Record], seed: int) -> list[Line]:
    """The comparisons of the lines of one question type; train: the training records of that type."""
    common = commonest(qtype, [facts for record in train if len(facts := stated(qtype, record["answer"])) == 1])
    nearest = nearest_answers(train, lines, seed) if train else [""] * len(lines)
    comparisons: list[Line] = []
    for line, near in zip(lines, nearest, strict=True):
        true = stated(qtype, line["reference"])
        texts = {"base": line["base"]["text"], "tuned": line["tuned"]["text"], NEAREST: near}
        named = {name: stated(qtype, text) for name, text in texts.items()} | {MAJORITY: common}
        about = {"group": line["group"], "kind": KINDS[qtype].name, "reference": fact_texts(true)}
        systems = {
            name: {"named": fact_texts(given), "outcome": outcome(qtype, given, true)} for name, given in named.items()
        }
        comparisons.append(about | {"compared": comparable(qtype, true, line)} | systems)
    return comparisons


def commonest(qtype: str, facts: list[set[Fact]]) -> set[Fact]:
    """The fact, in a set of its own, that equals the most of those given; empty if none are."""
    counts = sorted(Counter(fact for (fact,) in facts).items())
    equal = {fact: sum(n for true, n in counts if KINDS[qtype].same(fact, true)) for fact, _ in counts}
    return {max(equal, key=equal.__getitem__)} if equal else set()


def comparable(qtype: str, true: set[Fact], line: Line) -> str:
    if len(true) != 1:
        return "several" if true else "none"
    (fact,) = true
    told = any(KINDS[qtype].same(given, fact) for given in stated(qtype, line["question"]))
    named = re.search(rf"(?<!\w){re.escape(str(fact))}(?!\w)", line["question"])  # "CAV3-related myopathy"
    return "in the question" if told or named else "yes"


def outcome(qtype: str, named: set[Fact], true: set[Fact]) -> str:
    """One of `OUTCOMES`."""
    if len(named) != 1:
        return "several" if named else "none"
    return "right" if len(true) == 1 and KINDS[qtype].same(*named, *true) else "wrong"


def score_kinds(comparisons: list[Line], kinds: list[str], seed: int) -> dict[str, Any]:
    """Of some kinds: how many questions are compared and why others aren't, rates, gains of tuned, McNemar's test."""
    asked = [one for one in comparisons if one["kind"] in kinds]
    why = Counter(one["compared"] for one in asked)
    report = {"asked": len(asked), "compared": why.pop("yes", 0), "not compared": dict(why)}
    compared = [one for one in asked if one["compared"] == "yes"]
    if not compared:
        return report
    groups = [one["group"] for one in compared]
    outcomes = {name: [one[name]["outcome"] for one in compared] for name in SYSTEMS}
    right = {name: [result == "right" for result in outcomes[name]] for name in SYSTEMS}
    systems = {name: {one: wilson(outcomes[name].count(one), len(compared)) for one in OUTCOMES} for name in SYSTEMS}
    gains = {
        f"gain of tuned over {name}": paired_gain(right[name], right["tuned"], groups, seed=seed)
        for name in ("base", MAJORITY, NEAREST)
    }
    return report | {"systems": systems, "gains": gains} | mcnemar(right["base"], right["tuned"])


def facts_sentence(figures: dict[str, Any]) -> str:
    """What the figures of all kinds amount to. Base and tuned differ where bootstrap and McNemar both say so."""
    n = figures["compared"]
    if not n:
        return "No reference states exactly one fact to compare."
    right = {name: system["right"]["k"] for name, system in figures["systems"].items()}
    gains = {name: figures["gains"][f"gain of tuned over {name}"] for name in ("base", MAJORITY, NEAREST)}
    more = right["tuned"] - right["base"]
    if figures["p"] < 0.05 and (gains["base"]["low"] or 0) > 0:
        rival = max((MAJORITY, NEAREST), key=lambda name: right[name])
        beats = "and beats" if gains[rival]["low"] > 0 else "but does not beat"
        return f"Tuned **learned {more} facts more than its base** (of {n}) {beats} the {rival}."
    if figures["p"] < 0.05 and (gains["base"]["high"] or 0) < 0:
        return f"Tuned **states {-more} facts fewer than its base** (of {n})."
    return f"Tuned states **no more facts than its base**: {right['tuned']} and {right['base']} right of {n}."
