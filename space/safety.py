"""What is decided before any model is asked: notices, redirects, limits, languages.

`notice` looks for an emergency, a crisis or a poisoning in the last three user turns. A classifier of scikit-learn's
parts reads them (`notices.safetensors`, fitted by scripts/fit_notices.py), and beside it a few rules that are always on
(`triage.toml`). `screen` is the one call that a turn of the chat needs: it adds limits, languages, and redirects.
Both recognise words: no diagnosis and no safety guarantee. That nothing is shown never means that nothing is wrong.
"""

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import languages
import numpy as np
import personal
from normalize import apart, negated, normalized, windowed
from normalize import clean as clean  # part of what this module offers
from safetensors.numpy import load_file
from text_classifier import TextClassifier

NOTICES = ("crisis", "emergency", "poison")  # the first one that a rule calls for is shown
REDIRECTS = ("harmful", "medicine", "off_topic")
KINDS = ("none", *NOTICES, *REDIRECTS)  # the classes of the classifier
NOTICE = 0.5  # probability of all notices together from which one is shown
NOTICE_ALONE = 0.8  # the same for the last turn without the turns before it, which may explain it
NOTICE_EARLIER = 0.98  # and for an earlier turn alone, which later ones may have explained
NOTICE_IN_LONG = 0.97  # and for each of many windows
NOTICE_FOREIGN = 0.95  # and for what seems to be in another language, which may be English after all
REDIRECT = 0.5  # probability of one redirect
PERSONAL_REPLY = 0.5  # and of a personal question and violence together
TURNS = 3  # user turns that count together
SHORT = 4  # windows of a text that is read like a message
READ = 40  # windows of a long text that are read: its ends, and those with the most alarming words
CLASSIFIER = TextClassifier(
    Path(__file__).with_name("notices.safetensors"),
    "notices",
    KINDS,
    features=2**17,
    vectorizers={
        "words": {"preprocessor": negated, "ngram_range": (1, 3), "token_pattern": r"[a-z]+|\d+|[?]"},
        "letters": {"preprocessor": negated, "ngram_range": (2, 5), "analyzer": "char_wb"},
    },
    regression={"C": 30, "tol": 1e-3},
)


@dataclass(frozen=True)
class Reply:
    """What is shown instead of an answer; kind: a notice's, or harmful, off_topic, personal, language, limit."""

    kind: str
    text: str
    rule: str  # the id in `triage.toml` that matched, `classifier`, or what else decided


@dataclass(frozen=True)
class Reading:
    """The last turns, read and classified once."""

    windows: list[str]
    chances: np.ndarray  # [windows, kinds]
    needed: np.ndarray  # [windows], probability from which each shows a notice
    own: np.ndarray  # [windows], whether each is of the last turn alone
    other: tuple[str, str] | None  # kind of notice and language of what another language calls for
    language: str  # of the last turn


def notice(turns: list[str], read: Reading | None = None) -> Reply | None:
    """The notice that the user's turns, oldest first, call for; the last three count together.

    In another language where the words are not English, or where only that language calls for one.
    """
    read = read or reading(turns)
    english = looked_for(turns, NOTICES, read)
    if read.other and not (english and read.language == "en"):
        kind, code = read.other
        return Reply(kind, languages.text(kind, code), f"{kind}-{code}")
    return english


def screen(turns: list[str], max_chars: int = 2_000, most_turns: int = 20) -> Reply | None:
    """What to show instead of asking the model, or None; `turns` are the user's, oldest first, as typed."""
    replies = triage()["replies"]
    last = turns[-1] if turns else ""
    if not any(c.isalnum() for c in last):
        return Reply("limit", replies["empty"], "empty")
    read, rule = reading(turns), personal.matched(last)
    found = notice(turns, read)
    if rule == "violence":
        return for_violence(found, last)
    if found:
        return found
    if len(last) > max_chars:
        return Reply("limit", replies["too_long"], "too-long")
    if len(turns) > most_turns:
        return Reply("limit", replies["too_many_turns"], "too-many-turns")
    if read.language != "en":
        return Reply("language", languages.text("language", read.language), read.language)
    return looked_for(turns, REDIRECTS, read) or personal_reply(last, rule, read)


def for_violence(found: Reply | None, last: str) -> Reply:
    """The reply to a report of violence; a notice that a rule or words of danger call for stays, with a line for it."""
    if found and (personal.danger(last) or found.rule in {rule["id"] for rule in rules()}):
        return replace(found, text=f"{found.text}\n{personal.data()['line']}")
    return Reply("personal", personal.reply("violence"), "violence")


def personal_reply(last: str, rule: str | None, read: Reading) -> Reply | None:
    """The reply to a question that only a person can answer, or to a report of violence; rule: what matched, if any."""
    if rule:  # the rules know which text helps, the classifier more ways to ask
        return Reply("personal", personal.reply(rule), rule)
    chances = personal.CLASSIFIER.chances(np.array(read.windows)[read.own].tolist()).max(0)
    if 1 - chances[0] <= PERSONAL_REPLY:
        return None
    violence = chances[personal.CLASSIFIER.kinds.index("violence")] == chances[1:].max()
    return Reply("personal", personal.reply("violence" if violence else personal.topic(last)), "classifier")


