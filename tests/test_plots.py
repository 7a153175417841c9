"""The pictures: true to their numbers, the same every time, readable on any page."""

import os
import subprocess
import sys
from html import unescape
from xml.etree import ElementTree

import pytest
from browser import chromium_page
from conftest import ROOT

from training.scoring.plots import (
    BASE,
    INK,
    TUNED,
    length_distribution,
    loss_curves,
    rouge_bars,
    study_points,
)

SVG = "{http://www.w3.org/2000/svg}"


def scores(mean: float) -> dict[str, dict[str, float | None]]:
    return {
        "rouge1": {"mean": mean, "low": mean - 0.01, "high": mean + 0.01},
        "rouge2": {"mean": mean / 2, "low": 0.0, "high": mean},
        "rougeL": {"mean": mean / 3, "low": None, "high": None},
    }


SYSTEMS = {
    "tuned": scores(0.336),
    "disclaimer only": scores(0.012),
    "base": scores(0.255),
    "random training answer": scores(0.206),
    "template copier": scores(0.326),
    "nearest training question": scores(0.311),
    "base + disclaimer": scores(0.25),
}
STUDY = [
    {"name": "r16", "mean": 0.3234, "low": 0.312, "high": 0.334, "winner": True},
    {"name": "r8 <b>$x$ & y", "mean": 0.319, "low": 0.308, "high": 0.33, "winner": False},
    {"name": "r32", "mean": 0.314, "low": None, "high": None, "winner": False},
]
TRAIN = [(step, 2 + 1 / step) for step in (1, *range(500, 10_001, 500))]


