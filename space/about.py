"""The page's texts about itself: what is served, what a visitor asks, how it was measured. Pure functions."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from licences import LLAMAS, licence_name, licence_page, space_title
from release import HERE, Data, Release

HUB = "https://huggingface.co"
SMALL = 500e6  # parameters; below that answers are fluent and mostly wrong
MEDQUAD = "MedQuAD, a collection of texts of the United States' National Institutes of Health"
GENE = "gene"  # the kind of fact that form can't buy, shown first

NUMBERS = """<p><strong>Not for emergencies.</strong> Call <a href="tel:911">911</a> in the US and Canada,
<a href="tel:999">999</a> in the UK, <a href="tel:112">112</a> in the EU and on most mobile phones, or your local
emergency number.</p>"""
PRIVACY = """This page's server writes what you type to no disk and no log. Your browser keeps the chat in this tab and
may store it on this device: press Clear before you leave a shared one."""
SENT = """Pressing the button sends what you ticked to huggingface.co, in the address; it also stays in your browser's
history. If it could hurt someone, or holds anything personal, don't post it: ask there for a private way to the
maintainers."""
HINT = """<div class="hint">
<p><strong>Ask</strong> what a disease is, or its symptoms, causes, treatment or outlook.</p>
<p><strong>Don't ask</strong> about your own symptoms, results, medicines or doses: a pharmacist, a nurse line or a
doctor can tell.</p></div>"""

ABOUT = """
## Can I trust it?
No: {size} wrote each answer, it is often wrong where it sounds sure, and no clinician has reviewed what it says. Use it
to find words and questions, and believe the pages under the answer rather than the answer.

## What happens to what I type?
{privacy}

