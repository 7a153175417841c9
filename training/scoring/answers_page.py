"""The page on which people judge by reading: question, reference, base and tuned side by side, in one file.

`answers.html` is the whole page; all it lacks is its data, which it shows as text and never as markup.
"""

import json
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("answers.html")
DATA = "{{ data }}"


def answers_page(answers: list[dict[str, Any]], title: str, summary: dict[str, str]) -> str:
    """One self-contained HTML document that fetches nothing and holds all answers in the order given.

    answers: {"id", "question", "qtype", "reference", "gain", "rouge1": {"base", "tuned"},
    "base" and "tuned": {"text", "tokens", "ended"}}; gain is tuned minus base in ROUGE-1 F1, 0..1.
    summary: label -> what stands with it at the top of the page; a line break stays one.
    Raises ValueError if there are no answers or a number is not finite.
    """
    if not answers:
        raise ValueError("answers_page: there are no answers to show")
    data = {"title": title, "summary": list(summary.items()), "answers": [shown(a) for a in answers]}
    return TEMPLATE.read_text(encoding="utf-8").replace(DATA, script_json(data))


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """What the page uses of an answer; anything else a scoring file holds stays out of it."""
    page = {key: answer[key] for key in ("id", "question", "qtype", "reference", "gain")}
    for system in ("base", "tuned"):
        page[system] = {key: answer[system][key] for key in ("text", "tokens", "ended")}
        page[system]["rouge1"] = answer["rouge1"][system]
    return page


def script_json(value: Any) -> str:
    """JSON that can stand inside a <script> element: without `<` no text closes it or opens another."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