def looked_for(turns: list[str], kinds: tuple[str, ...], read: Reading | None = None) -> Reply | None:
    """The notice that the turns call for, or the redirect that the last one does, of some `kinds`.

    A rule decides, unless the classifier is sure of a crisis: the rule may have matched only the overdose.
    """
    read = read or reading(turns)
    rule = first_rule(read.windows, kinds)
    kind, found = classified(read, kinds)
    if rule and not (found and kind == "crisis"):
        kind, found = rule["kind"], True
    if not found:
        return None
    text = (triage()["notices"] | triage()["replies"])[kind]
    return Reply("harmful" if kind == "medicine" else kind, text, rule["id"] if rule else "classifier")


def first_rule(texts: list[str], kinds: tuple[str, ...]) -> dict[str, Any] | None:
    """The rule that matches one of the texts, of the earliest of `kinds`; nothing within its sentence forbids it."""
    ordered = (rule for kind in kinds for rule in rules() if rule["kind"] == kind)
    return next((rule for rule in ordered if any(matches(rule, text) for text in texts)), None)


def matches(rule: dict[str, Any], text: str) -> bool:
    for match in rule["find"].finditer(text):
        start = max(text.rfind(end, 0, match.start()) for end in ".!?") + 1
        stop = min((i for end in ".!?" if (i := text.find(end, match.end())) >= 0), default=len(text))
        if not rule["unless"].search(text, start, stop):
            return True
    return False


def classified(read: Reading, kinds: tuple[str, ...]) -> tuple[str, bool]:
    """The likeliest of `kinds` in what was read, and whether it is likely enough; other notices are left aside."""
    aside = [KINDS.index(kind) for kind in NOTICES if kind not in kinds]
    chances = read.chances[:, [KINDS.index(kind) for kind in kinds]]
    chances = chances / (1 - read.chances[:, aside].sum(1, keepdims=True) + 1e-9)
    notices = kinds[0] in NOTICES
    above = chances.sum(1) - read.needed if notices else np.where(read.own, chances.max(1) - REDIRECT, -1)
    return kinds[chances[above.argmax()].argmax()], bool(above.max() > 0)


# ---------------------------------------------------------------- what is read
def reading(turns: list[str]) -> Reading:
    """The last three turns as they are read, and what the classifier makes of them."""
    windows, needed, own = zip(*readings(turns[-TURNS:]), strict=True)
    other, language = languages.reading(turns)
    least = np.maximum(needed, 0 if language == "en" else NOTICE_FOREIGN)
    return Reading(list(windows), CLASSIFIER.chances(windows), least, np.array(own), other, language)


def readings(turns: list[str]) -> list[tuple[str, float, bool]]:
    """What is read, as normalized text: the turns together and each alone, what is long in overlapping windows.

    Beside each the probability from which it shows a notice, and whether it is of the last turn alone.
    """
    texts = [apart(normalized(turn), vocabulary()) for turn in turns]
    together, last = windowed(" . ".join(texts)), set(windowed(texts[-1]))
    needed = dict.fromkeys(together, NOTICE if len(together) <= SHORT else NOTICE_IN_LONG)
    for text, least in [*((text, NOTICE_EARLIER) for text in texts[:-1]), (texts[-1], NOTICE_ALONE)]:
        needed |= {window: least for window in windowed(text) if window not in needed}
    read = [(window, least, window in last) for window, least in needed.items()]
    if len(read) <= READ:
        return read
    ends, most = READ // 4, alarming([text for text, *_ in read]).argsort()[-READ // 2 :]
    return [read[i] for i in sorted({*range(ends), *most, *range(len(read) - ends, len(read))})]


def alarming(windows: list[str]) -> np.ndarray:
    """How much the single words of each window speak for a notice: [windows]; much quicker than to classify them."""
    words = CLASSIFIER.vectorizer("words", ngram_range=(1, 1)).transform(windows)
    weights = CLASSIFIER.fitted[-1].coef_[:, : CLASSIFIER.features]
    return words @ (weights[1 : 1 + len(NOTICES)].max(0) - weights[0])


@cache
def vocabulary() -> dict[str, int]:
    """The words of the messages that the classifier has learned from, and their rank, the most frequent one 0."""
    words = load_file(CLASSIFIER.path)["words"].tobytes().decode().split()
    return {word: rank for rank, word in enumerate(words)}


# ---------------------------------------------------------------- texts and rules
@cache
def triage() -> dict[str, Any]:
    """`triage.toml`: fixed texts, rules and their sources."""
    return tomllib.loads(Path(__file__).with_name("triage.toml").read_text(encoding="utf-8"))


@cache
def rules() -> list[dict[str, Any]]:
    """The rules with their expressions compiled."""
    return [rule | {part: compiled(rule[part]) for part in ("find", "unless")} for rule in triage()["rule"]]


def compiled(expression: str) -> re.Pattern:
    return re.compile("|".join(rf"\b(?:{line})\b" for line in expression.strip().splitlines()))
