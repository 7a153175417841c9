"""The page to read answers: hostile text stays text, and a real browser filters, sorts and searches it."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import chromium_page, scrolls_sideways, troubles
from playwright.sync_api import Browser, Page, expect

from training.scoring.answers_page import DATA, MARKS, TEMPLATE, answers_page, count_marks
from training.scoring.intervals import wilson

HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script><!-- <b>b</b> {{ data }} \u2028 \ud800"


def answer(number: int, question: str, qtype: str, gain: float, tuned: str = "Rest and drink water.") -> dict:
    return {
        "id": f"q{number}",
        "question": question,
        "qtype": qtype,
        "group": f"g{number}",
        "reference": "Rest helps. Drink plenty of water.",
        "base": {"text": "See a doctor about it.", "tokens": 512, "ended": False},
        "tuned": {"text": tuned, "tokens": 9, "ended": True},
        "rouge1": {"base": 0.3, "tuned": 0.3 + gain},
        "facts": None,
    }


def with_fact(asked: dict, base: list[str], tuned: list[str], outcomes: str, compared: str = "yes") -> dict:
    """An answer whose question asks for the gene AAA1."""
    sides = zip(("base", "tuned"), (base, tuned), outcomes.split(), strict=True)
    marks = {side: {"named": named, "outcome": outcome} for side, named, outcome in sides}
    return asked | {"facts": {"kind": "gene", "reference": ["AAA1"], "compared": compared} | marks}


ANSWERS = [
    answer(1, "What causes Influenza ?", "causes", 0.10),
    answer(2, "What are the symptoms of Asthma ?", "symptoms", -0.20, "Wheezing, cough and a tight chest."),
    answer(3, "How to diagnose Gout ?", "exams and tests", 0.30),
    answer(4, "What are the symptoms of Measles ?", "symptoms", 0.0),
]
SUMMARY = {"ROUGE-1, tuned": "0.350 (0.300 to 0.400)", "Ends by itself": "100 %"}


class Outline(HTMLParser):
    """The tags of a document with their attributes, and the text inside its scripts."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def everywhere_hostile() -> list[dict]:
    hostile = answer(1, HOSTILE, HOSTILE, 0.1, HOSTILE)
    hostile["id"] = hostile["reference"] = hostile["base"]["text"] = HOSTILE
    return [hostile]


def test_hostile_text_adds_no_tag_to_the_page():
    plain = Outline(answers_page(ANSWERS, "Answers", SUMMARY))
    hostile = Outline(answers_page(everywhere_hostile(), HOSTILE, {HOSTILE: HOSTILE}))
    assert hostile.tags == plain.tags
    assert len(plain.scripts) == 2 and plain.scripts[1] == hostile.scripts[1]


def test_hostile_text_comes_out_of_the_page_as_it_went_in():
    data = json.loads(Outline(answers_page(everywhere_hostile(), HOSTILE, {HOSTILE: HOSTILE})).scripts[0])
    assert data["title"] == HOSTILE and data["summary"] == [[HOSTILE, HOSTILE]]
    shown = data["answers"][0]
    texts = [shown["id"], shown["question"], shown["qtype"], shown["reference"]]
    assert [*texts, shown["base"]["text"], shown["tuned"]["text"]] == [HOSTILE] * 6


def test_the_template_has_one_place_for_the_data_and_no_address_of_anything_outside():
    template = TEMPLATE.read_text(encoding="utf-8")
    assert template.count(DATA) == 1
    assert "://" not in template and "innerHTML" not in template
    tags = Outline(template).tags
    assert [tag[name] for _, tag in tags for name in ("src", "href") if name in tag] == ["data:,"]


def test_the_page_can_be_written_as_utf8_whatever_a_model_printed(tmp_path):
    page = answers_page(everywhere_hostile(), HOSTILE, {HOSTILE: HOSTILE})
    (tmp_path / "answers.html").write_text(page, encoding="utf-8")


def test_only_what_the_page_shows_of_an_answer_is_in_it():
    page = answers_page([ANSWERS[0] | {"secret": "/home/somebody/model"}], "Answers", {})
    assert "somebody" not in page


