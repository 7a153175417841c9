"""What must not be shown of an answer, and that the rest is shown: markup, loops, unsafe sentences, disclaimers."""

import csv

import pytest

from space import output_checks

DISCLAIMER = "Disclaimer: Consult a healthcare professional for medical advice"


def checked(answer: str, cut: bool = False) -> str:
    return output_checks.checked(answer, DISCLAIMER, cut)


GOOD = "Asthma is a disease of the airways. See a doctor if it gets worse."


def test_a_good_answer_is_left_alone():
    listed = (
        "Symptoms include:\n- cough\n- wheezing, e.g. at night\n\nSee Dr. Smith's clinic in an emergency, or call 911."
    )
    normal = "Normal glucose is 70-99 mg/dL. Adults need 25 g of fiber. About 1 in 500 people have it since 1990-1995."
    for answer in (GOOD, listed, normal):
        assert checked(answer) == answer


@pytest.mark.parametrize(
    "bad",
    [
        "Take 500 mg of paracetamol twice a day.",
        "Use 2 puffs every four hours.",
        "Give two tablets at night.",
        "Take 5-10 ml of the syrup.",
        "Call 1-800-555-0199 for help.",
        "The clinic's number is (020) 7946 0123.",
        "Read more at https://example.com/asthma.",
        "See www.example.org for details.",
        "You have nothing to worry about.",
        "You don't need to see a doctor.",
        "It is completely safe.",
        "As a doctor, I recommend rest.",
        "I am a licensed physician.",
        "In my practice this is common.",
        "I'm a real person.",
    ],
)
def test_a_sentence_that_must_not_be_shown_is_dropped_and_the_rest_stays(bad):
    first, last = GOOD.split(". ")
    assert checked(f"{first}. {bad} {last}") == GOOD


@pytest.mark.parametrize(
    "written",
    [
        DISCLAIMER,
        f"{DISCLAIMER}.",
        f"{DISCLAIMER}. {DISCLAIMER}",
        "Disclaimer: This is for informational purposes only.",
        "This is not medical advice.",
        "I am not a doctor.",
        "As an AI language model, I cannot give medical advice.",
        "This information is not intended to replace professional medical advice.",
    ],
)
def test_no_disclaimer_of_the_model_is_left(written):
    assert checked(f"{GOOD} {written}") == GOOD
    assert checked(f"{written}\n\n{GOOD}") == GOOD


@pytest.mark.parametrize("length", [12, 30, len(DISCLAIMER) - 1])
def test_a_disclaimer_cut_short_is_removed_too(length):
    assert checked(f"{GOOD} {DISCLAIMER[:length]}") == GOOD


def test_loops_are_cut():
    assert checked(f"{GOOD} It may cause the heart to fail and " + "the heart to fail and " * 20) == GOOD
    assert checked(f"{GOOD} pain " + "pain " * 50) == GOOD
    assert checked(f"{GOOD} {GOOD} {GOOD}") == GOOD
    assert (
        checked("It can be caused by pollen. It can be caused by dust.")
        == "It can be caused by pollen. It can be caused by dust."
    )


def test_a_cut_answer_ends_in_a_full_sentence_and_says_so():
    assert checked(f"{GOOD} It may also be caused by the", cut=True) == f"{GOOD}\n\n{output_checks.CUT}"
    assert checked("- cough\n- wheezing\n- short", cut=True) == f"- cough\n- wheezing\n\n{output_checks.CUT}"
    assert checked(GOOD, cut=True).startswith(GOOD)
    assert "Dr." not in checked(f"{GOOD} Ask Dr.", cut=True)


def test_an_answer_of_which_nothing_is_left_says_so():
    for answer in ("", "   ", "Take 500 mg twice a day.", "<script>alert(1)</script>", DISCLAIMER):
        assert checked(answer) == output_checks.NOTHING_LEFT


def test_markup_is_shown_as_text_or_dropped_and_never_loaded():
    dirty = (
        '![x](http://evil.example/a.png)<img src="http://evil.example/b.png" onerror=alert(1)> Asthma <b>is</b> '
        "a disease."
        "<script>fetch('http://evil.example')</script> It is [common](javascript:alert(1)).\u202e &lt;iframe src=x&gt;"
    )
    assert output_checks.plain_text(dirty) == "Asthma is a disease. It is common."
    assert (
        output_checks.plain_text("p < 0.05 and a <b, 3 > 2; **bold** stays")
        == "p < 0.05 and a <b, 3 > 2; **bold** stays"
    )


def test_real_answers_keep_most_of_their_text(real_medquad):
    with real_medquad.open(encoding="utf-8", newline="") as file:
        answers = [row["Answer"] for row in csv.DictReader(file)][::40]
    kept = [len(checked(answer)) / max(len(output_checks.plain_text(answer)), 1) for answer in answers]
    assert sum(kept) / len(kept) > 0.85
