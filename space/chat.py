"""One turn of the chat and one comparison, the same for page, API and MCP.

limits -> clean -> rules on the whole raw text -> a fixed text, or prompt -> model -> output checks -> disclaimer
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import safety
import serving
from history import COMING, REMINDER, WRITING, for_model, put_aside, user_turns
from output_checks import NOTHING_LEFT
from prompt import with_disclaimer
from safety import Reply, looked_for, screen

if TYPE_CHECKING:
    from contract import Message

# Notices with a button "This is not happening now". A crisis has none: people who are in one play it down, and what
# they would be shown, in general, about ways and amounts is what must not follow. Its helplines are for any time.
QUESTIONABLE = ("emergency", "poison")
SHORTEST = 32  # tokens
HEAT = (0.1, 1.0)  # temperatures


@dataclass(frozen=True)
class Settings:
    """How long an answer may be, in tokens, and how freely it is worded."""

    length: int
    heat: float


@dataclass(frozen=True)
class Said:
    """What to show, the disclaimer at its end. kind: writing, answer, or that of the fixed reply shown instead."""

    text: str
    kind: str


def settings(length: Any = None, heat: Any = None) -> Settings:
    """Settings within what the contract allows; what isn't a number is the contract's own."""
    own = serving.contract().decoding
    return Settings(
        round(clamped(length, own.max_new_tokens, SHORTEST, own.max_new_tokens)), clamped(heat, own.temperature, *HEAT)
    )


def clamped(value: Any, default: float, least: float, most: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    return min(max(value if number else default, least), most)


def screened(messages: "list[Message]", general: bool = False) -> tuple[Reply | None, bool]:
    """What to show instead of asking the model, if anything, and whether an answer needs the reminder on top.

    general: the person has just said that the emergency of their last message is not happening now.
    """
    turns = user_turns(messages)
    aside = len(turns) if general else put_aside(messages)
    limits = serving.contract().limits
    found = screen(turns, max_chars=limits.max_question_chars)
    if not aside or not found or found.kind not in QUESTIONABLE:
        return found, False
    if crisis := looked_for(turns[-safety.TURNS :], ("crisis",)):  # `screen` may name an emergency beside it first
        return crisis, False
    if aside < len(turns):
        return screen(turns[aside:], max_chars=limits.max_question_chars), True
    # The last turn itself raised the notice, so `screen` did not look at it any further.
    if len(turns[-1]) > limits.max_question_chars:
        return Reply("limit", safety.rulebook().data["replies"]["too_long"], "too-long"), False
    return looked_for(turns[-1:], safety.REDIRECTS), True


def fixed(reply: Reply) -> Said:
    return Said(with_disclaimer(reply.text, serving.contract()), reply.kind)


def reply(messages: "list[Message]", chosen: Settings, general: bool = False) -> Iterator[Said]:
    """What to show for the last message, step by step; each ends in the disclaimer, so that any can be the last."""
    found, reminder = screened(messages, general)
    if found:
        yield fixed(found)
        return
    prompt = for_model(messages, serving.contract())
    for text, whole in written(prompt, chosen):
        yield shown(text, whole, reminder)


def written(prompt: "list[Message]", chosen: Settings) -> Iterator[tuple[str, bool]]:
    """The answer so far and whether it is whole; to the last question alone where the whole chat leads to nothing.

    The model was trained on single questions, and a small one may have nothing to say to a longer chat.
    """
    for (text,), whole in serving.answers(("tuned",), prompt, chosen.length, chosen.heat):
        if whole and text == NOTHING_LEFT and len(prompt) > 1:
            yield from written(prompt[-1:], chosen)
            return
        yield text, whole


def compared(question: str, chosen: Settings) -> Iterator[tuple[Said, Said]]:
    """What base and tuned model say to one question, step by step; each gets half of the length, for one GPU's time."""
    messages = [{"role": "user", "content": question}]
    found, _ = screened(messages)
    if found:
        yield fixed(found), fixed(found)
        return
    prompt = for_model(messages, serving.contract())
    length = max(chosen.length // 2, SHORTEST)
    for (base, tuned), whole in serving.answers(("base", "tuned"), prompt, length, chosen.heat):
        yield shown(base, whole), shown(tuned, whole)


def shown(text: str, whole: bool, reminder: bool = False) -> Said:
    parts = [REMINDER if reminder else "", text, "" if whole else WRITING if text else COMING]
    body = "\n\n".join(part for part in parts if part)
    return Said(with_disclaimer(body, serving.contract()), "answer" if whole else "writing")