def test_a_gain_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="JSON compliant"):
        answers_page([answer(1, "Q", "causes", float("nan"))], "Answers", {})


@pytest.fixture(scope="module")
def browser():
    with chromium_page() as page:
        yield page.context.browser


@pytest.fixture
def page(browser: Browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


def opened(
    page: Page, folder: Path, answers: list[dict], title: str = "Answers of r16", summary: dict | None = None
) -> list[str]:
    """Open the answers in the browser; what goes wrong from here on is in the list."""
    file = folder / "answers.html"
    file.write_text(answers_page(answers, title, SUMMARY if summary is None else summary), encoding="utf-8")
    seen = troubles(page, allowed=file.as_uri())
    page.goto(file.as_uri())
    return seen


def columns(page: Page) -> list[dict[str, float]]:
    """Where reference, base and tuned of the first answer stand."""
    card = page.locator("article").first
    return [card.locator(f"section.{name}").bounding_box() for name in ("reference", "base", "tuned")]


def questions(page: Page) -> list[str]:
    return page.locator("article h2").all_text_contents()


def test_the_page_opens_with_all_answers_in_their_order_and_the_rates_on_top(page, tmp_path):
    seen = opened(page, tmp_path, ANSWERS)
    assert page.title() == page.locator("h1").text_content() == "Answers of r16"
    assert questions(page) == [answer["question"] for answer in ANSWERS]
    assert page.locator("dt").all_text_contents() == list(SUMMARY)
    assert page.locator("dd").all_text_contents() == list(SUMMARY.values())
    assert page.locator("#tally").text_content() == (
        "4 of 4 answers: tuned scores lower on 1, the same on 1, higher on 2. Mean gain in ROUGE-1 +0.050."
    )
    assert seen == []


def test_an_answer_shows_its_gain_its_scores_and_whether_it_was_cut_off(page, tmp_path):
    opened(page, tmp_path, ANSWERS)
    card = page.locator("article").nth(1)
    assert card.locator(".gain strong").text_content() == "\u22120.200"
    assert "ROUGE-1 0.300" in card.locator(".base h3").text_content()
    assert "ROUGE-1 0.100" in card.locator(".tuned h3").text_content()
    assert card.locator(".base .end").text_content() == "512 tokens, cut off at the limit"
    assert card.locator(".tuned .end").text_content() == "9 tokens, ended by itself"


def test_the_bar_of_a_loss_ends_where_that_of_a_gain_begins_and_both_are_to_scale(page, tmp_path):
    opened(page, tmp_path, ANSWERS)
    gain, loss, more, none = (bar.bounding_box() for bar in page.locator(".scale span").all())
    assert loss["x"] + loss["width"] == pytest.approx(gain["x"], abs=0.5) == pytest.approx(more["x"], abs=0.5)
    assert loss["width"] == pytest.approx(2 * gain["width"], abs=0.5) and none["width"] == 0
    assert more["width"] == pytest.approx(3 * gain["width"], abs=0.5) and gain["width"] > 10


def test_the_type_and_the_search_choose_and_the_count_says_how_many(page, tmp_path):
    seen = opened(page, tmp_path, ANSWERS)
    assert page.get_by_label("Question type").locator("option").all_text_contents() == [
        "All types", "causes (1)", "exams and tests (1)", "symptoms (2)",
    ]  # fmt: skip
    page.get_by_label("Question type").select_option("symptoms")
    assert questions(page) == [ANSWERS[1]["question"], ANSWERS[3]["question"]]
    page.get_by_label("Search").fill("CHEST wheezing")  # words of an answer, in another order and case
    expect(page.locator("article")).to_have_count(1)
    assert questions(page) == [ANSWERS[1]["question"]]
    assert page.locator("#tally").text_content().startswith("1 of 4 answers")
    page.get_by_label("Search").fill("no such word")
    expect(page.locator("article")).to_have_count(0)
    assert page.locator("#tally").text_content() == "None of the 4 answers fits."
    assert seen == []


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("Largest gain first", [3, 1, 4, 2]),
        ("Largest loss first", [2, 4, 1, 3]),
        ("Question, A to Z", [3, 2, 4, 1]),
    ],
)
def test_the_order_can_be_chosen_and_taken_back(page, tmp_path, order, numbers):
    seen = opened(page, tmp_path, ANSWERS)
    page.get_by_label("Order").select_option(order)
    assert questions(page) == [ANSWERS[number - 1]["question"] for number in numbers]
    page.get_by_label("Order").select_option("As in the split")
    assert questions(page) == [answer["question"] for answer in ANSWERS]
    assert seen == []


