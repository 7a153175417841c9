"""What happens on each click. What is said is decided in chat.py.

A click first shows the question, with a notice if there is one, outside the queue; only where the model is needed it
names a new turn, and the turn's change waits in the queue for the model. So a notice never waits.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import serving
from about import about, footer, status
from chat import QUESTIONABLE, Said, compared, fixed, reply, screened, settings, shown
from gradio.context import LocalContext
from history import COMING, REMINDER, STOPPED, WRITING, as_typed, from_page, text_of, with_links
from trouble import BUSY

GENERAL = "general"
IN_CHAT = "If this is not happening now, ask in Chat: a button there leads on to general information."
MODEL = "model"  # gradio's name for the queue of all who wait for the model
# Session and tab -> the turn that is being written. Stop, Clear and a new question change it, and the writer looks at
# it before each step. TRAP: gradio's `cancels` is sent after the click's own function, and ends the answer that this
# one has just begun.
WANTED: dict[str, str] = {}
Chat = list[dict[str, Any]]


def begin(key: str, kind: str = "") -> str:
    """A new turn, which ends the one before."""
    WANTED[key] = f"{kind} {secrets.token_hex(4)}"
    return WANTED[key]


def forget(request: gr.Request) -> None:
    """A person has left."""
    for key in (of_chat(request), of_both(request)):
        WANTED.pop(key, None)


def of_chat(request: gr.Request) -> str:
    return f"chat {request.session_hash}"


def of_both(request: gr.Request) -> str:
    return f"both {request.session_hash}"


def on_page(said: Said) -> str:
    """What was said, with the telephone numbers of what is fixed in it as links; a model's numbers are none to call."""
    fixed_part = REMINDER if said.kind in ("answer", "writing") else said.text
    return said.text.replace(fixed_part, with_links(fixed_part))


# ---------------------------------------------------------------- Chat; outputs: question, chat, general, turn
def ask(question: str, chat: Chat, turn: str, request: gr.Request) -> tuple | dict:
    """Show a question; with a notice or another fixed text, or with a sign that the answer is on its way."""
    if chat and not as_typed(question):  # a second Enter
        return gr.skip()
    WANTED.pop(of_chat(request), None)
    chat = [*ended(chat), {"role": "user", "content": as_typed(question) or "…"}]
    found, _ = screened([*from_page(chat[:-1]), {"role": "user", "content": question}])
    said = fixed(found) if found else shown("", whole=False)
    chat.append({"role": "assistant", "content": on_page(said)})
    return "", chat, gr.Button(visible=said.kind in QUESTIONABLE), turn if found else begin(of_chat(request))


def ask_again(chat: Chat, turn: str, request: gr.Request) -> tuple | dict:
    """The last question once more."""
    users = [i for i, message in enumerate(chat) if message["role"] == "user"]
    if not users:
        return "", chat, gr.Button(visible=False), turn
    return ask(from_page([chat[users[-1]]])[0]["content"], chat[: users[-1]], turn, request)


def ask_generally(chat: Chat, turn: str, request: gr.Request) -> tuple:
    """Answer the question that a notice was shown for; the notice stays above it."""
    found, reminder = screened(until_question(from_page(chat)), general=True)
    said = fixed(found) if found else shown("", whole=False, reminder=reminder)
    chat = [*chat, {"role": "assistant", "content": on_page(said)}]
    return "", chat, gr.Button(visible=False), turn if found else begin(of_chat(request), GENERAL)


def answer(chat: Chat, turn: str, length: float, heat: float, request: gr.Request) -> Iterator[Chat]:
    """Write the answer that the last message announces."""
    messages = until_question(from_page(chat))
    if messages:
        for said in wanted(of_chat(request), turn, reply(messages, settings(length, heat), turn.startswith(GENERAL))):
            yield [*chat[:-1], {"role": "assistant", "content": on_page(said)}] if said else gr.skip()


