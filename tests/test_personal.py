"""Fixed replies to personal questions: what they catch, what they leave to the model, and the numbers in them.

`cases/personal.jsonl` was written before the patterns; its held-out part was looked at once, when they were done.
"""

import csv
import json
import re
import time
from pathlib import Path

import pytest

from space import personal

CASES = Path(__file__).with_name("cases") / "personal.jsonl"
REPLIES = {"dose": "medicine", "combine": "medicine"}  # kinds of the cases whose reply has another name


def cases(part: str) -> list[dict]:
    lines = CASES.read_text(encoding="utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["part"] == part]


def rule(*turns: str) -> str | None:
    return personal.matched(turns[-1])


@pytest.mark.parametrize("part", ["dev", "held"])
def test_personal_questions_get_their_reply_and_general_ones_go_to_the_model(part):
    asked = [case for case in cases(part) if case["kind"]]
    others = [case for case in cases(part) if not case["kind"]]
    missed = [case["text"] for case in asked if rule(case["text"]) is None]
    wrong = [case["text"] for case in asked if rule(case["text"]) != REPLIES.get(case["kind"], case["kind"])]
    assert len(asked) > 50 and len(missed) <= 0.05 * len(asked), missed
    assert len(wrong) <= 0.1 * len(asked), wrong
    assert [case["text"] for case in others if rule(case["text"])] == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("How much ibuprofen can I give my 4 year old?", "medicine"),
        ("Can I take ibuprofen with my warfarin?", "medicine"),
        ("I took my blood pressure pill twice", "missed"),
        ("should I go to the ER?", "serious"),
        ("Is this serious?", "serious"),
        ("are you a doctor?", "person"),
        ("SOS", "help"),
        ("my husband hits me", "violence"),
        ("I was raped", "violence"),
        ("What are the interactions of warfarin?", None),
        ("What is the usual dose of ibuprofen in children?", None),
        ("Is lupus serious?", None),
        ("What is domestic violence?", None),
        ("help me understand what lupus is", None),
    ],
)
def test_it_matters_whether_the_question_is_about_someone(text, kind):
    assert rule(text) == rule(text.upper()) == rule(f"  {text.replace(' ', '  ')}\n") == kind


def test_only_the_last_turn_counts():
    assert rule("my husband hits me", "What is gout?") is None
    assert rule("") is None


def test_questions_of_medquad_are_general(real_medquad):
    with real_medquad.open(encoding="utf-8", newline="") as file:
        asked = {row["Question"] for row in csv.DictReader(file)}
    caught = [question for question in asked if rule(question)]
    assert len(caught) <= 0.002 * len(asked), caught[:10]


def test_every_number_and_address_of_the_replies_has_a_source():
    numbers = r"1-\d{3}-\d{3}-\d{4}|0\d{3} \d{3,4} \d{3}|1800 \d{3} \d{3}|116 016|\b811\b|\b000\b"
    numbers += r"|[\w./]+\.(?:uk|ca)\b(?:/\w+)?"
    named = {found for text in personal.data()["replies"].values() for found in re.findall(numbers, text)}
    sources = personal.data()["sources"]
    assert named == set(sources), named ^ set(sources)
    assert all(page.startswith("https://") for page in sources.values())


def test_every_reply_is_used_leads_to_people_and_names_the_nih():
    replies = personal.data()["replies"]
    assert {each["kind"] for each in personal.data()["rule"]} == set(replies)
    for text in replies.values():
        assert "medlineplus.gov" in text and re.search(r"\*\*[\d -]{3,}\*\*|911", text)


def test_there_are_few_patterns():
    assert sum(len(each["patterns"]) for each in personal.data()["rule"]) <= 40


@pytest.mark.parametrize(
    "piece", ["my ", "i took ", "is my a", "he ", "how much mg my ", "s.o", "can i take ", "a" * 50]
)
def test_long_messages_take_no_longer_than_their_length_explains(piece):
    taken = []
    for _ in range(3):
        start = time.process_time()
        rule(piece * (100_000 // len(piece)))
        taken.append(time.process_time() - start)
    assert min(taken) < 0.5
