"""Fixed replies to personal questions and to reports of violence: the patterns and texts of `personal.toml`.

The patterns know which text helps; a classifier, fitted by scripts/fit_checks.py, knows more ways to ask.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import Pipeline
from text_classifier import COUNTS, from_arrays
from text_classifier import pipeline as text_pipeline

MODEL = Path(__file__).with_name("personal.safetensors")
KINDS = ("none", "personal", "violence")
FEATURES = 2**15  # hashed, of words and of characters each
RULES = Path(__file__).with_name("personal.toml")
LONGEST = 1_000  # characters from each end of the last message that are read


def matched(last: str) -> str | None:
    """The name of the reply that the patterns choose for a message: on a medicine, how serious it is, violence, …"""
    text = one_line(last)
    about_someone = re.search(filled("{person}"), text)
    asked = (rule for rule in rules() if about_someone or not rule.get("personal"))
    return next((rule["kind"] for rule in asked if any(pattern.search(text) for pattern in rule["patterns"])), None)


def danger(last: str) -> bool:
    """Whether a message about violence tells of danger to life or of an injury now."""
    return bool(re.search(filled("{danger}"), one_line(last)))


def topic(last: str) -> str:
    """The reply for a personal question that no pattern knows: on a medicine if it names one."""
    return "medicine" if re.search(filled("{medicine}"), one_line(last)) else "serious"


def reply(name: str) -> str:
    return data()["replies"][name].strip()


def one_line(text: str) -> str:
    """Lower case, on one line, with straight apostrophes; of a long text both ends."""
    text = " ".join(text.lower().replace("’", "'").split())
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]} {text[-LONGEST:]}"


@cache
def rules() -> list[dict[str, Any]]:
    """The rules with their patterns compiled."""
    return [rule | {"patterns": [re.compile(filled(text)) for text in rule["patterns"]]} for rule in data()["rule"]]


@cache
def filled(pattern: str) -> str:
    """The pattern with the named words in it, on one line."""
    for name, value in data()["words"].items():
        pattern = pattern.replace(f"{{{name}}}", value)
    return re.sub(r"\n\s*", "", pattern)


@cache
def data() -> dict:
    """personal.toml, read once."""
    return tomllib.loads(RULES.read_text(encoding="utf-8"))


def pipeline() -> Pipeline:
    """TF-IDF of one to three words and two to five characters of `plain.plain` text."""
    counts = COUNTS | {"n_features": FEATURES}
    words = HashingVectorizer(ngram_range=(1, 3), token_pattern=r"[a-z]+|\d+|[?]", **counts)
    return text_pipeline(words, HashingVectorizer(ngram_range=(2, 5), analyzer="char_wb", **counts), tol=1e-4)


@cache
def classifier() -> Pipeline:
    return from_arrays(pipeline(), "personal", load_file(MODEL))
