"""Likelihood pairs: fair options, no leak from train, and baselines that are known by hand."""

import json
import random

import pytest

from training.scoring.pairs import guesses, make_pairs, task_of, write_task

PLACES = ("heart", "liver", "skin", "lungs", "kidneys", "brain", "bones", "eyes", "ears", "blood", "nose", "spleen")
NAMES = ("Abra", "Brenk", "Corvo", "Dulme", "Elsen", "Fargo", "Grint", "Hobel", "Ister", "Junke", "Korst", "Lemke")
COMMON = "Doctors can help people who have it."


def record(name: str, place: str, **changes: str) -> dict[str, str]:
    told = f"{COMMON} {name} syndrome ({name[0]}XS) mostly harms the {place}. Few {place} need {name[0]}XS care."
    about = {"id": f"{place}-{name}", "group": name, "qtype": "information", "answer": told}
    return about | {"question": f"What is (are) {name} syndrome ?"} | changes


@pytest.fixture
def splits() -> dict[str, list[dict[str, str]]]:
    records = [record(name, place) for name, place in zip(NAMES, PLACES, strict=True)]
    return {"train": records[:4], "validation": records[4:8], "test": records[8:]}


def test_every_option_names_the_asked_disease_and_tells_of_one_that_train_does_not_know(splits):
    pairs = make_pairs(splits, seed=1)
    assert [pair["id"] for pair in pairs] == sorted(record["id"] for record in splits["test"])
    held_out = {place: name for name, place in zip(NAMES[4:], PLACES[4:], strict=True)}
    for pair in pairs:
        asked = pair["group"]
        told = [text.split(" harms the ")[1].split(".")[0] for text in pair["choices"]]
        assert len(set(told)) == 4 and held_out.keys() >= set(told)
        assert held_out[told[pair["answer"]]] == asked
        name = f"{asked} syndrome"
        assert pair["choices"] == [f"{name} mostly harms the {it}. Few {it} need {name} care." for it in told]


def test_pairs_depend_on_the_seed_alone_and_the_true_answer_stands_anywhere(splits):
    turned = {split: random.Random(3).sample(records, len(records)) for split, records in splits.items()}
    assert make_pairs(turned, seed=1) == make_pairs(splits, seed=1) != make_pairs(splits, seed=2)
    assert {pair["answer"] for seed in range(9) for pair in make_pairs(splits, seed)} == {0, 1, 2, 3}


def test_a_disease_of_train_is_neither_asked_nor_told_of_however_the_data_were_split(splits):
    known = splits["test"][0]
    splits["train"].append(record(known["group"], "teeth", group="other"))
    assert known["group"] not in {pair["group"] for pair in make_pairs(splits, seed=1)}
    assert not any("ears" in text for pair in make_pairs(splits, seed=1) for text in pair["choices"])


@pytest.mark.parametrize(
    "answer",
    [
        "Junke's illness harms the blood.",  # a part of its name
        "JS harms the blood.",  # its initials
        "It harms the blood.",  # no name, which no other lacks
        COMMON,  # what is said of all
    ],
)
def test_a_text_that_gives_its_disease_away_or_differs_in_form_is_left_out(splits, answer):
    [junke] = [record for record in splits["test"] if record["group"] == "Junke"]
    junke["answer"] = answer
    pairs = make_pairs(splits, seed=1)
    assert len(pairs) == 3 and not any("blood" in text for pair in pairs for text in pair["choices"])


def test_no_option_states_the_true_fact_and_inheritance_is_left_out(splits):
    for records in splits.values():
        for place, about in enumerate(records):
            gene = f"GEN{min(place, 2)}"  # the last two of each split share theirs
            name = about["group"]
            about |= {"qtype": "genetic changes", "question": f"What are the genetic changes related to {name} ?"}
            about["answer"] = f"{name} comes from mutations in the {gene} gene, as {about['id'][:4]} show."
    pairs = make_pairs(splits, seed=1)
    assert not pairs, "three genes can't give four options"
    for about in splits["validation"]:
        about["answer"] = about["answer"].replace("GEN", "OTHER")
    pairs = make_pairs(splits, seed=1)
    assert len(pairs) == 4
    assert all(len({text.split(" gene,")[0] for text in pair["choices"]}) == 4 for pair in pairs)
    for about in [*splits["test"], *splits["validation"]]:
        about["qtype"] = "inheritance"
    assert make_pairs(splits, seed=1) == []


def test_baselines_take_the_option_that_they_should():
    pairs = [
        {"question": "What causes acne ?", "choices": ["It is old.", "Acne causes pain.", "Acne hurts.", "No."]},
        {"question": "What causes flu ?", "choices": ["No.", "Yes.", "Fever shakes people.", "A virus causes flu."]},
    ]
    train = [{"answer": "Fever shakes many people."}, {"answer": "Old age hurts."}]
    found = guesses(pairs, train)
    assert found == {"most words of the question": [1, 3], "nearest to a training answer": [0, 2]}


def test_the_task_is_written_as_yaml_that_stands_for_itself(tmp_path, splits, contract):
    yaml = pytest.importorskip("yaml")
    pairs = make_pairs(splits, seed=1)
    write_task(tmp_path / "lm_eval", pairs, contract, system_role=True)
    task = yaml.safe_load((tmp_path / "lm_eval" / "pairs.yaml").read_text(encoding="utf-8"))
    assert task == task_of("pairs.jsonl", contract, system_role=True) and task["description"] == contract.system_prompt
    lines = (tmp_path / "lm_eval" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == pairs
    without = task_of("pairs.jsonl", contract, system_role=False)
    assert "description" not in without and without["doc_to_text"] == f"{contract.system_prompt}\n\n{{{{question}}}}"
