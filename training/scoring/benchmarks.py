"""Base and tuned on the tasks of lm-eval: rates with intervals, paired tests, and what they amount to."""

from math import log
from operator import eq
from typing import Any

from training.scoring.intervals import mcnemar, mean_interval, paired_gain, sign, wilson
from training.scoring.pairs import TASK, Record, guesses
from training.scoring.table import gain_text, markdown_table, p_text, rate_text

FORMAT = 2  # of benchmarks.json; in 1 a gain in bits had the other sign
BITS = "bits_per_byte"
LABELS = {"acc": "", "acc_norm": "by length", "acc_mutual_info": "against no question",
          BITS: "bits per byte, gain is what tuned saves"}  # fmt: skip
Sample = dict[str, Any]  # what lm-eval says of one question
Results = dict[str, Any]  # the content of benchmarks.json


def score_task(base: list[Sample], tuned: list[Sample], train: list[Record], seed: int) -> dict[str, Any]:
    """The figures of a task; train: the training records if it is the pairs, which are compared with baselines."""
    sides = {"base": base, "tuned": tuned}
    groups = [str(sample["doc"]["group"] if train else sample["doc_id"]) for sample in base]
    if BITS in base[0]:
        bits = {side: [-one[BITS][0] / (one[BITS][1] * log(2)) for one in samples] for side, samples in sides.items()}
        means = {side: mean_interval(values, groups) for side, values in bits.items()}
        saved = paired_gain(bits["tuned"], bits["base"], groups, seed=seed)
        return {"n": len(base), BITS: means | {"gain": saved, "p": saved["p"]}}
    options = [len(sample["resps"]) / (1 + ("acc_mutual_info" in sample)) for sample in base]
    figures: dict[str, Any] = {"n": len(base), "chance": sum(1 / n for n in options) / len(base)}
    for metric in ("acc_norm" if "acc_norm" in base[0] else "acc", "acc_mutual_info"):
        if metric in base[0]:
            right = {side: [bool(one[metric]) for one in samples] for side, samples in sides.items()}
            rates = {side: wilson(sum(flags), len(flags)) for side, flags in right.items()}
            gain = paired_gain(right["base"], right["tuned"], groups, seed=seed)
            figures[metric] = rates | {"gain": gain} | mcnemar(right["base"], right["tuned"])
    if train:
        pairs = [sample["doc"] for sample in base]
        answers = [pair["answer"] for pair in pairs]
        figures["baselines"] = {
            name: wilson(sum(map(eq, places, answers)), len(pairs)) for name, places in guesses(pairs, train).items()
        }
        figures["right"] = {
            pair["id"]: [bool(before["acc_norm"]), bool(after["acc_norm"])]
            for pair, before, after in zip(pairs, base, tuned, strict=True)
        }
    return figures


def measures(results: Results) -> list[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    """Every measure as (task, its figures, metric, figures of the metric), in the order of the tasks."""
    return [
        (name, task, metric, task[metric])
        for name, task in results["tasks"].items()
        for metric in LABELS
        if metric in task
    ]


def falls(results: Results, by: float) -> list[str]:
    """The measures on which tuned is worse than base by more than this share (of base's bits) beyond the interval."""
    fallen = []
    for name, _, metric, figures in measures(results):
        if -(figures["gain"]["high"] or 0) > by * (figures["base"]["mean"] if metric == BITS else 1):
            fallen.append(f"{label(name, metric)} {cells(metric, figures)[2]}")
    return fallen


def direction(figures: dict[str, Any]) -> int:
    """1 if tuned is better than base, -1 if it is worse, 0 unless the interval and the test both say so."""
    return sign(figures["gain"]) if figures["p"] is not None and figures["p"] < 0.05 else 0


def label(task: str, metric: str) -> str:
    about = LABELS[metric] if task == TASK or metric == BITS else ""
    return f"{task}, {about}" if about else task


def cells(metric: str, figures: dict[str, Any]) -> tuple[str, str, str]:
    """Base, tuned and the gain of tuned: shares right and the gain × 100, or bits."""
    base, tuned, gain = figures["base"], figures["tuned"], figures["gain"]
    if metric != BITS:
        return rate_text(base), rate_text(tuned), gain_text(gain)
    between = "" if gain["low"] is None else f" [{gain['low']:+.3f}, {gain['high']:+.3f}]"
    return f"{base['mean']:.3f}", f"{tuned['mean']:.3f}", f"{gain['mean']:+.3f}{between}"


def benchmarks_blocks(results: Results | None) -> list[str]:
    """What reports say of the tasks, if any were asked: sentences, and a table that ends with the pairs' baselines."""
    if not results:
        return []
    rows = []
    for name, task, metric, figures in measures(results):
        chance = f"{task['chance']:.0%}" if "chance" in task else ""
        rows.append([label(name, metric), f"{task['n']:,}", chance, *cells(metric, figures), p_text(figures)])
    for name, rate in results["tasks"].get(TASK, {"baselines": {}})["baselines"].items():
        rows.append([f"{TASK}, no model: {name}", f"{rate['n']:,}", rate_text(rate), "", "", "", ""])
    return [benchmarks_sentences(results), markdown_table(["", "n", "chance", "base", "tuned", "gain", "p"], rows)]


def benchmarks_sentences(results: Results) -> str:
    """What the pairs say of knowledge, and the other tasks of what was learned or forgotten."""
    sentences = []
    if pairs := results["tasks"].get(TASK):
        figures = pairs["acc_norm"]
        often = ("no more often", "more often", "less often")[direction(figures)]
        words = max(rate["share"] for rate in pairs["baselines"].values())
        sentences.append(
            f"Of a true answer and three about other diseases, tuned finds the true one likeliest **{often} than its "
            f"base**: {figures['tuned']['share']:.0%} and {figures['base']['share']:.0%} of {pairs['n']:,}, where "
            f"chance gives {pairs['chance']:.0%} and counting words {words:.0%}."
        )
    others = [measure for measure in measures(results) if measure[0] != TASK]
    signs = {label(name, metric): direction(figures) for name, _, metric, figures in others}
    if signs:
        worse, better = (", ".join(name for name in signs if signs[name] == way) or "none" for way in (-1, 1))
        sentences.append(f"Of {len(signs)} other measures tuned is worse than its base on {worse}, better on {better}, "
                         "as far as that is beyond noise.")  # fmt: skip
    return " ".join(sentences)