def wanted(key: str, turn: str, steps: Iterator) -> Iterator:
    """The steps as long as the turn is the one that is wanted, then None.

    TRAP: gradio sends the last value again when a generator ends; by then the page shows something else.
    """
    for step in steps:
        if WANTED.get(key) != turn:
            steps.close()
            yield None
            return
        yield step
    if WANTED.get(key) == turn:
        del WANTED[key]


def until_question(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages up to the last that a person wrote."""
    last = max((i for i, message in enumerate(messages) if message["role"] == "user"), default=-1)
    return messages[: last + 1]


def ended(chat: Chat) -> Chat:
    """The chat with a half-written answer marked as stopped."""
    if not chat or chat[-1]["role"] != "assistant":
        return chat
    return [*chat[:-1], {"role": "assistant", "content": stopped(text_of(chat[-1]["content"]))}]


def stopped(text: str) -> str:
    return text.replace(COMING, STOPPED).replace(WRITING, STOPPED)


def stop(chat: Chat, request: gr.Request) -> Chat:
    WANTED.pop(of_chat(request), None)
    return ended(chat)


def clear(request: gr.Request) -> tuple:
    WANTED.pop(of_chat(request), None)
    return "", [], gr.Button(visible=False)


def too_busy(chat: Chat) -> Chat:
    return [*chat[:-1], {"role": "assistant", "content": shown(BUSY, whole=True).text}]


# ---------------------------------------------------------------- Compare; outputs: notice, base, tuned, turn
def ask_both(question: str, turn: str, request: gr.Request) -> tuple:
    WANTED.pop(of_both(request), None)
    found, _ = screened([{"role": "user", "content": question}])
    if found:
        more = f"\n\n{IN_CHAT}" if found.kind in QUESTIONABLE else ""
        return gr.Markdown(on_page(fixed(replace(found, text=found.text + more))), visible=True), "", "", turn
    wait = shown("", whole=False).text
    return gr.Markdown("", visible=False), wait, wait, begin(of_both(request))


def answer_both(question: str, turn: str, length: float, heat: float, request: gr.Request) -> Iterator[tuple[str, str]]:
    pairs: Iterator[tuple[Said, Said]] = compared(question, settings(length, heat))
    for pair in wanted(of_both(request), turn, pairs):
        yield (pair[0].text, pair[1].text) if pair else (gr.skip(), gr.skip())


def stop_both(base: str, tuned: str, request: gr.Request) -> tuple[str, str]:
    WANTED.pop(of_both(request), None)
    return stopped(base), stopped(tuned)


def too_busy_both() -> tuple[str, str]:
    text = shown(BUSY, whole=True).text
    return text, text


# ---------------------------------------------------------------- the queue's and the model's state
def place(request: gr.Request) -> tuple:
    """A person's place among those who wait, from gradio's own queue; the clock that asks stops once there is none."""
    queue = LocalContext.blocks.get()._queue.event_queue_per_concurrency_id[MODEL].queue
    waiting = [event.session_hash for event in queue]
    if request.session_hash not in waiting:
        return gr.Markdown("", visible=False), gr.Timer(active=False)
    number = waiting.index(request.session_hash) + 1
    return gr.Markdown(f"You are number {number} of {len(waiting)} in the queue.", visible=True), gr.Timer(active=True)


def refresh() -> tuple:
    """What the page shows of the model; its clock stands still once loading has ended."""
    served = serving.SERVED
    done = served.loaded.is_set()
    parameters = served.assistant.parameters if served.assistant else 0
    said = status(bool(served.assistant), served.trouble, parameters)
    return (
        gr.HTML(said, visible=bool(said)),
        gr.Button(visible=done and bool(served.trouble)),
        gr.Markdown(about(served.release, served.scores)),
        gr.HTML(footer(served.release, served.scores)),
        gr.Slider(maximum=serving.contract().decoding.max_new_tokens),
        gr.Timer(active=not done),
    )
