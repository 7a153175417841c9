"""The page's texts about itself: `about.md` and the macros of `page.html`, filled in. Pure functions."""

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from licences import LLAMAS, licence_name, licence_page, space_title
from lists import blocks
from release import HERE, Data, Release

HUB = "https://huggingface.co"
SMALL = 500e6  # parameters; below that answers are fluent and mostly wrong
MEDQUAD = "MedQuAD, a collection of texts of the United States' National Institutes of Health"
GENE = "gene"  # the kind of fact that form can't buy, shown first
MEASURED = ("safety", "languages", "checks", "sources")  # each in a file of its own

TEMPLATES = Environment(
    loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=select_autoescape(["html"]),
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
TEMPLATES.filters["blocks"] = blocks
HTML: Any = TEMPLATES.get_template("page.html").module


def header(release: Release | None, parameters: int = 0) -> str:
    """The first lines of the page, in HTML."""
    return str(HTML.header(space_title(release.licence if release else ""), model_size(parameters)))


def model_size(parameters: int) -> str:
    """The model by its size, as the first words about it."""
    if not parameters:
        return "A small AI model"
    count = f"{parameters / 1e9:.1f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.0f} million"
    return f"A {'very ' if parameters < SMALL else ''}small AI model ({count} parameters)"


def report(release: Release | None) -> str:
    """The fold "Report this answer", in HTML; empty where there is no page of the model to report to."""
    if not (release and release.on_hub):
        return ""
    version = " ".join(filter(None, [release.adapter, release.version, release.revision]))
    return str(HTML.report(release.adapter, version))


def footer(release: Release | None) -> str:
    """The page's last lines, in HTML."""
    return str(HTML.footer(release, **licence_of(release)))


def status(loaded: bool, trouble: str, parameters: int = 0) -> str:
    """What to know about the model now, in HTML; empty where all is as it should be."""
    return str(HTML.status(loaded, trouble, parameters < SMALL))


def about(
    release: Release | None,
    scores: dict[str, Any],
    parameters: int = 0,
    space: str = "",
    measured: dict[str, Any] | None = None,
) -> str:
    """The About tab, in Markdown.

    space: the Hub's id of the Space, empty elsewhere. measured: see `measurements`.
    """
    data = release.data if release else None
    facts = [(name, fact) for name, fact in scores.get("facts", {}).items() if isinstance(fact, dict) and name != "all"]
    return TEMPLATES.get_template("about.md").render(
        hub=HUB,
        space=space,
        model=model_size(parameters),
        release=release,
        folder=Path(release.adapter).name if release else "",
        base=base_name(release.base) if release else "",
        learned=learned(data),
        data=data and data_title(data),
        credit=data and data.credit.markdown(data.name),
        claim=data and data.claim,
        scores=scores,
        facts=sorted((item for item in facts if item[1].get("compared")), key=lambda item: item[0] != GENE),
        **licence_of(release),
        **(measured or measurements()),
    )


def measurements() -> dict[str, Any]:
    """What was measured of notices, output checks and pages, read from the files beside this one."""
    return {name: json.loads((HERE / f"{name}_results.json").read_text(encoding="utf-8")) for name in MEASURED}


def licence_of(release: Release | None) -> dict[str, Any]:
    """The release's version, and what its base's licence is and asks for, as the templates name them."""
    if release is None:
        return {"version": "", "licence": "", "licence_page": "", "llama": None}
    return {
        "version": " ".join(filter(None, [release.version, release.date and f"of {release.date}"])),
        "licence": licence_name(release.licence),
        "licence_page": licence_page(release.licence),
        "llama": LLAMAS.get(release.licence),
    }


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


def data_title(data: Data) -> str:
    """What the training data is called; a file or repository without a title by its name."""
    return MEDQUAD if data.credit.title == "MedQuAD" else data.credit.title or f"`{data.name}`"
