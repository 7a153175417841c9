"""What happens on each click. chat.py decides what is said.

A click screens the question and shows it outside the queue, with a notice if there is one. If the model is needed, the
click names a new turn, and the change of that name waits in the queue for the model. So notices never wait.
"""

import os
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import history
import serving
from chat import QUESTIONABLE, Turn, Utterance, answer_steps, comparison_steps, settings, start, utterance
from fair_queue import FairQueue
from gradio.context import LocalContext
from history import ANSWER, FAILED, GENERAL, SOURCES, UNFINISHED, as_typed, from_page, kept, user_turns
from markup import HTML, about, bubble, cards, follow_ups, learned

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
    TURNS[key] = name, turn
    TURNS.move_to_end(key)
    if len(TURNS) > MOST_TURNS:  # people leave without a word
        TURNS.popitem(last=False)
    return name


def current(key: str, name: str) -> Turn | None:
    """The turn of that name, unless Stop, Clear or a new question has ended it."""
    current_name, turn = TURNS.get(key, ("", None))
    return turn if current_name == name else None


def forget(request: gr.Request) -> None:
    """A person has left: nothing of the question stays in memory."""
    TURNS.pop(of_chat(request), None)
    TURNS.pop(of_both(request), None)


def of_chat(request: gr.Request) -> str:
    return f"chat {request.session_hash}"


def of_both(request: gr.Request) -> str:
    return f"both {request.session_hash}"


def on_page(said: Utterance) -> str:
    """What was said as the page shows it, with the telephone numbers in fixed texts as links."""
    release = serving.SERVED.release
    return bubble(said, serving.contract().disclaimer, learned(release.data if release else None))


def message(said: Utterance) -> dict[str, Any]:
    return {"role": "assistant", "content": on_page(said), "metadata": {"id": said.kind, "log": said.body}}


def with_pages(said: Utterance, turn: Turn) -> Chat:
    """The message of a turn and the pages that fit the question: above an answer, and under a personal reply."""
    pages = {"role": "assistant", "content": cards(turn.sources), "metadata": {"id": SOURCES}}
    if not turn.fixed:
        return [pages, message(said)]
    return [message(said)] if turn.sources == () else [message(said), pages]


# ---------------------------------------------------------------- Chat; outputs: chat, general, turn's name
def ask(question: str, chat: Chat, request: gr.Request) -> tuple | dict:
    """Show a question; with a notice or another fixed text, or with a sign that the answer is on its way."""
    question = question.strip()  # as the page counts it
    if not question:  # an empty box, or a second Enter before the page shows the first
        return gr.skip()
    TURNS.pop(of_chat(request), None)
    if chat and chat[-1]["role"] == "user":  # the page has shown it already
        chat = chat[:-1]
    chat = ended(chat)
    turn = start([*from_page(chat), {"role": "user", "content": question}])
    most = serving.contract().limits.max_question_chars
    if turn.fixed and turn.fixed.kind == "limit" and len(question) > most:
        question = f"{question[:most]}…"  # the chat is sent with each question: whole, it could be refused from now on
    chat.append({"role": "user", "content": as_typed(question)})
    return with_turn(chat, turn, request)


def count() -> str:
    """The line in which page.js counts the characters of a long question, which stays in the box."""
    return f'<p data-limit="{serving.contract().limits.max_question_chars}"></p>'


def with_turn(chat: Chat, turn: Turn, request: gr.Request) -> tuple:
    """The chat with a turn's fixed text, or with the sign of its answer and a new name, on which the queue waits."""
    said = turn.fixed or utterance("", serving.WRITING, turn.reminder)
    general = gr.Button(visible=said.kind in QUESTIONABLE)
    # follow-up questions stand under the last answer only
    chat = [{key: value for key, value in each.items() if key != "options"} for each in chat]
    return [*chat, *with_pages(said, turn)], general, gr.skip() if turn.fixed else begin(of_chat(request), turn)


def ask_next(chat: Chat, request: gr.Request, tapped: gr.SelectData) -> tuple | dict:
    """A follow-up question that was offered under the answer."""
    return ask(str(tapped.value), chat, request)


def ask_again(chat: Chat, request: gr.Request) -> tuple | dict:
    """The last question once more."""
    chat = until_question(chat)
    return ask(from_page(chat[-1:])[0]["content"], chat[:-1], request) if chat else gr.skip()


def ask_generally(chat: Chat, request: gr.Request) -> tuple:
    """Answer the question that a notice was shown for; the notice stays above it."""
    turn = start(from_page(until_question(chat)), general=True)
    chat, _, name = with_turn(chat, turn, request)
    return chat, gr.Button(visible=False), name


def until_question(chat: Chat) -> Chat:
    """The messages up to the last that a person wrote."""
    return chat[: max((i for i, each in enumerate(chat, 1) if each["role"] == "user"), default=0)]


