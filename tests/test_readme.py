"""The README shows what runs wrote, and names only what exists."""

import re

import pytest
from conftest import ROOT
from test_facts import LINES, TRAIN

from model_card.results import DETAILS, README, rendered, section, stored_results, summary, with_part
from training.configs import CONFIGS
from training.scoring.fact_scores import score_facts

TEXT = README.read_text(encoding="utf-8")


def test_every_measured_figure_is_rendered_from_what_a_run_wrote():
    for page in (README, DETAILS):
        assert rendered(page) == page.read_text(encoding="utf-8"), "run `python -m model_card.results`"
    assert {result["scores"]["config"] for result in stored_results()} >= {"medquad-smollm2"}


def test_a_run_with_facts_is_summed_up_with_their_sentence():
    result = stored_results()[0]
    facts, _ = score_facts(LINES, TRAIN, seed=0)
    result["scores"]["facts"] = facts | {"left out": 0}
    assert facts["sentence"] in summary(result) and facts["sentence"] in section(result)
    assert "| right / wrong / several / none, share right | gene, n = 4 |" in section(result)


def test_a_readme_without_markers_is_an_error_that_names_them():
    with pytest.raises(ValueError, match="has no line '<!-- results"):
        with_part("# A README\n", "results", "a table")


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 200


def test_every_step_and_configuration_that_is_named_exists():
    calls = re.findall(r"python -m training ([a-z]+) (\S+)", TEXT)
    assert len(calls) >= 4
    for name, config in ((name, config.strip("`")) for name, config in calls):
        assert (ROOT / "training" / f"{name}.py").exists(), name
        assert config in {*CONFIGS, "CONFIG"}, config


def test_every_file_of_the_tree_exists():
    tree = TEXT.split("## What is where")[1].split("```")[1]
    names = re.findall(r"\b[\w/]+\.(?:py|toml|md|csv)\b", tree)
    assert len(names) >= 4
    files = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts}
    assert [name for name in names if name.split("/")[-1] not in files] == []


def test_every_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", TEXT):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_first_screen_says_what_it_is_not_and_built_with_llama():
    first = TEXT[:900]
    assert "Not medical advice" in first
    assert "Built with Llama" in first
