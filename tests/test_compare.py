"""The figures first reported beside those of other runs, from constructed scores."""

from dataclasses import replace
from pathlib import Path

import pytest

from training.configs import BASE, TrainConfig
from training.outputs import write_json
from training.score import read_scored
from training.scoring.table import ROUGE_LABELS, comparison_blocks, terminal_text


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
TEXT = terminal_text(comparison_blocks([RANDOM, GROUPED]))


def row(label: str) -> list[str]:
    """The cells of a row."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TEXT.splitlines()]
    [cells] = [cells for first, *cells in filter(None, rows) if first == label]
    return cells


def test_the_reported_figures_stand_above_both_runs_without_and_with_the_disclaimer():
    labels = ["ROUGE-1", "ROUGE-2", "ROUGE-L"]
    assert row("mean ROUGE F1 × 100; *: with the disclaimer") == [*labels, *(f"{label}*" for label in labels)]
    assert row("first reported: base") == ["–", "–", "–", "25.5", "4.5", "12.3"]
    assert row("first reported: tuned") == ["–", "–", "–", "33.6", "18.8", "23.7"]
    assert row("as-reported: tuned") == ["30.0"] * 3 + ["50.0"] * 3
    assert row("r16: base") == ["10.0"] * 3 + ["30.0"] * 3
    assert row("r16: no model: template copier") == ["25.0"] * 3 + ["45.0"] * 3


def test_every_run_says_its_split_its_questions_and_what_is_also_in_train():
    assert TEXT.splitlines()[-3:] == [
        "first reported: random split",
        "as-reported: random split, 1,641 questions; also in train: 50.0% of test questions, 25.0% of test diseases",
        "r16: grouped split, 300 of 1,636 questions; also in train: 0.0% of test questions, 0.0% of test diseases",
    ]


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
