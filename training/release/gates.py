"""What a release must reach to be pushed, from the scores alone."""

from dataclasses import dataclass
from typing import Any

from training.scoring.table import points, rate_text

Scores = dict[str, Any]  # of scores-test.json
OVER_BASE = "gain of tuned over base"
ENDED = "ended, where the reference fits"
ENDED_SHARE = 0.90


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `ok` is None where it could not be looked at."""

    name: str
    ok: bool | None
    text: str


@dataclass(frozen=True)
class Previous:
    """The release on the Hub: its tag, its scores and the checksum of its test questions."""

    tag: str
    scores: Scores
    test_sha256: str


def gates(scores: Scores, test_sha256: str, previous: Previous | None) -> list[Check]:
    """The gates in order; a release stops at one that is not ok, unless its publisher accepts it with a reason."""
    return [gain_gate(scores), ended_gate(scores), previous_gate(scores, test_sha256, previous)]


def gain_gate(scores: Scores) -> Check:
    """The lower end of the ROUGE-L gain over base, without the disclaimer, must be above 0."""
    gain = scores["gains"][OVER_BASE]["rougeL"]
    text = f"{points(gain, '+')} ROUGE-L points over base, n = {gain['n']:,}"
    if gain["low"] is None:
        return Check("gain over base", False, f"{text}: too few diseases for an interval")
    return Check("gain over base", gain["low"] > 0, f"{text}: the lower end must be above 0")


def ended_gate(scores: Scores) -> Check:
    """Nine in ten answers must end by themselves, of those whose reference fits the limit."""
    rate = scores["rates"]["tuned"][ENDED]
    if rate is None:
        return Check("answers end", False, "no reference fits the limit: whether answers end by themselves is unknown")
    text = f"{rate_text(rate)} end by themselves where the reference fits"
    return Check("answers end", rate["share"] >= ENDED_SHARE, f"{text}: at least {ENDED_SHARE:.0%} must")


def previous_gate(scores: Scores, test_sha256: str, previous: Previous | None) -> Check:
    """Tuned must not fall below the interval of the release on the Hub, where both answered the same questions."""
    name = "not worse than the last release"
    if previous is None:
        return Check(name, None, "no release on the Hub to compare with")
    if previous.test_sha256 != test_sha256 or previous.scores["n"] != scores["n"]:
        return Check(name, None, f"{previous.tag} was scored on other questions")
    new, old = (s["systems"]["tuned"]["without disclaimer"]["rougeL"] for s in (scores, previous.scores))
    low = old["mean"] if old["low"] is None else old["low"]
    text = f"ROUGE-L {points(new)}, {previous.tag} had {points(old)}"
    return Check(name, new["mean"] >= low, f"{text}: it must not be below that interval")
