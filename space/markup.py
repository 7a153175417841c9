"""What the page shows: its texts about itself, and messages as Markdown within HTML elements. Pure functions.

`about.md` and the macros of `page.html` hold the words; page.css styles the elements by their classes. Everything that
a person, a model or a table of pages wrote is Markdown or escaped here; gradio's own sanitizer follows.
"""

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from history import ANSWER, FAILED, GENERAL, REMINDER, UNFINISHED, with_links
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from licences import LLAMAS, licence_name, licence_page, space_title
from lists import blocks
from release import HERE, Data, Release
from safety import NOTICES
from sources import SAMPLE, kinds_of

if TYPE_CHECKING:
    from chat import Utterance
    from sources import Source

HUB = "https://huggingface.co"
SMALL = 500e6  # parameters; below that answers are fluent and mostly wrong
MEASURED = ("safety", "languages", "checks", "sources")  # each in a file of its own

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


# ---------------------------------------------------------------- the page about itself
def model_size(parameters: int) -> str:
    """The model by its size, as the first words about it."""
    if not parameters:
        return "A small AI model"
    count = f"{parameters / 1e9:.1f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.0f} million"
    return f"A {'very ' if parameters < SMALL else ''}small AI model ({count} parameters)"


def about(release: Release | None, parameters: int = 0, space: str = "", measured: dict[str, Any] | None = None) -> str:
    """The About tab, in Markdown. space: the Hub's id of the Space, empty elsewhere; measured: see `measurements`."""
    scores = release.scores if release else {}
    facts = {name: fact for name, fact in scores.get("facts", {}).items() if isinstance(fact, dict) and name != "all"}
    return TEMPLATES.get_template("about.md").render(
        space=space,
        model=model_size(parameters),
        release=release,
        base=base_name(release.base) if release else "",
        data=release.data if release else None,
        scores=scores,
        facts={name: fact for name, fact in facts.items() if fact.get("compared")},
        **(measured or measurements()),
    )


def measurements() -> dict[str, Any]:
    """What was measured of notices, output checks and pages, read from the files beside this one."""
    return {name: json.loads((HERE / f"{name}_results.json").read_text(encoding="utf-8")) for name in MEASURED}


def learned(data: Data | None) -> str:
    """What the model learned from and of when that is, as far as the release tells; a line under each answer."""
    if data is None:
        return ""
    year = re.search(r"\b(?:19|20)\d\d\b", data.credit.citation)
    return f"It learned from {data.credit.title or data.name}{f', {year[0]}' if year else ''}."


def base_name(base: str) -> str:
    """The base as a link to the Hub; of a local folder only its name."""
    is_hub_id = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", base) and not Path(base).is_dir()
    return f"[{base}]({HUB}/{base})" if is_hub_id and not base.startswith("outputs/") else f"`{Path(base).name}`"


TEMPLATES = Environment(
    loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=select_autoescape(["html"]),
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.filters |= {"blocks": blocks, "learned": learned}
TEMPLATES.globals |= {
    "hub": HUB, "small": SMALL, "llamas": LLAMAS, "licence_name": licence_name, "licence_page": licence_page,
    "space_title": space_title, "model_size": model_size,
}  # fmt: skip
HTML: Any = TEMPLATES.get_template("page.html").module


# ---------------------------------------------------------------- messages
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
