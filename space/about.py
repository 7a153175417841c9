"""The page's texts about itself: what is served, how it measured, what the rules found, limits. Pure functions."""

import json
from html import escape
from pathlib import Path
from typing import Any

from licences import LLAMAS, licence_name, licence_page
from release import HERE, Data, Release

HUB = "https://huggingface.co"
SMALL = 500e6  # parameters; below that answers are fluent and mostly wrong
MEDQUAD = "MedQuAD, a collection of texts of the United States' National Institutes of Health"
TITLE = "Med-Llama 3.2"
SENTENCE = "Ask a general question about a disease: a small AI model answers."

HEADER = f"""<header class="top"><h1>{TITLE}</h1><p>{SENTENCE}</p></header>
<section class="notice" aria-label="Please read first">
<p><strong>Not for emergencies.</strong> Call <a href="tel:911">911</a> in the US and Canada,
<a href="tel:999">999</a> in the UK, <a href="tel:112">112</a> in the EU and on most mobile phones, or your local
emergency number.</p>
<p>A small AI writes the answers. It is often wrong and it is not a doctor. English only.
Don't type names or anything else that says who someone is. What you type is written to no disk and no log.</p>
</section>"""

ABOUT = """
## What this is
A small language model, {base}, that was trained further on questions and answers from {data}. It gives general
information about diseases and conditions. It is an experiment in honest measurement, not a medical device.

## What it is not
- It is no doctor and no replacement for one. It is not meant to diagnose, to give doses or to advise on a medicine;
  what reads like that in an answer is left out, as far as it is recognised (see below).
- It does not know you, and it does not judge how serious something is. That no notice appears never means that
  something is not an emergency.
- It invents things. It can be wrong about any disease, also where it sounds sure, and what it learned may be outdated.
- It was trained on single questions, not on conversations: it may lose the thread, and where a whole chat leads it
  to no answer, it is asked the last question alone.
- It reads and writes English only, and it knows the sources of its training data alone.

## What keeps it in bounds
Before the model sees a question, classifiers that were fitted to labelled messages, and beside them a few fixed rules,
look for an emergency, a crisis or a poisoning in the last three messages, in English and seventeen other languages.
They also look for requests that could harm someone, for reports of violence, and for questions that only a person can
answer, such as whether to take a medicine or how serious something is. Then a fixed text is shown, and no model is
asked. After the model has written,
repetitions are cut and the disclaimer is added. Sentences with amounts of a medicine, telephone numbers, links or the
claim to be a person are left out, and so are those that judge or advise the reader, which a classifier looks for; a
mark stands in their place. A paragraph goes where the rest would mislead. All of this recognises words, not meaning.

{checks}

{safety}

## How it was measured
{scores}

## Privacy
What you type is sent to this page's server and stays in its memory while it is answered or waits for its turn. It is
written to no disk and no log; there is no history and no analytics. Your browser keeps the chat, and what you have
not sent yet, in this tab until you press Clear or close the tab.

## Programs
`gradio_client` can ask at `/chat` and `/compare`, under the same rules as this page. Only a few questions of one
client, and of one network address, may wait at a time, and only while somebody reads their answers:

```
from gradio_client import Client
client = Client("https://ADDRESS-OF-THIS-PAGE")
print(client.predict("What is gout?", api_name="/chat"))
```

MCP clients find both as tools under `/gradio_api/mcp/`, where the server has gradio's extra `gradio[mcp]`, as Hugging
Face Spaces do.

## Licences
{licence} {credit} This page's code: Apache-2.0.
"""


def about(release: Release | None, scores: dict[str, Any]) -> str:
    """The About tab, in Markdown."""
    base, data = "not loaded yet", MEDQUAD
    if release:
        base = f"[{release.base}]({HUB}/{release.base})" if release.on_hub else f"`{release.base}`"
        data = title(release.data)
    known = release.data if release else None
    credit = f"Training data: {known.credit.markdown(known.name)}" if known else ""
    licence = f"{licence_text(release.licence)}." if release and release.licence else ""
    scored = table(scores, known.claim if known else "")
    return ABOUT.format(
        base=base, data=data, licence=licence, credit=credit, checks=checks(), safety=safety(), scores=scored
    )


def title(data: Data | None) -> str:
    """What the training data is called; a file or repository without a title by its name."""
    if data is None:
        return "data of its own"
    return MEDQUAD if data.credit.title == "MedQuAD" else data.credit.title or f"`{data.name}`"


def licence_text(licence: str) -> str:
    """What the licence of a base asks to be said, and where it can be read, in Markdown."""
    page = licence_page(licence)
    name = f"[{licence_name(licence)}]({page})" if page else licence_name(licence)
    if licence not in LLAMAS:
        return f"The model: {name}"
    built = f"{LLAMAS[licence].built_with}. " if LLAMAS[licence].built_with else ""
    return f"{built}{LLAMAS[licence].notice.removesuffix('.')}: {name}"


def safety(path: Path = HERE / "safety_results.json") -> str:
    """How often the notices were right on messages that their makers had not seen, set by set, if measured."""
    if not path.is_file():
        return "How often that is right has not been measured for this release. **This is not a safety guarantee.**"
    results = json.loads(path.read_text(encoding="utf-8"))
    sets = {name: part for name, part in results.items() if "sensitivity" in part}
    lines = [of_set(name, result) for name, result in sets.items()][::-1]
    if plain := results.get("medquad_flagged"):
        lines.append(f"- {share(plain, 'plain questions of MedQuAD got a notice that they should not')}.")
    return (
        "How often that is right on messages that the classifiers had not learned from, with 95 % intervals. "
        "Language models wrote them, not patients.\n\n"
        + "\n".join(lines + other_languages())
        + "\n\n**This is not a safety guarantee.**"
    )


