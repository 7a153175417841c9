"""Facts are found where texts state them and nowhere else, and every figure made of them is known by hand here."""

import json

import fact_labels
import pytest

from training.scoring.facts import (
    AGREEMENT,
    KINDS,
    MAJORITY,
    NEAREST,
    fact_texts,
    facts_sentence,
    frequencies,
    genes,
    outcome,
    patterns,
    same_pattern,
    score_facts,
    within_factor_two,
)
from training.scoring.intervals import wilson


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Mutations in the CFTR gene cause cystic fibrosis.", {"CFTR"}),
        ("It is caused by HTT mutations.", {"HTT"}),
        ("It results from changes in BRCA1, BRCA2, or PALB2.", {"BRCA1", "BRCA2", "PALB2"}),
        ("At least four genes, PTEN, SDHB, SDHD, and KLLN, take part.", {"PTEN", "SDHB", "SDHD", "KLLN"}),
        ("The dystrophin (DMD) gene is on the X chromosome.", {"DMD"}),
        ("The gene responsible on chromosome 4 is **FGFR3**.", {"FGFR3"}),
        ("The TSC1/TSC2 genes and the C9orf72 gene.", {"TSC1", "TSC2", "C9orf72"}),
        ("The HLA-DQB1*06:02 variant of the HLA-DQB1 gene.", {"HLA-DQB1"}),
        ("A mutation in the mitochondrial gene MT-TK.", {"MT-TK"}),
        ("The CDC73 gene (also known as the HRPT2 gene).", {"CDC73"}),
    ],
)
def test_genes_are_found_by_the_words_around_their_symbols(text: str, named: set[str]):
    assert genes(text) == named


@pytest.mark.parametrize(
    "text",
    [
        "Changes in DNA and RNA lower the level of ATP.",
        "People with ALS or SMA, and genes associated with CVID.",
        "The TRAP enzyme and the BMP receptor work together.",
        "HLA genes belong to a family.",
        "A gene on chromosome 15 provides instructions for making a protein called PDK1.",
        "MAPK signaling changes.",
        "No gene has been identified.",
    ],
)
def test_other_words_in_capitals_are_no_genes(text: str):
    assert genes(text) == set()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("It is inherited in an autosomal recessive pattern.", {"autosomal recessive"}),
        ("Autosomal-dominant inheritance.", {"autosomal dominant"}),
        ("An autosomal codominant pattern.", {"autosomal codominant"}),
        ("It can be autosomal dominant or recessive.", {"autosomal dominant", "autosomal recessive"}),
        ("X-linked dominant. Fathers cannot pass X-linked traits to their sons.", {"X-linked dominant"}),
        ("An X-linked pattern.", {"X-linked"}),
        ("A mitochondrial pattern, also known as maternal inheritance.", {"mitochondrial"}),
        ("It changes mitochondrial DNA, and one copy is dominant.", set()),
        ("Most cases are not inherited.", set()),
    ],
)
def test_inheritance_patterns_are_found(text: str, named: set[str]):
    assert patterns(text) == named


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It affects 1 in 50,000 people.", ["1 in 50,000"]),
        ("One in every ten thousand newborns.", ["1 in 10,000"]),
        ("About 3 per 100,000 people, that is, 3 people out of 100 000.", ["1 in 33,330"]),
        ("3.6 cases per million people each year", ["1 in 277,800"]),
        ("1 in 4,000 to 1 in 5,000 males", ["1 in 4,000 to 5,000"]),
        ("1 in 1 to 2 million people", ["1 in 1,000,000 to 2,000,000"]),
        ("2 to 10 per 100,000", ["1 in 10,000 to 50,000"]),
        ("one person in a million, or 1:20000 elsewhere", ["1 in 1,000,000", "1 in 20,000"]),
        ("Between 3 and 4 percent of the adult population, 0.5% of women", ["1 in 200", "1 in 25 to 33.33"]),
        ("1 in 1,000 and, in other words, 0.1 percent of all people", ["1 in 1,000"]),
        ("It accounts for 4 percent of all newborns with jaundice.", []),
        ("20 percent of people with diabetes", []),
        ("It is one of a subgroup. It affects 1 in 500 people.1 It accounts for 1 in 9 cases.", ["1 in 500"]),
        ("This group of disorders affects 1 in 2,500 people.", []),
        ("Only 12 people in 3 families, 2 of them in 2004; about 70,000 Americans.", []),
        ("Each child has a 1 in 4 chance.", []),
        ("1 in 0 people, 5 in 2 people", []),
    ],
)
def test_frequencies_are_found_with_their_unit(text: str, found: list[str]):
    assert fact_texts(frequencies(text)) == found


