"""Intervals, p values and corrections against results known by hand or from theory."""

import json
import time

import numpy as np
import pytest

from training.scoring.intervals import (
    by_type,
    holm,
    mcnemar,
    mean_interval,
    paired_gain,
    resampled_means,
    two_sided,
    wilson,
)


def singles(n: int) -> list[str]:
    return [f"g{number}" for number in range(n)]


def test_two_groups_resample_to_three_means_in_the_proportion_one_two_one():
    means = resampled_means(np.array([0.0, 1.0]), np.array([1, 1]), draws=10_000, seed=0)
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / 10_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_a_large_group_weighs_by_its_questions():
    # three questions of gain 0 in one group, one of gain 1 in another: the first twice, both, the other twice
    means = resampled_means(np.array([0.0, 1.0]), np.array([3, 1]), draws=1_000, seed=0)
    assert np.unique(means).tolist() == [0, 0.25, 1]
    gain = paired_gain([0, 0, 0, 0], [0, 0, 0, 1], ["a", "a", "a", "b"])
    assert (gain["mean"], gain["low"], gain["high"], gain["n"], gain["groups"]) == (0.25, 0, 1, 4, 2)


def test_the_interval_of_independent_gains_is_that_of_the_normal_distribution():
    gains = np.random.default_rng(1).normal(0.05, 0.2, 2_000)
    found = paired_gain(np.zeros(2_000), gains, singles(2_000))
    mean, half = gains.mean(), 1.96 * gains.std() / 2_000**0.5
    assert found["mean"] == pytest.approx(mean)
    assert (found["low"], found["high"]) == pytest.approx((mean - half, mean + half), abs=0.05 * half)


def test_asking_each_question_ten_times_makes_nothing_surer():
    scores = np.random.default_rng(2).random(100)
    once = mean_interval(scores, singles(100))
    tenfold = mean_interval(np.repeat(scores, 10), np.repeat(singles(100), 10))
    as_if_independent = mean_interval(np.repeat(scores, 10), singles(1_000))
    assert (tenfold["low"], tenfold["high"]) == pytest.approx((once["low"], once["high"]))
    assert tenfold["n"] == 1_000 and tenfold["groups"] == 100
    assert as_if_independent["high"] - as_if_independent["low"] < (once["high"] - once["low"]) / 2.5


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(3)
    groups = np.repeat(singles(60), 3)
    inside = 0
    for seed in range(200):
        gains = np.repeat(generator.normal(0.1, 0.2, 60), 3) + generator.normal(0, 0.1, 180)
        found = paired_gain(np.zeros(180), gains, groups, draws=1_000, seed=seed)
        inside += found["low"] <= 0.1 <= found["high"]
    assert 180 <= inside <= 198  # 95 % of 200 is 190


def test_pairing_sees_a_gain_that_single_intervals_hide():
    base = np.random.default_rng(4).random(200)
    gain = paired_gain(base, base + 0.01, singles(200))
    assert (gain["low"], gain["high"]) == pytest.approx((0.01, 0.01))
    assert mean_interval(base, singles(200))["high"] > mean_interval(base + 0.01, singles(200))["low"]


def test_the_two_directions_mirror_each_other():
    base, tuned = np.random.default_rng(5).random((2, 50))
    forth, back = paired_gain(base, tuned, singles(50)), paired_gain(tuned, base, singles(50))
    assert (forth["mean"], forth["low"], forth["high"]) == pytest.approx((-back["mean"], -back["high"], -back["low"]))
    assert forth["p"] == back["p"]


def test_equal_answers_gain_exactly_nothing_with_p_one():
    scores = np.random.default_rng(6).random(40)
    assert paired_gain(scores, scores, singles(40)) == {"mean": 0, "low": 0, "high": 0, "p": 1, "n": 40, "groups": 40}


def test_p_is_twice_the_rarer_side_with_the_observed_sample_added():
    assert two_sided(np.array([1.0] * 9)) == pytest.approx(2 / 10)
    assert two_sided(np.array([-1.0, 1, 1, 1, 1, 1, 1, 1, 1])) == pytest.approx(4 / 10)
    assert two_sided(np.array([-1.0, 1])) == 1
    certain = paired_gain(np.zeros(50), np.full(50, 0.3), singles(50))
    assert certain["p"] == pytest.approx(2 / 10_001)


def test_p_is_small_as_often_as_it_should_be_where_there_is_no_gain():
    generator = np.random.default_rng(7)
    p_values = [
        paired_gain(np.zeros(80), generator.normal(0, 1, 80), singles(80), draws=1_000, seed=seed)["p"]
        for seed in range(300)
    ]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09
    assert 0.4 < np.mean(p_values) < 0.6


def test_one_group_has_a_mean_and_no_interval():
    one = paired_gain([0.0, 0.0], [0.25, 0.75], ["a", "a"])
    assert one == {"mean": 0.5, "low": None, "high": None, "p": None, "n": 2, "groups": 1}