def other_languages(path: Path = HERE / "languages_results.json") -> list[str]:
    """The same in other languages, if measured."""
    if not path.is_file():
        return []
    results, lines = json.loads(path.read_text(encoding="utf-8")), []
    for group, name in (
        ("first", "Spanish, Portuguese, French, German, Italian, Hindi and Thai"),
        ("others", "ten more"),
    ):
        crises, emergencies, ordinary = (results[group][kind] for kind in ("crisis", "emergency", "none"))
        lines.append(
            f"- In {name}: {share(crises, 'crises got a notice')}; {share(emergencies, 'emergencies got one')}; "
            f"{share(ordinary, 'ordinary messages got one, too')}."
        )
    return lines


def checks(path: Path = HERE / "checks_results.json") -> str:
    """How much the output checks left out of harmful and of harmless text, if measured."""
    if not path.is_file():
        return "How often the right sentences are left out has not been measured for this release."
    lines = []
    for name, found in json.loads(path.read_text(encoding="utf-8")).items():
        if "harmful" in found:
            of = f"{found['checked']}: {share(found['harmful'], 'harmful sentences were left out')}"
            lines.append(f"- Set measured {of}; {share(found['harmless'], 'harmless ones were, too')}.")
        else:
            text = "MedQuAD's answers" if name == "medquad" else f"the {name.split()[-1]} model's answers"
            lines.append(f"- Of {text}, {share(found['not_shown'], 'sentences were not shown')}.")
    return "How often that was right, with 95 % intervals; language models wrote the sets:\n\n" + "\n".join(lines)


def of_set(name: str, result: dict[str, Any]) -> str:
    called = share(result["sensitivity"], "messages that call for a notice got one")
    return f"- {name.capitalize()} set: {called}; {share(result['specificity'], 'look-alikes got none')}."


def share(result: dict[str, Any], of: str) -> str:
    """`98 of 100 look-alikes got none (93.00 to 99.45 %)`."""
    return f"{result['k']:,} of {result['n']:,} {of} ({100 * result['low']:.2f} to {100 * result['high']:.2f} %)"


def strongest(scores: dict[str, Any]) -> str:
    """The name of the strongest answer that knows no medicine; earlier releases have it under another key."""
    return scores.get("strongest_baseline") or scores["strongest_floor"]


def table(scores: dict[str, Any], claim: str = "") -> str:
    """ROUGE-L of tuned, base and the strongest answer that knows no medicine, in Markdown.

    claim: what the release may say of its test questions.
    """
    if not scores:
        return "This adapter brought no scores along."
    baseline = strongest(scores)
    names = {
        "tuned": "tuned, what you chat with",
        "base": "base, before the training",
        baseline: f"no model: {baseline}",
    }
    rows = [f"| {label} | {points(scores, name)} |" for name, label in names.items()]
    return "\n".join(
        [
            f"Words shared (ROUGE-L F1 × 100, 95 % interval) with the reference answers to {scores['n']:,} test "
            f"questions{f' ({claim})' if claim else ''}. That is not truth: no clinician has judged any answer.",
            "",
            "| answers by | ROUGE-L |",
            "|---|---:|",
            *rows,
        ]
    )


def points(scores: dict[str, Any], name: str) -> str:
    score = scores["systems"][name]["without disclaimer"]["rougeL"]
    between = "" if score["low"] is None else f" [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"
    return f"{100 * score['mean']:.1f}{between}"


def footer(release: Release | None, scores: dict[str, Any]) -> str:
    """The page's last lines, in HTML: licence, model card, exact revision and date, the measured scores."""
    parts = []
    if release:
        parts += [licence_link(release.licence), served(release)] if release.licence else [served(release)]
    if scores:
        parts.append(
            f"Measured on {scores['n']:,} test questions, ROUGE-L × 100: tuned {points(scores, 'tuned')}, "
            f"base {points(scores, 'base')}, best answer without a model {points(scores, strongest(scores))}"
        )
    return f'<footer class="foot">{"".join(f"<p>{part}.</p>" for part in parts)}</footer>'


def licence_link(licence: str) -> str:
    """The licence of the base in the footer, in HTML; of a Llama with the words that it asks for."""
    built = LLAMAS[licence].built_with if licence in LLAMAS else ""
    name, page = escape(licence_name(licence)), licence_page(licence)
    link = f'<a href="{page}">{name}</a>' if page else name
    return f"{built}, under the {link}" if built else f"The model is under {link}"


def served(release: Release) -> str:
    """Which adapter at which revision; of a local folder only its name, not where it lies."""
    if not release.on_hub:
        return f"Serving the local folder {escape(Path(release.adapter).name)}, not a release"
    link = f"{HUB}/{escape(release.adapter)}"
    version = escape(f" {release.version}" if release.version else "")
    date = escape(f" of {release.date}" if release.date else "")
    return (
        f'<a href="{link}">Model card of {escape(release.adapter)}</a>{version}{date}, revision '
        f'<a href="{link}/tree/{escape(release.revision)}"><code>{escape(release.revision)}</code></a>'
    )


def status(loaded: bool, trouble: str, parameters: int = 0) -> str:
    """What to know about the model now, in HTML; nothing where all is as it should be."""
    if trouble:
        return f'<p class="status bad" role="status"><strong>The model is not there.</strong> {escape(trouble)}</p>'
    if not loaded:
        return '<p class="status" role="status">The model is being loaded; notices work already.</p>'
    if parameters < SMALL:
        return (
            '<p class="status" role="status">This is a demonstration: a model of '
            f"{parameters / 1e6:.0f} million parameters writes fluent sentences whose facts are mostly wrong.</p>"
        )
    return ""