## What do I do instead?
In an emergency call 911 (US and Canada), 999 (UK), 112 (EU) or your local number. For a question about yourself ask a
pharmacist, a doctor or a nurse line (UK 111, Canada 811 in most provinces, Australia 1800 022 222), and to read about a
disease go to [medlineplus.gov](https://medlineplus.gov).

## Who is it for, and who not?
For adults (18 and over; age is not checked) who want general information on a disease and will check it. Not for
emergencies, for diagnoses, doses or decisions about anyone's care, for children, or as a source for clinicians.

## How old is what it knows?
{age} It reads and writes English only: what is urgent in a short message, or in another language, may pass unnoticed.
It may lose the thread in a longer chat.

## Who runs it?
{operator} It is an experiment in honest measurement, not assessed or approved as a medical device.

## How do I report a bad answer?
{report}

## What exactly is this?
{served}

{licence} {credit} This page's code: Apache-2.0.

<details><summary>How it was measured</summary>

{facts}

{scores}

{safety}

{checks}

{pages}

</details>
<details><summary>What keeps it in bounds</summary>

Before the model sees a question, classifiers that were fitted to labelled messages, and beside them a few fixed rules,
look for an emergency, a crisis or a poisoning in the last three messages, in English and seventeen other languages.
They also look for requests that could harm someone, for reports of violence, and for questions that only a person can
answer. Then a fixed text is shown, and no model is asked unless you then press "This is not happening now"; after a
crisis notice there is no such button. That no notice appears never means that something is not an emergency.

After the model has written, repetitions are cut and the disclaimer is added. Sentences with amounts of a medicine,
telephone numbers, links or the claim to be a person are left out, and so are those that judge or advise the reader; a
mark stands in their place. All of this recognises words, not meaning.

</details>
<details><summary>For programs</summary>

`gradio_client` can ask at `/chat` and `/compare`, under the same rules as this page, and gets the kind of the answer,
its text, the pages, the telephone numbers and the revision; `/chat_text` returns the text alone. Only a few questions
of one client, and of one network address, may wait at a time, and only while somebody reads their answers:

```
from gradio_client import Client
client = Client("https://ADDRESS-OF-THIS-PAGE")
print(client.predict("What is gout?", api_name="/chat"))
```

MCP clients find `/chat` and `/compare` as tools under `/gradio_api/mcp/`, where the server has gradio's extra
`gradio[mcp]`, as Hugging Face Spaces do.

</details>
"""


def header(release: Release | None, parameters: int = 0) -> str:
    """The first lines of the page, in HTML: what it is and how large the model is, and what it is not for."""
    title = space_title(release.licence if release else "")
    return f"""<header class="top"><h1>{escape(title)}</h1>
<p>{size(parameters)} answers general questions about diseases. Where one fits, pages of the NIH or CDC, as of
2019, stand under the answer.</p>
</header>
<section class="notice" aria-label="Please read first">{NUMBERS}
<p>Answers are often wrong; this is not a doctor. For adults (18 and over). English only: what is urgent in a short
message, or in another language, may pass unnoticed. Don't type names or who someone is. {PRIVACY}</p></section>"""


def size(parameters: int) -> str:
    """The model by its size, as the first words about it."""
    if not parameters:
        return "A small AI model"
    count = f"{parameters / 1e9:.1f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.0f} million"
    return f"A {'very ' if parameters < SMALL else ''}small AI model ({count} parameters)"


def about(release: Release | None, scores: dict[str, Any], parameters: int = 0, space: str = "") -> str:
    """The About tab, in Markdown. space: the Hub's id of the Space, empty elsewhere."""
    known = release.data if release else None
    return ABOUT.format(
        size=size(parameters)[:1].lower() + size(parameters)[1:],
        age=age(release),
        privacy=privacy(space),
        operator=operator(release, space),
        report=how_to_report(release),
        served=served(release),
        licence=f"{licence_text(release.licence)}." if release and release.licence else "",
        credit=f"Training data: {known.credit.markdown(known.name)}" if known else "",
        facts=facts(scores),
        scores=table(scores, known.claim if known else ""),
        safety=safety(),
        checks=checks(),
        pages=pages(),
    )


def privacy(space: str) -> str:
    """What happens to what is typed; a Space's server is not the owner's own."""
    host = " The server is Hugging Face's, which may keep records of its own, such as your address." if space else ""
    return f"{PRIVACY} This app has no analytics.{host}"


def learned(data: Data | None) -> str:
    """What the model learned from and of when that is, as far as the release tells; a line under each answer."""
    if data is None:
        return ""
    year = re.search(r"\b(?:19|20)\d\d\b", data.credit.citation)
    return f"It learned from {data.credit.title or data.name}{f', {year[0]}' if year else ''}."


def age(release: Release | None) -> str:
    """How old the knowledge is, for About."""
    if release is None:
        return "No model is loaded yet."
    told = learned(release.data) or "The release doesn't record what it learned from."
    return f"{told} What medicine has found out since is missing, and the pages under answers are as of 2019."


def operator(release: Release | None, space: str) -> str:
    """Who runs the page and where they can be reached."""
    if space:
        owner = space.partition("/")[0]
        return (
            f"[{owner}]({HUB}/{owner}) runs it; write to them in the [discussions of this Space]"
            f"({HUB}/spaces/{space}/discussions)."
        )
    return "Whoever runs this server; they have not named themselves."


def how_to_report(release: Release | None) -> str:
    if not (release and release.on_hub):
        return "Tell whoever runs this page."
    page = f"{HUB}/{release.adapter}/discussions"
    return f"“Report this answer”, under the chat, opens a public [discussion of the model]({page}). {SENT}"


def report(release: Release | None) -> str:
    """The fold "Report this answer", in HTML: a form that opens a prefilled discussion; page.js adds what is ticked."""
    if not (release and release.on_hub):
        return ""
    version = " ".join(filter(None, [release.adapter, release.version, release.revision]))
    return f"""<details class="report"><summary>Report this answer</summary>
<form action="{HUB}/{escape(release.adapter)}/discussions/new" target="_blank" rel="noopener">
<p>This opens a discussion on the model's page, which everybody can read. Nothing is stored here.</p>
<input type="hidden" name="title" value="A bad answer">
<input type="hidden" name="description" value="{escape(version)}">
<label><input type="checkbox" id="with-question"> Add my question, word for word</label>
<label><input type="checkbox" id="with-answer"> Add the answer</label>
<button type="submit">Open the report</button>
<p>{escape(SENT)}</p></form></details>"""


def served(release: Release | None) -> str:
    """Which adapter of which base at which revision, in Markdown; of a local folder only its name."""
    if release is None:
        return "No model is loaded yet."
    base = f"[{release.base}]({HUB}/{release.base})" if hub_id(release.base) else f"`{Path(release.base).name}`"
    data = f", trained further on questions and answers from {title(release.data)}" if release.data else ""
    if not release.on_hub:
        return f"{base}{data}: the local folder `{Path(release.adapter).name}`, not a release."
    link = f"{HUB}/{release.adapter}"
    which = " ".join(filter(None, [release.version, release.date and f"of {release.date}"]))
    return (
        f"{base}{data}: [{release.adapter}]({link}) {which}, revision "
        f"[`{release.revision}`]({link}/tree/{release.revision})."
    )


def hub_id(name: str) -> bool:
    return (
        bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name))
        and not Path(name).is_dir()
        and not name.startswith("outputs/")
    )


def title(data: Data) -> str:
    """What the training data is called; a file or repository without a title by its name."""
    return MEDQUAD if data.credit.title == "MedQuAD" else data.credit.title or f"`{data.name}`"


