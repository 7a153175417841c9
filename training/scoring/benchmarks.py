"""Base and tuned on the tasks of lm-eval: rates with intervals, paired tests, and what they amount to."""

from collections import Counter
from dataclasses import asdict
from math import log
from typing import Any

from training.scoring.fact_scores import mcnemar
from training.scoring.intervals import mean_interval, paired_gain, wilson
from training.scoring.pairs import TASK, Pair, guesses
from training.scoring.table import gain_text, p_text, rate_text

METRICS = {"acc": "", "acc_norm": "by length", "acc_mutual_info": "against no question"}
BITS = "bits_per_byte"
CHANCE = "chance"
Sample = dict[str, Any]  # what lm-eval says of one question
Results = dict[str, Any]  # the content of benchmarks.json


def score_task(base: list[Sample], tuned: list[Sample], groups: list[str], seed: int) -> dict[str, Any]:
    """The figures of a task. groups: of questions that are not independent. Raises ValueError for an unknown metric."""
    if BITS in base[0]:
        before, after = ([-sample[BITS][0] / (sample[BITS][1] * log(2)) for sample in side] for side in (base, tuned))
        gain = asdict(paired_gain(before, after, groups, seed=seed))
        sides = {"base": before, "tuned": after}
        means = {name: asdict(mean_interval(values, groups, seed=seed)) for name, values in sides.items()}
        return {"n": len(base), BITS: means | {"gain": gain, "p": gain["p"]}}
    found = [name for name in METRICS if name in base[0] and not (name == "acc" and "acc_norm" in base[0])]
    if not found:
        raise ValueError("it measures neither accuracy nor bits per byte")
    options = [len(sample["resps"]) / (1 + ("acc_mutual_info" in sample)) for sample in base]
    return {"n": len(base), CHANCE: sum(1 / n for n in options) / len(base)} | {
        name: compared([bool(s[name]) for s in base], [bool(s[name]) for s in tuned], groups, seed) for name in found
    }


def compared(base: list[bool], tuned: list[bool], groups: list[str], seed: int) -> dict[str, Any]:
    """How many questions each side has right, the gain, and McNemar's test. All are [questions]."""
    both = Counter(zip(base, tuned, strict=True))
    only = {"only base": both[True, False], "only tuned": both[False, True]}
    return {
        "base": asdict(wilson(sum(base), len(base))),
        "tuned": asdict(wilson(sum(tuned), len(tuned))),
        "gain": asdict(paired_gain(base, tuned, groups, seed=seed)),
        **only,
        "p": mcnemar(*only.values()),
    }


def score_baselines(pairs: list[Pair], train: list[dict[str, str]]) -> dict[str, Any]:
    """Baseline -> its rate of true answers among the pairs."""
    return {
        name: asdict(
            wilson(sum(place == pair["answer"] for place, pair in zip(places, pairs, strict=True)), len(pairs))
        )
        for name, places in guesses(pairs, train).items()
    }


def metrics(results: Results) -> list[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    """Every measure as (task, its figures, metric, figures of the metric), in the order of the tasks."""
    return [
        (name, task, metric, task[metric])
        for name, task in results["tasks"].items()
        for metric in (*METRICS, BITS)
        if metric in task
    ]


def falls(results: Results, by: float) -> list[str]:
    """The measures on which tuned is worse than base by more than this share (of base's bits) beyond the interval."""
    fallen = []
    for name, _, metric, found in metrics(results):
        low, high = found["gain"]["low"] or 0, found["gain"]["high"] or 0
        if (low / found["base"]["mean"] if metric == BITS else -high) > by:
            fallen.append(f"{label(name, metric)} {cells(metric, found)[2]}")
    return fallen


def label(task: str, metric: str) -> str:
    told = "bits per byte, less is better" if metric == BITS else METRICS[metric] if task == TASK else ""
    return f"{task}, {told}" if told else task


def cells(metric: str, found: dict[str, Any]) -> tuple[str, str, str]:
    """Base, tuned and the gain of tuned: shares right and the gain × 100, or bits."""
    if metric != BITS:
        return rate_text(found["base"]), rate_text(found["tuned"]), gain_text(found["gain"])
    base, tuned, gain = found["base"], found["tuned"], found["gain"]
    between = "" if gain["low"] is None else f" [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    return f"{base['mean']:.3f}", f"{tuned['mean']:.3f}", f"{gain['mean']:+.3f}{between}"


def benchmarks_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Head and rows: of each measure chance, base, tuned, the gain and its p; then what pairs give without a model."""
    rows = [
        [label(name, metric), f"{task['n']:,}", f"{task[CHANCE]:.0%}" if CHANCE in task else "",
         *cells(metric, found), p_text(found)]
        for name, task, metric, found in metrics(results)
    ]  # fmt: skip
    pairs = results["tasks"].get(TASK, {"baselines": {}})
    rows += [[f"{TASK}, no model: {name}", f"{rate['n']:,}", rate_text(rate), "", "", "", ""]
             for name, rate in pairs["baselines"].items()]  # fmt: skip
    return ["", "n", CHANCE, "base", "tuned", "gain", "p"], rows


def benchmarks_sentences(results: Results) -> str:
    """What the pairs say of knowledge, and the other tasks of what was learned or forgotten."""
    said = []
    if pairs := results["tasks"].get(TASK):
        found = pairs["acc_norm"]
        often = ("**less often than**", "**no more often than**", "**more often than**")[established(found) + 1]
        words = max(rate["share"] for rate in pairs["baselines"].values())
        said.append(
            f"Of a true answer and three about other diseases, tuned finds the true one likeliest {often} its base: "
            f"{found['tuned']['share']:.0%} and {found['base']['share']:.0%} of {pairs['n']:,}, where chance gives "
            f"{pairs[CHANCE]:.0%} and counting words {words:.0%}."
        )
    others = [(label(name, metric), established(found)) for name, _, metric, found in metrics(results) if name != TASK]
    if others:
        worse, better = (", ".join(name for name, sign in others if sign == which) or "none" for which in (-1, 1))
        said.append(f"Of {len(others)} other measures tuned is worse than its base on {worse}, better on {better}, "
                    "as far as that is beyond noise.")  # fmt: skip
    return " ".join(said)


def established(found: dict[str, Any]) -> int:
    """1 if tuned is better than base, -1 if it is worse, 0 unless the interval and the test both say so."""
    low, high, less_is_better = found["gain"]["low"], found["gain"]["high"], "mean" in found["base"]
    if low is None or low <= 0 <= high or found["p"] is None or found["p"] >= 0.05:
        return 0
    return 1 if (low > 0) != less_is_better else -1


def benchmark_values(results: Results) -> list[tuple[str, str, int, str, str, float]]:
    """Of each measure task, data set, n, kind of metric, its name and tuned's value, for `model-index`."""
    return [
        (name, task["dataset"], task["n"], "accuracy", metric, round(100 * found["tuned"]["share"], 2))
        if metric != BITS
        else (name, task["dataset"], task["n"], BITS, metric, round(found["tuned"]["mean"], 4))
        for name, task, metric, found in metrics(results)
    ]
