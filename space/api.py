"""What gradio_client and MCP call, under the same rules as the page. Stateless: callers send the history along."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr
import serving
from chat import Said, Turn, compared, reply, settings, start
from history import ANSWER, FAILED, GENERAL, REMINDER, UNFINISHED, from_api, shortened, with_links


def chat(
    message: str,
    history: list[dict[str, Any]] | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    request: gr.Request | None = None,
) -> Iterator[Any]:
    """Answer a general question about a disease, or show a fixed notice. Not medical advice; often wrong.

    Returns kind, text, sources, numbers and revision. Only where kind is "answer" or "general answer" has the language
    model written the text (while it writes, "unfinished" stands before them), or "failed", which may begin with
    unfinished text of the model; "emergency", "crisis", "poison" and "personal" must reach the person as they are: show
    `text` with the numbers, for it says in which country each is. sources are pages of the NIH and CDC that
    fit the question, to read instead of the text; null where none can be looked up.

    Args:
        message: the question, in English
        history: earlier messages, oldest first, each {"role": "user" or "assistant", "content": text}
        max_new_tokens: the longest answer, in tokens
        temperature: from 0.1 to 1
    """
    turn = turn_of(request)
    for said in reply(turn, settings(max_new_tokens, temperature)):
        yield sent(as_object(said, turn), request)


def chat_text(
    message: str,
    history: list[dict[str, Any]] | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    request: gr.Request | None = None,
) -> Iterator[str]:
    """The text alone of what `chat` returns."""
    for said in reply(turn_of(request), settings(max_new_tokens, temperature)):
        yield said.text


chat_text._mcp_type = ""  # type: ignore[attr-defined]  # gradio makes a tool of MCP of everything else


def compare(
    question: str,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    request: gr.Request | None = None,
) -> Iterator[Any]:
    """Answers of the base and of the tuned model to one question, each as `chat` returns it. Not medical advice.

    Args:
        question: a general question about a disease, in English
        max_new_tokens: the longest answer, in tokens; each model gets half of it
        temperature: from 0.1 to 1
    """
    turn = turn_of(request)
    for base, tuned in compared(turn, settings(max_new_tokens, temperature)):
        yield sent({"base": as_object(base, turn, base=True), "tuned": as_object(tuned, turn)}, request)


def sent(value: dict[str, Any], request: gr.Request | None) -> Any:
    """A client of MCP gets JSON: gradio would write Python's own form of the object."""
    by_mcp = request and request.headers.get("x-gradio-user") == "mcp"
    return json.dumps(value, ensure_ascii=False) if by_mcp else value


def as_object(said: Said, turn: Turn, base: bool = False) -> dict[str, Any]:
    """What a program gets. revision: of the adapter, or of the base that wrote the text; empty for a local folder."""
    release = serving.SERVED.release
    found = turn.sources
    return {
        "kind": said.kind,
        "text": said.text,
        "sources": None if found is None else [asdict(page) for page in found],
        "numbers": numbers(said),
        "revision": "" if not release else release.base_revision if base else release.revision,
    }


def numbers(said: Said) -> list[str]:
    """The telephone numbers in what this app itself says, each once; a model's numbers are none to call."""
    by_model = said.kind in (ANSWER, GENERAL, FAILED, *UNFINISHED)
    own = said.text if not by_model else REMINDER if REMINDER in said.text else ""
    return list(dict.fromkeys(re.findall(r"\[([^\]]+)\]\(tel:", with_links(own))))


def turn_of(request: gr.Request | None) -> Turn:
    """What one of SCREENED left in the request."""
    assert request, "gradio always hands it over; None is the default that its schema of the API needs"
    return request.state.turn


def screen_chat(arguments: list[Any]) -> Turn:
    """The turn of a call of `chat`; the queue screens before a call waits, and leaves the turn in the request."""
    message, history, *_ = [*arguments, None, None]
    return start([*from_api(history), {"role": "user", "content": as_text(message)}])


def screen_compare(arguments: list[Any]) -> Turn:
    return start([{"role": "user", "content": as_text([*arguments, None][0])}])


SCREENED: dict[Callable[..., Any], Callable[[list[Any]], Any]] = {
    chat: screen_chat,
    chat_text: screen_chat,
    compare: screen_compare,
}


def as_text(value: Any) -> str:
    """Anything but a string is no question."""
    return shortened(value) if isinstance(value, str) else ""
