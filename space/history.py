"""Chats as the page and the API send them, as messages; how typed text is displayed; what the model gets to see.

Everything a client sends is untrusted: roles, kinds, assistant turns and lengths too.

A message is {"role", "content", "kind"}. The kind of an assistant's message is that of the fixed text that was shown,
or one of those below. In the chatbot it is the `id` of the metadata; `log` is the text, without what is put around it.
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import languages
import personal
from output_checks import CUT, LOOPED, MARK, NOTHING_LEFT
from prompt import with_disclaimer, without_disclaimer
from safety import clean, triage

if TYPE_CHECKING:
    from contract import Contract, Message

ANSWER, GENERAL = "answer", "general answer"  # written by the model; GENERAL: after a notice, under the reminder
UNFINISHED = {"unfinished answer": ANSWER, "unfinished general answer": GENERAL}
SOURCES = "sources"  # the pages above an answer, in a message of their own
FAILED = "failed"  # the model, the GPU or the queue: the text says why there is no answer, or none any further
TOLD = "told"  # a fixed text in a program's history, which names no kinds

COMING = "*Waiting for the model…*"  # it is loading, answering others, or reading the question
WRITING = "*Writing…*"
TROUBLE = "**No answer just now.**"  # followed by why, and what to do
STOPPED = "*(You stopped the answer here.)*"
LOST = "*(The connection was lost here. Press Retry to ask again.)*"
MARKS = (COMING, WRITING, STOPPED, LOST, CUT, LOOPED)
# On top of what is shown after a person said that an emergency is not happening now.
REMINDER = "**If this is happening now: 911 (US, Canada) · 999 (UK) · 112 (EU and most mobile phones).**"
# Characters that Markdown and HTML interpret; as entities they are displayed as typed and convert back without loss.
MARKUP = re.compile(r"(?im)[&<>\[\]*_`~|\\$#@]|:(?=//)|(?<=www)\.|^[ \t]*[-+=]|^[ \t]*\d+(?=[.)])")
# in fixed texts: US, British, Irish, Australian and New Zealand numbers, and short ones
NUMBER = re.compile(
    r"(?<![\w-])(?:1-\d{3}-\d{3}-\d{4}|0\d{3} \d{3,4} \d{3,4}|1800 \d{3} \d{3}|\d{3} \d{3}|\d{2,4})(?![\w-])"
)
MOST_CHARS = 100_000  # of one message that are read; of a longer one, both ends
MOST_MESSAGES = 100


@dataclass(frozen=True)
class Draft:
    """An answer so far, as the model wrote it; state: writing, ended, or cut at its length limit."""

    text: str
    state: str = "writing"


def as_typed(text: str) -> str:
    """A person's text for the page: cleaned, and displayed letter by letter instead of as Markdown or HTML."""
    return MARKUP.sub(lambda m: "".join(c if c.isspace() else f"&#{ord(c)};" for c in m[0]), clean(text))


def with_links(text: str) -> str:
    """A fixed text with its telephone numbers to tap; screen readers announce "Call 911".

    Texts in other languages come with their links.
    """
    if "](tel:" in text:
        return text
    return NUMBER.sub(lambda m: f'[{m[0]}](tel:{re.sub("[ -]", "", m[0])} "Call {m[0]}")', text)


def from_page(chat: Iterable[Any]) -> "list[Message]":
    """The messages of a chatbot's value."""
    messages = []
    for role, text, sent in readable(chat):
        if role == "user":
            messages.append({"role": role, "content": html.unescape(text)})
        elif kept(sent, "id") != SOURCES:
            messages.append({"role": role, "content": shortened(kept(sent, "log")), "kind": kept(sent, "id")})
    return messages


def from_api(history: Iterable[Any] | None) -> "list[Message]":
    """The messages of a program, which names no kinds: fixed texts are known by how they begin."""
    fixed = fixed_openings()
    messages = []
    for role, text, _ in readable(history):
        message = {"role": role, "content": text}
        if role == "assistant":
            message["kind"] = TOLD if text.startswith(fixed) or TROUBLE in text else ANSWER
        messages.append(message)
    return messages


def kept(message: dict[str, Any], key: str) -> str:
    """What the page keeps with a chatbot's message: its kind as `id`, its text as `log`."""
    metadata = message.get("metadata")
    value = metadata.get(key) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


def readable(messages: Iterable[Any] | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The messages of people and assistant, with role and text; system turns, files and all else are left out."""
    for message in messages[-MOST_MESSAGES:] if isinstance(messages, list | tuple) else ():
        role = message.get("role", "") if isinstance(message, dict) else ""
        if role in ("user", "assistant") and (text := shortened(text_of(message.get("content")))):
            yield role, text, message


def shortened(text: str) -> str:
    """A text without its middle if it is longer than anybody types."""
    half = MOST_CHARS // 2
    return text if len(text) <= MOST_CHARS else f"{text[:half]} … {text[-half:]}"


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
    """The number of user turns up to the last 'This is not happening now': their notices no longer count."""
    ends = [i for i, m in enumerate(messages) if UNFINISHED.get(m.get("kind", ""), m.get("kind")) == GENERAL]
    return len(user_turns(messages[: ends[-1]])) if ends else 0


def for_model(messages: "list[Message]", contract: "Contract") -> "list[Message]":
    """The last turns, as the model was trained to see them: question, answer with disclaimer, …, question.

    Turns that a fixed text answered are left out: the model would copy notices, and never sees what was refused.
    """
    most = contract.limits.max_question_chars
    turns: list[list[str]] = []  # question and the model's last answer: general information comes after its notice
    for message in messages[:-1]:
        if message["role"] == "user":
            turns.append([message["content"], ""])
        elif turns:
            turns[-1][1] = message["content"] if message.get("kind") in (ANSWER, GENERAL) else ""
    prompt: list[Message] = []
    for question, answer in turns:
        if text := model_text(without_disclaimer(answer, contract)):
            prompt.append({"role": "user", "content": clean(question)[:most]})
            prompt.append({"role": "assistant", "content": with_disclaimer(clean(text)[:most], contract)})
    last = {"role": "user", "content": clean(messages[-1]["content"])[:most]}
    seen = 2 * contract.limits.max_turns - 1  # with the answers to all but the last
    return [*prompt, last][-seen:]


def model_text(text: str) -> str:
    """What the model wrote, without what the app put before and after it."""
    text = text.removeprefix(REMINDER).strip()
    for mark in MARKS:
        text = text.removesuffix(mark).strip()
    text = MARK.sub("", text).strip()
    return "" if text == NOTHING_LEFT else text


def fixed_openings() -> tuple[str, ...]:
    """How the texts begin that are shown instead of an answer."""
    by_kind = (triage()["notices"], triage()["replies"], personal.data()["replies"])
    fixed = [text for texts in by_kind for text in texts.values()]
    return tuple(text.strip()[:40] for text in (*fixed, NOTHING_LEFT, *languages.texts()))
