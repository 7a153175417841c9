"""The page and the API: components, and which click leads where."""

import importlib.util
from typing import Any

import api
import clicks
import gradio as gr
import serving
from chat import SHORTEST, TEMPERATURES
from fair_queue import MODEL, FairQueue
from first_sight import FirstSight
from gradio.state_holder import SessionState
from limits import AT_ONCE, Limits
from markup import HTML, about
from release import HERE
from starlette.middleware import Middleware

# Gradio would hold what was typed last in each session, for links to a chat, which this page doesn't have.
SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]
IN_TURN: dict[str, Any] = {"concurrency_id": MODEL, "concurrency_limit": AT_ONCE}
HIDDEN: dict[str, Any] = {"api_visibility": "private"}
NOW: dict[str, Any] = HIDDEN | {"queue": False, "show_progress": "hidden"}
EXAMPLES = (
    "What are the symptoms of asthma?",
    "How is high blood pressure treated?",
    "What causes kidney stones?",
    "Is cystic fibrosis inherited?",
)
NOT_NOW = "This is not happening now: show general information"
TEAL, SLATE = gr.themes.colors.teal, gr.themes.colors.slate
THEME = gr.themes.Base(
    primary_hue=TEAL,
    secondary_hue=SLATE,
    neutral_hue=SLATE,
    # no web fonts: the page makes requests to its own server only
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
).set(
    button_primary_background_fill=TEAL.c700,  # white on it has a contrast of 5.5
    button_primary_background_fill_hover=TEAL.c800,
    button_primary_background_fill_dark=TEAL.c700,
    button_primary_background_fill_hover_dark=TEAL.c800,
    button_primary_text_color="white",
    body_text_color_subdued=SLATE.c600,
    body_text_color_subdued_dark=SLATE.c300,
    input_placeholder_color=SLATE.c500,
    input_placeholder_color_dark=SLATE.c400,
    link_text_color=TEAL.c700,
    link_text_color_dark=TEAL.c300,
    border_color_primary=SLATE.c300,
    border_color_primary_dark=SLATE.c600,
)
# What the tab has kept, handed to `clicks.restore`.
RESTORE = """() => [JSON.parse(window.kept?.chat ?? "[]"), window.kept?.draft ?? ""]"""
# page.js, of which the page can do without: then the server shows the question, and the box keeps it.
SEND = "(question, chat) => window.page ? window.page.send(question, chat) : [question, chat, question]"
EXPECT = "(...values) => { window.page?.expect(); return values }"
SHOW = """() => setTimeout(() => window.page?.show("{}"), 50)"""
KEEP_CHAT = """(chat) => window.page?.keep("chat", chat?.length ? JSON.stringify(chat) : "")"""
KEEP_DRAFT = """(draft) => window.page?.keep("draft", (draft ?? "").slice(0, 1e6))"""
FIRST_LINES = str(HTML.first_sight(HTML.header(None, 0)))
LAUNCH: dict[str, Any] = {
    "theme": THEME,
    "css_paths": HERE / "page.css",
    "js": (HERE / "page.js").read_text(encoding="utf-8"),
    "head": str(HTML.head((HERE / "media.css").read_text(encoding="utf-8"))),
    "app_kwargs": {"middleware": [Middleware(Limits), Middleware(FirstSight, lines=FIRST_LINES)]},
    # gradio keeps 0.1 MiB for each visitor and each call of a program: for 10,000 by default
    "state_session_capacity": 200,
    "quiet": True,  # it advises options that app.py doesn't have
    "run_history": False,
    "enable_monitoring": False,
    "ssr_mode": False,
    "footer_links": [],
    "mcp_server": importlib.util.find_spec("mcp") is not None,
}


