"""Plots of a run as SVG with alt text, readable on light and dark pages and on a phone.

The same numbers give the same bytes. Blue is tuned or chosen, orange is base, grey is the rest; labels and dashes tell
the same without colours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
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
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "svg.hashsalt": "med-llama",  # otherwise element ids are random
}

Score = tuple[float, float | None, float | None]  # mean, low, high; None without an interval
SPREAD = "mean with 95 % interval"


@dataclass(frozen=True)
class Picture:
    """An SVG document and its alt text."""

    svg: str
    alt: str


def loss_curves(train: list[tuple[int, float]], validation: list[tuple[int, float]]) -> Picture:
    """Training and validation loss over steps; points are (step, loss). One of the lists may be empty."""
    given = {name: points for name, points in (("train", train), ("validation", validation)) if points}
    if not given:
        raise ValueError("loss_curves: there is no training and no validation loss to draw")

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        looks: dict[str, dict[str, Any]] = {
            "train": {"color": INK, "linewidth": 1.2},
            "validation": {"color": TUNED, "linewidth": 1.8, "marker": "o", "markersize": 5},
        }
        for name, points in given.items():
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, label=f"{name}, last {points[-1][1]:.2f}", **looks[name])
        axes.set(xlabel="optimiser step", ylabel="loss", xlim=(0, None))
        axes.grid(axis="y")
        legend_above(figure, columns=2)

    ends = [f"{name} loss {at(points[0])} and {at(points[-1])}" for name, points in given.items()]
    alt = f"Loss over optimiser steps: {'; '.join(ends)}."
    if validation:
        alt += f" The lowest validation loss is {at(min(validation, key=lambda point: point[1]))}."
    return picture(paint, 3.1, alt)


def rouge_bars(systems: dict[str, dict[str, Score]], n: int) -> Picture:
    """Mean ROUGE F1 of each system with its interval, in a panel for each kind of ROUGE.

    "base" and "tuned" come last and in colour; the others are baselines, in the given order. n: number of questions.
    """
    if not systems:
        raise ValueError("rouge_bars: there is no system to draw")
    names = sorted(systems, key=lambda name: {"base": 1, "tuned": 2}.get(name, 0))
    longest = max(right_end(scores[key]) for scores in systems.values() for key in ROUGE_LABELS)

    def paint(figure: Figure) -> None:
        for axes, (key, title) in zip(figure.subplots(3, sharex=True), ROUGE_LABELS.items(), strict=True):
            for row, name in enumerate(names):
                score = systems[name][key]
                colour = {"base": BASE, "tuned": TUNED}.get(name, INK)
                axes.barh(row, score[0], height=0.72, color=colour, alpha=0.35)
                draw_score(axes, row, score, colour)
                write(axes, f"{score[0]:.3f}", (right_end(score), row), (6, 0), va="center", color=colour)
            name_rows(axes, names)
            axes.set_title(title)
            axes.grid(axis="x")
        axes.set_xlim(0, max(longest, 0.01) * 1.22)  # room for the number
        figure.supxlabel(f"F1, {SPREAD}, {n:,} questions", size=11)

    alt = f"Mean ROUGE F1, {n:,} questions."
    for key, title in ROUGE_LABELS.items():
        alt += f" {title}: {', '.join(f'{name} {systems[name][key][0]:.3f}' for name in names)}."
    return picture(paint, 1.1 + 3 * (0.35 + 0.24 * len(names)), alt)


def study_points(rows: list[dict[str, Any]], n: int) -> Picture:
    """Validation ROUGE-1 of each configuration with its interval; that of the chosen one is drawn as a band.

    rows: {"name", "mean", "low", "high", "winner"}, low and high None without an interval. n: number of questions.
    """
    if not rows:
        raise ValueError("study_points: there is no configuration to draw")

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            mean, low, high = score = row["mean"], row["low"], row["high"]
            colour = TUNED if row["winner"] else INK
            draw_score(axes, place, score, colour)
            write(axes, f"{mean:.3f}{chosen(row, ' ')}", (mean, place), (0, 7), ha="center", color=colour)
            if row["winner"] and low is not None:
                axes.axvspan(low, high, color=TUNED, alpha=0.13, linewidth=0)
        name_rows(axes, [row["name"] for row in rows])
        axes.set_ylim(len(rows) - 0.6, -0.75)  # room for the number of the first
        axes.margins(x=0.2)  # the number above a point may be wider than its interval
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x")
        figure.supxlabel(f"validation ROUGE-1\n{SPREAD}, {n:,} questions", size=11)

    points = [f"{row['name']} {row['mean']:.3f}{between(row['low'], row['high'])}{chosen(row, ', ')}" for row in rows]
    alt = f"Validation ROUGE-1 of each configuration, {SPREAD}, {n:,} questions: {'; '.join(points)}."
    return picture(paint, 1.0 + 0.55 * len(rows), alt)


def length_distribution(lengths: dict[str, list[int]], limit: int) -> Picture:
    """Lengths in tokens of the examples of each part on a logarithmic axis, with the limit."""
    parts = {name: np.array(values) for name, values in lengths.items() if values}
    if not parts:
        raise ValueError("length_distribution: there is no example to draw")
    every = np.concatenate(list(parts.values()))
    over = f"limit {limit:,}: {100 * np.mean(every > limit):.1f} % longer"
    # Lengths are integers: bin edges between integers, and heights per log width, avoid gaps at short lengths.
    edges = np.unique(np.geomspace(every.min(), every.max() + 1, 31).round()) - 0.5

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for index, (name, values) in enumerate(parts.items()):
            colour, line = ((INK, "-"), (TUNED, "-"), (BASE, "--"))[index % 3]
            heights = np.histogram(values, edges)[0] / len(values) / np.diff(np.log(edges))
            label = f"{name}: {len(values):,}, median {np.median(values):,.0f}"
            axes.stairs(heights, edges, color=colour, linestyle=line, linewidth=1.6, label=label)
            if index == 0:
                axes.stairs(heights, edges, color=colour, alpha=0.2, fill=True)
        axes.axvline(limit, color=INK, linestyle=":", linewidth=2, label=over)
        axes.set(xscale="log", xlabel="tokens in an example (logarithmic)", ylabel="share of examples", yticks=[])
        plain_log_ticks(axes)
        legend_above(figure, columns=1)

    described = [
        f"{name}: {len(values):,} examples, median {np.median(values):,.0f}, longest {values.max():,}"
        for name, values in parts.items()
    ]
    return picture(paint, 3.0 + 0.25 * len(parts), f"Lengths in tokens. {'. '.join([*described, over])}.")


def picture(paint: Callable[[Figure], None], height: float, alt: str) -> Picture:
    """What `paint` draws on a figure of `height` inches, as SVG without background, date and random ids."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure)
        file = StringIO()
        metadata = {"Title": alt, "Date": None, "Creator": None}
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    return Picture(file.getvalue(), alt)


