"""What the metrics are worth: every figure of constructed judgements is known by hand, the real ones give the file."""

import json

import pandas as pd
import pytest
from conftest import SHARED

from model_card.build import AUDIT
from training.__main__ import parse
from training.extras import audit as step
from training.extras.audit import RIVALS, Asked, Judged, audit
from training.scoring.intervals import FEW
from training.scoring.table import audit_blocks

LENGTH, QUESTION = RIVALS
TRUE = "alpha beta gamma delta"


def judged(*answers: tuple[str, float], reference: str = TRUE, qtype: str = "causes") -> Asked:
    """Answers with their judgements, and a reference that is given unless it is empty."""
    given = [Judged(reference, qtype, 4)] if reference else []
    return Asked("What causes red fever ?", [Judged(text, qtype, score) for text, score in answers], given)


def share(figures: dict, name: str) -> tuple[float, int, int]:
    return figures[name]["mean"], figures[name]["n"], figures[name]["groups"]


def test_every_figure_of_constructed_judgements_is_as_counted_by_hand():
    result = audit(
        [
            judged(("alpha beta gamma", 4), ("red fever causes long words here", 1)),  # ROUGE right, the others wrong
            judged(("red fever and a lot more", 3), ("alpha beta", 2)),  # ROUGE wrong, the others right
            judged(("other words", 2), ("more words", 1)),  # a tie of all
            judged(("same", 3), ("as good", 3)),  # no pair
        ],
        seed=0,
    )
    for name in ("ROUGE-1", "ROUGE-2", "ROUGE-L", LENGTH, QUESTION):
        assert share(result["all"], name) == (0.5, 3, 3)
    assert result["all"]["ROUGE-1"]["gains"][LENGTH]["mean"] == 0
    assert result["pairs without a reference"] == 0 and "the right fact" not in result["all"]


def test_the_reference_is_the_best_judged_other_answer_if_it_is_correct():
    three = judged((TRUE, 4), ("alpha beta", 3), ("gamma omega and more", 1), reference="")
    result = audit([three, judged(("right", 3), ("wrong", 1), ("related", 2), reference="")], seed=0)
    # of the first question the two pairs of the wrong answer; of the second only that without the right one, a tie
    assert share(result["all"], "ROUGE-2") == ((1 + 1 + 0.5) / 3, 3, 2)
    assert share(result["all"], LENGTH) == ((0.5 + 0 + 0.5) / 3, 3, 2)
    assert result["pairs without a reference"] == 1 + 2
    with pytest.raises(ValueError, match="no two answers to the same question"):
        audit([judged(("right", 3), ("wrong", 1), reference="")], seed=0)


def test_a_fact_is_compared_where_the_reference_states_one():
    gene = "Mutations in the {} gene cause it.".format
    said = (gene("AAA1"), 4), (gene("BBB1"), 1)
    result = audit(
        [
            judged(*said, reference=gene("AAA1"), qtype="genetic changes"),
            judged(*said, reference=gene("AAA1"), qtype="causes"),
            judged(*said, reference="No gene is known.", qtype="genetic changes"),
        ],
        seed=0,
    )
    assert share(result["all"], "the right fact") == (1, 1, 1)


def lines(better: str, worse: str, questions: int = FEW) -> tuple[str, str]:
    """What is said of ROUGE by questions that all have these answers."""
    can, cannot, _ = audit_blocks(audit([judged((better, 4), (worse, 1))] * questions, seed=0))
    return can, cannot


def test_the_lines_follow_the_figures():
    can, cannot = lines(better="alpha beta gamma", worse="red fever causes long words here")
    kinds = "ROUGE-1 (100.0 %), ROUGE-2 (100.0 %), ROUGE-L (100.0 %)"
    assert can.endswith(f"more often than a coin: {kinds}.")
    assert f"{kinds}, a length" in cannot
    assert f"does better than both {LENGTH} (0.0 %) and {QUESTION} (0.0 %)" in cannot
    can, cannot = lines(better="red fever and a lot more words", worse="alpha beta")
    assert can.endswith("more often than a coin: no kind of it.")
    assert f"questions, none does better than both {LENGTH} (100.0 %)" in cannot
    can, cannot = lines(better="alpha beta", worse="red fever causes long words here", questions=FEW - 1)
    assert can.endswith("no kind of it.") and f"at least {FEW} questions, none does better" in cannot


FILES = {"judgements": "judgements.tsv", "questions": "questions.jsonl", "medquad": "medquad.parquet"}


def options(folder, judgements: str, medquad: pd.DataFrame) -> list[str]:
    (folder / "judgements.tsv").write_text(judgements, encoding="utf-8")
    (folder / "questions.jsonl").write_text('{"id": 7, "summary": "What is it?", "reference": "a b c"}\n')
    medquad.to_parquet(folder / "medquad.parquet")
    return ["audit", *(word for name, file in FILES.items() for word in (f"--{name}", str(folder / file)))]


MEDQUAD = pd.DataFrame(
    [
        ("GARD", "001", "001-1", "causes", "a b"),
        ("GARD", "001", "001-2", "causes", "a b"),  # the same text
        ("CDC", "9", "9-1", "causes", "x y"),
        ("CDC", "9", "9-2", "causes", None),  # removed for its copyright
        ("CDC", "8", "8-1", "causes", "one of two"),
        ("CDC", "8", "8-1", "causes", "with the same id"),
    ],
    columns=step.TABLES["medquad"][1],
)
HEAD = "question\tanswer\tscore\n"


def test_judgements_of_the_same_text_are_averaged_and_answers_without_a_known_text_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(step, "AUDIT", tmp_path / "audit.json")
    ids = ("GARD_001_Sec1", "GARD_001_Sec2", "CDC_9_Sec1", "CDC_9_Sec2", "CDC_8_Sec1", "CDC_0_Sec1")
    rows = zip(ids, (4, 3, 1, 4, 4, 4), strict=True)
    words = options(tmp_path, HEAD + "".join(f"7\t{name}.txt\t{score}\n" for name, score in rows), MEDQUAD)
    [asked] = step.judged_answers(*(step.read_table(name, tmp_path / file) for name, file in FILES.items()))
    assert asked.answers == [("a b", "causes", 3.5), ("x y", "causes", 1)] and asked.references[0].text == "a b c"
    step.main(parse(words))
    written = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert (written["judgements"], written["answers"]) == (6, 2) and share(written["all"], "ROUGE-1") == (1, 1, 1)


def test_a_table_that_lacks_a_column_or_is_damaged_is_named(tmp_path):
    words = options(tmp_path, "question\tscore\n7\t4\n", MEDQUAD)
    with pytest.raises(ValueError, match=r"judgements.tsv lacks the columns answer: it has question, score"):
        step.main(parse(words))
    words = options(tmp_path, HEAD, MEDQUAD)
    (tmp_path / "medquad.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"medquad.parquet can't be read"):
        step.main(parse(words))


def test_the_real_judgements_give_the_table_of_the_cards(tmp_path, monkeypatch):
    files = [SHARED / "liveqa/judgements.tsv", SHARED / "liveqa/questions.jsonl", SHARED / "medquad/full.parquet"]
    if not all(file.exists() for file in files):
        pytest.skip("the judgements are not here")
    monkeypatch.setattr(step, "AUDIT", tmp_path / "audit.json")
    names = ("--judgements", "--questions", "--medquad")
    step.main(parse(["audit", *(str(word) for pair in zip(names, files, strict=True) for word in pair)]))
    assert json.loads((tmp_path / "audit.json").read_text()) == json.loads(AUDIT.read_text(encoding="utf-8"))
