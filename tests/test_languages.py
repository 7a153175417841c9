"""Crises, emergencies and poisonings in seventeen languages: what shows a notice, what must not, and the texts.

`cases/languages.jsonl` are the messages that the words were written and widened with, every new set measured once
before it was added; they may get no worse. English texts must never look like another language.
"""

import csv
import json
import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

SPACE = Path(__file__).parents[1] / "space"
sys.path.insert(0, str(SPACE))  # the folder's modules import each other by their plain names

# isort: split
import languages  # noqa: E402
from lexicon import WORDS, lexicon  # noqa: E402

CASES = Path(__file__).with_name("cases")
FIRST = ("es", "pt", "fr", "de", "it", "hi", "th")  # those that the model knows beside English
OTHERS = ("ar", "zh", "ja", "ko", "ru", "tr", "pl", "nl", "vi", "tl")
KINDS = languages.KINDS
DATA = lexicon().data


def cases(name: str) -> list[dict]:
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


# ---------------------------------------------------------------- what is found
@pytest.mark.parametrize("code", FIRST + OTHERS)
def test_messages_of_the_language_are_found_and_ordinary_questions_are_not(code):
    seen: dict[str | None, list[bool]] = defaultdict(list)
    for case in cases("languages.jsonl"):
        if case["language"] == code:
            seen[case["kind"]].append(languages.found([case["text"]]) is not None)
    share = {kind: sum(found) / len(found) for kind, found in seen.items()}
    assert share["crisis"] >= 0.95
    assert share["emergency"] >= 0.9
    assert share["poison"] >= 0.75
    assert share[None] <= 0.02 or sum(seen[None]) <= 1


def test_the_notice_is_in_the_language_of_the_message():
    wrong = [
        case["text"]
        for case in cases("languages.jsonl")
        if (found := languages.found([case["text"]])) and found[1].removesuffix("-hant") != case["language"]
    ]
    assert len(wrong) <= 6, wrong


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [("quiero morir", "crisis", "es"), ("Je veux me suicider", "crisis", "fr"), ("no respira", "emergency", "es"),
     ("ich will nicht mehr leben", "crisis", "de"), ("Herzinfarkt", "emergency", "de"), ("infarto", "emergency", "es"),
     ("KIERO MORIRME", "crisis", "es"), ("jveux mourir", "crisis", "fr"), ("ich will nichtmehr leben", "crisis", "de"),
     ("mujhe jeena nahi hai", "crisis", "hi"), ("mai marna chahta hun", "crisis", "hi"),
     ("yak tai", "crisis", "th"), ("3ayez amoot", "crisis", "ar"), ("wo bu xiang huo le", "crisis", "zh"),
     ("shinitai", "crisis", "ja"), ("ne hochu zhit", "crisis", "ru"), ("khong muon song", "crisis", "vi"),
     ("我想自殺", "crisis", "zh-hant"), ("我想自杀", "crisis", "zh"), ("nao consigo respirar", "emergency", "pt"),
     ("I feel terrible, quiero matarme", "crisis", "es"), ("my abuela está inconsciente help", "emergency", "es"),
     ("mi hijo se tragó una pila", "poison", "es")],
)  # fmt: skip
def test_words_are_known_in_native_and_latin_script_misspelled_and_among_english(text, kind, code):
    assert languages.found([text])[0] == kind
    if text != "infarto":  # Italian as well
        assert languages.found([text])[1] == code


@pytest.mark.parametrize(
    "text",
    ["síntomas de infarto", "¿Qué es el suicidio?", "Was sind die Ursachen von Herzinfarkt?", "dolor de cabeza",
     "ich sterbe vor Hunger", "j'ai très mal à la tête", "什么是自杀？", "हार्ट अटैक के लक्षण",
     "que es un derrame cerebral", "no quiero morir de hambre", "सिर दर्द", "อาการของโรคหัวใจ", "", "?", "…", "12345"],
)  # fmt: skip
def test_ordinary_questions_get_no_notice(text):
    assert languages.found([text]) is None


def test_turns_count_together():
    assert languages.found(["mi papá", "le duele mucho", "el pecho"]) == ("emergency", "es")
    assert languages.found(["quiero morir", "a", "b", "c"]) is None  # only the last three