def test_a_few_groups_have_an_interval_and_no_test():
    found = paired_gain(np.zeros(9), np.ones(9), singles(9))
    assert found["p"] is None and found["low"] == 1
    assert paired_gain(np.zeros(10), np.ones(10), singles(10))["p"] is not None


def test_intervals_depend_on_the_seed_alone_and_on_no_order():
    gains = np.random.default_rng(8).random(30)
    first = mean_interval(gains, singles(30), seed=1)
    assert first == mean_interval(gains, singles(30), seed=1)
    assert first != mean_interval(gains, singles(30), seed=2)
    backwards = mean_interval(gains[::-1], singles(30)[::-1], seed=1)
    assert (backwards["low"], backwards["high"]) == pytest.approx((first["low"], first["high"]))


def test_a_score_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="the scores of 1 questions are no finite numbers"):
        paired_gain([1.0, 1.0], [1.0, float("nan")], ["a", "b"])


def test_three_kinds_over_1641_questions_take_under_five_seconds():
    scores = np.random.default_rng(9).random((2, 1_641))
    started = time.process_time()
    for _ in range(3):
        paired_gain(*scores, singles(1_641))
    assert time.process_time() - started < 5


def test_types_come_largest_first_and_each_is_that_types_own_gain():
    base = np.zeros(45)
    tuned = np.concatenate((np.full(15, 0.2), np.linspace(-0.1, 0.1, 25), np.full(5, 0.3)))
    qtypes = ["causes"] * 15 + ["symptoms"] * 25 + ["stages"] * 5
    found = by_type(base, tuned, singles(45), qtypes)
    assert list(found) == ["symptoms", "causes", "stages"]
    assert [gain["n"] for gain in found.values()] == [25, 15, 5]
    assert [gain["mean"] for gain in found.values()] == pytest.approx([0, 0.2, 0.3])
    assert found["stages"]["p"] is None and found["stages"]["low"] == pytest.approx(0.3)
    # two types are tested: the surer p doubles, the other stays
    alone = {name: paired_gain(base[:n], tuned[part], singles(45)[part]) for name, n, part in (
        ("causes", 15, slice(0, 15)), ("symptoms", 25, slice(15, 40)))}  # fmt: skip
    assert found["causes"]["p"] == pytest.approx(2 * alone["causes"]["p"])
    assert found["symptoms"]["p"] == alone["symptoms"]["p"]


def test_types_too_small_to_test_need_no_correction():
    found = by_type([0.0, 0.0], [0.1, 0.2], ["a", "b"], ["stages", "causes"])
    assert {name: gain["p"] for name, gain in found.items()} == {"causes": None, "stages": None}


def test_holm_corrects_as_by_hand():
    # sorted .005 .01 .03 .04, times 4 3 2 1, each at least the one before: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_wilson_gives_the_intervals_of_the_textbook():
    none, half, all_ = wilson(0, 10), wilson(5, 10), wilson(10, 10)
    # z² / (n + z²) with z² = 3.8415
    assert (none["low"], none["high"]) == (0, pytest.approx(3.8415 / 13.8415, abs=1e-4))
    assert (half["low"], half["high"]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (all_["low"], all_["high"]) == (pytest.approx(10 / 13.8415, abs=1e-4), 1)
    assert (wilson(15, 150)["low"], wilson(15, 150)["high"]) == pytest.approx((0.0616, 0.1585), abs=1e-3)
    assert (half["k"], half["n"], half["share"]) == (5, 10, 0.5)
    # exactly, though the formula's last digits say otherwise for some n
    assert all((wilson(0, n)["low"], wilson(n, n)["high"]) == (0, 1) for n in range(1, 300))


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_an_impossible_rate_is_an_error(k: int, n: int):
    with pytest.raises(ValueError, match=r"must (not )?be"):
        wilson(k, n)


def test_mcnemars_p_is_the_exact_binomial_one():
    def p(only_base: int, only_tuned: int) -> float:
        base, tuned = [True] * only_base + [False] * only_tuned, [False] * only_base + [True] * only_tuned
        result = mcnemar([*base, True, False], [*tuned, True, False])  # both right and both wrong count for nothing
        assert (result["only base"], result["only tuned"]) == (only_base, only_tuned)
        return result["p"]

    assert p(0, 0) == p(3, 3) == 1
    assert p(0, 6) == p(6, 0) == pytest.approx(2 / 64)
    assert p(1, 9) == pytest.approx(2 * 11 / 1024)


def test_results_can_be_written_as_json():
    gain = paired_gain([0.1] * 12, [0.2] * 12, singles(12))
    assert json.loads(json.dumps(gain)) == gain
    assert json.loads(json.dumps(wilson(1, 2))) == wilson(1, 2)
