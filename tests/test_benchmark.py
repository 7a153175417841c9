"""The benchmark runs, says where it ran, and its figures are what the README's table shows."""

import json
import re

import pytest
from conftest import script_here
from transformers import AutoConfig

from training.extras.speed import SHAPE_1B, random_1b, sample_by_length, speed_table
from training.model.load import load_tokenizer


@pytest.fixture(scope="module")
def measured(small_out, small_run, tmp_path_factory):
    """A benchmark of next to nothing, and the file that it wrote."""
    path = tmp_path_factory.mktemp("benchmark") / "speed.json"
    words = ["--base", small_out / "base", "--data", small_out / "data"]
    words += ["--rows", 16, "--questions", 8, "--new-tokens", 8]
    result = script_here("benchmark", *words, "--json", path)
    assert result.returncode == 0, result.stderr
    return result, json.loads(path.read_text(encoding="utf-8"))


def test_every_recipe_is_measured_on_the_same_tokens(measured):
    _, report = measured
    recipes = {row["name"]: row for row in report["training"]}
    assert list(recipes) == ["first recipe", "trl's defaults", "ours"]
    for row in recipes.values():
        assert row["tokens_per_second"] == pytest.approx(report["tokens"] / row["seconds"][0], rel=0.02)
        assert row["ratio"] == pytest.approx(recipes["first recipe"]["seconds"][0] / row["seconds"][0], rel=0.05)
    assert 0 < recipes["ours"]["peak_mib"] <= recipes["first recipe"]["peak_mib"] + 20, "next to nothing for either"


def test_answers_are_the_same(measured):
    _, report = measured
    scoring = report["scoring"]
    assert scoring["questions"] == {"first recipe": 2, "ours": 8}
    assert scoring["equal_answers"] == 2
    assert "2 of 2 greedy answers are identical (fp32, at most 8 tokens an answer)" in speed_table(report)


def test_the_readmes_table_is_the_one_of_the_terminal(measured):
    result, report = measured
    assert speed_table(report) in result.stdout
    assert result.stdout.count(f"{report['machine']['name']}, {report['machine']['threads']} threads") == 1
    for row in report["training"]:
        assert re.search(
            rf"^\| {re.escape(row['name'])} +\| +{row['tokens_per_second']:,} \|", result.stdout, re.MULTILINE
        )
    assert "/tmp" not in json.dumps(report), "the file can be published"


def test_a_sample_has_the_lengths_of_all_rows():
    rows = [{"answer": "x" * (number % 100) ** 2, "id": number} for number in range(3000)]
    few = sample_by_length(rows, 30)
    assert len({row["id"] for row in few}) == 30
    mean = sum(len(row["answer"]) for row in rows) / len(rows)
    assert sum(len(row["answer"]) for row in few) / 30 == pytest.approx(mean, rel=0.05)
    assert few == sample_by_length(rows, 30)
    assert len(sample_by_length(rows[:4], 30)) == 4


def test_the_1b_shape_is_llamas_with_any_bases_tokenizer(small_out, tmp_path, monkeypatch):
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers"):  # as many weights as a test can hold
        monkeypatch.setitem(SHAPE_1B, name, SHAPE_1B[name] // 16)
    folder = random_1b(small_out / "base", tmp_path / "random")
    config = AutoConfig.from_pretrained(folder)
    assert (config.vocab_size, config.num_attention_heads, config.num_key_value_heads) == (128_256, 32, 8)
    assert len(load_tokenizer(folder)) == len(load_tokenizer(small_out / "base"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "TMP"], "train.jsonl is missing: `python -m training prepare CONFIG` writes it"),
        (["--data", "DATA", "--base", "TMP"], "holds no model (config.json is missing)"),
        (["--shape", "1b", "--device", "cpu"], "there is no GPU here"),
    ],
)
def test_what_is_not_there_is_one_line(words, said, tmp_path, small_out):
    folders = {"TMP": tmp_path, "DATA": small_out / "data"}
    # `--device cpu` hides the GPUs; afterwards they are as before
    result = script_here("benchmark", *(folders.get(word, word) for word in words), CUDA_VISIBLE_DEVICES="")
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