def test_an_answer_caught_in_a_loop_names_one_fact_at_most():
    for loop in ("1,", "1 in ", "100 ", "GENE, ", "mutations in the A1 gene ", "1 in ten million people "):
        assert max(len(kind.find(loop * 1000)) for kind in KINDS.values()) <= 1


def test_a_frequency_is_right_within_a_factor_of_two():
    point, span = (1e-4, 1e-4), (1e-4, 1e-3)
    assert within_factor_two((5e-5, 2e-4), point)
    assert within_factor_two((1 / 20_000, 1 / 20_000), point) and within_factor_two((2e-4, 2e-4), point)
    assert not within_factor_two((4.9e-5, 4.9e-5), point) and not within_factor_two((2.1e-4, 2.1e-4), point)
    assert within_factor_two((3e-4, 3e-4), span)
    assert not within_factor_two((1e-6, 1e-1), span)  # a range that would hold anything


def test_plain_x_linked_agrees_with_both_of_its_forms_and_they_not_with_each_other():
    assert same_pattern("X-linked", "X-linked recessive") and same_pattern("X-linked dominant", "X-linked")
    assert not same_pattern("X-linked dominant", "X-linked recessive")
    assert not same_pattern("autosomal dominant", "autosomal recessive")


def test_an_answer_is_right_only_if_it_names_the_fact_and_no_other():
    outcomes = [outcome("genetic changes", named, {"A1"}) for named in ({"A1"}, {"B1"}, {"A1", "B1"}, set())]
    assert outcomes == ["right", "wrong", "several", "none"]


def gene(name: str) -> str:
    return f"Mutations in the {name} gene cause it."


def train_record(number: int, disease: str, answer: str, qtype: str) -> dict[str, str]:
    return {"id": f"t{number}", "question": f"What about {disease} ?", "qtype": qtype, "answer": answer}


TRAIN = [
    train_record(number, disease, answer, qtype)
    for number, (disease, answer, qtype) in enumerate(
        [
            ("red fever", gene("AAA1"), "genetic changes"),
            ("blue fever", gene("BBB1"), "genetic changes"),
            ("old fever", gene("BBB1"), "genetic changes"),
            ("green palsy", "Mutations in the CCC1 and DDD1 genes cause it.", "genetic changes"),
            ("red fever", "It affects 1 in 1,000 people.", "frequency"),
            ("blue fever", "It affects 1 in 1,500 people.", "frequency"),
            ("green palsy", "It affects 1 in 2,500 people.", "frequency"),
            ("old palsy", "Nobody knows.", "frequency"),
            ("red fever", gene("ZZZ9"), "causes"),
        ]
    )
]


def line(disease: str, reference: str, base: str, tuned: str, qtype: str = "genetic changes") -> dict:
    return {
        "id": f"{disease}:{qtype}",
        "question": f"What about {disease} ?",
        "qtype": qtype,
        "group": disease,
        "reference": reference,
        "base": {"text": base},
        "tuned": {"text": tuned},
    }


LINES = [
    line("red ague", gene("AAA1"), "Genes.", gene("AAA1")),  # nearest: red fever, right
    line("blue ague", gene("AAA1"), gene("AAA1"), gene("XXX1")),  # nearest: blue fever, wrong
    line("green ague", gene("BBB1"), "", "The\nBBB1\ngene."),  # nearest: green palsy, several
    line("old ague", gene("BBB1"), gene("BBB1") + gene("AAA1"), gene("BBB1")),  # nearest: old fever, right
    line("odd ague", "No gene is known.", "", gene("AAA1")),
    line("red ache", gene("AAA1") + gene("BBB1"), gene("AAA1"), gene("AAA1")),
    line("EEE1-related ache", gene("EEE1"), gene("EEE1"), gene("EEE1")),
    line("red ague", "It affects 1 in 3,000 people.", "1 in 2,000 people", "2 in 3,000 people", "frequency"),
    line("red ague", gene("AAA1"), gene("AAA1"), gene("AAA1"), "causes"),
]