def facts(scores: dict[str, Any]) -> str:
    """How often the model names the right fact, such as a gene, in Markdown: what form can't buy."""
    parts = {name: part for name, part in scores.get("facts", {}).items() if isinstance(part, dict) and name != "all"}
    lines = [
        f"- **the right {name}** in {right('tuned', part)} of {part['compared']:,} answers, before the training in "
        f"{right('base', part)}"
        for name, part in sorted(parts.items(), key=lambda item: item[0] != GENE)
        if part.get("compared")
    ]
    if not lines:
        return "How often it names the right facts has not been measured for this release."
    return "**Facts** say most, for a fact is right or wrong. It named:\n\n" + "\n".join(lines)


def right(system: str, part: dict[str, Any]) -> str:
    return f"{part['systems'][system]['right']['k']:,}"


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
    newest, *earlier = [of_set(name, result) for name, result in sets.items()][::-1]
    lines = [newest, *other_languages()]
    if plain := results.get("medquad_flagged"):
        lines.append(f"- {share(plain, 'plain questions of MedQuAD got a notice that they should not')}.")
    return (
        "**Notices**: how often they were right on messages that the classifiers had not learned from, with 95 % "
        "intervals. Language models wrote them, not patients. **This is not a safety guarantee.**\n\n"
        + "\n".join(lines)
        + "\n\nThe same on sets that were measured before:\n\n" * bool(earlier)
        + "\n".join(earlier)
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
        kinds = ("crisis", "emergency", "poison", "none")
        crises, emergencies, poisonings, ordinary = (results[group][kind] for kind in kinds)
        lines.append(
            f"- In {name}: {share(crises, 'crises got a notice')}; {share(emergencies, 'emergencies got one')}; "
            f"{share(poisonings, 'poisonings got one')}; {share(ordinary, 'ordinary messages got one, too')}."
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
    told = (
        "**What is left out of answers**: how often rightly, with 95 % intervals; language models wrote the sets.\n\n"
    )
    return told + "\n".join(lines)


def pages(path: Path = HERE / "sources_results.json") -> str:
    """How good the pages beside the answers are, by human judgement, if measured."""
    if not path.is_file():
        return "How often the pages beside the answers fit has not been measured for this release."
    measured = json.loads(path.read_text(encoding="utf-8"))
    found, plain = (measured["forms"]["message"][way] for way in ("sources", "plain BM25"))
    shown, useful = found["coverage"], found["useful_shown"]
    return (
        f"**Pages beside the answer**: of {measured['questions']} questions that people asked (LiveQA-Med 2017), "
        f"{shown['mean']:.0%} got a page. People judged the first one useful in {useful['mean']:.0%} of these "
        f"({100 * useful['low']:.0f} to {100 * useful['high']:.0f} %). Its average score is "
        f"{found['average']['mean']:.2f} of 3, where no page counts as 0; plain BM25, which always shows a page, gets "
        f"{plain['average']['mean']:.2f}. That a page stands there does not mean that the answer is right."
    )


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
            f"**ROUGE-L** is how many of 100 words, in their order, an answer shares with the reference answer, on "
            f"{scores['n']:,} test questions{f' ({claim})' if claim else ''}, with 95 % intervals. It counts words, "
            "not truth: no clinician has judged any answer.",
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


def footer(release: Release | None) -> str:
    """The page's last lines, in HTML: what a visitor can use, and what a Llama's licence asks for."""
    parts = ["General information, not medical advice"]
    if release and release.licence:
        parts.append(licence_link(release.licence))
    if release and release.on_hub:
        version = escape(" ".join(filter(None, [release.version, release.date and f"of {release.date}"])))
        parts.append(
            f'<a href="{HUB}/{escape(release.adapter)}" target="_blank" rel="noopener">The model</a> {version}'
        )
    elif release:
        parts.append("A local model, not a release")
    return f'<footer class="foot"><p>{" · ".join(map(str.strip, parts))}</p></footer>'


def licence_link(licence: str) -> str:
    """The licence of the base in the footer, in HTML; of a Llama with the words that it asks for."""
    built = LLAMAS[licence].built_with if licence in LLAMAS else ""
    name, page = escape(licence_name(licence)), licence_page(licence)
    link = f'<a href="{page}">{name}</a>' if page else name
    return f"{built}, under the {link}" if built else f"The model is under {link}"


def status(loaded: bool, trouble: str, parameters: int = 0) -> str:
    """What to know about the model now, in HTML; nothing where all is as it should be."""
    if trouble:
        return f'<p class="status bad" role="status"><strong>The model is not there.</strong> {escape(trouble)}</p>'
    if not loaded:
        return '<p class="status" role="status">The model is being loaded; notices work already.</p>'
    if parameters < SMALL:
        return '<p class="status" role="status">This is a demonstration: most facts in its answers are wrong.</p>'
    return ""
