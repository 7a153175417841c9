"""One table of two runs and the figures first reported, from constructed scores."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from training.compare import REPORTED, compare, comparison, markdown_comparison
from training.configs import BASE, TrainConfig
from training.outputs import write_json

KINDS = ("rouge1", "rouge2", "rougeL")


def scores(config: str, n: int, of: int, tuned: float) -> dict:
    """Scores of a run in which every ROUGE is the same, .2 higher with the disclaimer."""
    means = {"disclaimer only": 0.0, "template copier": 0.25, "base": 0.1, "tuned": tuned}
    systems = {
        name: {
            "model": name in ("base", "tuned"),
            "without disclaimer": {kind: {"mean": mean} for kind in KINDS},
            "with disclaimer": {kind: {"mean": mean + 0.2} for kind in KINDS},
        }
        for name, mean in means.items()
    }
    gain = {kind: {"mean": tuned - 0.1, "low": 0.071, "high": 0.132} for kind in KINDS}
    return {"config": config, "n": n, "of": of, "systems": systems, "gains": {"gain of tuned over base": gain}}


def data(split: str, share: float) -> dict:
    return {"split": split, "leakage": {"questions": share, "diseases": share / 2}, "sha256": {"train": split}}


RANDOM = (scores("as-reported", 1641, 1641, 0.3), data("random", 0.5))
GROUPED = (scores("r16", 300, 1636, 0.2), data("grouped", 0.0))


def words(line: str) -> list[str]:
    return line.replace(", ", ",").split()


def row(text: str, label: str, section: str) -> list[str]:
    """The cells of a row within its section."""
    lines = text.split(f"\n{section}\n")[1].splitlines()
    found = next(line for line in lines if line.strip().startswith(label))
    return words(found.strip().removeprefix(label))


def test_every_column_says_whose_split_disclaimer_and_questions_it_shows():
    lines = comparison(*RANDOM, *GROUPED).splitlines()
    assert words(lines[2]) == ["first", "reported", "as-reported", "as-reported", "r16", "r16"]
    assert words(lines[3]) == ["split", "random", "random", "random", "grouped", "grouped"]
    assert [lines[4].count(kind) for kind in ("on both sides", "taken off")] == [3, 2]
    assert words(lines[5]) == ["questions", "–", "1,641", "1,641", "300", "of", "1,636", "300", "of", "1,636"]


def test_the_reported_figures_stand_beside_both_runs_with_and_without_the_disclaimer():
    text = comparison(*RANDOM, *GROUPED)
    assert row(text, "base", "ROUGE-1") == ["25.5", "30.0", "10.0", "30.0", "10.0"]
    assert row(text, "tuned", "ROUGE-1") == ["33.6", "50.0", "30.0", "40.0", "20.0"]
    assert row(text, "gain of tuned over base", "ROUGE-L") == ["+11.4", "+20.0", "+20.0", "+10.0", "+10.0"]


def test_what_was_not_reported_or_has_no_interval_is_a_dash():
    text = comparison(*RANDOM, *GROUPED)
    assert row(text, "its 95 % interval", "ROUGE-2") == ["–", "–", "[+7.1,+13.2]", "–", "[+7.1,+13.2]"]
    assert row(text, "no model: template copier", "ROUGE-2") == ["–", "45.0", "25.0", "45.0", "25.0"]
    assert row(text, "questions", "test split, also in train") == ["–", "50.0%", "50.0%", "0.0%", "0.0%"]
    assert row(text, "diseases", "test split, also in train") == ["–", "25.0%", "25.0%", "0.0%", "0.0%"]


def test_an_interval_of_one_group_is_a_dash():
    alone = copy.deepcopy(GROUPED)
    for gain in alone[0]["gains"]["gain of tuned over base"].values():
        gain["low"] = gain["high"] = None
    cells = row(comparison(*RANDOM, *alone), "its 95 % interval", "ROUGE-1")
    assert cells == ["–", "–", "[+7.1,+13.2]", "–", "–"]


def test_columns_stay_apart_whatever_a_configuration_is_called():
    long = (scores("a-name-much-longer-than-a-column", 10, 10, 0.3), data("grouped", 0.0))
    head = comparison(*long, *long).splitlines()[2]
    assert words(head)[2:] == 4 * ["a-name-much-longer-than-a-column"]


@pytest.mark.parametrize(("floor", "says"), [(0.0366, "no more than"), (0.0368, "more than")])
def test_the_sentence_on_the_first_report_follows_the_strongest_floor(floor, says):
    """The reported .2367 is reached by a floor of .0367 and the .2 that the disclaimer adds here."""
    run = copy.deepcopy(RANDOM)
    run[0]["systems"]["template copier"]["with disclaimer"]["rougeL"]["mean"] = 0.2 + floor
    last = comparison(*run, *GROUPED).splitlines()[-1]
    assert last.startswith("as-reported: with the split and disclaimer of the first report, “template copier”")
    assert f", {says} the 23.7 first reported" in last


def test_without_a_random_split_nothing_is_said_of_the_first_report():
    assert "of the first report" not in comparison(*GROUPED, *GROUPED)
    assert "of the first report" in comparison(*GROUPED, *RANDOM)


def test_the_page_shows_the_same_figures_as_the_terminal():
    text, page = (made(*RANDOM, *GROUPED) for made in (comparison, markdown_comparison))
    table = [line.strip("| ").split(" | ") for line in page.split("\n\n")[0].splitlines()]
    assert table[0][1] == "first reported<br>split random<br>disclaimer on both sides<br>questions –"
    assert table[0][5] == "r16<br>split grouped<br>disclaimer taken off<br>questions 300 of 1,636"
    section = ""
    for cells in table[2:]:
        if cells[0].startswith("**"):
            section = cells[0].split("**")[1]
        else:
            assert row(text, cells[0], section) == [cell.replace(", ", ",") for cell in cells[1:]]
    assert section == "test split, also in train"
    assert page.endswith(text.splitlines()[-1])


def test_the_reported_figures_are_the_first_users():
    assert {kind: tuple(means.values()) for kind, means in REPORTED.items()} == {
        "rouge1": (0.2547, 0.3359),
        "rouge2": (0.0455, 0.1884),
        "rougeL": (0.1226, 0.2367),
    }


def scored_run(folder: Path, content: tuple[dict, dict]) -> TrainConfig:
    config = replace(BASE, name=content[0]["config"], out=str(folder))
    write_json(config.run_dir / "scores-test.json", content[0])
    write_json(config.data_dir / "data.json", content[1])
    write_json(config.run_dir / "run.json", {"data": {"sha256": content[1]["sha256"]}})
    return config


def test_run_folders_are_read(tmp_path):
    first, second = scored_run(tmp_path / "a", RANDOM), scored_run(tmp_path / "b", GROUPED)
    assert compare(first, second) == comparison(*RANDOM, *GROUPED)


def test_a_run_that_is_not_scored_is_an_error_that_names_the_command(tmp_path):
    first, second = scored_run(tmp_path / "a", RANDOM), scored_run(tmp_path / "b", GROUPED)
    (second.run_dir / "scores-test.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"scores-test.json is missing: `python -m training.score r16`"):
        compare(first, second)


def test_data_prepared_anew_since_the_training_are_an_error(tmp_path):
    first, second = scored_run(tmp_path / "a", RANDOM), scored_run(tmp_path / "b", GROUPED)
    write_json(second.data_dir / "data.json", data("random", 0.5))
    with pytest.raises(ValueError, match=r"runs/r16 was trained on other data than .*/b/data holds"):
        compare(first, second)
