from collections import Counter, defaultdict

import pandas as pd
import pytest
from conftest import SHARED

from training.configs import DEMO
from training.data.load import Record, Row, load_rows, validate
from training.data.splits import (
    BOILERPLATE,
    find_subjects,
    group_records,
    leakage,
    ngrams,
    normal,
    separation,
    split_records,
    templated_disease,
)
from training.datasets import Columns, columns_of


def record(key: str, question: str, answer: str | None = None, subject: str = "") -> Record:
    return Record(key, question, answer or f"Answer {key}.", "information", subject)


def grouped(records: list[Record], column: str = "") -> dict[str, str]:
    return group_records(records, find_subjects(records, column))


def split(records: list[Record], how: str, seed: int, column: str = ""):
    return split_records(records, find_subjects(records, column), how, seed)


def claim(records: list[Record], how: str, column: str = "") -> dict:
    subjects = find_subjects(records, column)
    splits, _ = split_records(records, subjects, how, 42)
    return separation(records, subjects, how, leakage(splits, subjects))


@pytest.fixture(scope="module")
def sample() -> list[Record]:
    return validate(load_rows(DEMO.dataset, "", columns_of(DEMO)))[0]


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
    groups = grouped(
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
    subjects = find_subjects(
        [record("a", "what is botulism?"), record("b", "how can the spread of botulism be prevented?")]
    )
    assert subjects.of["a"] == subjects.of["b"] == "botulism"
    assert not subjects.known, "a guess"


def test_a_question_that_mentions_a_templated_disease_is_known_to_be_about_it():
    subjects = find_subjects(
        [record("a", "What causes Gout ?"), record("b", "Is my gout bad?"), record("c", "Why me?")]
    )
    assert subjects.of["a"] == subjects.of["b"] == "gout"
    assert subjects.known == {"a", "b"}
    assert subjects.share([record(key, "") for key in "abc"]) == 0.6667


def test_the_longest_disease_that_a_question_mentions_counts_and_only_as_whole_words():
    asked = [record("a", "What causes Gout ?"), record("b", "What causes Tophaceous Gout ?")]
    asked += [record("c", "Does tophaceous gout hurt?"), record("d", "Is goutweed a herb?")]
    subjects = find_subjects(asked)
    assert subjects.of["c"] == subjects.of["b"] != subjects.of["a"]
    assert "d" not in subjects.known


def test_a_column_of_subjects_groups_whatever_the_questions_say():
    asked = [record("a", "Does it hurt?", subject="gout"), record("b", "Now what?", subject="gout")]
    asked += [record("c", "What causes Acne ?", subject="skin"), record("d", "What causes Mumps ?", subject="skin")]
    groups = grouped(asked, "topic")
    assert groups == {"a": "a", "b": "a", "c": "c", "d": "c"}


def test_a_column_of_subjects_still_joins_equal_questions_and_telling_answers():
    asked = [record("a", "Does it hurt?", subject="gout"), record("b", "does it  hurt", subject="acne")]
    asked += [record("c", "Why?", "The same.", "mumps"), record("d", "Who?", "The same.", "measles")]
    groups = grouped(asked, "topic")
    assert groups["a"] == groups["b"]
    assert groups["c"] == groups["d"]


def test_where_no_disease_is_known_however_many_questions_share_an_answer_stay_together():
    asked = [record(str(n), f"Way {n} to ask one thing", "The same.") for n in range(BOILERPLATE + 5)]
    assert len(set(grouped(asked).values())) == 1


def own_questions(count: int = 40) -> list[Row]:
    """Three questions on each of so many made-up diseases, in no template of MedQuAD's."""
    asked = ("My mother has {}, can you explain it?", "Does {} hurt?", "I think I caught {}. Now what?")
    names = [f"Alv{'abcdefgh'[n % 8]}{'klmnp'[n // 8]}itis" for n in range(count)]
    return [Row(text.format(name), f"{name} {part}.", "faq", name) for name in names for part, text in enumerate(asked)]


def test_nothing_is_claimed_where_the_diseases_are_not_recognised():
    records = validate([row._replace(group="") for row in own_questions()])[0]
    found = claim(records, "grouped")
    assert (found["known"], found["by"]) == (0, "question templates")
    assert "is known of only 0.0% of all questions, so it is not established" in found["claim"]
    assert claim(records, "random")["claim"] == found["claim"]
    subjects = find_subjects(records)
    assert "diseases" not in leakage(split(records, "grouped", 42)[0], subjects), "an unknown share is no 0 %"


def test_with_a_column_of_subjects_the_claim_is_made_and_true():
    records = validate(own_questions())[0]
    found = claim(records, "grouped", "disease_name")
    assert found["known"] == 1
    assert found["claim"] == "no `disease_name` of which stands in train"
    splits, _ = split(records, "grouped", 42, "disease_name")
    sides = [{record.subject for record in splits[name]} for name in ("train", "test")]
    assert sides[1]
    assert not sides[0] & sides[1]
    assert leakage(splits, find_subjects(records, "disease_name"))["values of `disease_name`"] == 0


def test_a_random_split_says_how_many_diseases_stand_on_both_sides():
    records = validate(own_questions())[0]
    assert "% of whose values of `topic` also stand in train" in claim(records, "random", "topic")["claim"]


def test_the_sample_and_most_of_a_mixture_are_told_apart(sample):
    assert claim(sample, "grouped")["claim"] == "no disease of which stands in train"
    mixed = sample + validate([row._replace(group="") for row in own_questions(10)])[0]
    assert "not established" in claim(mixed, "grouped")["claim"]


def test_the_shared_case_of_own_questions_claims_nothing():
    path = SHARED / "cases" / "own_questions.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert "not established" in claim(validate(load_rows(str(path), "", Columns()))[0], "grouped")["claim"]


def test_a_shared_answer_joins_groups_unless_it_is_boilerplate():
    few = [record(str(n), f"What causes Disease{n}x ?", "The same.") for n in range(BOILERPLATE)]
    many = [record(str(n), f"What causes Disease{n}x ?", "The same.") for n in range(BOILERPLATE + 1)]
    assert len(set(grouped(few).values())) == 1
    assert len(set(grouped(many).values())) == BOILERPLATE + 1


@pytest.mark.parametrize("how", ["grouped", "random"])
def test_every_record_stands_in_one_split_and_the_order_of_rows_does_not_matter(sample, how):
    splits, groups = split(sample, how, 42)
    assert Counter(r.id for members in splits.values() for r in members) == Counter(r.id for r in sample)
    assert split(sample[::-1], how, 42)[1] == groups
    assert {n: {r.id for r in m} for n, m in split(sample[::-1], how, 42)[0].items()} == {
        n: {r.id for r in m} for n, m in splits.items()
    }
    assert split(sample, how, 43)[0] != splits


def test_the_sample_splits_80_10_10_and_no_group_stands_on_two_sides(sample):
    splits, groups = split(sample, "grouped", 42)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(len(splits[name]) / len(sample) - share) <= 0.01
    sides = defaultdict(set)
    for name, members in splits.items():
        for member in members:
            sides[groups[member.id]].add(name)
    assert all(len(names) == 1 for names in sides.values())
    assert len(splits["test"]) >= 60


def test_a_random_split_is_exact(sample):
    splits, _ = split(sample, "random", 42)
    assert (len(splits["test"]), len(splits["validation"])) == (len(sample) // 10, len(sample) // 10)


def test_too_few_records_are_an_error_that_says_how_many_it_takes():
    with pytest.raises(ValueError, match="give at least 30 records"):
        split([record("a", "What causes Gout ?")], "grouped", 1)


def test_leakage_is_what_it_is_by_hand():
    shared = "Gout is a painful disease of the joints of the foot."  # 11 words: four 8-grams
    train = [record("a", "What causes Gout ?", shared), record("b", "What causes Acne ?", "Acne answer.")]
    test = [
        record("c", "What causes  gout ?", shared),
        record("d", "What is (are) Mumps ?", "One two three four five six seven eight."),
    ]
    assert leakage({"train": train, "validation": [], "test": test}, find_subjects(train + test)) == {
        "questions": 0.5,
        "answers": 0.5,
        "diseases": 0.5,
        "8-grams of answers": 0.8,
    }


def test_ngrams_are_counted_in_words():
    assert ngrams("a b c d e f g h i") == {"a b c d e f g h", "b c d e f g h i"}


@pytest.fixture(scope="module")
def real(real_medquad) -> tuple[list[Row], list[Record]]:
    rows = load_rows(str(real_medquad), "", Columns())
    return rows, validate(rows)[0]


def test_the_real_grouped_split_shares_no_disease_question_or_telling_answer_with_train(real, real_medquad):
    rows, records = real
    splits, _ = split(records, "grouped", 42)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(len(splits[name]) / len(records) - share) <= 0.01
    # the disease as the source recorded it, which the pipeline never sees
    focus = pd.read_parquet(real_medquad.with_name("provenance.parquet")).focus.str.lower().str.strip()
    disease_of = {normal(row.question): disease for row, disease in zip(rows, focus, strict=True) if disease}
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
    report = leakage(splits, find_subjects(records))
    assert (report["questions"], report["diseases"]) == (0, 0)


@pytest.mark.slow
def test_the_real_random_split_leaks_as_much_as_was_measured_elsewhere(real):
    splits, _ = split(real[1], "random", 42)
    report = leakage(splits, find_subjects(real[1]))
    assert 0.16 < report["questions"] < 0.20
    assert 0.75 < report["diseases"] < 0.90
    assert 0.30 < report["8-grams of answers"] < 0.40


def test_lavitas_form_of_the_real_data_is_grouped_by_its_own_column(real_medquad):
    path = real_medquad.with_name("full.parquet")
    columns = Columns("question", "answer", "question_type", "question_focus")
    rows = load_rows(str(path), "", columns)
    records, dropped, _ = validate(rows)
    assert len(rows) == len(records) + sum(dropped.values()) == 47_441
    assert sum(count for reason, count in dropped.items() if reason.startswith("no answer")) == 31_034
    splits, _ = split(records, "grouped", 42, columns.group)
    tested, trained = ({r.subject for r in splits[name]} - {""} for name in ("test", "train"))
    assert len(tested) > 400
    assert not tested & trained
    assert claim(records, "grouped", columns.group)["claim"] == "no `question_focus` of which stands in train"
