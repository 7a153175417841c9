"""How certain a score is: bootstrap intervals over groups, Holm's correction, Wilson's interval of a rate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

FEW = 10  # groups; fewer are not enough for a test
Z = 1.959964  # standard normal, two-sided 95 %
CHUNK = 2_000_000  # resampled groups held at once, 16 MB

Scores = Sequence[float] | np.ndarray  # [questions]
Names = Sequence[str] | Sequence[int] | np.ndarray  # [questions]


@dataclass(frozen=True)
class Interval:
    """A mean over n questions in `groups` groups, with its 95 % interval.

    low and high are None with a single group; p is None without a test, or with too few groups for one.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    groups: int


@dataclass(frozen=True)
class Rate:
    """k of n questions as a share (0..1), with its 95 % Wilson interval."""

    k: int
    n: int
    share: float
    low: float
    high: float


def paired_gain(base: Scores, tuned: Scores, groups: Names, draws: int = 10_000, seed: int = 0) -> Interval:
    """Mean gain of tuned over base with its 95 % paired-bootstrap interval and two-sided p.

    base, tuned, groups: [questions], index i is the same question in all. Questions about one disease are not
    independent, so whole groups are drawn.
    Raises ValueError if there are none, the lengths differ, or a score is not finite.
    Source: Koehn 2004, "Statistical significance tests for machine translation evaluation"; drawing groups:
    Davison & Hinkley 1997, "Bootstrap methods and their application", 3.8.
    """
    if len(base) != len(tuned):
        raise ValueError(f"{len(base)} base and {len(tuned)} tuned scores: a paired gain needs one of each")
    return bootstrap(np.asarray(tuned, float) - np.asarray(base, float), groups, draws, seed, test=True)


def mean_interval(scores: Scores, groups: Names, draws: int = 10_000, seed: int = 0) -> Interval:
    """Mean score of one system with its 95 % bootstrap interval over groups; raises like `paired_gain`."""
    return bootstrap(np.asarray(scores, float), groups, draws, seed, test=False)


def by_type(
    base: Scores, tuned: Scores, groups: Names, qtypes: Names, draws: int = 10_000, seed: int = 0
) -> dict[str, Interval]:
    """`paired_gain` of each question type, the most frequent first; p is corrected by Holm over the tested types."""
    base, tuned, groups, qtypes = map(np.asarray, (base, tuned, groups, qtypes))
    names, counts = np.unique(qtypes, return_counts=True)
    found = {}
    for name in names[np.argsort(-counts, kind="stable")]:
        mask = qtypes == name
        found[str(name)] = paired_gain(base[mask], tuned[mask], groups[mask], draws, seed)
    tested = {name: gain.p for name, gain in found.items() if gain.p is not None}
    corrected = zip(tested, holm(list(tested.values())), strict=True)
    return found | {name: replace(found[name], p=p) for name, p in corrected}


def bootstrap(values: np.ndarray, groups: Names, draws: int, seed: int, test: bool) -> Interval:
    """Mean of values [questions] with its percentile interval; with `test` also p against a mean of 0."""
    if not len(values) or len(values) != len(groups):
        raise ValueError(f"{len(values)} scores, {len(groups)} groups: give both for at least one question")
    if not np.isfinite(values).all():
        worst = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"the score of question {worst} is {values[worst]}: every score must be a number")
    member_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    mean, n, count = float(values.mean()), len(values), int(member_of.max()) + 1
    if count == 1:
        return Interval(mean, None, None, None, n, count)
    means = resampled_means(np.bincount(member_of, values), np.bincount(member_of), draws, seed)
    low, high = (float(bound) for bound in np.percentile(means, [2.5, 97.5]))
    p = two_sided(means) if test and count >= FEW else None
    return Interval(mean, low, high, p, n, count)


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
    """k of n as a share with its 95 % interval, also valid near 0 and n.

    Raises ValueError if n is 0 or k doesn't lie in 0..n.
    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"{k} of {n} is no rate: expected 0 <= k <= n and at least one question")
    share = k / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    return Rate(k, n, share, centre - half if k else 0.0, centre + half if k < n else 1.0)