def answer(chat: Chat, name: str, length: float, temperature: float, request: gr.Request) -> Iterator[Chat]:
    """Write the answer that the last message announces; whole, it comes with follow-up questions."""
    turn, shown = current(of_chat(request), name), None
    for said in steps_while_current(of_chat(request), name, answer_steps, settings(length, temperature)):
        if not (said and turn) or said == shown:  # sent again, it could arrive after Clear
            yield gr.skip()
            continue
        shown, written = said, message(said)
        if said.kind not in (*UNFINISHED, FAILED):
            written["options"] = follow_ups(turn.sources, user_turns(turn.prompt))
        yield [*chat[:-1], written]


def steps_while_current(key: str, name: str, write: Any, chosen: Any) -> Iterator:
    """The steps of a turn as long as it is the current one, then None.

    TRAP: gradio sends the last value again when a generator ends; by then the page shows something else.
    """
    turn = current(key, name)
    for step in write(turn, chosen) if turn else ():
        if not current(key, name):
            break
        yield step
    else:
        if current(key, name):  # unless Stop or a new question came after the last step
            del TURNS[key]
            return
    yield None


def ended(chat: Chat, mark: str = history.STOPPED) -> Chat:
    """The chat with a half-written answer marked as stopped."""
    kind = UNFINISHED.get(kept(chat[-1], "id")) if chat else None
    if not kind:
        return list(chat)
    return [*chat[:-1], message(Utterance(kept(chat[-1], "log"), kind, kind == GENERAL, mark))]


def stop(chat: Chat, request: gr.Request) -> Chat:
    TURNS.pop(of_chat(request), None)
    return ended(chat)


def clear(request: gr.Request) -> tuple:
    TURNS.pop(of_chat(request), None)
    return "", [], gr.Button(visible=False), gr.skip()  # a new name would wait in the line for nothing


def restore(chat: Chat, question: str) -> tuple | dict:
    """What the browser kept of this tab; an answer that was being written ends where the connection was lost."""
    if not chat and not question:  # somebody may be typing already
        return gr.skip()
    chat = ended(chat, history.LOST)
    if chat and chat[-1]["role"] == "user":  # the server never saw it
        chat.append(message(Utterance("", ANSWER, mark=history.LOST)))
    return chat, question, gr.Button(visible=bool(chat) and kept(chat[-1], "id") in QUESTIONABLE)


def too_busy(chat: Chat) -> Chat | dict:
    """The queue refused the turn; by now the chat may end in a notice, or be empty."""
    if not chat or kept(chat[-1], "id") not in UNFINISHED:
        return gr.skip()
    return [*chat[:-1], message(utterance("", serving.BUSY))]


# ---------------------------------------------------------------- Compare; outputs: notice, pages, base, tuned, name
def ask_both(question: str, request: gr.Request) -> tuple:
    TURNS.pop(of_both(request), None)
    turn = start([{"role": "user", "content": question.strip()}])
    if said := turn.fixed:
        if said.kind in QUESTIONABLE:
            said = replace(said, body=f"{said.body}\n\n{IN_CHAT}")
        return gr.Markdown(on_page(said), visible=True), "", "", "", gr.skip()
    wait = on_page(utterance("", serving.WRITING))
    return gr.Markdown("", visible=False), cards(turn.sources), wait, wait, begin(of_both(request), turn)


def answer_both(name: str, length: float, temperature: float, request: gr.Request) -> Iterator[tuple[str, str]]:
    chosen = settings(length, temperature)
    for pair in steps_while_current(of_both(request), name, comparison_steps, chosen):
        yield (on_page(pair[0]), on_page(pair[1])) if pair else (gr.skip(), gr.skip())


def too_busy_both() -> tuple[str, str]:
    text = on_page(utterance("", serving.BUSY))
    return text, text


# ---------------------------------------------------------------- the queue's and the model's state
def place(request: gr.Request) -> tuple:
    """A person's place among those who wait; the clock that asks stops once there is none."""
    queue = getattr(LocalContext.blocks.get(), "_queue", None)
    place = queue.place(request.session_hash or "") if isinstance(queue, FairQueue) else None
    if not place:
        return gr.Markdown("", visible=False), gr.Timer(active=False)
    return gr.Markdown("You are number {} of {} in the queue.".format(*place), visible=True), gr.Timer(active=True)


def refresh() -> tuple:
    """What the page shows of the model; its clock stands still once loading has ended."""
    served = serving.SERVED
    done = served.loaded.is_set()
    parameters = served.assistant.parameters if served.assistant else 0
    line = str(HTML.status(bool(served.assistant), served.trouble, parameters)).strip()
    return (
        str(HTML.header(served.release, parameters)),
        gr.HTML(line, visible=bool(line)),
        gr.Button(visible=done and bool(served.trouble)),
        about(served.release, parameters, os.environ.get("SPACE_ID", "")),
        str(HTML.report(served.release)),
        str(HTML.footer(served.release)),
        gr.Slider(maximum=serving.contract().decoding.max_new_tokens),
        count(),
        gr.Timer(active=not done),
    )