def test_facts_are_marked_right_wrong_or_absent_and_choose_the_answers(page, tmp_path):
    asked = [
        with_fact(ANSWERS[0], [], ["AAA1"], "none right"),
        with_fact(ANSWERS[1], ["AAA1"], ["BBB1", "CCC1"], "right several"),
        ANSWERS[2],
        with_fact(ANSWERS[3], ["AAA1"], ["AAA1"], "right right", compared="in the question"),
    ]
    seen = opened(page, tmp_path, asked)
    assert page.locator("article").nth(0).locator(".fact").all_text_contents() == [
        "gene: AAA1", "gene: absent", "gene: AAA1 · right",
    ]  # fmt: skip
    assert page.locator("article").nth(1).locator(".tuned .fact").text_content() == "gene: BBB1, CCC1 · several"
    assert page.locator("article").nth(2).locator(".fact").count() == 0
    assert page.locator("article").nth(3).locator(".tuned .fact").text_content() == "gene: AAA1"  # not compared
    for wanted, numbers in (
        ("One to compare", [0, 1]), ("Right only in tuned", [0]), ("Right only in base", [1]),
        ("Tuned names several", [1]), ("Tuned wrong", []), ("Any or none", [0, 1, 2, 3]),
    ):  # fmt: skip
        page.get_by_label("Fact").select_option(wanted)
        assert questions(page) == [ANSWERS[number]["question"] for number in numbers]
    assert seen == []


def test_without_facts_there_is_no_choice_by_them(page, tmp_path):
    opened(page, tmp_path, ANSWERS)
    assert not page.locator("#fact").is_visible() and page.locator("#order").is_visible()


def test_a_likelihood_pair_shows_its_outcome_and_chooses_the_answers(page, tmp_path):
    asked = [
        ANSWERS[0] | {"pair": {"base": False, "tuned": True}},
        ANSWERS[1] | {"pair": {"base": True, "tuned": True}},
        ANSWERS[2] | {"pair": None},
    ]
    opened(page, tmp_path, asked)
    assert page.locator("article").first.locator(".fact").all_text_contents() == [
        "likelihood pair: wrong", "likelihood pair: right",
    ]  # fmt: skip
    for wanted, numbers in (("Right only in tuned", [0]), ("Tuned right", [0, 1]), ("Tuned wrong", [])):
        page.get_by_label("Likelihood pair").select_option(wanted)
        assert questions(page) == [ANSWERS[number]["question"] for number in numbers]


def judged(page: Page, folder: Path, key: str = "k1") -> list[str]:
    """The page whose second and third answers are to be judged, with the judging begun."""
    asked = [ANSWERS[0], ANSWERS[1] | {"first": "tuned"}, ANSWERS[2] | {"first": "base"}, ANSWERS[3]]
    file = folder / "answers.html"
    file.write_text(answers_page(asked, "Answers", SUMMARY, "Tuned **beats** the base.", key), encoding="utf-8")
    seen = troubles(page, allowed=file.as_uri())
    page.goto(file.as_uri())
    page.get_by_role("button", name="Judge 2 questions yourself").click()
    return seen


