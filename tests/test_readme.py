"""The README shows what runs wrote, and names only what exists."""

import re

from conftest import ROOT
from test_facts import LINES, TRAIN

from model_card.results import DETAILS, PART, README, measured, render_parts, with_parts
from training.__main__ import STEPS
from training.configs import CONFIGS
from training.scoring.facts import score_facts

TEXT = README.read_text(encoding="utf-8")


def test_every_measured_figure_is_rendered_from_what_a_run_wrote():
    figures = measured()
    parts, shown = render_parts(**figures), []
    for page in (README, DETAILS):
        text = page.read_text(encoding="utf-8")
        assert with_parts(text, parts) == text, "run `python -m model_card.results`"
        shown += [match[1] for match in PART.finditer(text)]
    assert sorted(shown) == sorted(parts), "a page lost its markers"
    assert {result["scores"]["config"] for result in figures["results"]} >= {"medquad-smollm2"}


def test_a_run_with_facts_is_summed_up_with_their_sentence():
    figures, (facts, _) = measured(), score_facts(LINES, TRAIN, seed=0)
    figures["results"][0]["scores"]["facts"] = facts | {"left out": 0}
    parts = render_parts(**figures)
    assert facts["sentence"] in parts["results"] and facts["sentence"] in parts["runs"]
    assert "| right / wrong / several / none, share right | gene, n = 4 |" in re.sub(" {2,}", " ", parts["runs"])


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 200


def test_every_step_and_configuration_that_is_named_exists():
    calls = re.findall(r"python -m training ([a-z]+) (\S+)", TEXT)
    assert len(calls) >= 4
    for name, config in ((name, config.strip("`")) for name, config in calls):
        assert name in STEPS
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
