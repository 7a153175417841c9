from collections import Counter, defaultdict

import pandas as pd
import pytest

from training.configs import DEMO
from training.data.medquad import Record, load_rows, validate
from training.data.splits import (
    BOILERPLATE,
    diseases,
    group_records,
    leakage,
    long_sentences,
    ngrams,
    normal,
    split_records,
    templated_disease,
)


def record(key: str, question: str, answer: str | None = None) -> Record:
    return Record(key, question, answer or f"Answer {key}.", "information")


@pytest.fixture(scope="module")
def sample() -> list[Record]:
    return validate(load_rows(DEMO.dataset, ""))[0]


@pytest.mark.parametrize(
    ("question", "disease"),
    [
        ("What is (are) Gout ?", "gout"),
        ("Who is at risk for Gout? ?", "gout"),
        ("what research (or clinical trials) is being done for Gout ?", "gout"),
        ("Is Cystic Fibrosis inherited ?", "cystic fibrosis"),
        ("How many people are affected by 22q11.2 deletion syndrome ?", "22q11.2 deletion syndrome"),
        ("Where can I find help?", None),
    ],
)
def test_the_disease_is_read_from_the_template(question, disease):
    assert templated_disease(question) == disease


def test_questions_on_one_disease_share_a_group_however_it_is_written():
    groups = group_records(
        [
            record("a", "What is (are) Crohn's Disease ?"),
            record("b", "What causes Crohn Disease (CD) ?"),
            record("c", "what is crohn's disease?"),
            record("d", "What causes Gout ?"),
        ]
    )
    assert groups["a"] == groups["b"] == groups["c"] == "a"
    assert groups["d"] == "d"


def test_a_question_in_no_template_joins_the_disease_that_it_mentions():
    named = diseases([record("a", "what is botulism?"), record("b", "how can the spread of botulism be prevented?")])
    assert named["a"] == named["b"] == "botulism"


def test_a_shared_answer_joins_groups_unless_it_is_boilerplate():
    few = [record(str(n), f"What causes Disease{n}x ?", "The same.") for n in range(BOILERPLATE)]
    many = [record(str(n), f"What causes Disease{n}x ?", "The same.") for n in range(BOILERPLATE + 1)]
    assert len(set(group_records(few).values())) == 1
    assert len(set(group_records(many).values())) == BOILERPLATE + 1


@pytest.mark.parametrize("how", ["grouped", "random"])
def test_every_record_stands_in_one_split_and_the_order_of_rows_does_not_matter(sample, how):
    splits, groups = split_records(sample, how, 42)
    assert Counter(r.id for members in splits.values() for r in members) == Counter(r.id for r in sample)
    assert split_records(sample[::-1], how, 42)[1] == groups
    assert {n: {r.id for r in m} for n, m in split_records(sample[::-1], how, 42)[0].items()} == {
        n: {r.id for r in m} for n, m in splits.items()
    }
    assert split_records(sample, how, 43)[0] != splits


def test_the_sample_splits_80_10_10_and_no_group_stands_on_two_sides(sample):
    splits, groups = split_records(sample, "grouped", 42)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(len(splits[name]) / len(sample) - share) <= 0.01
    sides = defaultdict(set)
    for name, members in splits.items():
        for member in members:
            sides[groups[member.id]].add(name)
    assert all(len(names) == 1 for names in sides.values())
    assert len(splits["test"]) >= 60


def test_a_random_split_is_exact(sample):
    splits, _ = split_records(sample, "random", 42)
    assert (len(splits["test"]), len(splits["validation"])) == (len(sample) // 10, len(sample) // 10)


def test_too_few_records_are_an_error_that_says_how_many_it_takes():
    with pytest.raises(ValueError, match="give at least 30 records"):
        split_records([record("a", "What causes Gout ?")], "grouped", 1)


def test_leakage_is_what_it_is_by_hand():
    shared = "Gout is a painful disease of the joints of the foot."  # 11 words: four 8-grams, one long sentence
    train = [record("a", "What causes Gout ?", shared), record("b", "What causes Acne ?", "Acne answer.")]
    test = [
        record("c", "What causes  gout ?", shared),
        record("d", "What is (are) Mumps ?", "One two three four five six seven eight."),
    ]
    assert leakage({"train": train, "validation": [], "test": test}) == {
        "questions": 0.5,
        "answers": 0.5,
        "diseases": 0.5,
        "sentences of 8 words or more": 0.5,
        "8-grams of answers": 0.8,
    }


def test_long_sentences_and_ngrams_are_counted_in_words():
    assert long_sentences("Too short. One two three four five six seven eight.") == {
        "one two three four five six seven eight."
    }
    assert ngrams("a b c d e f g h i") == {"a b c d e f g h", "b c d e f g h i"}


@pytest.fixture(scope="module")
def real(real_medquad) -> tuple[pd.DataFrame, list[Record]]:
    rows = load_rows(str(real_medquad), "")
    return rows, validate(rows)[0]


def test_the_real_grouped_split_shares_no_disease_question_or_telling_answer_with_train(real, real_medquad):
    rows, records = real
    splits, _ = split_records(records, "grouped", 42)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(len(splits[name]) / len(records) - share) <= 0.01
    # the disease as the source recorded it, which the pipeline never sees
    focus = pd.read_parquet(real_medquad.with_name("provenance.parquet")).focus.str.lower().str.strip()
    disease_of = {normal(question): disease for question, disease in zip(rows.Question, focus, strict=True) if disease}
    tested = {disease_of.get(normal(r.question)) for r in splits["test"]} - {None}
    trained = {disease_of.get(normal(r.question)) for r in splits["train"]} - {None}
    assert len(tested) > 400
    assert not tested & trained
    told_of = defaultdict(set)
    for member in records:
        question = normal(member.question)
        told_of[member.answer].add(disease_of.get(question, question))  # a few documents name no disease
    shared = {r.answer for r in splits["test"]} & {r.answer for r in splits["train"]}
    assert all(len(told_of[answer]) > BOILERPLATE for answer in shared)
    report = leakage(splits)
    assert (report["questions"], report["diseases"]) == (0, 0)


def test_the_real_random_split_leaks_as_much_as_was_measured_elsewhere(real):
    splits, _ = split_records(real[1], "random", 42)
    report = leakage(splits)
    assert 0.16 < report["questions"] < 0.20
    assert 0.75 < report["diseases"] < 0.90
    assert 0.25 < report["sentences of 8 words or more"] < 0.36
