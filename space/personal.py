"""Fixed replies to personal questions, decided by the patterns in `personal.toml` before any model is asked.

Standard library only; imports nothing of ours.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RULES = Path(__file__).with_name("personal.toml")
LONGEST = 1_000  # characters from each end of the last message that are read


@dataclass(frozen=True)
class Reply:
    """What is shown instead of an answer; rule: which of the replies."""

    kind: str
    text: str
    rule: str


@dataclass(frozen=True)
class Rule:
    kind: str
    personal: bool
    patterns: tuple[re.Pattern[str], ...]


def personal(turns: list[str]) -> Reply | None:
    """The reply that the user's last turn calls for: on a medicine, on how serious it is, on help against violence."""
    text = plain(turns[-1]) if turns else ""
    about_someone = bool(person().search(text))
    for rule in rules():
        if (about_someone or not rule.personal) and any(pattern.search(text) for pattern in rule.patterns):
            return Reply("personal", data()["replies"][rule.kind].strip(), rule.kind)
    return None


def plain(text: str) -> str:
    """Lower case, on one line, with straight apostrophes; of a long text both ends."""
    text = " ".join(text.lower().replace("’", "'").split())
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]} {text[-LONGEST:]}"


@cache
def rules() -> tuple[Rule, ...]:
    words = data()["words"]

    def compiled(pattern: str) -> re.Pattern[str]:
        for name, value in words.items():
            pattern = pattern.replace(f"{{{name}}}", value)
        return re.compile(re.sub(r"\n\s*", "", pattern))

    return tuple(
        Rule(rule["kind"], rule.get("personal", False), tuple(map(compiled, rule["patterns"])))
        for rule in data()["rule"]
    )


@cache
def person() -> re.Pattern[str]:
    return re.compile(data()["words"]["person"])


@cache
def data() -> dict:
    """personal.toml, read once."""
    return tomllib.loads(RULES.read_text(encoding="utf-8"))
