"""The whole report of a split, on answers constructed so that every figure is known by hand."""

import pytest

from training.scoring.report import score_answers

WORDS = ("apple", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ivy", "juniper", "kapok", "larch")
TYPES = ("symptoms",) * 6 + ("treatment",) * 6


def references() -> list[str]:
    """Twelve answers of ten words each that share no word with one another."""
    return [" ".join(f"{word}{n}" for n in range(10)) for word in WORDS]


@pytest.fixture(scope="module")
def report(contract) -> dict:
    """Base never says a right word; tuned says the reference on symptoms, and half of it on treatment."""
    answers, train = [], []
    for place, (word, qtype, reference) in enumerate(zip(WORDS, TYPES, references(), strict=True)):
        asked = f"What are the {qtype} of {word} ?"
        said = reference if qtype == "symptoms" else " ".join(reference.split()[:5])
        sides = {
            side: {"text": text, "tokens": 10, "ended": True} for side, text in (("base", "none"), ("tuned", said))
        }
        line = {"id": word, "group": word, "qtype": qtype, "question": asked, "reference": reference}
        answers.append(line | sides)
        if place < 3:  # the first three references stand in train, word for word
            train.append({"id": f"t{place}", "qtype": qtype, "question": f"Who gets {word} ?", "answer": reference})
    for place in range(30):  # and thirty that have nothing to do with any question
        other = {"question": f"Who gets other{place} ?", "answer": f"other{place}"}
        train.append({"id": f"o{place}", "qtype": "symptoms", **other})
    return score_answers(answers, train, contract, seed=0, reference_tokens=[20] * 12)


def test_gains_and_their_intervals_are_those_known_by_hand(report):
    gain = report["gains"]["gain of tuned over base"]["rougeL"]
    half = 2 / 3  # precision 1, recall 1/2
    assert gain["mean"] == pytest.approx((6 * 1 + 6 * half) / 12)
    assert half < gain["low"] < gain["mean"] < gain["high"] < 1
    assert gain["n"] == gain["groups"] == 12


def test_each_type_has_its_own_gain_over_base_and_over_the_strongest_baseline(report):
    over_base = report["by_type"]["gain of tuned over base"]
    assert over_base["symptoms"]["mean"] == pytest.approx(1) and over_base["treatment"]["mean"] == pytest.approx(2 / 3)
    assert over_base["symptoms"]["low"] == over_base["symptoms"]["high"] == pytest.approx(1)
    assert report["by_type"].keys() == report["gains"].keys()
    assert set(report["by_type"][f"gain of tuned over {report['strongest_baseline']}"]) == {"symptoms", "treatment"}


def test_the_strongest_baseline_is_the_one_that_meets_the_three_copied_references(report):
    assert report["strongest_baseline"] == "nearest training question"
    reached = report["systems"]["nearest training question"]["without disclaimer"]["rougeL"]["mean"]
    assert reached == pytest.approx(3 / 12)  # the three diseases that train names are found, the others share no word


def test_the_novel_part_leaves_out_what_stands_in_train(report):
    novel = report["novel"]
    assert novel["n"] == 9
    assert novel["gains"]["gain of tuned over base"]["rougeL"]["mean"] == pytest.approx((3 * 1 + 6 * 2 / 3) / 9)
    assert novel["gains"]["gain of tuned over nearest training question"]["rougeL"]["mean"] == pytest.approx(7 / 9)


def test_with_the_disclaimer_a_wrong_answer_is_paid_for_it(report):
    alone = report["systems"]["disclaimer only"]
    assert alone["without disclaimer"]["rougeL"]["mean"] == 0
    assert alone["with disclaimer"]["rougeL"]["mean"] == pytest.approx(2 * 8 / (8 + 18))  # 8 of 18 words
