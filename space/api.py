"""What gradio_client and MCP call, under the rules of the page. There is no session: callers send the history along."""

from collections.abc import Iterator
from typing import Any

from chat import compared, reply, settings
from history import from_api


def chat(
    message: str,
    history: list[dict[str, Any]] | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
) -> Iterator[str]:
    """Answer a general question about a disease, or show a fixed notice. Not medical advice; often wrong.

    Args:
        message: the question, in English
        history: earlier messages, oldest first, each {"role": "user" or "assistant", "content": text}
        max_new_tokens: the longest answer, in tokens
        temperature: from 0.1 to 1
    """
    messages = [*from_api(history), {"role": "user", "content": as_text(message)}]
    for said in reply(messages, settings(max_new_tokens, temperature)):
        yield said.text


def compare(
    question: str, max_new_tokens: int | None = None, temperature: float | None = None
) -> Iterator[dict[str, str]]:
    """Answers of the base and of the tuned model to one question. Not medical advice; often wrong.

    Args:
        question: a general question about a disease, in English
        max_new_tokens: the longest answer, in tokens; each model gets half of it
        temperature: from 0.1 to 1
    """
    for base, tuned in compared(as_text(question), settings(max_new_tokens, temperature)):
        yield {"base": base.text, "tuned": tuned.text}


def as_text(value: Any) -> str:
    """Anything but a string is no question."""
    return value if isinstance(value, str) else ""
