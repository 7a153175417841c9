"""What the page and the API send, as messages; what a person typed, as it may be shown; what the model gets to see.

Everything a client sends is untrusted: roles, assistant turns and lengths too. Standard library only.
"""

import html
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from output_checks import CUT, NOTHING_LEFT
from prompt import with_disclaimer, without_disclaimer
from safety import clean, rulebook

if TYPE_CHECKING:
    from contract import Contract, Message

COMING = "*Waiting for the model…*"  # it is being loaded, answers others, or reads the question
WRITING = "*Writing…*"
TROUBLE = "**No answer just now.**"  # what follows says why, and what to do
STOPPED = "*(You stopped the answer here.)*"
# On top of what is shown after a person said that an emergency is not happening now.
REMINDER = "**If this is happening now: 911 (US, Canada) · 999 (UK) · 112 (EU and most mobile phones).**"
# Characters that Markdown and HTML read; as entities they are shown as typed and turn back without loss.
MARKUP = re.compile(r"(?im)[&<>\[\]*_`~|\\$#@]|:(?=//)|(?<=www)\.|^[ \t]*[-+=]|^[ \t]*\d+(?=[.)])")

NUMBER = re.compile(r"(?<![\w-])(?:1-\d{3}-\d{3}-\d{4}|\d{3} \d{3}|\d{2,4})(?![\w-])")  # of fixed texts
LINKED = re.compile(r'\[([\d -]+)\]\(tel:\d+ "Call [\d -]+"\)')


def as_typed(text: str) -> str:
    """A person's text for the page: cleaned, and shown letter by letter instead of as Markdown or HTML."""
    return MARKUP.sub(lambda m: "".join(c if c.isspace() else f"&#{ord(c)};" for c in m[0]), clean(text))


def with_links(text: str) -> str:
    """A fixed text with its telephone numbers to tap; a screen reader adds "Call 911" to the number."""
    return NUMBER.sub(lambda m: f'[{m[0]}](tel:{re.sub("[ -]", "", m[0])} "Call {m[0]}")', text)


def from_page(chat: Iterable[Any]) -> "list[Message]":
    """The messages of a chatbot's value, which stores what people typed and fixed texts as they are shown."""
    return [
        m | {"content": html.unescape(m["content"]) if m["role"] == "user" else LINKED.sub(r"\1", m["content"])}
        for m in from_api(chat)
    ]


def from_api(history: Iterable[Any] | None) -> "list[Message]":
    """The text messages of people and assistant; a system turn, a file or anything else is left out."""
    messages = []
    for message in history if isinstance(history, list | tuple) else ():
        role = message.get("role") if isinstance(message, dict) else None
        text = text_of(message.get("content")) if role in ("user", "assistant") else ""
        if text:
            messages.append({"role": role, "content": text})
    return messages


def text_of(content: Any) -> str:
    """The text of plain strings and of content blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return content["text"] if content.get("type") == "text" and isinstance(content.get("text"), str) else ""
    return "\n".join(filter(None, map(text_of, content))) if isinstance(content, list | tuple) else ""


def user_turns(messages: "list[Message]") -> list[str]:
    return [message["content"] for message in messages if message["role"] == "user"]


def put_aside(messages: "list[Message]") -> int:
    """How many of the user's turns stand before the last answer that a person asked for in spite of a notice."""
    ends = [i for i, m in enumerate(messages) if m["role"] == "assistant" and m["content"].startswith(REMINDER)]
    return len(user_turns(messages[: ends[-1]])) if ends else 0


def for_model(messages: "list[Message]", contract: "Contract") -> "list[Message]":
    """The last turns, as the model was trained to see them: question, answer with disclaimer, …, question.

    Turns that a fixed text answered are left out: notices would be copied, and what was refused stays unseen.
    """
    fixed = fixed_openings()
    most = contract.limits.max_question_chars
    pairs = []
    for question, answer in answered(messages):
        text = without_marks(without_disclaimer(answer, contract))
        if text and not text.startswith(fixed):
            pairs.append((clean(question)[:most], with_disclaimer(clean(text)[:most], contract)))
    seen = [
        {"role": role, "content": text}
        for pair in pairs[max(0, len(pairs) - contract.limits.max_turns + 1) :]
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*seen, {"role": "user", "content": clean(messages[-1]["content"])[:most]}]


def answered(messages: "list[Message]") -> list[tuple[str, str]]:
    """Each question but the last with what was said to it last: general information comes after its notice."""
    pairs: list[tuple[str, str]] = []
    for message in messages[:-1]:
        if message["role"] == "user":
            pairs.append((message["content"], ""))
        elif pairs:
            pairs[-1] = (pairs[-1][0], message["content"])
    return pairs


def without_marks(text: str) -> str:
    """An answer without what the app put around it."""
    text = text.split(TROUBLE)[0]
    for mark in (REMINDER, COMING, WRITING, STOPPED, CUT):
        text = text.replace(mark, "")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def fixed_openings() -> tuple[str, ...]:
    """How the texts begin that are shown instead of an answer."""
    data = rulebook().data
    texts = [*data["notices"].values(), *data["replies"].values(), NOTHING_LEFT]
    texts += [entry["text"] for entry in data["languages"].values()]
    return tuple(text.strip()[:40] for text in texts)
