"""The page on which people read answers: question, reference, base and tuned side by side, in one file.

`answers.html` is the page without its data, which it shows as text, never as markup.
"""

import json
from pathlib import Path
from typing import Any

from space.lists import with_lists

TEMPLATE = Path(__file__).with_name("answers.html")
DATA = "{{ data }}"


def answers_page(answers: list[dict[str, Any]], title: str, summary: dict[str, str]) -> str:
    """A self-contained HTML document with all answers in the given order, which fetches nothing.

    answers: {"id", "question", "qtype", "reference", "gain", "rouge1": {"base", "tuned"},
    "base" and "tuned": {"text", "tokens", "ended"}, "facts"}; gain is tuned minus base in ROUGE-1 F1, 0..1; facts is
    a mark of fact_scores.py, or None.
    summary: label -> text at the top of the page, which may have line breaks.
    Raises ValueError if there are no answers or a number is not finite.
    """
    if not answers:
        raise ValueError("answers_page: there are no answers to show")
    data = {"title": title, "summary": list(summary.items()), "answers": [shown(a) for a in answers]}
    return TEMPLATE.read_text(encoding="utf-8").replace(DATA, script_json(data))


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """The fields of an answer that the page uses."""
    page = {key: answer[key] for key in ("id", "question", "qtype", "gain")}
    page["reference"] = with_lists(answer["reference"])
    for system in ("base", "tuned"):
        page[system] = {key: answer[system][key] for key in ("tokens", "ended")}
        page[system]["text"] = with_lists(answer[system]["text"])
        page[system]["rouge1"] = answer["rouge1"][system]
    if mark := answer["facts"]:
        page["facts"] = {key: mark[key] for key in ("kind", "reference", "compared", "base", "tuned")}
    return page


def script_json(value: Any) -> str:
    """JSON for a <script> element: without `<` no text can close it or open another one."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