def build() -> gr.Blocks:
    """The page, ready to be launched with LAUNCH."""
    with gr.Blocks(title="Health questions: general health information", analytics_enabled=False) as demo:
        top = gr.HTML(str(HTML.header(None, 0)), elem_id="top", padding=False)
        state = gr.HTML(str(HTML.status(False, "", 0)), elem_id="status", padding=False)
        reload = gr.Button("Reload", visible=False, size="sm", elem_id="reload")
        length, temperature, advanced = advanced_fold()
        with gr.Tabs():
            with gr.Tab("Chat"):
                chat, question, general, form, count = chat_tab(length, temperature)
                advanced.render()
            with gr.Tab("About", elem_id="about-tab"):
                description = gr.Markdown(about(None), elem_id="about")
                with gr.Accordion("For researchers: compare with the model before its training", open=False):
                    compare_tab(length, temperature)
        foot = gr.HTML(str(HTML.footer(None)), padding=False)
        gr.HTML(str(HTML.spoken), elem_id="spoken", padding=False)
        clock = gr.Timer(1)
        shows = [top, state, reload, description, form, foot, length, count, clock]
        for moment in (demo.load, clock.tick):
            moment(clicks.refresh, None, shows, **NOW)
        reload.click(serving.start_loading, None, None, **NOW).then(clicks.refresh, None, shows, **NOW)
        demo.load(clicks.restore, [chat, question], [chat, question, general], js=RESTORE, **NOW)
        demo.unload(clicks.forget)
        gr.api(api.chat, api_name="chat", **IN_TURN)
        gr.api(api.chat_text, api_name="chat_text", **IN_TURN)
        gr.api(api.compare, api_name="compare", **IN_TURN)
    demo._queue = FairQueue(
        api.SCREENED, blocks=demo, live_updates=True, update_intervals=1, concurrency_count=demo.max_threads,
        default_concurrency_limit=AT_ONCE,
    )  # fmt: skip
    return demo


def advanced_fold() -> tuple[gr.Slider, gr.Slider, gr.Accordion]:
    """Length and temperature under plain names, in a fold that is placed later."""
    own = serving.FALLBACK.decoding
    with gr.Accordion("Advanced", open=False, render=False, elem_id="advanced") as folded:
        length = gr.Slider(
            SHORTEST, own.max_new_tokens, own.max_new_tokens, step=16, label="Longest answer", elem_id="length",
            info="In pieces of words: 100 of them make about 75 words.", buttons=[],
        )  # fmt: skip
        temperature = gr.Slider(
            *TEMPERATURES, own.temperature, step=0.05, label="Variety", elem_id="temperature", buttons=[],
            info="Low: the likeliest words. High: freer, and wrong more often.",
        )  # fmt: skip
    return length, temperature, folded


