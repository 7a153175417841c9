"""Our ROUGE is rouge_score's to the last digit, only faster, and others can load it offline."""

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer, _lcs_table
from rouge_score.tokenizers import DefaultTokenizer

from training.scoring.rouge import ROUGE_KINDS, TOKENIZER, Rouge, lcs_length, rouge_scores

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "training" / "data" / "sample.csv"
HARD_TEXTS = (
    "",
    "   ",
    "!!!",
    "Don't stop—it's 50% of α-thalassaemia's\u00a0cases\u2028(see e.g. p.53)",
    "İstanbul ΣΑΣ ß ﬁbrosis ½ ２",
    "a\x1cb\x85c\x0bd",
    "under_score <|eot_id|> 1,000.5",
)


def answers() -> list[str]:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return [row["Answer"] for row in csv.DictReader(file)]


def scored_by_rouge_score(predictions: list[str], references: list[str]) -> dict[str, list[float]]:
    scorer = RougeScorer(list(ROUGE_KINDS), use_stemmer=True)
    rows = [scorer.score(wanted, given) for given, wanted in zip(predictions, references, strict=True)]
    return {kind: [row[kind].fmeasure for row in rows] for kind in ROUGE_KINDS}


def test_every_score_equals_that_of_rouge_score_exactly():
    references = random.Random(1).sample(answers(), 200)
    predictions = random.Random(2).sample(answers(), 150) + references[:49] + [""]
    ours, theirs = rouge_scores(predictions, references), scored_by_rouge_score(predictions, references)
    assert {kind: f1.tolist() for kind, f1 in ours.items()} == theirs
    assert 0.05 < ours["rougeL"][:150].mean() < 0.5  # real overlap, not all 0 or 1


def test_long_answers_score_the_same_too():
    texts = answers()
    long = [" ".join(texts[start : start + 12]) for start in (0, 40, 80)]
    assert min(len(text.split()) for text in long) > 500
    shifted = [*long[1:], long[0]]
    ours, theirs = rouge_scores(long, shifted), scored_by_rouge_score(long, shifted)
    assert {kind: f1.tolist() for kind, f1 in ours.items()} == theirs


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_word_by_word_tokens_are_those_of_the_whole_text(text: str):
    assert TOKENIZER.tokenize(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)


def test_the_longest_common_subsequence_is_that_of_the_whole_table():
    choice = random.Random(0)
    for _ in range(300):
        first, second = ([choice.choice("abcd") for _ in range(choice.randint(1, 90))] for _ in range(2))
        assert lcs_length(first, second) == _lcs_table(first, second)[-1][-1]
    assert lcs_length(list("abcde"), list("axcxe")) == 3
    assert lcs_length([], ["a"]) == lcs_length(["a"], []) == 0


def test_scores_of_two_short_answers_are_as_counted_by_hand():
    # "the cat sat" against "the cat ran away": 2 of 3 and 2 of 4 words, 1 of 2 and 1 of 3 pairs
    scores = rouge_scores(["the cat sat"], ["the cat ran away"])
    assert scores["rouge1"] == pytest.approx([4 / 7])
    assert scores["rouge2"] == pytest.approx([2 / 5])
    assert scores["rougeL"] == pytest.approx([4 / 7])


def test_an_empty_prediction_scores_zero_and_an_equal_one_scores_one():
    scores = rouge_scores(["", "Drink more water."], ["Drink more water.", "Drink more water."])
    assert all(f1.tolist() == [0.0, 1.0] for f1 in scores.values())


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_no_answers_or_unequal_numbers_are_an_error_that_counts_them(predictions: list, references: list):
    with pytest.raises(ValueError, match=f"{len(predictions)} predictions, {len(references)} references"):
        rouge_scores(predictions, references)


def test_a_thousand_answers_take_under_three_seconds():
    texts = (answers() * 2)[:1000]
    started = time.process_time()
    rouge_scores(texts[::-1], texts)
    assert time.process_time() - started < 3


def test_the_metric_gives_means_or_one_score_a_question(tmp_path: Path):
    metric = Rouge(keep_in_memory=True, cache_dir=str(tmp_path))
    pair = {"predictions": ["the cat sat", "fever"], "references": ["the cat sat", "cough"]}
    assert metric.compute(**pair) == dict.fromkeys(ROUGE_KINDS, 0.5) | {"rouge2": 0.5}
    assert metric.compute(**pair, use_aggregator=False) == {kind: [1.0, 0.0] for kind in ROUGE_KINDS}
    assert list(rouge_scores(**pair)) == list(ROUGE_KINDS)
    assert np.mean(rouge_scores(**pair)["rouge1"]) == 0.5


def test_others_can_load_the_file_with_evaluate_without_a_network(tmp_path: Path):
    code = (
        "import socket, sys, json\n"
        "def refuse(*_): raise AssertionError('asked for the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import evaluate\n"
        "metric = evaluate.load(sys.argv[1])\n"
        "print(json.dumps(metric.compute(predictions=['the cats sat'], references=['the cat sat'])))\n"
    )
    copy = tmp_path / "elsewhere" / "rouge.py"  # alone, so that an import of ours would fail
    copy.parent.mkdir()
    copy.write_text((ROOT / "training/scoring/rouge.py").read_text(encoding="utf-8"), encoding="utf-8")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, str(copy)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == dict.fromkeys(ROUGE_KINDS, 1.0)
