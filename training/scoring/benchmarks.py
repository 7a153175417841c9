"""Base and tuned on the tasks of lm-eval: rates with intervals, paired tests, and what they amount to."""

from collections import Counter
from dataclasses import asdict
from math import log
from typing import Any

from training.scoring.fact_scores import mcnemar
from training.scoring.intervals import mean_interval, paired_gain, wilson
from training.scoring.pairs import TASK, Record, guesses
from training.scoring.table import Table, gain_text, p_text, rate_text

LABELS = {"acc": "", "acc_norm": "by length", "acc_mutual_info": "against no question"}
BITS = "bits_per_byte"
Sample = dict[str, Any]  # what lm-eval says of one question
Results = dict[str, Any]  # the content of benchmarks.json


def score_task(base: list[Sample], tuned: list[Sample], train: list[Record], seed: int) -> dict[str, Any]:
    """The figures of a task; train: the training records if it is the pairs, which are compared with baselines."""
    groups = [str(sample["doc"]["group"] if train else sample["doc_id"]) for sample in base]
    if BITS in base[0]:
        before, after = ([-sample[BITS][0] / (sample[BITS][1] * log(2)) for sample in side] for side in (base, tuned))
        means = {"base": asdict(mean_interval(before, groups)), "tuned": asdict(mean_interval(after, groups))}
        gain = asdict(paired_gain(before, after, groups, seed=seed))
        return {"n": len(base), BITS: means | {"gain": gain, "p": gain["p"]}}
    options = [len(sample["resps"]) / (1 + ("acc_mutual_info" in sample)) for sample in base]
    figures: dict[str, Any] = {"n": len(base), "chance": sum(1 / n for n in options) / len(base)}
    for name in LABELS:
        if name in base[0] and not (name == "acc" and "acc_norm" in base[0]):
            before, after = ([bool(sample[name]) for sample in side] for side in (base, tuned))
            figures[name] = compared(before, after, groups, seed)
    if train:
        pairs = [sample["doc"] for sample in base]
        right = {name: [place == pair["answer"] for place, pair in zip(places, pairs, strict=True)]
                 for name, places in guesses(pairs, train).items()}  # fmt: skip
        figures["baselines"] = {name: asdict(wilson(sum(found), len(pairs))) for name, found in right.items()}
        sides = zip(pairs, base, tuned, strict=True)
        figures["right"] = {pair["id"]: [bool(one["acc_norm"]), bool(other["acc_norm"])] for pair, one, other in sides}
    return figures


def compared(base: list[bool], tuned: list[bool], groups: list[str], seed: int) -> dict[str, Any]:
    """How many questions each side has right, the gain, and McNemar's test. All are [questions]."""
    both = Counter(zip(base, tuned, strict=True))
    only = {"only base": both[True, False], "only tuned": both[False, True]}
    rates = {"base": asdict(wilson(sum(base), len(base))), "tuned": asdict(wilson(sum(tuned), len(tuned)))}
    gain = asdict(paired_gain(base, tuned, groups, seed=seed))
    return rates | {"gain": gain} | only | {"p": mcnemar(*only.values())}


def measures(results: Results) -> list[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    """Every measure as (task, its figures, metric, figures of the metric), in the order of the tasks."""
    return [
        (name, task, metric, task[metric])
        for name, task in results["tasks"].items()
        for metric in (*LABELS, BITS)
        if metric in task
    ]


def falls(results: Results, by: float) -> list[str]:
    """The measures on which tuned is worse than base by more than this share (of base's bits) beyond the interval."""
    fallen = []
    for name, _, metric, found in measures(results):
        low, high = found["gain"]["low"] or 0, found["gain"]["high"] or 0
        if (low / found["base"]["mean"] if metric == BITS else -high) > by:
            fallen.append(f"{label(name, metric)} {cells(metric, found)[2]}")
    return fallen


def established(metric: str, found: dict[str, Any]) -> int:
    """1 if tuned is better than base, -1 if it is worse, 0 unless the interval and the test both say so."""
    low, high = found["gain"]["low"], found["gain"]["high"]
    if low is None or low <= 0 <= high or found["p"] is None or found["p"] >= 0.05:
        return 0
    return 1 if (low > 0) != (metric == BITS) else -1


def label(task: str, metric: str) -> str:
    told = "bits per byte, less is better" if metric == BITS else LABELS[metric] if task == TASK else ""
    return f"{task}, {told}" if told else task


def cells(metric: str, found: dict[str, Any]) -> tuple[str, str, str]:
    """Base, tuned and the gain of tuned: shares right and the gain × 100, or bits."""
    base, tuned, gain = found["base"], found["tuned"], found["gain"]
    if metric != BITS:
        return rate_text(base), rate_text(tuned), gain_text(gain)
    between = "" if gain["low"] is None else f" [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    return f"{base['mean']:.3f}", f"{tuned['mean']:.3f}", f"{gain['mean']:+.3f}{between}"


def benchmarks_table(results: Results) -> Table:
    """Head and rows: of each measure chance, base, tuned, the gain and its p; then what pairs give without a model."""
    rows = []
    for name, task, metric, found in measures(results):
        chance = f"{task['chance']:.0%}" if "chance" in task else ""
        rows.append([label(name, metric), f"{task['n']:,}", chance, *cells(metric, found), p_text(found)])
    pairs = results["tasks"].get(TASK, {"baselines": {}})
    rows += [[f"{TASK}, no model: {name}", f"{rate['n']:,}", rate_text(rate), "", "", "", ""]
             for name, rate in pairs["baselines"].items()]  # fmt: skip
    return ["", "n", "chance", "base", "tuned", "gain", "p"], rows


def benchmarks_blocks(results: Results | None) -> list[str | Table]:
    """What reports say of the tasks, if any were asked."""
    return [benchmarks_sentences(results), benchmarks_table(results)] if results else []


def benchmarks_sentences(results: Results) -> str:
    """What the pairs say of knowledge, and the other tasks of what was learned or forgotten."""
    said = []
    if pairs := results["tasks"].get(TASK):
        found = pairs["acc_norm"]
        often = ("no more often", "more often", "less often")[established("acc_norm", found)]
        words = max(rate["share"] for rate in pairs["baselines"].values())
        said.append(
            f"Of a true answer and three about other diseases, tuned finds the true one likeliest **{often} than its "
            f"base**: {found['tuned']['share']:.0%} and {found['base']['share']:.0%} of {pairs['n']:,}, where chance "
            f"gives {pairs['chance']:.0%} and counting words {words:.0%}."
        )
    signs = {label(name, kind): established(kind, found) for name, _, kind, found in measures(results) if name != TASK}
    if signs:
        worse, better = (", ".join(name for name in signs if signs[name] == sign) or "none" for sign in (-1, 1))
        said.append(f"Of {len(signs)} other measures tuned is worse than its base on {worse}, better on {better}, "
                    "as far as that is beyond noise.")  # fmt: skip
    return " ".join(said)