def test_a_person_judges_a_sample_without_knowing_which_answer_is_whose(page, tmp_path):
    seen = judged(page, tmp_path)
    assert page.locator("#about").text_content() == "Tuned beats the base."
    assert questions(page) == [ANSWERS[1]["question"], ANSWERS[2]["question"]]
    first = page.locator("article").first
    assert first.locator("h3").all_text_contents() == ["Reference", "Answer 1", "Answer 2"]
    assert first.locator(".text").all_text_contents()[1:] == [ANSWERS[1][side]["text"] for side in ("tuned", "base")]
    assert page.locator(".gain, .fact, .end, mark").count() == 0 and not page.locator("#order").is_visible()
    first.get_by_role("button", name="Wrong").first.click()  # of tuned
    first.get_by_role("button", name="Right").last.click()
    last = page.locator("article").last
    last.get_by_role("button", name="Partly").first.click()
    last.get_by_role("button", name="Right").first.click()  # another mark replaces it
    last.get_by_role("button", name="Wrong").last.click()
    last.get_by_role("button", name="Wrong").last.click()  # and the same one again takes it back
    assert page.locator("#tally").text_content() == "3 of 4 answers marked."
    page.reload()
    page.get_by_role("button", name="Judge 2 questions yourself").click()
    assert page.locator(".marks [aria-pressed=true]").all_text_contents() == ["Wrong", "Right", "Right"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the marks").click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert saved == {"answers": "k1", "marks": {"q2": {"tuned": "wrong", "base": "right"}, "q3": {"base": "right"}}}
    assert count_marks(saved, "k1")["base"]["right"] == wilson(1, 1)  # q3 is not whole
    page.get_by_role("button", name="Back to all answers").click()
    assert len(questions(page)) == 4 and page.locator(".gain").count() == 4
    assert seen == []


def test_a_phone_shows_the_buttons_and_never_scrolls_sideways(page, tmp_path):
    page.set_viewport_size({"width": 360, "height": 780})
    judged(page, tmp_path)
    assert not scrolls_sideways(page)
    buttons = [button.bounding_box() for button in page.locator(".marks button").all()]
    assert len(buttons) == 12 and all(box["height"] >= 40 and box["x"] + box["width"] <= 360 for box in buttons)


def test_marks_are_counted_with_their_intervals():
    marks = {f"q{n}": {"base": MARKS[n % 3], "tuned": "right"} for n in range(9)} | {"q9": {"tuned": "wrong"}}
    counted = count_marks({"answers": "k1", "marks": marks}, "k1")
    assert counted["base"] == {mark: wilson(3, 9) for mark in MARKS}
    assert [rate["k"] for rate in counted["tuned"].values()] == [9, 0, 0]


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"answers": "k2", "marks": {"q1": {"base": "right", "tuned": "right"}}}, "marks are of other answers"),
        ({}, "marks are of other answers"),
        ({"answers": "k1", "marks": {"q1": {"base": "right"}}}, "no question with both answers marked"),
        ({"answers": "k1", "marks": {"q1": {"base": "right", "tuned": "good"}}}, "right, partly, wrong"),
    ],
)
def test_marks_of_other_answers_or_of_another_kind_are_an_error(saved, said):
    with pytest.raises(ValueError, match=said):
        count_marks(saved, "k1")


def test_words_of_an_answer_that_stand_in_the_reference_are_marked_until_switched_off(page, tmp_path):
    opened(page, tmp_path, ANSWERS[:1])
    assert page.locator(".tuned mark").all_text_contents() == ["Rest", "drink", "water"]
    assert page.locator(".base mark").count() == page.locator(".reference mark").count() == 0
    ground = "getComputedStyle(document.querySelector('mark')).backgroundColor"
    marked = page.evaluate(ground)
    page.get_by_label("Mark words").uncheck()
    assert page.evaluate(ground) == "rgba(0, 0, 0, 0)" != marked


def test_hostile_text_is_read_as_text_in_the_browser(page, tmp_path):
    readable = HOSTILE.replace(" \ud800", "")  # half a character can't be asked for over the wire
    hostile = json.loads(json.dumps(everywhere_hostile()).replace(" \\ud800", ""))
    seen = opened(page, tmp_path, hostile, title=readable, summary={readable: readable})
    page.get_by_label("Search").fill("onerror=alert(1)")
    page.wait_for_timeout(400)  # longer than the search waits, and than a script would need
    assert page.locator(".text").all_text_contents() == [readable] * 3
    assert page.title().startswith("</script><img src=x") and questions(page) == [readable]
    assert page.locator("dt").text_content() == page.locator("dd").text_content() == readable
    assert page.locator("img, b").count() == 0 and page.locator("script").count() == 2
    assert seen == []


