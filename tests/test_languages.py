"""Crises, emergencies and poisonings in seventeen languages: what shows a notice, what must not, and the texts."""

import csv
import json
import re
import sys
from dataclasses import replace

import pytest
from conftest import ROOT
from safetensors import safe_open

from training.outputs import file_sha256

SPACE = ROOT / "space"
sys.path[:0] = [str(SPACE), str(ROOT / "scripts")]  # their modules import each other by their plain names

# isort: split
import fitting  # noqa: E402
import languages  # noqa: E402
import safety  # noqa: E402

KINDS = languages.KINDS[1:]
DATA = languages.data()


def notice(*turns: str) -> tuple[str, str] | None:
    """Kind and language of what the turns call for."""
    return languages.reading(list(turns))[0]


# ---------------------------------------------------------------- what is found
def test_the_model_was_fitted_to_the_cases_as_they_are():
    with safe_open(languages.MODEL, "np") as file:
        sums = json.loads(file.metadata()["cases_sha256"])
    learned = {path.name: file_sha256(path) for path in fitting.LANGUAGES}
    assert sums == learned, "run `python scripts/fit_notices.py languages`"


def test_fitting_twice_gives_the_same_bytes(tmp_path, monkeypatch):
    for name in ("KIND", "LANGUAGE"):
        monkeypatch.setattr(languages, name, replace(getattr(languages, name), features=2**8))
    few = sorted(fitting.language_cases(), key=lambda case: case["language"])[::300]
    for name in ("once", "twice"):
        fitting.write_model(fitting.fit_languages(few), tmp_path / name, fitting.LANGUAGES)
    assert (tmp_path / "once").read_bytes() == (tmp_path / "twice").read_bytes()


def test_every_language_has_messages_of_every_kind():
    known = {(case["language"], case["kind"]) for case in fitting.language_cases()}
    assert known >= {(code, kind) for code in languages.CODES for kind in languages.KINDS}


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
    found = notice(text)
    assert found[0] == kind
    if text not in ("infarto", "mai marna chahta hun"):  # other languages have the same letters
        assert found[1] == code


@pytest.mark.parametrize(
    "text",
    ["síntomas de infarto", "¿Qué es el suicidio?", "Was sind die Ursachen von Herzinfarkt?", "dolor de cabeza",
     "ich sterbe vor Hunger", "j'ai très mal à la tête", "什么是自杀？",
     "que es un derrame cerebral", "सिर दर्द", "อาการของโรคหัวใจ", "", "?", "…", "12345"],
)  # fmt: skip
def test_ordinary_questions_get_no_notice(text):
    assert notice(text) is None


def test_only_the_last_three_turns_count():
    assert notice("quiero morir", "¿qué es el asma?", "gracias") == ("crisis", "es")
    assert notice("quiero morir", "¿qué es el asma?", "gracias", "¿y la tos?") is None


def test_a_later_turn_may_explain_an_earlier_one_that_is_not_certain():
    assert notice("estou sem ar agora") == ("emergency", "pt")
    assert notice("estou sem ar agora", "depois de correr 10 km, é normal?") is None
    assert notice("no respira", "gracias", "¿y la tos?") == ("emergency", "es")


def test_an_emergency_is_found_at_the_end_of_a_long_text():
    story = "Ayer fuimos al mercado y compramos fruta, y después preparamos la cena para todos. " * 20
    assert notice(story) is None
    assert notice(f"{story} Mi padre no respira y está azul, ayuda.")[0] == "emergency"


def test_a_hostile_text_takes_no_longer_than_its_length_explains():
    read = languages.windows(languages.folded("quiero morir " * 10_000))
    assert len(read) <= languages.READ and all(len(piece) <= languages.WINDOW for piece in read)


# ---------------------------------------------------------------- English
def test_no_english_question_of_the_data_is_taken_for_another_language(real_medquad):
    with real_medquad.open(encoding="utf-8", newline="") as file:
        questions = [row["Question"] for row in csv.DictReader(file)][::10]
    assert len(questions) > 1_600
    assert [question for question in questions if notice(question)] == []


def test_hardly_any_english_look_alike_is_taken_for_another_language():
    quiet = [case["turns"] for case in fitting.language_cases() if case["language"] == "en" and case["kind"] == "none"]
    assert sum(notice(*turns) is not None for turns in quiet[::10]) <= 0.005 * len(quiet[::10])


# ---------------------------------------------------------------- texts
@pytest.mark.parametrize("code", [*languages.CODES[1:], "zh-hant"])
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


def test_every_number_has_its_public_source_and_is_used():
    used = {
        name for each in DATA["texts"].values() for text in each.values() for name in re.findall(r"\{(\w+)\}", text)
    }
    assert used == set(DATA["numbers"])
    for name, number in DATA["numbers"].items():
        assert re.match(r"https?://\S+$", number["source"]), name
        assert re.search(r"\d", number["shown"]) or number["url"].startswith("https://"), name


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
    assert languages.reading([text])[1] == code
    assert code == "en" or "language" in DATA["texts"][code]


# ---------------------------------------------------------------- in the chat
LANGUAGES = {
    "de": ("Was sind die Symptome von Diabetes?", "112"), "fr": ("Quels sont les symptômes du diabète ?", "112"),
    "it": ("Quali sono i sintomi del diabete?", "112"), "pt": ("Quais são os sintomas da diabetes?", "192"),
    "es": ("¿Cuáles son los síntomas de la diabetes?", "112"), "hi": ("मधुमेह के लक्षण क्या हैं?", "112"),
    "th": ("โรคเบาหวานคืออะไร", "1669"), "other": ("Τι είναι ο διαβήτης;", "112"),
}  # fmt: skip


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_question_in_another_language_gets_a_fixed_answer_in_it_with_the_emergency_number(code):
    question, number = LANGUAGES[code]
    reply = safety.screen([question])
    assert (reply.kind, reply.rule) == ("language", code)
    assert number in reply.text


def test_the_notice_of_another_language_stands_in_the_chat():
    reply = safety.screen(["meu pai não está respirando"])
    assert (reply.kind, reply.rule) == ("emergency", "emergency-pt")
    assert "tel:192" in reply.text


@pytest.mark.parametrize(
    "text",
    ["What is tic douloureux?", "Cri du chat syndrome", "Tinea pedis et manuum", "status asthmaticus",
     "angina pectoris", "café au lait spots", "folie à deux", "de Quervain tenosynovitis", "lichen planus",
     "What is la grippe?", "Legg Calve Perthes", "grand mal", "no", "ok", "COPD", "vitamin d",
     "Maria Garcia de la Cruz has diabetes, what should she eat?", "I live in Los Angeles", "paracetamol 500 mg"],
)  # fmt: skip
def test_medical_latin_and_names_are_english(text):
    assert languages.reading([text])[1] == "en"
    assert notice(text) is None
