"""What happens on each click. chat.py decides what is said.

A click screens the question and shows it outside the queue, with a notice if there is one. If the model is needed, the
click names a new turn, and the change of that name waits in the queue for the model. So notices never wait.
"""

import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import serving
from about import about, footer, header, learned, report, status
from chat import QUESTIONABLE, Said, Turn, compared, reply, settings, shown, start
from fair_queue import FairQueue
from gradio.context import LocalContext
from history import (
    ANSWER,
    COMING,
    FAILED,
    GENERAL,
    LOST,
    SOURCES,
    STOPPED,
    UNFINISHED,
    WRITING,
    as_typed,
    from_page,
    kind,
    text_of,
    unwrapped,
    user_turns,
)
from markup import bubble, cards, follow_ups
from prompt import with_disclaimer, without_disclaimer
from trouble import BUSY

IN_CHAT = "If this is not happening now, ask in Chat: a button there leads on to general information."
# Session and tab -> name of the turn that is being written, and the turn. Stop, Clear and a new question change it, and
# the writer checks it before each step. The browser sends only the name: what the model is asked stays here.
# TRAP: gradio sends `cancels` after the click's own function, and would end the answer that this one has just begun.
TURNS: OrderedDict[str, tuple[str, Turn]] = OrderedDict()
MOST_TURNS = 500
Chat = list[dict[str, Any]]


def begin(key: str, turn: Turn) -> str:
    """The name of a new turn, which ends the one before."""
    name = secrets.token_hex(8)
    TURNS.pop(key, None)
    TURNS[key] = name, turn
    if len(TURNS) > MOST_TURNS:
        TURNS.popitem(last=False)
    return name


def forget(request: gr.Request) -> None:
    """A person has left."""
    for key in (of_chat(request), of_both(request)):
        TURNS.pop(key, None)


def of_chat(request: gr.Request) -> str:
    return f"chat {request.session_hash}"


def of_both(request: gr.Request) -> str:
    return f"both {request.session_hash}"


def on_page(said: Said) -> str:
    """What was said as the page shows it, with the telephone numbers in fixed texts as links."""
    release = serving.SERVED.release
    return bubble(said.text, said.kind, serving.contract(), learned(release.data if release else None))


def message(said: Said) -> dict[str, Any]:
    return {"role": "assistant", "content": on_page(said), "metadata": {"id": said.kind}}


def with_pages(said: Said, turn: Turn) -> Chat:
    """The message of a turn, and under it the pages that fit the question, where there can be any."""
    beside = not turn.fixed or (said.kind == "personal" and turn.sources != ())
    pages = {"role": "assistant", "content": cards(turn.sources), "metadata": {"id": SOURCES}}
    return [message(said)] + [pages] * beside


# ---------------------------------------------------------------- Chat; outputs: chat, general, note, turn
def ask(question: str, chat: Chat, name: str, request: gr.Request) -> tuple | dict:
    """Show a question; with a notice or another fixed text, or with a sign that the answer is on its way."""
    if not as_typed(question):  # an empty box, or a second Enter before the page shows the first
        return gr.skip()
    TURNS.pop(of_chat(request), None)
    if chat and chat[-1]["role"] == "user":  # the page has shown it already
        chat = chat[:-1]
    chat = ended(chat)
    turn = start([*from_page(chat), {"role": "user", "content": question}])
    if turn.fixed and turn.fixed.kind == "limit" and len(question) > most():  # it stays in the box
        return chat, gr.skip(), too_long(question, turn.fixed), name
    chat.append({"role": "user", "content": as_typed(question)})
    return shown_turn(chat, turn, name, request)


def most() -> int:
    """The characters of the longest question."""
    return serving.contract().limits.max_question_chars


def count() -> str:
    """The line in which page.js counts the characters of a long question."""
    return f'<p data-limit="{most()}"></p>'


def too_long(question: str, said: Said) -> str:
    """What stands above the box, in HTML, with the numbers to tap."""
    text = re.sub(r"\*\*(\d+)\*\*", r'<a href="tel:\1">\1</a>', without_disclaimer(said.text, serving.contract()))
    used = f"<strong>{len(question.strip()):,} of {most():,} characters.</strong> "
    return f'<div class="fixed limit" role="alert"><p>{used}{text}</p></div>'


def shown_turn(chat: Chat, turn: Turn, name: str, request: gr.Request) -> tuple:
    """The chat with a turn's fixed text, or with the sign of its answer and a new name, on which the queue waits."""
    said = turn.fixed or shown("", serving.WRITING, turn.reminder)
    general = gr.Button(visible=said.kind in QUESTIONABLE)
    chat = [without_options(each) for each in chat]
    return [*chat, *with_pages(said, turn)], general, "", name if turn.fixed else begin(of_chat(request), turn)


def without_options(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "options"}


def ask_next(chat: Chat, name: str, request: gr.Request, tapped: gr.SelectData) -> tuple | dict:
    """A follow-up question that was offered under the answer."""
    return ask(str(tapped.value), chat, name, request)


def ask_again(chat: Chat, name: str, request: gr.Request) -> tuple | dict:
    """The last question once more."""
    users = [i for i, message in enumerate(chat) if message["role"] == "user"]
    if not users:
        return chat, gr.Button(visible=False), "", name
    return ask(from_page([chat[users[-1]]])[0]["content"], chat[: users[-1]], name, request)


def ask_generally(chat: Chat, name: str, request: gr.Request) -> tuple:
    """Answer the question that a notice was shown for; the notice stays above it."""
    turn = start(until_question(from_page(chat)), general=True)
    chat, _, note, name = shown_turn(chat, turn, name, request)
    return chat, gr.Button(visible=False), note, name


