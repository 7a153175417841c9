"""What the chatbot shows: Markdown within HTML elements, which page.css styles by their classes. Pure functions.

Everything that a person, a model or a table of pages wrote is Markdown or escaped here; gradio's own sanitizer follows.
"""

import html
import re
from typing import TYPE_CHECKING, Any

from about import HTML
from history import ANSWER, COMING, FAILED, GENERAL, REMINDER, TROUBLE, UNFINISHED, with_links
from prompt import without_disclaimer
from safety import NOTICES
from sources import SAMPLE, kinds_of

if TYPE_CHECKING:
    from contract import Contract
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
# What a question is about where no page tells; the first expression that matches.
SUBJECT = (
    re.compile(r"\b(?:symptoms|signs|causes?|treatments?|outlook|prognosis) (?:of |for )?([^?.!,;]+)", re.IGNORECASE),
    re.compile(
        r"\b(?:is|are) ([^?.!,;]+?)(?: (?:treated|diagnosed|inherited|prevented|caused)\b.*)?\W*$", re.IGNORECASE
    ),
)
NO_SUBJECT = re.compile(
    r"\b(?:i|me|my|mine|you|your|we|our|he|she|his|her|it|its|this|that|they|them|their|there)\b", re.I
)


def bubble(text: str, kind: str, contract: "Contract", learned: str) -> str:
    """A text of some kind as the chatbot shows it. learned: what the model learned from, for the line under answers."""
    body = without_disclaimer(text, contract)
    fixed = REMINDER if kind in BY_MODEL else body
    bare = body.removeprefix(with_links(REMINDER)).removeprefix(REMINDER).strip()
    begun = TROUBLE in bare and not bare.startswith(TROUBLE)  # by the model, before something failed
    small = [] if kind in REFUSALS or bare == COMING or (kind == FAILED and not begun) else [contract.disclaimer]
    if small and kind in BY_MODEL:
        small.append(" ".join(filter(None, [UNREVIEWED, learned])))
    alert = ' role="alert"' if kind in NOTICES else ""
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in small)
    return (
        f'<div class="{css_classes(kind)}"{alert} dir="auto">\n\n{body.replace(fixed, with_links(fixed))}\n\n</div>'
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
    about = subject(pages, asked[-1]) if asked else ""
    kinds = {kind for question in asked for kind in kinds_of(question)}
    left = [question.format(about) for kind, question in NEXT.items() if kind not in kinds]
    return [{"value": question, "label": question} for question in left[:MOST_NEXT]] if about else []


def subject(pages: "tuple[Source, ...] | None", question: str) -> str:
    """The disease of the first page, or else what the question itself names; empty where neither tells."""
    if pages:
        focus = pages[0].title.split(": ")[0]
        typed = re.search(rf"\b{re.escape(focus)}\b", question, re.IGNORECASE)
        return typed[0] if typed else focus
    found = next(filter(None, (expression.search(" ".join(question.split())) for expression in SUBJECT)), None)
    name = found[1].strip() if found else ""
    return "" if NO_SUBJECT.search(name) or not 0 < len(name.split()) <= 5 else name