def chat_tab(length: gr.Slider, temperature: gr.Slider) -> tuple[gr.Chatbot, gr.Textbox, gr.Button, gr.HTML, gr.HTML]:
    """The tab, and what of it outlives a lost connection or depends on the release."""
    chat = gr.Chatbot(
        label="Conversation", show_label=False, height=None, autoscroll=False, buttons=["copy"],
        allow_tags=False, latex_delimiters=[], feedback_options=None, group_consecutive_messages=False,
        placeholder="", elem_id="chat",
    )  # fmt: skip
    gr.HTML(str(HTML.hint), elem_id="hint", padding=False)
    with gr.Row(elem_id="examples"):
        examples = [gr.Button(text, size="sm", min_width=140) for text in EXAMPLES]
    place = gr.Markdown(visible=False, elem_id="place")
    general = gr.Button(NOT_NOW, visible=False, size="md", elem_id="general")
    with gr.Row(elem_id="tools"):
        retry = gr.Button("Retry", size="sm", elem_id="retry", min_width=64)
        clear = gr.Button("Clear", size="sm", elem_id="clear", min_width=64)
    form = gr.HTML(str(HTML.report(None)), elem_id="report", padding=False)
    with gr.Column(elem_id="composer"):
        count = gr.HTML(clicks.count(), elem_id="count", padding=False)
        with gr.Row(elem_id="ask"):
            question = gr.Textbox(
                label="Your question", placeholder="Ask about a disease", lines=1, max_lines=8,
                elem_id="question", scale=8, container=False,
            )  # fmt: skip
            send = gr.Button("Ask", variant="primary", elem_id="send", scale=1, min_width=80)
            stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=80)
    turn_name, sent = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden")
    shows = [chat, general, turn_name]
    asked = []
    for moment in (question.submit, send.click):
        typed = moment(None, [question, chat], [question, chat, sent], js=SEND, **NOW)
        asked.append(typed.then(clicks.ask, [sent, chat], shows, **NOW))
    asked += [tap.click(clicks.ask, [tap, chat], shows, js=EXPECT, **NOW) for tap in examples]
    asked.append(chat.option_select(clicks.ask_next, chat, shows, js=EXPECT, **NOW))
    asked.append(retry.click(clicks.ask_again, chat, shows, js=EXPECT, **NOW))
    further = general.click(clicks.ask_generally, chat, shows, js=EXPECT, **NOW)
    stopped = stop.click(clicks.stop, chat, chat, **NOW)
    for event, selector in (
        *((event, "#chat .user-row") for event in asked),
        (further, "#chat .bot-row:has(.sources)"),
        (stopped, "#chat .bot-row:has(.answer)"),
    ):
        event.then(None, js=SHOW.format(selector), **HIDDEN)
    clear.click(clicks.clear, None, [question, *shows], **NOW)
    # How many are ahead, asked for every two seconds while a turn waits.
    # TRAP: listeners of one event run one after the other, so this one must stand before the one that writes.
    waits = gr.Timer(2, active=False)
    turn_name.change(lambda: gr.Timer(active=True), None, waits, **NOW)
    waits.tick(clicks.place, None, [place, waits], **NOW)
    writing = turn_name.change(
        clicks.answer, [chat, turn_name, length, temperature], chat, show_progress="hidden", **HIDDEN, **IN_TURN
    )
    writing.failure(clicks.too_busy, chat, chat, **NOW)
    chat.change(None, chat, js=KEEP_CHAT, **HIDDEN)
    question.change(None, question, js=KEEP_DRAFT, **HIDDEN)
    return chat, question, general, form, count


def compare_tab(length: gr.Slider, temperature: gr.Slider) -> None:
    gr.Markdown(
        "One question to the model before and after its training, under the same rules. Each answer gets half of the "
        "longest length that is set under Advanced in the chat."
    )
    with gr.Row(elem_id="ask-both"):
        question = gr.Textbox(
            label="Question to both models", placeholder=EXAMPLES[0], lines=1, max_lines=8, elem_id="both", scale=8,
            container=False,
        )  # fmt: skip
        send = gr.Button("Compare", variant="primary", elem_id="compare", scale=1, min_width=96)
    pages = gr.HTML("", elem_id="pages-both", padding=False)
    notice = gr.Markdown(visible=False, elem_id="notice-both")
    with gr.Row(elem_id="answers"):
        with gr.Column(min_width=280):
            gr.Markdown("## Base model")
            base = gr.Markdown(elem_id="base", latex_delimiters=[])
        with gr.Column(min_width=280):
            gr.Markdown("## Tuned model")
            tuned = gr.Markdown(elem_id="tuned", latex_delimiters=[])
    turn_name = gr.Textbox(visible="hidden")
    for moment in (question.submit, send.click):
        asked = moment(clicks.ask_both, question, [notice, pages, base, tuned, turn_name], **NOW)
        asked.then(None, js=SHOW.format("#ask-both"), **HIDDEN)
    inputs = [turn_name, length, temperature]
    writing = turn_name.change(clicks.answer_both, inputs, [base, tuned], show_progress="hidden", **HIDDEN, **IN_TURN)
    writing.failure(clicks.too_busy_both, None, [base, tuned], **NOW)
