"""What gradio_client and MCP call, under the same rules as the page. Stateless: callers send the history along."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import gradio as gr
import serving
from chat import Turn, Utterance, answer_steps, comparison_steps, settings, start
from history import REMINDER, from_api, shortened, with_links
from markup import BY_MODEL


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
    turn = screened_turn(request)  # of `message` and `history`, which the queue has read: a notice doesn't wait there
    for said in answer_steps(turn, settings(max_new_tokens, temperature)):
        yield for_client(as_object(said, turn), request)


def chat_text(
    message: str,
    history: list[dict[str, Any]] | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    request: gr.Request | None = None,
) -> Iterator[str]:
    """The text alone of what `chat` returns."""
    for said in answer_steps(screened_turn(request), settings(max_new_tokens, temperature)):
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
    turn = screened_turn(request)
    for base, tuned in comparison_steps(turn, settings(max_new_tokens, temperature)):
        yield for_client({"base": as_object(base, turn, base=True), "tuned": as_object(tuned, turn)}, request)


def for_client(value: dict[str, Any], request: gr.Request | None) -> Any:
    """A client of MCP gets JSON: gradio would write Python's own form of the object."""
    by_mcp = request and request.headers.get("x-gradio-user") == "mcp"
    return json.dumps(value, ensure_ascii=False) if by_mcp else value


def as_object(said: Utterance, turn: Turn, base: bool = False) -> dict[str, Any]:
    """What a program gets. revision: of the adapter, or of the base that wrote the text; empty for a local folder."""
    release = serving.SERVED.release
    # a model's numbers are none to call
    own = said.body if said.kind not in BY_MODEL else REMINDER if said.reminder else ""
    return {
        "kind": said.kind,
        "text": said.text,
        "sources": None if turn.sources is None else [asdict(page) for page in turn.sources],
        "numbers": list(dict.fromkeys(re.findall(r"\[([^\]]+)\]\(tel:", with_links(own)))),
        "revision": "" if not release else release.base_revision if base else release.revision,
    }


# ---------------------------------------------------------------- screening, before a call waits in the queue
def screened_turn(request: gr.Request | None) -> Turn:
    """What the queue left in the request, from one of SCREENED."""
    assert request, "gradio always hands it over; None is the default that its schema of the API needs"
    return request.state.turn


def screen(message: Any, history: Any = None, *_: Any) -> Turn:
    """The turn of a call; anything but a string is no question."""
    question = shortened(message) if isinstance(message, str) else ""
    return start([*from_api(history), {"role": "user", "content": question}])


# What screens the arguments of a function; `compare` has no history.
SCREENED: dict[Callable[..., Any], Callable[..., Turn]] = {
    chat: screen,
    chat_text: screen,
    compare: lambda question, *_: screen(question),
}
