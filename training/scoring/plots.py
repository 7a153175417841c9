"""Plots of a run as SVG with alt text, readable on light and dark pages and on a phone.

The same numbers give the same bytes. Blue is tuned or chosen, orange is base, grey is the rest; labels and dashes tell
the same without colours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import cycle
from operator import itemgetter
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from training.scoring.table import ROUGE_LABELS

INK = "#737a83"  # contrast 4.3:1 on white and on #0d1117; no colour reaches 4.5:1 on both
TUNED = "#2a7fc9"
BASE = "#c4650f"

WIDTH = 5.0  # inches: 480 px on a page; about 340 px on a phone, where text is about 10 px high
STYLE: dict[RcKeyType, Any] = {
    "font.size": 11,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; wider than what browsers replace it with
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "svg.hashsalt": "med-llama",  # otherwise element ids are random
}

Score = dict[str, Any]  # an interval: "mean", "low", "high"; the last two None without an interval
SPREAD = "mean with 95 % interval"


def loss_curves(train: list[tuple[int, float]], validation: list[tuple[int, float]]) -> str:
    """Training and validation loss over steps; points are (step, loss). One of the lists may be empty."""
    looks: dict[str, dict[str, Any]] = {
        "train": {"color": INK, "linewidth": 1.2},
        "validation": {"color": TUNED, "linewidth": 1.8, "marker": "o", "markersize": 5},
    }
    curves = {name: points for name, points in (("train", train), ("validation", validation)) if points}
    ends = [f"{name} loss {loss_at(*points[0])} and {loss_at(*points[-1])}" for name, points in curves.items()]
    alt = f"Loss over optimiser steps: {'; '.join(ends)}."
    if validation:
        alt += f" The lowest validation loss is {loss_at(*min(validation, key=itemgetter(1)))}."
    with figure_of(3.1) as figure:
        axes = figure.subplots()
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), label=f"{name}, last {points[-1][1]:.2f}", **looks[name])
        axes.set(xlabel="optimiser step", ylabel="loss", xlim=(0, None))
        axes.grid(axis="y")
        legend_above(figure, columns=2)
        return svg(figure, alt)


def loss_at(step: int, loss: float) -> str:
    return f"{loss:.2f} at step {step:,}"


def rouge_bars(systems: dict[str, dict[str, Score]], n: int) -> str:
    """Mean ROUGE F1 of each system with its interval, in a panel for each kind of ROUGE.

    "base" and "tuned" come last and in colour; the others are baselines, in the given order. n: number of questions.
    """
    names = sorted(systems, key=lambda name: {"base": 1, "tuned": 2}.get(name, 0))
    colours = [{"base": BASE, "tuned": TUNED}.get(name, INK) for name in names]
    alt, longest = f"Mean ROUGE F1, {n:,} questions.", 0.01
    with figure_of(1.1 + 3 * (0.35 + 0.24 * len(names))) as figure:
        for axes, (kind, title) in zip(figure.subplots(3, sharex=True), ROUGE_LABELS.items(), strict=True):
            scores = {name: systems[name][kind] for name in names}
            means = [score["mean"] for score in scores.values()]
            axes.barh(range(len(names)), means, 0.72, color=colours, alpha=0.35)
            draw_scores(axes, scores, colours)
            axes.set_title(title)
            alt += f" {title}: {', '.join(f'{name} {mean:.3f}' for name, mean in zip(names, means, strict=True))}."
            longest = max(longest, *means, *(score["high"] or 0 for score in scores.values()))
        axes.set_xlim(0, longest * 1.22)  # room for the number
        figure.supxlabel(f"F1, {SPREAD}, {n:,} questions", size=11)
        return svg(figure, alt)


def study_points(rows: list[dict[str, Any]], n: int) -> str:
    """Validation ROUGE-1 of each configuration with its interval; the chosen one is in colour.

    rows: {"name", "winner"} and an interval. n: number of questions.
    """
    scores = {row["name"] + ", chosen" * row["winner"]: row for row in rows}
    between = {name: "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
               for name, row in scores.items()}  # fmt: skip
    points = [f"{name} {row['mean']:.3f}{between[name]}" for name, row in scores.items()]
    alt = f"Validation ROUGE-1 of each configuration, {SPREAD}, {n:,} questions: {'; '.join(points)}."
    with figure_of(1.0 + 0.45 * len(rows)) as figure:
        axes = figure.subplots()
        draw_scores(axes, scores, [TUNED if row["winner"] else INK for row in rows])
        left, right = axes.get_xlim()
        axes.set_xlim(left, right + (right - left) / 3)  # room for the number
        axes.locator_params(axis="x", nbins=5)
        figure.supxlabel(f"validation ROUGE-1\n{SPREAD}, {n:,} questions", size=11)
        return svg(figure, alt)


def length_distribution(lengths: dict[str, list[int]], limit: int) -> str:
    """The share of the examples of each split that have at most so many tokens, up to twice the limit."""
    splits = {name: np.array(values) for name, values in lengths.items() if values}
    every = np.concatenate(list(splits.values()))
    over = f"limit {limit:,}: {100 * np.mean(every > limit):.1f} % longer"
    alt, looks = "Lengths in tokens.", cycle(((INK, "-"), (TUNED, "-"), (BASE, "--")))
    with figure_of(3.0 + 0.25 * len(splits)) as figure:
        axes = figure.subplots()
        for (name, values), (colour, line) in zip(splits.items(), looks, strict=False):
            count, median = f"{name}: {len(values):,}", f"median {np.median(values):,.0f}"
            look: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.6}
            axes.ecdf(values, compress=True, label=f"{count}, {median}", **look)
            alt += f" {count} examples, {median}, longest {values.max():,}."
        axes.axvline(limit, color=INK, linestyle=":", linewidth=2, label=over)
        axes.set(xlim=(0, 1.05 * max(limit, min(every.max(), 2 * limit))), ylim=(0, 1.05))
        axes.set(xlabel="tokens", ylabel="share of examples of\nat most so many")
        axes.grid(axis="y")
        legend_above(figure, columns=1)
        return svg(figure, f"{alt} {over}.")


@contextmanager
def figure_of(height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(WIDTH, height), layout="constrained")


def svg(figure: Figure, alt: str) -> str:
    """The figure as SVG with its alt text as title, without background, date and random ids."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Title": alt, "Date": None, "Creator": None})
    return file.getvalue()


def draw_scores(axes: Axes, scores: dict[str, Score], colours: list[str]) -> None:
    """A row for each name: a point at the mean, a line along the interval if there is one, and the number."""
    for row, (score, colour) in enumerate(zip(scores.values(), colours, strict=True)):
        mean, low, high = score["mean"], score["low"], score["high"]
        if low is not None:
            axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(mean, row, marker="o", markersize=6, color=colour)
        place = (mean if high is None else high, row)
        axes.annotate(f"{mean:.3f}", place, (6, 0), textcoords="offset points", va="center", color=colour)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.tick_params(axis="y", length=0, pad=7)
    axes.set_ylim(len(scores) - 0.4, -0.6)  # first name on top
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def legend_above(figure: Figure, columns: int) -> None:
    """A legend above the axes, where no curve crosses it."""
    figure.legend(loc="outside upper left", ncols=columns, handlelength=1.6, borderaxespad=0.2)
