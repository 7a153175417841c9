"""The figures first reported beside those of other runs, from constructed scores."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from training.configs import BASE, TrainConfig
from training.outputs import write_json
from training.score import read_scored
from training.scoring.table import REPORTED, ROUGE_LABELS, comparison_table


def scores(config: str, n: int, of: int, tuned: float) -> dict:
    """Scores of a run in which every ROUGE is the same, .2 higher with the disclaimer."""
    means = {"template copier": 0.25, "base": 0.1, "tuned": tuned}
    systems = {
        name: {
            "model": name in ("base", "tuned"),
            "without disclaimer": {kind: {"mean": mean} for kind in ROUGE_LABELS},
            "with disclaimer": {kind: {"mean": mean + 0.2} for kind in ROUGE_LABELS},
        }
        for name, mean in means.items()
    }
    return {"config": config, "n": n, "of": of, "systems": systems}


def data(split: str, share: float) -> dict:
    return {"split": split, "leakage": {"questions": share, "diseases": share / 2}, "sha256": {"train": split}}


RANDOM = (scores("as-reported", 1641, 1641, 0.3), data("random", 0.5))
GROUPED = (scores("r16", 300, 1636, 0.2), data("grouped", 0.0))


def row(text: str, label: str) -> list[str]:
    """The cells of a row."""
    [line] = [line for line in text.splitlines() if line.startswith(f"{label}  ")]
    return line.removeprefix(label).replace(" of ", "/").split()


def test_every_column_says_whose_split_disclaimer_and_questions_it_shows():
    text = comparison_table([RANDOM, GROUPED])
    assert row(text, "run") == ["–", "as-reported", "as-reported", "r16", "r16"]
    assert row(text, "split") == ["random", "random", "random", "grouped", "grouped"]
    assert row(text, "disclaimer") == ["with", "with", "without", "with", "without"]
    assert row(text, "questions") == ["–", "1,641", "1,641", "300/1,636", "300/1,636"]


def test_the_reported_figures_stand_beside_both_runs_with_and_without_the_disclaimer():
    text = comparison_table([RANDOM, GROUPED])
    assert row(text, "ROUGE-1 base") == ["25.5", "30.0", "10.0", "30.0", "10.0"]
    assert row(text, "ROUGE-1 tuned") == ["33.6", "50.0", "30.0", "40.0", "20.0"]
    assert row(text, "ROUGE-L gain") == ["+11.4", "+20.0", "+20.0", "+10.0", "+10.0"]


def test_baselines_and_leakage_of_the_runs_are_shown_and_a_dash_where_nothing_was_reported():
    text = comparison_table([RANDOM, GROUPED])
    assert row(text, "ROUGE-2 no model: template copier") == ["–", "45.0", "25.0", "45.0", "25.0"]
    assert row(text, "test questions also in train") == ["–", "50.0%", "50.0%", "0.0%", "0.0%"]
    assert row(text, "test diseases also in train") == ["–", "25.0%", "25.0%", "0.0%", "0.0%"]


def test_a_baseline_that_only_one_run_has_is_shown_for_it():
    more = copy.deepcopy(GROUPED)
    more[0]["systems"]["nearest question"] = more[0]["systems"]["template copier"]
    assert row(comparison_table([RANDOM, more]), "ROUGE-1 no model: nearest question") == [
        "–",
        "–",
        "–",
        "45.0",
        "25.0",
    ]


def test_columns_stay_apart_whatever_a_configuration_is_called():
    long = (scores("a-name-much-longer-than-a-column", 10, 10, 0.3), data("grouped", 0.0))
    assert row(comparison_table([long, long]), "run")[1:] == 4 * ["a-name-much-longer-than-a-column"]


def test_the_reported_figures_are_the_first_users():
    assert REPORTED == {
        "base": {"rouge1": 0.2547, "rouge2": 0.0455, "rougeL": 0.1226},
        "tuned": {"rouge1": 0.3359, "rouge2": 0.1884, "rougeL": 0.2367},
    }


@pytest.fixture
def run(tmp_path: Path) -> TrainConfig:
    config = replace(BASE, out=str(tmp_path))
    write_json(config.run_dir / "scores-test.json", GROUPED[0])
    write_json(config.data_dir / "data.json", GROUPED[1])
    write_json(config.run_dir / "run.json", {"data": {"sha256": GROUPED[1]["sha256"]}})
    return config


def test_scores_and_data_of_a_run_are_read_from_its_folder(run):
    assert read_scored(run) == GROUPED


def test_a_run_that_is_not_scored_is_an_error_that_names_the_command(run):
    (run.run_dir / "scores-test.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"scores-test.json is missing: `python -m training score r16`"):
        read_scored(run)


def test_data_prepared_anew_since_the_training_are_an_error(run):
    write_json(run.data_dir / "data.json", data("random", 0.5))
    with pytest.raises(ValueError, match=r"runs/r16 was trained on other data than .*/data holds"):
        read_scored(run)
