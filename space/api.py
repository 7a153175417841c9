"""What gradio_client and MCP call, under the same rules as the page. Stateless: callers send the history along."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from chat import Turn, compared, reply, settings, start
from history import from_api, shortened


def chat(
    message: str,
    history: list[dict[str, Any]] | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    request: gr.Request | None = None,
) -> Iterator[str]:
    """Answer a general question about a disease, or show a fixed notice. Not medical advice; often wrong.

    Args:
        message: the question, in English
        history: earlier messages, oldest first, each {"role": "user" or "assistant", "content": text}
        max_new_tokens: the longest answer, in tokens
        temperature: from 0.1 to 1
    """
    for said in reply(turn_of(request), settings(max_new_tokens, temperature)):
        yield said.text


def compare(
    question: str,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    request: gr.Request | None = None,
) -> Iterator[dict[str, str]]:
    """Answers of the base and of the tuned model to one question. Not medical advice; often wrong.

    Args:
        question: a general question about a disease, in English
        max_new_tokens: the longest answer, in tokens; each model gets half of it
        temperature: from 0.1 to 1
    """
    for base, tuned in compared(turn_of(request), settings(max_new_tokens, temperature)):
        yield {"base": base.text, "tuned": tuned.text}


def turn_of(request: gr.Request | None) -> Turn:
    """What `screen_chat` or `screen_compare` left in the request."""
    assert request, "gradio always hands it over; None is the default that its schema of the API needs"
    return request.state.turn


def screen_chat(arguments: list[Any]) -> Turn:
    """The turn of a call of `chat`; the queue screens before a call waits, and leaves the turn in the request."""
    message, history, *_ = [*arguments, None, None]
    return start([*from_api(history), {"role": "user", "content": as_text(message)}])


def screen_compare(arguments: list[Any]) -> Turn:
    return start([{"role": "user", "content": as_text([*arguments, None][0])}])


SCREENED: dict[Callable[..., Any], Callable[[list[Any]], Any]] = {chat: screen_chat, compare: screen_compare}


def as_text(value: Any) -> str:
    """Anything but a string is no question."""
    return shortened(value) if isinstance(value, str) else ""