def pictures() -> dict[str, str]:
    return {
        "losses": loss_curves(TRAIN, [(3000, 2.5), (6000, 2.25), (9000, 2.375)]),
        "short losses": loss_curves([(5, 3.0), (10, 2.0)], []),
        "rouge": rouge_bars(SYSTEMS, 1641),
        "rouge of two": rouge_bars({"base": scores(0.9), "tuned": scores(0.0)}, 8),
        "study": study_points(STUDY, 1640),
        "study of one": study_points(STUDY[2:], 8),
        "lengths": length_distribution({"train": [*range(20, 3000)], "test": [100] * 9}, 1024),
        "short lengths": length_distribution({"train": [*range(44, 90)]}, 64),
        "one length": length_distribution({"train": [7, 7]}, 1024),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return pictures()


def texts(picture: str) -> list[str]:
    return [node.text for node in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def alt(picture: str) -> str:
    return ElementTree.fromstring(picture).find(f"{SVG}title").text


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two #rrggbb colours, 1..21. Source: WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_same_numbers_give_the_same_bytes_in_another_process(drawn):
    code = f"from training.scoring.plots import study_points; print(study_points({STUDY}, 1640), end='')"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "utf-8"}
    again = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert again.stdout.decode() == drawn["study"]


def test_a_picture_holds_no_date_and_stays_small(drawn):
    for name, picture in drawn.items():
        assert "dc:date" not in picture and "Matplotlib" not in picture, name
        assert len(picture.encode()) < 60_000, name


def test_the_global_state_of_matplotlib_is_left_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    study_points(STUDY, 8)
    assert dict(matplotlib.rcParams) == before


def test_every_colour_of_a_text_can_be_read_on_white_and_on_dark(drawn):
    for name, picture in drawn.items():
        for node in ElementTree.fromstring(picture).iter(f"{SVG}text"):
            colour = node.get("style").partition("fill: ")[2][:7]
            assert colour in (INK, TUNED, BASE), name
    for colour in (INK, TUNED, BASE):
        assert contrast(colour, "#ffffff") > 4 and contrast(colour, "#0d1117") > 4


def test_no_two_texts_overlap_and_none_is_cut_off(drawn):
    boxes_of = """() => {
        const edges = node => {
            const box = node.getBoundingClientRect();
            return [box.left, box.top, box.right, box.bottom, node.textContent];
        };
        return [edges(document.querySelector('svg')), [...document.querySelectorAll('text')].map(edges)];
    }"""
    with chromium_page() as page:
        for name, picture in drawn.items():
            page.set_content(picture.partition("?>")[2])
            frame, boxes = page.evaluate(boxes_of)
            assert len(boxes) == len(texts(picture)) > 4
            for at, (left, top, right, bottom, text) in enumerate(boxes):
                inside = frame[0] <= left and frame[1] <= top and right <= frame[2] and bottom <= frame[3]
                assert inside, f"{name}: {text!r} is cut off"
                for other in boxes[at + 1 :]:
                    # lines of text may touch: a box is taller than its letters
                    apart = right <= other[0] or other[2] <= left or bottom <= other[1] + 3 or other[3] <= top + 3
                    assert apart, f"{name}: {text!r} lies on {other[4]!r}"


def test_losses_are_told_with_their_first_last_and_lowest(drawn):
    assert alt(drawn["losses"]) == (
        "Loss over optimiser steps: train loss 3.00 at step 1 and 2.00 at step 10,000; "
        "validation loss 2.50 at step 3,000 and 2.38 at step 9,000. "
        "The lowest validation loss is 2.25 at step 6,000."
    )
    assert {"train, last 2.00", "validation, last 2.38"} <= set(texts(drawn["losses"]))
    assert "validation" not in drawn["short losses"]


def test_baselines_come_first_then_base_then_tuned_and_each_bar_shows_its_score(drawn):
    order = ["disclaimer only", "random training answer", "template copier", "nearest training question"]
    order += ["base + disclaimer", "base", "tuned"]
    shown = texts(drawn["rouge"])
    assert [text for text in shown if text in SYSTEMS] == order * 3
    for key in ("rouge1", "rouge2", "rougeL"):
        expected = [f"{SYSTEMS[name][key]['mean']:.3f}" for name in order]
        assert any(shown[start : start + 7] == expected for start in range(len(shown))), key
    assert "ROUGE-1: disclaimer only 0.012, random training answer 0.206" in alt(drawn["rouge"])
    assert alt(drawn["rouge"]).endswith("base 0.085, tuned 0.112.")
    assert "F1, mean with 95 % interval, 1,641 questions" in shown


def test_base_and_tuned_have_their_own_colours_and_baselines_none(drawn):
    nodes = ElementTree.fromstring(drawn["rouge"]).iter(f"{SVG}text")
    colours = {node.text: node.get("style").partition("fill: ")[2][:7] for node in nodes}
    assert (colours["0.336"], colours["0.255"], colours["0.326"]) == (TUNED, BASE, INK)


def test_the_study_says_which_configuration_was_chosen_and_nothing_else(drawn):
    assert alt(drawn["study"]) == (
        "Validation ROUGE-1 of each configuration, mean with 95 % interval, 1,640 questions: "
        "r16, chosen 0.323 (0.312 to 0.334); r8 <b>$x$ & y 0.319 (0.308 to 0.330); r32 0.314."
    )
    shown = texts(drawn["study"])
    assert {"r16, chosen", "r32", "0.323", "0.319", "0.314"} <= set(shown)
    assert "chosen" not in drawn["study of one"]


def test_a_name_with_markup_and_dollar_signs_is_shown_as_it_is(drawn):
    assert "r8 <b>$x$ & y" in texts(drawn["study"])
    assert "<b>" not in drawn["study"] and "<b>" in unescape(drawn["study"])


def test_lengths_are_told_with_the_share_over_the_limit():
    lengths = length_distribution({"train": [10, 20, 40, 1025], "test": [1024] * 4, "none": []}, 1024)
    assert alt(lengths) == (
        "Lengths in tokens. train: 4 examples, median 30, longest 1,025. "
        "test: 4 examples, median 1,024, longest 1,024. limit 1,024: 12.5 % longer."
    )
    assert "limit 1,024: 12.5 % longer" in texts(lengths)