def test_a_crisis_comes_before_an_emergency():
    assert languages.found(["quiero morir y no puedo respirar"])[0] == "crisis"


# ---------------------------------------------------------------- English
def test_no_english_question_of_the_data_is_taken_for_another_language(real_medquad):
    with real_medquad.open(encoding="utf-8", newline="") as file:
        questions = {row["Question"] for row in csv.DictReader(file)}
    assert [question for question in questions if languages.found([question])] == []


@pytest.mark.parametrize("name", ["safety", "held_out", "held_out_2", "held_out_3", "told"])
def test_no_english_look_alike_is_taken_for_another_language(name):
    quiet = [case.get("turns") or [case["text"]] for case in cases(f"{name}.jsonl") if case["kind"] is None]
    assert [turns for turns in quiet if languages.found(turns)] == []


# ---------------------------------------------------------------- texts
@pytest.mark.parametrize("code", [*FIRST, *OTHERS, "zh-hant"])
@pytest.mark.parametrize("kind", [*KINDS, "language"])
def test_every_language_has_every_text_with_numbers_that_dial(code, kind):
    text = languages.text(kind, code)
    assert "{" not in text and "\\" not in text
    links = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", text)
    assert any(target.startswith("tel:") for _, target in links)
    for shown, target in links:
        if target.startswith(("tel:", "sms:")):
            assert re.sub(r"[^0-9*]", "", shown) == target[4:]
        else:
            assert target == f"https://{shown}"
    bare = re.sub(r"\[[^\]]+\]\([^)]+\)", "", text)
    assert not re.search(r"\d{3}", bare)  # every number is a link
    if kind in ("crisis", "language"):
        assert "https://findahelpline.com" in text
    if kind == "crisis":
        assert "tel:988" in text and "sms:988" in text


def test_a_text_that_is_in_no_known_language_names_helplines_too():
    text = languages.text("language", "other")
    assert all(part in text for part in ("tel:112", "tel:911", "tel:988", "https://findahelpline.com"))


def test_every_number_has_its_public_source_and_is_used():
    used = {
        name for each in DATA["texts"].values() for text in each.values() for name in re.findall(r"\{(\w+)\}", text)
    }
    assert used == set(DATA["numbers"])
    for name, number in DATA["numbers"].items():
        assert re.match(r"https?://\S+$", number["source"]), name
        assert re.search(r"\d", number["shown"]) or number["url"].startswith("https://"), name


def test_every_concept_of_a_rule_has_words_and_every_word_a_rule():
    ruled = {concept for rule in languages.rules() for each in rule.needed for concept in each}
    ruled |= {concept for rule in languages.rules() for concept in rule.excluded}
    context = {"asks", "past", "now", "kin", "none"}
    named = set()
    for file in WORDS:
        for concepts in tomllib.loads(file.read_text(encoding="utf-8")).values():
            named |= set(concepts)
    named |= {"hot", "veryhot", "many"}  # numbers
    assert ruled - context <= named
    assert named - context <= ruled


def test_the_files_stay_readable():
    for file in [SPACE / "languages.toml", *WORDS]:
        assert len(file.read_text(encoding="utf-8").splitlines()) < 2_000, file


# ---------------------------------------------------------------- the language of a text
@pytest.mark.parametrize(
    ("text", "code"),
    [("Mi hija tiene fiebre y le duele la cabeza", "es"), ("Ich habe seit gestern Kopfschmerzen und Fieber", "de"),
     ("Mijn kind hoest en heeft koorts", "nl"), ("Moje dziecko ma kaszel i gorączkę, co robić", "pl"),
     ("ปวดหัว", "th"), ("सिर दर्द", "hi"), ("عندي صداع", "ar"), ("头痛怎么办", "zh"), ("頭痛怎麼辦", "zh-hant"),
     ("頭が痛いです", "ja"), ("머리가 아파요", "ko"), ("болит голова", "ru"), ("πονάει το κεφάλι", "other"),
     ("What are the symptoms of asthma?", "en"), ("What is E. coli?", "en"), ("diabetes", "en"), ("", "en")],
)  # fmt: skip
def test_the_language_of_a_text(text, code):
    assert languages.language(text) == code
    assert code == "en" or "language" in DATA["texts"][code]