def test_a_dialog_and_a_request_would_be_noticed(page, tmp_path):
    """The other tests rely on `troubles`: a page that does what they forbid must fill its list."""
    file = tmp_path / "bad.html"
    bad = "<!doctype html><script>alert(1); fetch('http://127.0.0.1:9/'); nothing()</script>"
    file.write_text(bad, encoding="utf-8")
    seen = troubles(page, allowed=file.as_uri())
    page.goto(file.as_uri())
    page.wait_for_timeout(200)
    assert {entry.split(":")[0] for entry in seen} == {"dialog", "request", "error", "console"}


def test_many_answers_come_page_by_page_and_the_keyboard_goes_on_at_the_first_new_one(page, tmp_path):
    many = [answer(n, f"What is number {n:04} ?", "information", n / 4000) for n in range(1641)]
    seen = opened(page, tmp_path, many)
    assert len(questions(page)) == 20
    page.get_by_role("button", name="Show 20 more").focus()
    page.keyboard.press("Enter")
    assert len(questions(page)) == 40
    assert page.evaluate("document.activeElement.textContent") == "What is number 0020 ?"
    page.get_by_label("Search").fill("number 1640")
    expect(page.locator("article")).to_have_count(1)
    assert not page.locator("#more").is_visible()
    assert seen == []


def test_a_choice_far_down_the_page_leads_to_the_first_answer_below_the_controls(page, tmp_path):
    opened(page, tmp_path, ANSWERS * 10)
    page.evaluate("window.scrollTo(0, 4000)")
    page.get_by_label("Order").select_option("Largest gain first")
    bar, first = page.locator("form").bounding_box(), page.locator("article").first.bounding_box()
    assert bar["y"] + bar["height"] <= first["y"] < 900


def test_long_texts_are_folded_until_asked_for_and_while_searching_whole(page, tmp_path):
    story = "It is a long story. " * 200 + "The end."
    opened(page, tmp_path, [answer(1, "What is Gout ?", "information", 0.1, story)])
    text = page.locator(".tuned .text")
    folded = text.bounding_box()["height"]
    page.get_by_role("button", name="Show all of it").click()
    assert text.bounding_box()["height"] > folded
    page.get_by_role("button", name="Fold").click()
    assert text.bounding_box()["height"] == folded
    page.get_by_label("Search").fill("the end")
    expect(page.locator("main.searching")).to_have_count(1)
    assert text.bounding_box()["height"] > folded


def test_every_control_has_a_label_and_every_answer_a_name(page, tmp_path):
    opened(page, tmp_path, ANSWERS)
    controls = page.locator("input, select").evaluate_all("all => all.map(control => control.labels.length)")
    assert controls == [1, 1, 1, 1, 1, 1]
    assert page.get_by_role("article", name="How to diagnose Gout ?").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_columns_one_below_the_other_and_never_scrolls_sideways(page, tmp_path, scheme):
    endless = answer(5, "What is " + "Pneumonoultramicroscopic" * 8 + " ?", "x" * 300, 0.2, "y" * 3000)
    page.set_viewport_size({"width": 360, "height": 780})
    page.emulate_media(color_scheme=scheme)
    opened(page, tmp_path, [*ANSWERS, endless], title="T" * 200, summary=SUMMARY | {"L" * 90: "V" * 90})
    assert not scrolls_sideways(page)
    boxes = columns(page)
    assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"] and boxes[0]["x"] == boxes[1]["x"] == boxes[2]["x"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(245, 246, 248)")


def test_a_wide_window_shows_reference_base_and_tuned_side_by_side(page, tmp_path):
    opened(page, tmp_path, ANSWERS)
    boxes = columns(page)
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"] and boxes[0]["y"] == boxes[1]["y"] == boxes[2]["y"]
