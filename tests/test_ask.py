"""The terminal chat: one answer or many, the disclaimer once, and clear words for what can't be asked."""

import io
import shutil

import pytest
from conftest import ROOT, command, script_here

QUESTION = "What are the symptoms of diabetes?"


@pytest.fixture(scope="module")
def adapter(small_out, tmp_path_factory):
    """The small run's, with a contract of shorter answers: one of random weights never ends by itself."""
    run = shutil.copytree(small_out / "runs" / "demo", tmp_path_factory.mktemp("ask") / "demo")
    path = run / "adapter" / "contract.toml"
    text = path.read_text(encoding="utf-8").replace("max_new_tokens = 512", "max_new_tokens = 40")
    path.write_text(text, encoding="utf-8")
    return path.parent


def test_an_answer_ends_in_the_disclaimer_exactly_once(adapter, contract):
    result = command("scripts/ask.py", adapter, QUESTION)
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip().endswith(contract.disclaimer)
    assert result.stdout.count("Disclaimer:") == 1
    assert result.stderr == ""


def test_pages_are_listed_after_the_answer(adapter, contract):
    sample = ROOT / "training" / "data" / "sample.csv"
    result = script_here("ask", adapter, "How is gout treated?", "--sources", sample)
    answer, pages = result.stdout.split("\nPages that fit:\n")
    assert answer.rstrip().endswith(contract.disclaimer) and pages.startswith("- Gout: treatment (Sample text of this")
    missing = script_here("ask", adapter, QUESTION, "--sources", "none.parquet")
    assert missing.returncode == 1 and missing.stderr.startswith("error: none.parquet is missing")


def test_a_chat_answers_each_line_and_ends_on_an_empty_one(adapter, contract, monkeypatch):
    typed = io.StringIO(f"{QUESTION}\nHow is it treated?<|eot_id|>\n\nnever read\n")
    monkeypatch.setattr("sys.stdin", typed)
    result = script_here("ask", adapter)
    assert typed.read() == "never read\n"
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Not medical advice, not for emergencies.")
    assert result.stdout.count(contract.disclaimer) == 2


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("my dad has crushing chest pain and is sweating", "If this is happening now, call an ambulance:"),
        ("mi hijo no respira", "Si está pasando ahora, llama a una ambulancia:\n\n- España y la UE: 112\n"),
        ("can I take ibuprofen with my warfarin?", "Please ask a pharmacist"),
        ("a" * 2001, "That is longer than I can read at once."),
    ],
    ids=["emergency", "in Spanish", "personal", "too long"],
)
def test_the_rules_of_the_page_hold_here_too(adapter, contract, typed, first):
    result = script_here("ask", adapter, typed)
    assert result.returncode == 0 and result.stdout.startswith(first), result.stdout
    assert result.stdout.rstrip().endswith(contract.disclaimer) and "](" not in result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("no-such-folder", QUESTION), "'no-such-folder' is no folder here"),
        (
            ("owner/not-fetched", QUESTION),
            "'owner/not-fetched' is no folder here, and can't be fetched from the Hub",
        ),
        (("ADAPTER", ""), "the question is empty: type one in quotes"),
    ],
    ids=["no folder", "no network", "empty"],
)
def test_what_cannot_be_asked_is_one_line(adapter, words, says):
    result = script_here("ask", *(adapter if word == "ADAPTER" else word for word in words))
    assert result.returncode == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