def draw_score(axes: Axes, row: int, score: Score, colour: str) -> None:
    """A point at the mean, and a line along the interval if there is one."""
    mean, low, high = score
    if low is not None and high is not None:
        axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(mean, row, marker="o", markersize=6, color=colour)


def write(axes: Axes, text: str, place: tuple[float, float], offset: tuple[int, int], **look: Any) -> None:
    """Text at `offset` points from a place in data coordinates."""
    axes.annotate(text, place, offset, textcoords="offset points", **look)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, pad=7)
    axes.set_ylim(len(names) - 0.4, -0.6)  # first name on top
    axes.spines["left"].set_visible(False)


def legend_above(figure: Figure, columns: int) -> None:
    """A legend above the axes, where no curve crosses it."""
    figure.legend(loc="outside upper left", ncols=columns, handlelength=1.6, borderaxespad=0.2)


def plain_log_ticks(axes: Axes) -> None:
    """Ticks at 100, 200, 500 instead of powers of ten; at any round number if the range is short."""
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(6, integer=True))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def at(point: tuple[int, float]) -> str:
    return f"{point[1]:.2f} at step {point[0]:,}"


def right_end(score: Score) -> float:
    mean, _, high = score
    return mean if high is None else high


def between(low: float | None, high: float | None) -> str:
    return "" if low is None else f" ({low:.3f} to {high:.3f})"


def chosen(row: dict[str, Any], before: str) -> str:
    return f"{before}chosen" if row["winner"] else ""
