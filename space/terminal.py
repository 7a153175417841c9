"""The chat in the terminal, for scripts/ask.py: the same rules, pages and model as on the page."""

import argparse
import re
import sys
from typing import TYPE_CHECKING

import serving
import sources
from chat import Turn, addition, answer_steps, settings, start, streamable
from history import FAILED
from release import Release, fetch_adapter, fetch_base

if TYPE_CHECKING:
    from contract import Message

MARKUP = re.compile(r"\*\*|\[([^\]]*)\]\([^)]*\)")  # of bold words, and of links around numbers and names


def main(options: argparse.Namespace) -> None:
    """Answer the question, or each line until an empty one; raises OSError or ValueError if there is no such model."""
    if options.question == "":
        raise ValueError("the question is empty: type one in quotes, or leave it out to chat")
    load(options)
    if options.question:
        said = answer([{"role": "user", "content": options.question}])
        sys.exit(1 if said["kind"] == FAILED else 0)
    print("Not medical advice, not for emergencies. An empty line ends the chat.")
    messages: list[Message] = []
    while question := typed():
        messages.append({"role": "user", "content": question})
        messages.append(answer(messages))


def load(options: argparse.Namespace) -> None:
    if options.sources:
        sources.load(options.sources)
    try:
        folder, release = fetch_adapter(Release(options.adapter, options.revision or ""))
        serving.SERVED.assistant = serving.load_models(folder, fetch_base(release))
    except ConnectionError as error:  # which would be told as one of the network, without the name
        raise FileNotFoundError(str(error)) from error
    serving.SERVED.loaded.set()


def typed() -> str:
    try:
        return input("\n> ").strip()
    except EOFError:
        return ""


def answer(messages: "list[Message]") -> "Message":
    """Print what there is to say to the last message as it comes, and the pages that fit; returns it as a message."""
    turn, printed = start(messages), ""
    for said in answer_steps(turn, settings()):
        text = MARKUP.sub(r"\1", streamable(said))
        print(addition(printed, text), end="", flush=True)
        printed = text
    print(listed(turn))
    return {"role": "assistant", "content": said.text, "kind": said.kind}


def listed(turn: Turn) -> str:
    """The pages beside the answer; nothing where none are looked up."""
    if turn.sources is None or (turn.fixed and not turn.sources):
        return ""
    if not turn.sources:
        return "\n\nNo page found for this."
    lines = ["\n\nPages that fit:"]
    for page in turn.sources:
        lines.append(f"- {page.title} ({page.publisher})")
        lines += [f"  {page.url} (link of {page.year})"] if page.url else []
    return "\n".join(lines)
