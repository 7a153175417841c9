"""How certain a score is: bootstrap intervals over groups, Holm's correction, Wilson's interval, McNemar's test."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

FEW = 10  # groups; fewer are not enough for a test
CHUNK = 2_000_000  # resampled groups held at once, 16 MB

Scores = Sequence[float] | np.ndarray  # [questions]
Names = Sequence[str] | Sequence[int] | np.ndarray  # [questions]
# "mean" over "n" questions in "groups" groups, with its 95 % interval, "low" to "high", which are None with one group;
# "p" is None without a test, or with too few groups for one.
Interval = dict[str, Any]
# "k" of "n" questions, as a "share" (0..1) with its 95 % Wilson interval, "low" to "high".
Rate = dict[str, Any]


def paired_gain(base: Scores, tuned: Scores, groups: Names, draws: int = 10_000, seed: int = 0) -> Interval:
    """Mean gain of tuned over base with its 95 % paired-bootstrap interval and two-sided p.

    base, tuned, groups: [questions], index i is the same question in all. Questions about one disease are not
    independent, so whole groups are drawn. Raises ValueError if a score is not finite.
    Source: Koehn 2004, "Statistical significance tests for machine translation evaluation"; drawing groups:
    Davison & Hinkley 1997, "Bootstrap methods and their application", 3.8.
    """
    return bootstrap(np.asarray(tuned, float) - np.asarray(base, float), groups, draws, seed, test=True)


def mean_interval(scores: Scores, groups: Names, draws: int = 10_000, seed: int = 0) -> Interval:
    """Mean score of one system with its 95 % bootstrap interval over groups; raises like `paired_gain`."""
    return bootstrap(np.asarray(scores, float), groups, draws, seed, test=False)


def by_type(base: Scores, tuned: Scores, groups: Names, qtypes: Names, seed: int = 0) -> dict[str, Interval]:
    """`paired_gain` of each question type, the most frequent first; p is corrected by Holm over the tested types."""
    base, tuned, groups, qtypes = map(np.asarray, (base, tuned, groups, qtypes))
    names, counts = np.unique(qtypes, return_counts=True)
    gains = {}
    for name in names[np.argsort(-counts, kind="stable")]:
        mask = qtypes == name
        gains[str(name)] = paired_gain(base[mask], tuned[mask], groups[mask], seed=seed)
    tested = [gain for gain in gains.values() if gain["p"] is not None]
    for gain, p in zip(tested, holm([gain["p"] for gain in tested]), strict=True):
        gain["p"] = p
    return gains


def bootstrap(values: np.ndarray, groups: Names, draws: int, seed: int, test: bool) -> Interval:
    """Mean of values [questions] with its percentile interval; with `test` also p against a mean of 0."""
    if not np.isfinite(values).all():
        raise ValueError(f"the scores of {np.count_nonzero(~np.isfinite(values))} questions are no finite numbers")
    member_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(member_of.max()) + 1
    low = high = p = None
    if count > 1:
        means = resampled_means(np.bincount(member_of, values), np.bincount(member_of), draws, seed)
        low, high = np.percentile(means, [2.5, 97.5]).tolist()
        p = two_sided(means) if test and count >= FEW else None
    return {"mean": float(values.mean()), "low": low, "high": high, "p": p, "n": len(values), "groups": count}


def sign(gain: Interval) -> int:
    """1 if the whole interval lies above 0, -1 if it lies below; 0 within noise, and without an interval."""
    return ((gain["low"] or 0) > 0) - ((gain["high"] or 0) < 0)


def resampled_means(sums: np.ndarray, sizes: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Means over questions, resampling groups with replacement [draws].

    sums, sizes: [groups], the sum of scores and the number of questions of each group.
    """
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // len(sums))
    chunks = (generator.integers(len(sums), size=(min(step, draws - n), len(sums))) for n in range(0, draws, step))
    return np.concatenate([sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1) for drawn in chunks])


def two_sided(means: np.ndarray) -> float:
    """p against a mean of 0: twice the share of resampled means on the rarer side, never exactly 0.

    Source: Davison & Hinkley 1997, 4.2 (adding the observed sample to the draws).
    """
    rarer = min((means <= 0).sum(), (means >= 0).sum())
    return min(1.0, 2 * float(rarer + 1) / (len(means) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for multiple testing, in the given order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = np.argsort(p_values, kind="stable")
    rising = np.maximum.accumulate(np.arange(len(order), 0, -1) * np.asarray(p_values)[order])
    return np.minimum(1, rising)[np.argsort(order)].tolist()


def wilson(k: int, n: int) -> Rate:
    """k of n as a share with its 95 % interval, also valid near 0 and n; raises ValueError unless 0 <= k <= n > 0."""
    bounds = stats.binomtest(k, n).proportion_ci(method="wilson")
    return {"k": k, "n": n, "share": k / n, "low": float(bounds.low), "high": float(bounds.high)}


def mcnemar(base: Sequence[bool], tuned: Sequence[bool]) -> dict[str, float]:
    """How many questions only base and only tuned have right, and the two-sided exact p of McNemar's test."""
    counts = Counter(zip(base, tuned, strict=True))
    only_base, only_tuned = counts[True, False], counts[False, True]
    p = float(stats.binomtest(only_base, only_base + only_tuned).pvalue) if only_base + only_tuned else 1.0
    return {"only base": only_base, "only tuned": only_tuned, "p": p}
