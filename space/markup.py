"""What the chatbot shows: Markdown within HTML elements, which page.css styles by their classes. Pure functions.

Everything that a person, a model or a table of pages wrote is Markdown or escaped here; gradio's own sanitizer follows.
"""

import html
import re
from typing import TYPE_CHECKING, Any

from about import HTML
from history import ANSWER, FAILED, GENERAL, REMINDER, UNFINISHED, with_links
from safety import NOTICES
from sources import SAMPLE, kinds_of

if TYPE_CHECKING:
    from chat import Utterance
    from sources import Source

BY_MODEL = (ANSWER, GENERAL, *UNFINISHED, FAILED)
REFUSALS = ("harmful", "off_topic", "language", "limit")  # nothing to take for advice: no disclaimer
UNREVIEWED = "Often wrong: a small AI wrote this. Not reviewed by a clinician."
# Follow-up questions, by their kind in MedQuAD's collection.
NEXT = {
    "symptoms": "What are the symptoms of {}?",
    "causes": "What causes {}?",
    "treatment": "What are the treatments for {}?",
    "outlook": "What is the outlook for {}?",
}
MOST_NEXT = 3


def bubble(said: "Utterance", disclaimer: str, learned: str) -> str:
    """What was said as the chatbot shows it. learned: what the model learned from, for the line under answers."""
    if said.kind in BY_MODEL:
        text = f"{with_links(REMINDER) if said.reminder else ''}\n\n{said.body}\n\n{said.mark}".strip()
        small = [disclaimer, f"{UNREVIEWED} {learned}".strip()] if said.body else []
    else:
        text, small = with_links(said.body), [] if said.kind in REFUSALS else [disclaimer]
    alert = ' role="alert"' if said.kind in NOTICES else ""
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in small)
    return (
        f'<div class="{css_classes(said.kind)}"{alert} dir="auto">\n\n{text}\n\n</div>'
        + f'<div class="fine">{lines}</div>' * bool(small)
    )


def css_classes(kind: str) -> str:
    """Of a notice, another fixed text, or what a model wrote or writes."""
    if kind in BY_MODEL:
        return "answer writing" if kind in UNFINISHED else "answer"
    return f"care {kind}" if kind in NOTICES else f"fixed {kind}"


def cards(pages: "tuple[Source, ...] | None") -> str:
    """The pages that fit a question, as cards; or that there are none, or that they can't be looked up (None)."""
    collections = {page.document_source for page in pages or ()}
    publishers = ["NIH"] * bool(collections - {"CDC", SAMPLE}) + ["CDC"] * ("CDC" in collections)
    says = f"Read what {' and '.join(publishers)} say{'s' * (len(publishers) == 1)}"
    return str(HTML.cards(says if publishers else "From the sample", pages))


def follow_ups(pages: "tuple[Source, ...] | None", asked: list[str]) -> list[dict[str, Any]]:
    """Up to three questions about the same disease, of kinds that were not asked yet, as a message's options."""
    if not pages:
        return []
    about = subject(pages[0], asked[-1])
    kinds = {kind for question in asked for kind in kinds_of(question)}
    left = [question.format(about) for kind, question in NEXT.items() if kind not in kinds]
    return [{"value": question, "label": question} for question in left[:MOST_NEXT]]


def subject(page: "Source", question: str) -> str:
    """The disease of a page, as the question spells it."""
    focus = page.title.split(": ")[0]
    typed = re.search(rf"\b{re.escape(focus)}\b", question, re.IGNORECASE)
    return typed[0] if typed else focus