def test_every_figure_of_constructed_answers_is_as_counted_by_hand():
    report, marks = score_facts(LINES, TRAIN, seed=0)
    part = report["gene"]
    assert (part["asked"], part["compared"]) == (7, 4)
    assert part["not compared"] == {"none": 1, "several": 1, "in the question": 1}
    counted = {name: [rate["k"] for rate in system.values()] for name, system in part["systems"].items()}
    assert counted == {  # right, wrong, several, none
        "base": [1, 0, 1, 2],
        "tuned": [3, 1, 0, 0],
        MAJORITY: [2, 2, 0, 0],  # always BBB1
        NEAREST: [2, 1, 1, 0],
    }
    assert part["systems"]["tuned"]["right"] == wilson(3, 4)
    gain = part["gains"]["gain of tuned over base"]
    assert (gain["mean"], gain["n"], gain["groups"]) == (0.5, 4, 4) and gain["low"] < 0.5 < gain["high"]
    assert (part["only base"], part["only tuned"]) == (1, 3)
    assert part["p"] == 2 * (1 + 4) / 16
    # 1 in 1,500 is within a factor of two of 1 in 1,000, 1 in 2,500 and the reference's 1 in 3,000
    assert [mark["compared"] for mark in marks[:7]] == ["yes"] * 4 + ["none", "several", "in the question"]
    assert marks[7][MAJORITY] == {"named": ["1 in 1,500"], "outcome": "right"}
    assert marks[7]["base"]["outcome"] == marks[7]["tuned"]["outcome"] == "right"
    assert marks[8] is None
    assert report["all"]["asked"] == 8 and report["all"]["compared"] == 5
    assert report["inheritance pattern"] == {"asked": 0, "compared": 0, "not compared": {}}
    assert report["sentence"] == "Tuned states **no more facts than its base**: 4 and 2 right of 5."


def test_the_figures_depend_on_no_order():
    forwards, marks = score_facts(LINES, TRAIN, seed=0)
    backwards, reversed_marks = score_facts(LINES[::-1], TRAIN[::-1], seed=0)
    assert reversed_marks == marks[::-1]
    assert backwards["gene"]["systems"] == forwards["gene"]["systems"]


def test_without_training_answers_of_a_type_its_baselines_name_nothing():
    report, _ = score_facts(LINES, [], seed=0)
    assert [report["all"]["systems"][name]["none"]["k"] for name in (MAJORITY, NEAREST)] == [5, 5]


def test_a_fact_that_the_question_tells_is_not_compared():
    told = line("X-linked ague", "It is X-linked recessive.", "", "It is X-linked.", "inheritance")
    free = line("old ague", "It is X-linked recessive.", "", "It is X-linked.", "inheritance")
    _, marks = score_facts([told, free], TRAIN, seed=0)
    assert [mark["compared"] for mark in marks] == ["in the question", "yes"]


def answered(base: list[str], tuned: list[str], truth: str = "NEW1") -> str:
    """The sentence on answers that name these genes, where training names AAA1 alone."""
    lines = [
        line(f"d{n}", gene(truth), gene(before), gene(after))
        for n, (before, after) in enumerate(zip(base, tuned, strict=True))
    ]
    return score_facts(lines, TRAIN[:1], seed=0)[0]["sentence"]


def test_the_sentence_follows_the_figures():
    ten, none = ["NEW1"] * 10, ["OLD1"] * 10
    learned = "Tuned **learned 10 facts more than its base** (of 10)"
    assert answered(none, ten) == f"{learned} and beats the {MAJORITY}."
    assert answered(none, ["AAA1"] * 10, truth="AAA1") == f"{learned} but does not beat the {MAJORITY}."
    assert answered(ten, none) == "Tuned **states 10 facts fewer than its base** (of 10)."
    assert answered(none, ten[:5] + none[5:]).startswith(
        "Tuned states **no more facts than its base**: 5 and 0"
    )  # p .06
    assert facts_sentence({"compared": 0}) == "No reference states exactly one fact to compare."


def test_the_facts_of_labelled_answers_are_found_as_reported(real_medquad):
    reported = json.loads(AGREEMENT.read_text(encoding="utf-8"))
    assert fact_labels.agreement(real_medquad) == reported


def test_nearly_all_labelled_facts_are_found_and_nearly_all_found_are_labelled():
    reported = json.loads(AGREEMENT.read_text(encoding="utf-8"))
    for labels, number, least in (("development", 60, 0.9), ("independent", 40, 0.8)):
        assert set(reported[labels]) == {kind.name for kind in KINDS.values()}
        assert min(rate["share"] for rates in reported[labels].values() for rate in rates.values()) > least
        assert all(len(cases) == number for cases in fact_labels.read_labels(fact_labels.LABELS[labels]).values())


def test_two_people_label_an_answer_alike():
    independent, development = (fact_labels.read_labels(path) for path in fact_labels.LABELS.values())
    alike = [
        labels == other
        for qtype in KINDS
        for row, _, labels in independent[qtype]
        for other_row, _, other in development[qtype]
        if row == other_row
    ]
    assert alike == [True] * 4
