"""The page on which people read answers, and judge a sample of them: question, reference, base and tuned in one file.

`answers.html` is the page without its data, which it shows as text, never as markup.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from space.lists import with_lists
from training.scoring.intervals import wilson

TEMPLATE = Path(__file__).with_name("answers.html")
DATA = "{{ data }}"
Row = dict[str, Any]
MARKS = ("right", "partly", "wrong")


def answers_page(answers: list[Row], title: str, summary: dict[str, str], about: str = "", key: str = "") -> str:
    """A self-contained HTML document with all answers in the given order, which fetches nothing.

    answers: {"id", "question", "qtype", "reference", "rouge1": {"base", "tuned"}, "base" and "tuned": {"text",
    "tokens", "ended"}, "facts"}; facts is a comparison of facts.py, or None; "pair", whether base and tuned know
    a likelihood pair, and "first", which side a person who judges the answer sees first, may be absent.
    summary: label -> text at the top of the page, which may have line breaks. key: of the answers, goes into the marks.
    Raises ValueError if a number is not finite.
    """
    data = {
        "title": title,
        "about": about.replace("**", ""),
        "summary": list(summary.items()),
        "reading": {"key": key, "first": {answer["id"]: answer["first"] for answer in answers if "first" in answer}},
        "answers": [page_fields(answer) for answer in answers],
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return TEMPLATE.read_text(encoding="utf-8").replace(DATA, text.replace("<", "\\u003c"))  # no text ends the <script>


def page_fields(answer: Row) -> Row:
    """The fields of an answer that the page uses."""
    page = {key: answer[key] for key in ("id", "question", "qtype", "facts")}
    page["gain"] = answer["rouge1"]["tuned"] - answer["rouge1"]["base"]
    page["reference"] = with_lists(answer["reference"])
    for side in ("base", "tuned"):
        page[side] = answer[side] | {"text": with_lists(answer[side]["text"]), "rouge1": answer["rouge1"][side]}
    if pair := answer.get("pair"):
        page["pair"] = {side: "right" if right else "wrong" for side, right in pair.items()}
    return page


def count_marks(saved: dict[str, Any], key: str) -> dict[str, Any]:
    """Side -> mark -> its rate, from the file that the page saves; questions with one answer unmarked don't count.

    Raises ValueError if the file holds no whole question, an unknown mark, or marks of other answers.
    """
    if saved.get("answers") != key:
        raise ValueError("these marks are of other answers: open the run's answers.html as it is now, and judge again")
    whole = [marks for marks in saved.get("marks", {}).values() if len(marks) == 2]
    if not whole or any({*marks} != {"base", "tuned"} or not {*marks.values()} <= {*MARKS} for marks in whole):
        raise ValueError(f"no question with both answers marked as one of {', '.join(MARKS)}")
    counts = {side: Counter(marks[side] for marks in whole) for side in ("base", "tuned")}
    return {side: {mark: wilson(counts[side][mark], len(whole)) for mark in MARKS} for side in counts}