def answer(chat: Chat, name: str, length: float, temperature: float, request: gr.Request) -> Iterator[Chat]:
    """Write the answer that the last messages announce; whole, it comes with follow-up questions."""
    _, turn = TURNS.get(of_chat(request), ("", Turn(None, [], False)))
    for said in wanted(of_chat(request), name, reply, settings(length, temperature)):
        if not said:
            yield gr.skip()
            continue
        chat = replaced(chat, said)
        if said.kind in (ANSWER, GENERAL):
            options = follow_ups(turn.sources, user_turns(turn.prompt))
            chat = [*chat[:-1], chat[-1] | {"options": options}]
        yield chat


def replaced(chat: Chat, said: Said) -> Chat:
    """The chat with another text in the place of the last that was said; the pages under it stay."""
    at = last_said(chat)
    return [*chat[:at], message(said), *chat[at + 1 :]]


def last_said(chat: Chat) -> int:
    return max((i for i, message in enumerate(chat) if kind(message) != SOURCES), default=len(chat))


def wanted(key: str, name: str, write: Any, chosen: Any) -> Iterator:
    """The steps of a turn as long as it is the one that is wanted, then None.

    TRAP: gradio sends the last value again when a generator ends; by then the page shows something else.
    """
    found, turn = TURNS.get(key, ("", None))
    for step in write(turn, chosen) if turn and found == name else ():
        if TURNS.get(key, ("",))[0] != name:
            break
        yield step
    else:
        if TURNS.get(key, (None,))[0] == name:  # unless Stop or a new question came after the last step
            del TURNS[key]
            return
    yield None


def until_question(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages up to the last that a person wrote."""
    last = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=-1)
    return messages[: last + 1]


def ended(chat: Chat, mark: str = STOPPED) -> Chat:
    """The chat with a half-written answer marked as stopped."""
    at = last_said(chat)
    if at == len(chat) or kind(chat[at]) not in UNFINISHED:
        return list(chat)
    text = marked(unwrapped(text_of(chat[at]["content"])), mark)
    return replaced(chat, Said(text, UNFINISHED[kind(chat[at])]))


def marked(text: str, mark: str = STOPPED) -> str:
    return text.replace(COMING, mark).replace(WRITING, mark)


def stop(chat: Chat, request: gr.Request) -> Chat:
    TURNS.pop(of_chat(request), None)
    return ended(chat)


def clear(request: gr.Request) -> tuple:
    TURNS.pop(of_chat(request), None)
    return "", [], gr.Button(visible=False), "", ""


def restore(chat: Chat, question: str) -> tuple | dict:
    """What the browser kept of this tab; an answer that was being written ends where the connection was lost."""
    if not chat and not question:  # somebody may be typing already
        return gr.skip()
    chat = ended(chat, LOST)
    if chat and chat[-1]["role"] == "user":  # the server never saw it
        chat.append(message(Said(LOST, ANSWER)))
    last = chat[last_said(chat)] if chat else {}
    return chat, question, gr.Button(visible=kind(last) in QUESTIONABLE)


def too_busy(chat: Chat) -> Chat:
    return replaced(chat, shown(BUSY, FAILED))


# ---------------------------------------------------------------- Compare; outputs: notice, pages, base, tuned, turn
def ask_both(question: str, name: str, request: gr.Request) -> tuple:
    TURNS.pop(of_both(request), None)
    turn = start([{"role": "user", "content": question}])
    if said := turn.fixed:
        if said.kind in QUESTIONABLE:
            said = replace(said, text=with_disclaimer(f"{said.text}\n\n{IN_CHAT}", serving.contract()))
        return gr.Markdown(on_page(said), visible=True), "", "", "", name
    wait = on_page(shown("", serving.WRITING))
    return gr.Markdown("", visible=False), cards(turn.sources), wait, wait, begin(of_both(request), turn)


def answer_both(name: str, length: float, temperature: float, request: gr.Request) -> Iterator[tuple[str, str]]:
    for pair in wanted(of_both(request), name, compared, settings(length, temperature)):
        yield (on_page(pair[0]), on_page(pair[1])) if pair else (gr.skip(), gr.skip())


def stop_both(base: str, tuned: str, request: gr.Request) -> list[str]:
    TURNS.pop(of_both(request), None)
    return [on_page(Said(marked(unwrapped(text)), ANSWER)) for text in (base, tuned)]


def too_busy_both() -> tuple[str, str]:
    text = on_page(shown(BUSY, FAILED))
    return text, text


# ---------------------------------------------------------------- the queue's and the model's state
def place(request: gr.Request) -> tuple:
    """A person's place among those who wait; the clock that asks stops once there is none."""
    queue = getattr(LocalContext.blocks.get(), "_queue", None)
    found = queue.place(request.session_hash or "") if isinstance(queue, FairQueue) else None
    if not found:
        return gr.Markdown("", visible=False), gr.Timer(active=False)
    return gr.Markdown("You are number {} of {} in the queue.".format(*found), visible=True), gr.Timer(active=True)


def refresh() -> tuple:
    """What the page shows of the model; its clock stands still once loading has ended."""
    served = serving.SERVED
    done = served.loaded.is_set()
    parameters = served.assistant.parameters if served.assistant else 0
    said = status(bool(served.assistant), served.trouble, parameters)
    return (
        header(served.release, parameters),
        gr.HTML(said, visible=bool(said)),
        gr.Button(visible=done and bool(served.trouble)),
        about(served.release, served.scores, parameters, os.environ.get("SPACE_ID", "")),
        report(served.release),
        footer(served.release),
        gr.Slider(maximum=serving.contract().decoding.max_new_tokens),
        count(),
        gr.Timer(active=not done),
    )
