"""One turn of the chat and one comparison, the same for page, API and MCP.

screening of the raw text: notices, limits, redirects -> a fixed text, or prompt -> model -> output checks -> disclaimer
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import personal
import safety
import serving
import sources
from history import ANSWER, COMING, FAILED, GENERAL, REMINDER, UNFINISHED, WRITING, for_model, put_aside, user_turns
from lists import with_lists
from output_checks import NOTHING_LEFT
from prompt import with_disclaimer
from safety import Reply, looked_for, screen
from sources import Source

if TYPE_CHECKING:
    from contract import Message

# Notices with a button "This is not happening now". A crisis has none: people in one play it down, and general
# information on methods and amounts must not follow. Its helplines are good at any time.
QUESTIONABLE = ("emergency", "poison")
# In a question without a page of its own: it is about what was asked before.
FOLLOWS_UP = re.compile(r"\b(it|its|this|that|they|them|their|these|those)\b", re.IGNORECASE)
SHORTEST = 32  # tokens
TEMPERATURES = (0.1, 1.0)
Pages = tuple[Source, ...] | None


@dataclass(frozen=True)
class Settings:
    """The longest answer, in tokens, and the temperature."""

    length: int
    temperature: float


@dataclass(frozen=True)
class Utterance:
    """What to show. kind: see history.py; mark: how far it is, or why it ended."""

    body: str
    kind: str
    reminder: bool = False
    mark: str = ""

    @property
    def written(self) -> str:
        """The body, under the emergency numbers where they are due."""
        return f"{REMINDER if self.reminder else ''}\n\n{self.body}".strip()

    @property
    def text(self) -> str:
        """All of it, with the disclaimer at its end, so that any step of an answer can be the last."""
        return with_disclaimer(f"{self.written}\n\n{self.mark}", serving.contract())


@dataclass(frozen=True)
class Turn:
    """A message that was screened: the fixed text to show, or what the model is asked.

    reminder: whether the emergency numbers go on top of the answer. sources: the pages that fit what was asked, empty
    where none does, None where no table of pages is loaded. They stand beside an answer of the model, also a failed
    one, and beside a reply to a personal question; all other fixed texts stand alone, with none.
    """

    fixed: Utterance | None
    prompt: "list[Message]"
    reminder: bool
    sources: Pages = ()


def settings(length: Any = None, temperature: Any = None) -> Settings:
    """Settings within what the contract allows; what isn't a number is the contract's own."""
    own = serving.contract().decoding
    return Settings(
        round(clamped(length, own.max_new_tokens, SHORTEST, own.max_new_tokens)),
        clamped(temperature, own.temperature, *TEMPERATURES),
    )


def clamped(value: Any, default: float, least: float, most: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    return min(max(value if number else default, least), most)


# ---------------------------------------------------------------- before the model
def start(messages: "list[Message]", general: bool = False) -> Turn:
    """Screen the last message of a chat: the only place where that is done.

    general: the person has just said that the emergency of their last message is not happening now.
    """
    reply, reminder = screened(messages, general)
    if not reply:
        prompt = for_model(messages, serving.contract())
        return Turn(None, prompt, reminder, pages(user_turns(prompt)))
    has_pages = reply.kind == "personal" and reply.text != personal.reply("violence")
    found = sources.pages(messages[-1]["content"]) if has_pages else ()
    return Turn(Utterance(reply.text.strip(), reply.kind), [], False, found)


def screened(messages: "list[Message]", general: bool = False) -> tuple[Reply | None, bool]:
    """What to show instead of asking the model, if anything, and whether an answer needs the reminder on top."""
    turns, most = user_turns(messages), serving.contract().limits.max_question_chars
    aside = len(turns) if general else put_aside(messages)
    reply = screen(turns, max_chars=most)
    warned = any(message.get("kind") in QUESTIONABLE for message in messages)
    if not reply or reply.kind not in QUESTIONABLE or not (aside or warned):
        return reply, False
    if not aside:
        return after_notice(turns, reply)
    if crisis := crisis_among(turns):
        return crisis, False
    if aside < len(turns):
        return screen(turns[aside:], max_chars=most), True
    # The last turn itself raised the notice, so `screen` did not look at it any further.
    if len(turns[-1]) > most:
        return Reply("limit", safety.triage()["replies"]["too_long"], "too-long"), False
    kinds = tuple(kind for kind in safety.REDIRECTS if (reply.kind, kind) != ("poison", "medicine"))
    return looked_for(turns[-1:], kinds), True


def after_notice(turns: list[str], notice: Reply) -> tuple[Reply | None, bool]:
    """What a message gets after a notice which all turns together call for again.

    A notice of its own comes first. A question of its own, for which there is a page, is answered under the reminder:
    an old alarm over every later question would soon be ignored. All else, such as "what now?", gets the notice again.
    """
    own = screen(turns[-1:], max_chars=serving.contract().limits.max_question_chars)
    if own and own.kind in safety.NOTICES:
        return own, False
    if not sources.pages(turns[-1]):
        return notice, False
    own = crisis_among(turns) or own
    return own, own is None


def crisis_among(turns: list[str]) -> Reply | None:
    """The crisis notice that the turns call for; `screen` may name an emergency beside it first."""
    return looked_for(turns[-safety.TURNS :], ("crisis",))


def pages(turns: list[str]) -> Pages:
    """The pages for the last turn; for a follow-up that names no disease, with the turn before it."""
    found = sources.pages(turns[-1])
    if found or found is None or len(turns) < 2 or not FOLLOWS_UP.search(turns[-1]):
        return found
    return sources.pages(" ".join(turns[-2:]))


# ---------------------------------------------------------------- the model
def answer_steps(turn: Turn, chosen: Settings) -> Iterator[Utterance]:
    """What to show for a turn, step by step."""
    if turn.fixed:
        yield turn.fixed
        return
    for text, state in model_steps(turn.prompt, chosen):
        yield utterance(text, state, turn.reminder)


def model_steps(prompt: "list[Message]", chosen: Settings) -> Iterator[tuple[str, str]]:
    """The answer so far and its state; to the last question alone if the whole chat leads to nothing.

    The model was trained on single questions, and a small one may have nothing to say to a longer chat.
    """
    for (text,), state in serving.answers(("tuned",), prompt, chosen.length, chosen.temperature):
        if state == serving.WHOLE and text == NOTHING_LEFT and len(prompt) > 1:
            yield from model_steps(prompt[-1:], chosen)
            return
        yield text, state


def comparison_steps(turn: Turn, chosen: Settings) -> Iterator[tuple[Utterance, Utterance]]:
    """What base and tuned model say to one question, step by step; each gets half of the length, for one GPU's time."""
    if turn.fixed:
        yield turn.fixed, turn.fixed
        return
    length = max(chosen.length // 2, SHORTEST)
    for (base, tuned), state in serving.answers(("base", "tuned"), turn.prompt, length, chosen.temperature):
        missing = base == serving.ONE_MODEL
        yield utterance("", base) if missing else utterance(base, state), utterance(tuned, state)


def utterance(text: str, state: str, reminder: bool = False) -> Utterance:
    """What the model has written, as it is shown. state: as `serving.answers` yields it."""
    text, kind = with_lists(text), GENERAL if reminder else ANSWER
    if state == serving.WHOLE:
        return Utterance(text, kind, reminder)
    if state == serving.WRITING:
        return Utterance(text, f"unfinished {kind}", reminder, WRITING if text else COMING)
    return Utterance(text, FAILED, reminder, mark=state)


# ---------------------------------------------------------------- where what was sent stays: streams, the terminal
def streamable(said: Utterance) -> str:
    """What a stream may hold of a step: of an unfinished answer the checked sentences alone."""
    return said.written if said.kind in UNFINISHED else said.text


def addition(sent: str, text: str) -> str:
    """What a stream that holds `sent` must add to say `text`.

    What was sent can't be taken back: a line that the checks have changed since follows anew, with its mark.
    """
    if text.startswith(sent) or sent.startswith(text):
        return text[len(sent) :]
    lines = text.split("\n")
    same = takewhile(lambda pair: pair[0] == pair[1], zip(lines, sent.split("\n"), strict=False))
    return "\n\n" + "\n".join(lines[len(list(same)) :])
