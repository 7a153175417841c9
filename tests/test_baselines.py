"""Baselines know no medicine, depend on seed and texts alone, and are what their names say."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from space.contract import load_contract
from space.prompt import with_disclaimer, without_disclaimer
from training.configs import CONTRACT
from training.scoring.baselines import baselines, nearest_answers, swap_name, template_copies
from training.scoring.report import system_texts
from training.scoring.rouge import rouge_scores

contract = load_contract(CONTRACT)
SAMPLE = Path(__file__).parents[1] / "training" / "data" / "sample.csv"


def record(key: str, question: str, answer: str = "", qtype: str = "symptoms") -> dict[str, str]:
    return {"id": key, "question": question, "answer": answer, "qtype": qtype, "group": key}


TRAIN = [
    record("a", "What are the symptoms of Gout ?", "Gout hurts. In gout, joints swell; goutier days pass."),
    record("b", "What causes Asthma ?", "Asthma comes from inflamed airways.", "causes"),
    record("c", "How to prevent Measles ?", "A vaccine prevents measles.", "prevention"),
]


def sample() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Nine tenths of the embedded sample as train, every tenth row as test."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = [
            record(f"{number:04}", row["Question"], row["Answer"], row["qtype"])
            for number, row in enumerate(csv.DictReader(file))
        ]
    return [row for row in rows if int(row["id"]) % 10], rows[::10]


def test_there_are_four_baselines_with_one_answer_a_question():
    train, test = sample()
    found = baselines(train, test, contract, seed=42)
    assert list(found) == [
        "disclaimer only", "random training answer", "template copier", "nearest training question",
    ]  # fmt: skip
    assert all(len(answers) == len(test) for answers in found.values())


def test_the_disclaimer_only_is_nothing_once_the_disclaimer_is_taken_off():
    _, test = sample()
    answers = baselines(TRAIN, test, contract, seed=0)["disclaimer only"]
    references = [row["answer"] for row in test]
    assert set(answers) == {contract.disclaimer}
    bare = rouge_scores([without_disclaimer(text, contract) for text in answers], references)
    full = rouge_scores(answers, [with_disclaimer(text, contract) for text in references])
    assert all(f1.max() == 0 for f1 in bare.values())
    assert all(f1.min() > 0 for f1 in full.values())


def test_random_answers_come_from_train_and_vary():
    train, test = sample()
    answers = baselines(train, test, contract, seed=42)["random training answer"]
    assert set(answers) <= {row["answer"] for row in train}
    assert max(Counter(answers).values()) < len(test) / 10


def test_the_template_copier_puts_the_disease_asked_about_into_an_answer_of_the_same_type():
    test = [record("x", "What are the symptoms of Lyme Disease ?")]
    assert template_copies(TRAIN, test, seed=0) == [
        "lyme disease hurts. In lyme disease, joints swell; goutier days pass."
    ]


def test_the_template_copier_only_takes_answers_whose_disease_is_known_where_the_type_has_one():
    train = [*TRAIN, *(record(f"f{n}", "Why do my knees hurt at night?", "Ask.") for n in range(50))]
    test = [record(f"x{n}", "What are the symptoms of Flu ?") for n in range(20)]
    assert set(template_copies(train, test, seed=0)) == {"flu hurts. In flu, joints swell; goutier days pass."}


def test_a_type_that_train_lacks_or_a_question_in_no_template_still_gets_an_answer():
    unknown_type = [record(f"x{n}", "What is the outlook for Flu ?", qtype="outlook") for n in range(30)]
    swapped = set(template_copies(TRAIN, unknown_type, seed=0))
    assert "flu comes from inflamed airways." in swapped and "A vaccine prevents flu." in swapped
    free = [record("x", "My leg itches, why?")]
    assert template_copies(TRAIN, free, seed=0) == [TRAIN[0]["answer"]]


@pytest.mark.parametrize(
    ("answer", "old", "new", "expected"),
    [
        ("GOUT and gout's", "gout", "flu", "flu and flu's"),
        ("goutier", "gout", "flu", "goutier"),
        ("CF (cf) stays", "cystic fibrosis (cf)", "flu", "CF (cf) stays"),
        ("Cystic Fibrosis (CF), then", "cystic fibrosis (cf)", "flu", "flu, then"),
        ("gout", "gout", r"a\1b", r"a\1b"),
    ],
)
def test_names_are_swapped_whole_in_any_case_and_literally(answer: str, old: str, new: str, expected: str):
    assert swap_name(answer, old, new) == expected


def test_the_nearest_training_question_answers():
    test = [
        record("x", "How can one prevent the measles?"),
        record("y", "Which things cause asthma in children?"),
    ]
    assert nearest_answers(TRAIN, test, seed=0) == [TRAIN[2]["answer"], TRAIN[1]["answer"]]


def test_equally_near_questions_and_questions_without_a_known_word_share_the_answers_out():
    train = [record(f"t{n}", "What are the symptoms of Gout ?", f"answer {n}") for n in range(5)]
    for question in ("What are the symptoms of Flu ?", "zzz", "?"):
        test = [record(f"x{n}", question) for n in range(60)]
        assert set(nearest_answers(train, test, seed=0)) == {f"answer {n}" for n in range(5)}


def test_baselines_depend_on_no_order_and_on_no_other_test_question():
    train, test = sample()
    whole = baselines(train, test, contract, seed=42)
    reversed_both = baselines(train[::-1], test[::-1], contract, seed=42)
    part = baselines(train, test[3:17], contract, seed=42)
    for name, answers in whole.items():
        assert reversed_both[name] == answers[::-1]
        assert part[name] == answers[3:17]


def test_another_seed_gives_other_random_answers_and_the_same_nearest():
    train, test = sample()
    one, other = (baselines(train, test, contract, seed) for seed in (1, 2))
    assert one["random training answer"] != other["random training answer"]
    assert one["template copier"] != other["template copier"]
    same = [a == b for a, b in zip(*(f["nearest training question"] for f in (one, other)), strict=True)]
    assert sum(same) > len(test) / 4  # the rest are ties


def test_baselines_say_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]):
    train, test = sample()
    baselines(train, test, contract, seed=42)
    assert capfd.readouterr() == ("", "")


def test_the_bases_answers_get_the_disclaimer_exactly_once():
    train, _ = sample()
    lines = [
        record(str(n), "What is (are) Flu ?") | {side: {"text": text} for side in ("base", "tuned")}
        for n, text in enumerate(["Rest.", f"Rest. {contract.disclaimer}", ""])
    ]
    texts = system_texts(lines, train, contract, seed=0)
    assert texts["base + disclaimer"] == [f"Rest.\n\n{contract.disclaimer}"] * 2 + [contract.disclaimer]
    assert texts["base"] == [line["base"]["text"] for line in lines]
