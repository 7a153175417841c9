"""Fixed replies to personal questions and to reports of violence: the patterns and texts of `personal.toml`.

The patterns know which text helps; a classifier, fitted by scripts/fit_notices.py, knows more ways to ask.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from text_classifier import TextClassifier

LONGEST = 1_000  # characters from each end of the last message that are read
CLASSIFIER = TextClassifier(  # of `normalized` text
    Path(__file__).with_name("personal.safetensors"),
    "personal",
    kinds=("none", "personal", "violence"),
    features=2**15,
    vectorizers={
        "words": {"ngram_range": (1, 3), "token_pattern": r"[a-z]+|\d+|[?]"},
        "letters": {"ngram_range": (2, 5), "analyzer": "char_wb"},
    },
    regression={"C": 30, "tol": 1e-4},
)


def matched(last: str) -> str | None:
    """The name of the reply that the patterns choose for a message: on a medicine, how serious it is, violence, …"""
    text = one_line(last)
    about_someone = word("person").search(text)
    asked = (rule for rule in rules() if about_someone or not rule.get("personal"))
    return next((rule["kind"] for rule in asked if rule["find"].search(text)), None)


def danger(last: str) -> bool:
    """Whether a message about violence tells of danger to life or of an injury now."""
    return bool(word("danger").search(one_line(last)))


def topic(last: str) -> str:
    """The reply for a personal question that no pattern knows: on a medicine if it names one."""
    return "medicine" if word("medicine").search(one_line(last)) else "serious"


def reply(name: str) -> str:
    return data()["replies"][name].strip()


def one_line(text: str) -> str:
    """Lower case, on one line, with straight apostrophes; of a long text both ends."""
    text = " ".join(text.lower().replace("’", "'").split())
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]} {text[-LONGEST:]}"


@cache
def rules() -> list[dict[str, Any]]:
    """The rules with one expression for all of their patterns."""
    words = data()["words"]
    return [rule | {"find": re.compile(filled("|".join(rule["patterns"]), words))} for rule in data()["rule"]]


@cache
def word(name: str) -> re.Pattern[str]:
    """The expression for `{name}`."""
    return re.compile(filled(data()["words"][name], {}))


def filled(pattern: str, words: dict[str, str]) -> str:
    """The pattern on one line, with the words for which `{name}` stands."""
    for name, value in words.items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return "".join(line.lstrip() for line in pattern.splitlines())


@cache
def data() -> dict[str, Any]:
    """`personal.toml`: patterns, fixed replies and their sources."""
    return tomllib.loads(Path(__file__).with_name("personal.toml").read_text(encoding="utf-8"))
