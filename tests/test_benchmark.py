"""The benchmark runs, says where it ran, and its figures are what the README's table shows."""

import json
import re

import pytest
from conftest import command

from model_card.speed import speed_part, speed_section
from training.configs import BASE, PROJECTIONS

SCRIPT = "scripts/benchmark.py"


@pytest.fixture(scope="module")
def measured(small_out, small_run, tmp_path_factory):
    """A benchmark of next to nothing, and the file that it wrote."""
    path = tmp_path_factory.mktemp("benchmark") / "speed.json"
    words = ["--data", small_out / "data", "--rows", 16, "--questions", 3, "--rounds", 1, "--new-tokens", 8]
    result = command(SCRIPT, *words, "--json", path, timeout=580)
    assert result.returncode == 0, result.stderr
    return result, json.loads(path.read_text(encoding="utf-8"))


def test_every_recipe_is_measured_on_the_same_tokens(measured):
    _, report = measured
    recipes = {row["name"]: row for row in report["training"]}
    assert list(recipes) == ["first recipe", "trl's defaults", "ours", "ours, fp32, full loss"]
    for row in recipes.values():
        assert row["tokens_per_second"] == pytest.approx(report["tokens"] / sum(row["seconds"]), rel=0.02)
        assert row["ratio"] == pytest.approx(recipes["first recipe"]["seconds"][0] / row["seconds"][0], rel=0.05)
        assert row["peak_mib"] > row["growth_mib"] > 0
    first, alike = recipes["first recipe"], recipes["ours, fp32, full loss"]
    assert alike["last_loss"] == pytest.approx(first["last_loss"], rel=0.02), "the same loss on the same tokens"
    assert alike["growth_mib"] <= first["growth_mib"]


def test_answers_are_the_same_and_prepare_grows_with_the_rows(measured):
    _, report = measured
    assert report["scoring"]["equal_answers"] == report["scoring"]["questions"] == 3
    rows = [row["rows"] for row in report["prepare"]]
    assert rows[1:] == [4 * rows[0], 16 * rows[0]]


def test_the_table_names_the_machine_and_what_a_gpu_would_add(measured):
    result, report = measured
    assert f"{report['machine']['name']}, {report['machine']['threads']} threads" in result.stdout
    for row in report["training"]:
        assert re.search(rf"^{re.escape(row['name'])} +{row['tokens_per_second']:,} ", result.stdout, re.MULTILINE)
    if not report["on_gpu"]:
        assert "no GPU here" in result.stdout
    assert "/tmp" not in json.dumps(report), "the file can be published"


def test_the_readmes_part_is_made_of_the_file_alone(measured):
    _, report = measured
    part = speed_part([report])
    assert speed_section(report) in part
    assert ("No GPU was at hand" in part) == (not report["on_gpu"])
    for row in report["training"]:
        assert f"| {row['name']} | {row['tokens_per_second']:,} |" in part
    assert "3 of 3 greedy answers are the same" in part
    assert "estimated" in part.lower()


def test_a_t4_is_estimated_to_hold_the_base_configuration():
    from transformers import LlamaConfig

    from training.speed.operations import operations_a_token, projection_sizes, t4_estimate, weights
    from training.speed.work import SHAPE_1B

    shape = LlamaConfig(**SHAPE_1B)
    frozen, adapter = weights(shape, BASE.lora_rank)
    assert (frozen, adapter) == (973_078_528, 11_272_192)
    assert set(projection_sizes(shape)) == set(PROJECTIONS)
    assert 4.5e9 < operations_a_token(shape, 16, 342, 0.75) < 5.5e9
    estimate = t4_estimate(BASE, 13_083, 342, 0.75)
    assert estimate["fits"]
    assert 8 < estimate["peak_gib"] < 15
    assert 0.4 < estimate["hours"] < 1.5


def test_data_that_is_not_there_is_one_line(tmp_path):
    result = command(SCRIPT, "--data", tmp_path)
    assert result.returncode == 1
    assert "train.jsonl is missing: `python -m training.prepare CONFIG` writes it" in result.stderr
    assert result.stderr.count("\n") == 1
