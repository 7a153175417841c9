"""The embedded sample: large enough, in the data set's form, and free of what must not stand in it."""

import re
from collections import Counter, defaultdict

import pytest

from training.configs import DEMO
from training.data.load import load_rows, validate
from training.data.splits import templated_disease
from training.datasets import columns_of

QTYPES = {
    "information", "symptoms", "treatment", "inheritance", "frequency", "genetic changes", "causes", "exams and tests",
    "research", "outlook", "susceptibility", "considerations", "prevention", "stages", "complications",
    "support groups",
}  # fmt: skip


@pytest.fixture(scope="module")
def records():
    records, dropped, _ = validate(load_rows(DEMO.dataset, "", columns_of(DEMO)))
    assert not dropped
    return records


def test_the_sample_is_large_enough_and_uses_every_question_type(records):
    assert len(records) >= 640
    by_disease = defaultdict(set)
    for record in records:
        by_disease[templated_disease(record.question)].add(record.qtype)
    assert None not in by_disease, "every question is one of the templates"
    assert len(by_disease) >= 80
    assert all(len(qtypes) >= 6 for qtypes in by_disease.values())
    assert {record.qtype for record in records} == QTYPES


def test_no_answer_or_sentence_is_used_twice(records):
    sentences = Counter(s for r in records for s in set(re.split(r"(?<=[.!?])\s+", r.answer)))
    assert max(sentences.values()) == 1
    assert len({record.answer for record in records}) == len(records)


@pytest.mark.parametrize(
    "pattern",
    [r"\d+\s?(mg|mcg|ml|milligrams?|IU)\b", r"https?:|www\.", r"\d{3}[-.\s]\d{4}", r"[Dd]isclaimer", r"[^\x00-\x7f]"],
    ids=["dose", "link", "phone number", "disclaimer", "not ASCII"],
)
def test_no_answer_holds_what_a_model_must_not_learn_to_say(records, pattern):
    assert [record.answer for record in records if re.search(pattern, record.answer)] == []


def test_answers_are_of_a_leaflets_length(records):
    assert all(40 <= len(record.answer.split()) <= 100 for record in records)
