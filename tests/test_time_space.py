"""The chat's times are measured on the app itself, and the README shows what was measured."""

import json

import pytest
from conftest import command

from model_card.results import measured, render_parts

SCRIPT = "tests/time_space.py"


@pytest.mark.slow
def test_the_app_is_started_and_asked(small_out, tmp_path):
    path = tmp_path / "latency.json"
    result = command(SCRIPT, small_out / "runs" / "demo" / "bundle", "--json", path, timeout=300)
    assert result.returncode == 0, result.stderr
    taken = json.loads(path.read_text(encoding="utf-8"))
    assert 0 < taken["page_s"] < taken["first_answer_s"]
    assert 0 < taken["first_words_s"] < taken["first_answer_s"]
    assert 0 < taken["rules"]["median_ms"] <= taken["rules"]["worst_ms"]
    assert f"{taken['rules']['messages']:,}" in render_parts(**measured() | {"latency": taken})["latency"]
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_folder_that_is_no_bundle_is_an_error_that_names_it(tmp_path):
    result = command(SCRIPT, tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {tmp_path} holds no contract.toml")
    assert len(result.stderr.splitlines()) == 1
