"""What answers are like: each rate on answers whose rate is known by hand."""

import socket
from typing import Any

import pytest

from space.contract import load_contract
from training.configs import CONTRACT
from training.scoring import report
from training.scoring.report import NOVEL, median_grade, overlap, repeated, same_as_another, words

contract = load_contract(CONTRACT)
TEN = "one two three four five six seven eight nine ten"
TRAIN = [
    {"id": "t1", "question": "What is (are) Gout ?", "answer": TEN, "qtype": "information", "group": "t1"},
    {
        "id": "t2",
        "question": "Is Gout inherited ?",
        "answer": "Not known.",
        "qtype": "inherited",
        "group": "t1",
    },
]


def line(number: int, tuned: str, reference: str = "a b c d", ended: bool = True) -> dict[str, Any]:
    return {
        "id": str(number),
        "question": f"What causes disease {number} ?",
        "qtype": "causes",
        "group": str(number),
        "reference": reference,
        "base": {"text": "base", "tokens": 1, "ended": False},
        "tuned": {"text": tuned, "tokens": 1, "ended": ended},
    }


def rates(*given: Any, reference_tokens: tuple[int, ...] = ()) -> dict[str, Any]:
    return report.rates(*given, reference_tokens)


def counted(rate: dict[str, Any]) -> tuple[int, int]:
    return rate["k"], rate["n"]


def test_rates_count_what_each_answer_does():
    lines = [
        line(0, f"{TEN}.\n\n{contract.disclaimer}"),  # a copy of a training answer, with the disclaimer
        line(1, "Rest.", ended=False),
        line(2, "rest"),  # the same words as the one before, to another question
        line(3, "It hurts. It hurts. It hurts."),
    ]
    found = rates(lines, "tuned", TRAIN, contract)
    assert counted(found["disclaimer as generated"]) == (1, 4)
    assert counted(found["ended by itself"]) == (3, 4)
    assert counted(found["copy of a training answer"]) == (1, 4)
    assert counted(found["same answer to another question"]) == (2, 4)
    assert found["8-grams found in train"] == pytest.approx(1 / 4)
    assert found["length ratio, in words"] == pytest.approx((10 + 1 + 1 + 6) / 16)
    # "it hurts it hurts it hurts" has 3 runs of 4 words, 2 of them different; the disclaimer repeats nothing
    assert found["4-grams repeated in the answer"] == pytest.approx((1 / 3) / 4)
    assert found["ended, where the reference fits"] is None


def test_the_other_side_is_counted_on_its_own():
    found = rates([line(0, "Rest."), line(1, "Drink.")], "base", TRAIN, contract)
    assert counted(found["ended by itself"]) == (0, 2)
    assert counted(found["same answer to another question"]) == (2, 2)


def test_references_can_be_counted_to_compare_with():
    lines = [line(0, "", reference="Not known!"), line(1, "", reference=TEN)]
    found = rates(lines, "reference", TRAIN, contract)
    assert counted(found["copy of a training answer"]) == (2, 2)
    assert found["length ratio, in words"] == 1
    assert found["ended by itself"] is None


def test_only_answers_whose_reference_fits_are_asked_to_end():
    limit = contract.decoding.max_new_tokens
    lines = [line(0, "a", ended=True), line(1, "b", ended=False), line(2, "c", ended=False)]
    found = rates(lines, "tuned", TRAIN, contract, reference_tokens=(10, limit - 1, limit))
    assert counted(found["ended, where the reference fits"]) == (1, 2)  # the end token takes one of the limit
    found = rates(lines, "tuned", TRAIN, contract, reference_tokens=(limit, limit, limit))
    assert found["ended, where the reference fits"] is None


def test_the_disclaimer_counts_in_any_case_and_place_but_only_whole():
    shouted = contract.disclaimer.upper().replace(" ", "\n") + " And rest."
    lines = [line(0, shouted), line(1, contract.disclaimer.rsplit(" ", 1)[0])]
    assert counted(rates(lines, "tuned", TRAIN, contract)["disclaimer as generated"]) == (1, 2)


def test_an_empty_answer_is_no_copy_and_has_no_repetition():
    found = rates([line(0, ""), line(1, "...")], "tuned", [*TRAIN, TRAIN[0] | {"answer": "—"}], contract)
    assert counted(found["copy of a training answer"]) == (0, 2)
    assert found["4-grams repeated in the answer"] == found["8-grams found in train"] == 0
    assert counted(found["same answer to another question"]) == (2, 2)


def test_repeated_4grams_are_the_share_that_stood_before():
    assert repeated(list("abcde")) == 0
    assert repeated(list("aaaaaa")) == pytest.approx(2 / 3)
    assert repeated(list("ab")) == 0


def test_the_same_answer_to_the_same_question_asked_twice_is_no_self_agreement():
    answers = [["rest"], ["rest"], ["drink"], ["drink"]]
    questions = ["What causes gout?", "what causes  Gout ?", "What causes flu?", "What causes colds?"]
    assert same_as_another(answers, questions) == [False, False, True, True]


def test_overlap_is_the_share_of_a_texts_8grams_in_train():
    # twelve words have five 8-grams; the first three (words 1-8, 2-9, 3-10) stand in train
    assert overlap([f"{TEN} x y"], [TEN]) == pytest.approx([3 / 5])
    assert overlap([TEN.upper().replace(" ", ", ")], [TEN]) == pytest.approx([1])
    assert overlap(["one two three four five six seven"], [TEN]) == pytest.approx([0])
    assert overlap(["Not known!", "not known yet", ""], ["not known"]).tolist() == [1, 0, 0]


def test_the_novel_part_is_what_shares_less_than_a_fifth():
    long = [f"n{number}" for number in range(10)]
    references = [
        TEN,  # all in train
        " ".join(TEN.split()[:8] + long[:3]),  # 1 of 4 in train
        " ".join(TEN.split()[:8] + long[:4]),  # 1 of 5: just not under 0.2
        " ".join(TEN.split()[:8] + long[:5]),  # 1 of 6
        " ".join(long),
    ]
    assert (overlap(references, [TEN]) < NOVEL).tolist() == [False, False, False, True, True]


def test_words_are_lower_case_without_punctuation():
    assert words("Don't PANIC, it's α-1!") == ["don", "t", "panic", "it", "s", "α", "1"]


def test_the_grade_is_the_median_and_needs_no_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_):
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    easy = "The cat sat on the mat."  # 6 words and syllables in 1 sentence: .39 * 6 + 11.8 - 15.59 = -1.45
    hard = "Epidemiological investigations demonstrated considerable heterogeneity of immunodeficiencies."
    assert median_grade([easy]) == pytest.approx(-1.45, abs=0.01)
    assert median_grade([easy, easy, hard]) == median_grade([easy])
    assert median_grade([hard]) > 20
    assert median_grade([easy, "", "12 - 50%"]) == median_grade([easy])  # no word, no grade
    assert median_grade(["", "..."]) is None
