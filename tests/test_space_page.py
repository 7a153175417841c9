"""The page in a real browser over a model that repeats its question: ask, stream, stop, retry, notice, compare, axe.

Screenshots go to $SPACE_SHOTS, if that is set.
"""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow
import pytest
from browser import chromium, new_page, scrolls_sideways, troubles
from hub.spaces import free_port
from playwright.sync_api import Browser, Page, expect
from pyarrow import parquet
from space_app import (
    BREAK,
    ECHO,
    QUESTION,
    SENTENCES,
    SLOWLY,
    WAITING,
    Line,
    busy,
    new_visitor,
    running_app,
    wait_for,
)

# isort: split
from page import AT_ONCE, EXAMPLES, NOT_NOW

EMERGENCY = "my dad has crushing chest pain and is sweating"
CRISIS = "i want to kill myself tonight"
SLOW = 60_000  # milliseconds to wait on a busy machine


@pytest.fixture
def address(echo):
    return echo[0]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def page(address, browser):
    with opened(address, browser) as found:
        yield found


@contextmanager
def opened(address: str, browser: Browser, errors_allowed: bool = False, **context: object) -> Iterator[Page]:
    """The page, with a check at the end that nothing went wrong in it and no request left the server."""
    expect.set_options(timeout=SLOW)
    with new_page(browser, extra_http_headers=new_visitor(), **context) as page:
        page.set_default_timeout(SLOW)
        seen = troubles(page, address)
        page.goto(address)
        drawn(page)
        yield page
    assert errors_allowed or seen == []


def drawn(page: Page) -> None:
    """Wait until gradio's page has taken the place of the first lines, which say the same."""
    expect(question(page)).to_be_visible()
    expect(page.locator("#first")).to_have_count(0)


def question(page: Page):
    return page.get_by_role("textbox", name="Your question")


def button(page: Page, name: str):
    return page.get_by_role("button", name=name, exact=True).last


def ask(page: Page, text: str) -> None:
    question(page).fill(text)
    question(page).press("Enter")


def answers(page: Page):
    return page.locator("#chat .bot-row").filter(has=page.locator(".answer, .care, .fixed"))


def pages(page: Page):
    """What stands above an answer, and under a personal reply, of the pages that fit the question."""
    return page.locator("#chat .sources")


def finished(page: Page) -> None:
    """Wait until the last answer is whole."""
    expect(answers(page).last).not_to_contain_text(re.compile("Writing…|Waiting for the model"))


def stands_above(page: Page, upper: str, lower: str) -> bool:
    """Whether the last match of one selector ends before that of another begins, also while the page scrolls."""
    places = "found => found.map(s => [...document.querySelectorAll(s)].at(-1).getBoundingClientRect().toJSON())"
    first, second = page.evaluate(places, [upper, lower])
    return first["bottom"] <= second["top"]


def has_focus(page: Page, selector: str) -> None:
    """Wait until the focus is in it, and not on the page as a whole, from where Tab begins at the top again."""
    page.wait_for_function("s => document.activeElement.closest(s) !== null", arg=selector)


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SPACE_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def axe(page: Page) -> list[str]:
    """Serious and critical violations that axe-core finds on the page as it is."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core comes with axe-playwright-python")
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{v['id']}: {node['html'][:150]} {node['failureSummary']}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


# ---------------------------------------------------------------- chat
def test_five_seconds_tell_what_it_is_and_what_it_is_not(page):
    top = page.locator("body").inner_text()
    for words in (
        "small AI",
        "Not for emergencies",
        "911",
        "999",
        "112",
        "often wrong",
        "not a doctor",
    ):
        assert words in top
    for words in ("English only", "18 and over", "names", "to no disk and no log", "press Clear"):
        assert words in top
    notice = page.get_by_role("region", name="Please read first")
    expect(notice).to_be_in_viewport(ratio=1)
    expect(question(page)).to_be_in_viewport()
    expect(page.get_by_role("link", name="911")).to_have_attribute("href", "tel:911")
    assert not re.search("[\U0001f000-\U0001faff]", top), "no emoji"


def test_an_answer_streams_with_the_disclaimer_from_the_start_and_the_page_is_ready_for_the_next(page, contract):
    ask(page, f"{QUESTION} {SLOWLY}")
    expect(answers(page)).to_contain_text("Writing…")
    halfway = answers(page).inner_text()
    assert "You asked me this" in halfway and contract.disclaimer in halfway and SENTENCES[-1] not in halfway
    button(page, "Clear").click()
    expect(answers(page)).to_have_count(0)
    ask(page, QUESTION)
    expect(answers(page)).to_contain_text(SENTENCES[-1])
    finished(page)
    assert answers(page).inner_text().count("Disclaimer") == 1
    expect(question(page)).to_have_value("")
    ask(page, "How is it treated?")
    expect(answers(page)).to_have_count(2)
    expect(answers(page).last).to_contain_text("That was turn 2.")


def test_stop_leaves_what_was_written_and_the_disclaimer(page, contract):
    ask(page, f"{QUESTION} {SLOWLY}")
    expect(answers(page)).to_contain_text("Writing…")
    button(page, "Stop").click()
    expect(answers(page)).to_contain_text("You stopped the answer here")
    text = answers(page).inner_text()
    assert "You asked me this" in text and "Writing" not in text
    assert text.count(contract.disclaimer) == 1
    ask(page, "What is gout?")
    finished(page)
    assert answers(page).first.inner_text() == text, "nothing is written after Stop"


def test_retry_asks_the_last_question_again(page):
    ask(page, f"{QUESTION} {SLOWLY}")
    expect(answers(page)).to_contain_text("Writing…")
    button(page, "Retry").click()
    expect(answers(page)).to_contain_text("Waiting for the model…")
    expect(answers(page)).to_contain_text("Writing…")
    assert page.locator("#chat .user-row").count() == answers(page).count() == 1
    assert QUESTION in answers(page).inner_text()


def test_a_new_question_ends_the_answer_to_the_one_before(page):
    ask(page, f"{QUESTION} {SLOWLY}")
    expect(answers(page)).to_contain_text("Writing…")
    ask(page, "What is gout?")
    expect(answers(page).first).to_contain_text("You stopped the answer here")
    expect(answers(page).last).to_contain_text(SENTENCES[-1])
    assert "What is gout?" in answers(page).last.inner_text()
    assert SENTENCES[-1] not in answers(page).first.inner_text()


def test_a_second_enter_changes_nothing(page):
    ask(page, QUESTION)
    expect(page.locator("#chat .user-row")).to_have_count(1)
    ask(page, "")
    expect(answers(page)).to_contain_text(SENTENCES[-1])
    finished(page)
    assert "You stopped" not in answers(page).inner_text()
    ask(page, EMERGENCY)
    expect(button(page, NOT_NOW)).to_be_visible()
    ask(page, "  ")
    expect(button(page, NOT_NOW)).to_be_visible()
    expect(answers(page)).to_have_count(2)


def test_clear_empties_the_chat_also_while_an_answer_is_written(page):
    ask(page, f"{QUESTION} {SLOWLY}")
    expect(answers(page)).to_contain_text("Writing…")
    button(page, "Clear").click()
    expect(answers(page)).to_have_count(0)
    ask(page, "What is gout?")
    expect(answers(page)).to_have_count(1)
    expect(answers(page)).to_contain_text("That was turn 1.")


def test_an_example_is_asked_on_a_click(page):
    button(page, EXAMPLES[1]).click()
    expect(answers(page)).to_contain_text(EXAMPLES[1])
    expect(answers(page)).to_contain_text(SENTENCES[-1])
    expect(button(page, EXAMPLES[1])).to_be_hidden()
    has_focus(page, "#chat .user-row")


def test_advanced_settings_are_folded_away_and_shorten_answers(page):
    length = page.get_by_role("spinbutton", name=re.compile("Longest answer"))
    expect(length).to_be_hidden()
    page.get_by_text("Advanced").click()
    expect(length).to_be_visible()
    length.fill("32")
    length.press("Tab")
    expect(page.locator("#length input[type=range]")).to_have_value("32")
    page.wait_for_timeout(1000)  # until gradio has taken the value over, which nothing on the page shows
    ask(page, QUESTION)
    expect(answers(page)).to_contain_text("cut off here")


def test_an_answer_can_be_copied(address, browser):
    with opened(address, browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        ask(page, QUESTION)
        finished(page)
        page.get_by_role("button", name="Copy message").last.click()
        copied = wait_text(lambda: page.evaluate("navigator.clipboard.readText()"))
        assert SENTENCES[-1] in copied and "Disclaimer" in copied and "<" not in copied
        ask(page, EMERGENCY)
        expect(answers(page)).to_have_count(2)
        page.get_by_role("button", name="Copy message").last.click()
        wait_for(lambda: "- US and Canada: 911" in page.evaluate("navigator.clipboard.readText()"), 20, "plain text")


def wait_text(read) -> str:
    wait_for(read, 20, "a text")
    return read()


def test_a_model_that_fails_is_explained_without_a_disclaimer(page, contract):
    ask(page, f"What if I {BREAK}?")
    expect(answers(page)).to_contain_text("No answer just now.")
    expect(answers(page)).not_to_contain_text(contract.disclaimer)


# ---------------------------------------------------------------- at once in the browser
def test_the_question_stands_there_and_the_box_is_empty_before_the_server_knows(page):
    typed, held = "What is 5 < 6 & *gout*?", []
    page.route("**/gradio_api/**", lambda route: held.append(route))  # noqa: PLW0108  Playwright asks for a function
    ask(page, typed)
    expect(page.locator("#chat .user-row .message")).to_have_text(typed)
    expect(question(page)).to_have_value("")
    assert answers(page).count() == 0, "nothing has reached the server"
    question(page).press_sequentially("Is it inher")
    page.route("**/gradio_api/**", lambda route: route.continue_())
    for route in held:
        route.continue_()
    expect(answers(page)).to_contain_text("gout")
    finished(page)
    expect(question(page)).to_have_value("Is it inher")
    expect(page.locator("#chat .user-row")).to_have_count(1)


def test_a_question_that_is_too_long_stays_in_the_box_with_a_count_and_a_notice_still_comes(page):
    ask(page, "What is gout? " * 150)
    expect(page.locator("#count")).to_contain_text("2,099 of 2,000 characters")
    expect(answers(page)).to_contain_text("longer than I can read")
    expect(answers(page).get_by_role("link", name="911")).to_have_attribute("href", "tel:911")
    assert question(page).input_value().startswith("What is gout? What")
    ask(page, f"{'What is gout? ' * 150} {EMERGENCY}")
    expect(answers(page).last).to_contain_text("US and Canada: 911")
    question(page).fill("What is gout?")
    expect(page.locator("#count")).to_be_hidden()


def test_a_screen_reader_is_told_an_answer_once_with_its_begin_and_end(page):
    page.evaluate(
        """() => {
            window.told = [];
            new MutationObserver(() => window.told.push(document.querySelector("#spoken").textContent.trim()))
                .observe(document.querySelector("#spoken"), { childList: true, subtree: true, characterData: true });
        }"""
    )
    ask(page, QUESTION)
    finished(page)
    page.wait_for_function("told.at(-1)?.includes('End of the answer.')")
    told = page.evaluate("told.filter((text, i) => text && text !== told[i - 1])")
    assert told[0] == "The answer is being written." and told[-1].startswith("Answer: You asked me this")
    assert sum(text.count(SENTENCES[-1]) for text in told) == 1
    assert page.get_by_role("log").get_attribute("aria-live") == "off"
    ask(page, EMERGENCY)
    expect(answers(page).last.get_by_role("alert")).to_contain_text("911")
    assert "911" not in page.locator("#spoken").inner_text(), "the notice is an alert, and is not told twice"


def test_buttons_are_there_only_where_they_do_something(page):
    for name in ("Stop", "Retry", "Clear"):
        expect(button(page, name)).to_be_hidden()
    ask(page, f"{QUESTION} {SLOWLY}")
    expect(button(page, "Stop")).to_be_visible()
    expect(button(page, "Ask")).to_be_hidden()
    button(page, "Stop").click()
    expect(button(page, "Ask")).to_be_visible()
    expect(button(page, "Stop")).to_be_hidden()
    expect(button(page, "Retry")).to_be_visible()
    ask(page, EMERGENCY)
    expect(button(page, "Retry")).to_be_hidden()
    expect(button(page, "Clear")).to_be_visible()


# ---------------------------------------------------------------- pages beside the answer
@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """The address of an app with a table of pages, which says that it serves a release of the Hub."""
    folder = tmp_path_factory.mktemp("beside")
    rows = [
        ("Asthma", "symptoms", "What are the symptoms of Asthma ?", "Signs include: - Coughing - Wheezing. Ask <b>."),
        ("Asthma", "treatment", "What are the treatments for Asthma ?", "Medicines that relax the airways."),
        *((f"Disease {n}", "information", f"What is Disease {n} ?", f"An illness of kind {n}.") for n in range(20)),
    ]
    names = ("question_focus", "question_type", "question", "answer")
    table = [dict(zip(names, row, strict=True)) | {"document_source": "NHLBI", "synonyms": ""} for row in rows]
    for n, row in enumerate(table):
        row |= {"document_url": f"https://nih.example/{n}", "question_id": str(n)}
    parquet.write_table(pyarrow.Table.from_pylist(table), folder / "pages.parquet")
    release = {"adapter": "owner/Llama-x", "revision": "0123abc", "version": "v1.0.0", "licence": "llama3.2"}
    given = {"SOURCES": str(folder / "pages.parquet"), "RELEASE": json.dumps(release), "ECHO_DELAY": "0.01"}
    with running_app(folder / "app", file=ECHO, **given) as address:
        yield address


def test_pages_stand_above_an_answer_before_it_is_written_and_stay_open(beside, browser):
    with opened(beside, browser) as page:
        ask(page, f"{QUESTION} {SLOWLY}")
        expect(pages(page).get_by_role("heading")).to_have_text("Read what NIH says")
        assert "Writing…" in answers(page).inner_text() or "Waiting" in answers(page).inner_text()
        assert stands_above(page, "#chat .user-row", "#chat .sources")
        assert stands_above(page, "#chat .sources", "#chat .answer")
        link = pages(page).get_by_role("link", name="Asthma: symptoms")
        expect(link).to_have_attribute("href", "https://nih.example/0")
        expect(link).to_have_attribute("target", "_blank")
        assert "noopener" in link.get_attribute("rel")
        expect(pages(page)).to_contain_text("link of 2019")
        expect(pages(page).get_by_text("Coughing")).to_be_hidden()
        pages(page).get_by_text("What it says").first.click()
        expect(pages(page).locator("blockquote li")).to_have_text(["Coughing", "Wheezing."])
        expect(pages(page)).to_contain_text("CC BY 4.0")
        expect(pages(page)).to_contain_text("Ask <b>.")
        expect(answers(page)).to_contain_text("Writing…")
        page.wait_for_timeout(1000)
        expect(pages(page).get_by_text("Coughing")).to_be_visible()
        assert axe(page) == []
        button(page, "Stop").click()
        expect(answers(page)).to_contain_text("You stopped")
        expect(pages(page)).to_have_count(1)
        shot(page, "pages")
        ask(page, "What is frobnication?")
        expect(pages(page).last).to_contain_text("No page of the NIH or CDC found for this.")
        ask(page, "My son has asthma symptoms, is it serious?")
        expect(pages(page)).to_have_count(3)
        assert stands_above(page, "#chat .fixed.personal", "#chat .sources"), "the reply comes first"
        ask(page, EMERGENCY)
        expect(answers(page)).to_have_count(4)
        expect(pages(page)).to_have_count(3)


def test_follow_up_questions_are_of_other_kinds_about_the_same_disease(beside, browser):
    with opened(beside, browser) as page:
        ask(page, QUESTION)
        finished(page)
        expect(page.locator("#chat .option")).to_have_text(
            ["What causes asthma?", "What are the treatments for asthma?", "What is the outlook for asthma?"]
        )
        page.get_by_role("button", name="What are the treatments for asthma?").click()
        expect(answers(page)).to_have_count(2)
        expect(answers(page).last).to_contain_text("You asked me this: What are the treatments for asthma?")


def test_a_report_holds_the_revision_and_of_what_was_typed_only_what_was_ticked(beside, browser):
    with opened(beside, browser, errors_allowed=True) as page:
        sent = []
        page.context.route("https://huggingface.co/**", lambda route: route.abort())
        page.context.on("request", lambda request: sent.append(unquote_plus(request.url)))
        expect(page.locator(".report")).to_be_hidden()
        ask(page, QUESTION)
        finished(page)
        page.get_by_text("Report this answer").click()
        expect(page.locator(".report")).to_contain_text("your browser's history")

        def report(says: str) -> str:
            """The first address that is opened and says so; a browser may try an earlier one again."""
            page.get_by_role("button", name="Open the report").click()
            wait_for(lambda: page.wait_for_timeout(50) or any(says in url for url in sent), 20, "the report is opened")
            return next(url for url in sent if says in url)

        plain = report("huggingface.co")
        page.get_by_label("Add my question").check()
        ticked = report("Question:")
        assert plain.startswith("https://huggingface.co/owner/Llama-x/discussions/new?title=")
        assert "v1.0.0 0123abc" in plain and QUESTION not in plain and SENTENCES[0] not in plain
        assert f"Question:\n{QUESTION}" in ticked.replace("\r", "") and SENTENCES[0] not in ticked


def test_the_page_is_named_by_what_it_serves(beside, browser):
    with opened(beside, browser) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Med-Llama 3.2")
        expect(page.locator(".top")).to_contain_text("1.0 billion parameters")
        expect(page).to_have_title(re.compile("^Med-Llama 3.2"))
        expect(page.locator(".foot")).to_contain_text("Built with Llama")


# ---------------------------------------------------------------- hostile text
def test_html_scripts_and_images_are_text_and_load_nothing(page):
    typed = (
        'What is <b>gout</b> <img src="http://evil.example/a.png" onerror="alert(1)"> ![x](http://evil.example/b.png)?'
    )
    ask(page, typed)
    shown = page.locator("#chat .user-row .message")
    assert shown.inner_text().strip() == typed
    expect(answers(page)).to_contain_text("asked me")
    finished(page)
    assert page.locator("#chat img[src*=evil], #chat .user-row b, #chat script").count() == 0
    # that no request left and no dialog came is checked at the end of every test


def test_a_picture_that_slips_through_is_not_fetched(address, browser):
    """What an answer holds is checked elsewhere; here a picture is put into the page behind all checks."""
    with opened(address, browser, errors_allowed=True) as page:
        page.evaluate("addEventListener('securitypolicyviolation', e => window.refused = e.blockedURI)")
        page.evaluate("document.querySelector('#chat').innerHTML += '<img src=http://evil.example/a.png>'")
        page.wait_for_function("window.refused === 'http://evil.example/a.png'")


def test_what_was_typed_is_retried_read_out_and_copied_as_it_was_typed(page):
    ask(page, "What is 5 < 6 & *gout*?")
    expect(answers(page)).to_contain_text(SENTENCES[-1])
    page.wait_for_function("!document.querySelector('#chat').outerHTML.includes('message:')")
    log = page.get_by_role("log")
    assert log.get_by_role("group", name="Your message", exact=True).inner_text().strip() == "What is 5 < 6 & *gout*?"
    assert SENTENCES[-1] in log.get_by_role("group", name="Answer", exact=True).inner_text()
    # gradio's own buttons copy the entities, and clear a second time
    assert page.get_by_role("button", name="Copy message").count() == 1
    assert page.get_by_role("button", name="Copy conversation").count() == 0
    assert page.get_by_role("button", name="Clear").count() == 1
    button(page, "Retry").click()
    finished(page)
    assert page.locator("#chat .user-row .message").inner_text().strip() == "What is 5 < 6 & *gout*?"
    assert "&#" not in answers(page).inner_text()


# ---------------------------------------------------------------- notices
def test_an_emergency_shows_numbers_first_and_a_button_that_leads_on_under_them(page, contract):
    ask(page, EMERGENCY)
    expect(answers(page)).to_contain_text("911")
    text = answers(page).inner_text()
    assert text.index("911") < 120 and "You asked me" not in text and contract.disclaimer in text
    expect(button(page, NOT_NOW)).to_be_visible()
    link = answers(page).get_by_role("link", name="911")
    expect(link).to_have_attribute("href", "tel:911")
    expect(link).to_have_accessible_description("Call 911")
    shot(page, "notice")
    button(page, NOT_NOW).click()
    expect(answers(page).last).to_contain_text(SENTENCES[-1])
    expect(answers(page).last).to_contain_text("If this is happening now: 911")
    expect(button(page, NOT_NOW)).to_be_hidden()
    has_focus(page, "#chat .bot-row")
    assert "911" in answers(page).first.inner_text(), "the notice stays"
    finished(page)
    ask(page, "How is it treated?")
    expect(answers(page)).to_have_count(3)
    expect(answers(page).last).to_contain_text(SENTENCES[-1])
    assert answers(page).last.inner_text().startswith("If this is happening now: 911")
    assert "That was turn 2." in answers(page).last.inner_text(), "the model was shown what was said in between"


def test_a_crisis_has_its_helplines_and_no_button(page):
    ask(page, EMERGENCY)
    expect(button(page, NOT_NOW)).to_be_visible()
    button(page, "Clear").click()
    expect(button(page, NOT_NOW)).to_be_hidden()
    ask(page, CRISIS)
    expect(answers(page)).to_contain_text("988")
    expect(button(page, NOT_NOW)).to_be_hidden()


def test_the_button_goes_with_the_next_question(page):
    ask(page, EMERGENCY)
    expect(button(page, NOT_NOW)).to_be_visible()
    ask(page, CRISIS)
    expect(answers(page).last).to_contain_text("988")
    expect(button(page, NOT_NOW)).to_be_hidden()


def test_a_notice_does_not_wait_for_the_model(address, browser):
    """All workers are taken by others; a person is told her place, and gets her notice at once."""
    with opened(address, browser) as page, busy(address, AT_ONCE + 3):
        ask(page, QUESTION)
        expect(page.locator("#place")).to_contain_text(re.compile(r"You are number \d of \d"))
        expect(answers(page)).to_contain_text("Waiting for the model…")
        assert "Writing…" not in answers(page).inner_text()
        shot(page, "queue")
        ask(page, EMERGENCY)
        expect(answers(page).last).to_contain_text("911")
        expect(answers(page).first).to_contain_text("You stopped the answer here")


def test_a_full_queue_is_explained_and_notices_still_come(address, browser):
    with opened(address, browser, errors_allowed=True) as page, busy(address, AT_ONCE + WAITING, visitors=3):
        ask(page, QUESTION)
        expect(answers(page)).to_contain_text("Too many people are asking")
        ask(page, EMERGENCY)
        expect(answers(page).last).to_contain_text("911")


# ---------------------------------------------------------------- a lost connection
@contextmanager
def answer_cut_short(address: str, browser: Browser) -> Iterator[Page]:
    """A phone with a whole answer, one that is being written, and a draft; whatever happens to it, all come back."""
    with opened(address, browser, errors_allowed=True, width=360, height=740) as page:
        ask(page, QUESTION)
        finished(page)
        ask(page, f"What is gout? {SLOWLY}")
        expect(answers(page).last).to_contain_text("Writing…")
        question(page).fill("Is it inher")
        yield page
        expect(answers(page).last).to_contain_text("The connection was lost here. Press Retry to ask again.")
        expect(answers(page)).to_have_count(2)
        expect(answers(page).first).to_contain_text(SENTENCES[-1])
        expect(question(page)).to_have_value("Is it inher")
        shot(page, "back")
        button(page, "Retry").click()
        expect(answers(page).last).to_contain_text("Writing…")
        button(page, "Clear").click()
        expect(answers(page)).to_have_count(0)
        page.wait_for_function("!sessionStorage.chat && !sessionStorage.draft && !localStorage.length")


def numbers_stay_in_sight(page: Page) -> None:
    toast, numbers = page.locator(".toast-body.error"), page.locator(".notice p").first
    expect(toast).to_contain_text("Connection to the server was lost")
    expect(numbers).to_be_in_viewport(ratio=1)
    shot(page, "lost")
    box = numbers.bounding_box()
    assert box["y"] + box["height"] < toast.bounding_box()["y"], "the toast doesn't cover the numbers"


def test_a_line_that_drops_in_the_middle_of_an_answer_loses_neither_chat_nor_draft(address, browser):
    line = Line(address)
    with answer_cut_short(line.address, browser) as page:
        line.cut()
        numbers_stay_in_sight(page)
        line.mend()
    line.cut()


@pytest.mark.slow
def test_a_server_that_restarts_in_the_middle_of_an_answer_loses_neither_chat_nor_draft(tmp_path, browser):
    port = free_port()
    with running_app(tmp_path / "first", file=ECHO, port=port) as address:
        with answer_cut_short(address, browser) as page:
            os.kill(int((tmp_path / "first" / "app.pid").read_text(encoding="utf-8")), signal.SIGKILL)
            numbers_stay_in_sight(page)
            starting = running_app(tmp_path / "second", file=ECHO, port=port)
            starting.__enter__()
        starting.__exit__(None, None, None)


def test_a_tab_keeps_its_chat_over_a_reload_and_another_tab_does_not_see_it(address, browser):
    with opened(address, browser) as page:
        ask(page, EMERGENCY)
        expect(button(page, NOT_NOW)).to_be_visible()
        page.wait_for_function("sessionStorage.chat?.includes('911')")
        page.reload()
        expect(answers(page)).to_contain_text("911")
        expect(button(page, NOT_NOW)).to_be_visible()
        other = page.context.new_page()
        other.goto(address)
        expect(question(other)).to_be_visible()
        expect(answers(other)).to_have_count(0)


# ---------------------------------------------------------------- compare, about
def open_compare(page: Page) -> None:
    page.get_by_role("tab", name="About").click()
    page.get_by_role("button", name=re.compile("compare with the model before")).click()


def test_compare_shows_both_answers_side_by_side_and_the_next_question_ends_them(page, contract):
    open_compare(page)
    box = page.get_by_role("textbox", name="Question to both models")
    box.fill(QUESTION)
    box.press("Enter")
    for name, opening in (("#base", "The base was asked this:"), ("#tuned", "You asked me this:")):
        expect(page.locator(name)).to_contain_text(opening)
        expect(page.locator(name)).to_contain_text(SENTENCES[-1])
        expect(page.locator(name)).to_contain_text(contract.disclaimer)
    left, right = (page.locator(name).bounding_box() for name in ("#base", "#tuned"))
    assert left["x"] + left["width"] <= right["x"] and abs(left["y"] - right["y"]) < 5
    shot(page, "compare")
    box.fill(f"{QUESTION} {SLOWLY}")
    button(page, "Compare").click()
    expect(page.locator("#tuned")).to_contain_text("Writing…")
    box.fill("What is gout?")
    button(page, "Compare").click()
    for name in ("#base", "#tuned"):
        expect(page.locator(name)).to_contain_text("What is gout?")
        expect(page.locator(name)).to_contain_text(SENTENCES[-1])


def test_compare_shows_a_notice_instead(page):
    open_compare(page)
    page.get_by_role("textbox", name="Question to both models").fill(EMERGENCY)
    button(page, "Compare").click()
    expect(page.locator("#notice-both").get_by_role("link", name="911")).to_have_attribute("href", "tel:911")
    expect(page.locator("#notice-both")).to_contain_text("ask in Chat")
    expect(page.locator("#answers")).to_be_hidden()
    page.get_by_role("textbox", name="Question to both models").fill(CRISIS)
    button(page, "Compare").click()
    expect(page.locator("#notice-both")).to_contain_text("988")
    expect(page.locator("#notice-both")).not_to_contain_text("ask in Chat")
    page.get_by_role("textbox", name="Question to both models").fill(QUESTION)
    button(page, "Compare").click()
    expect(page.locator("#tuned")).to_contain_text(SENTENCES[0])


def test_about_answers_first_what_visitors_ask_and_folds_the_measurements(page):
    page.get_by_role("tab", name="About").click()
    about = page.locator("#about")
    expect(about.get_by_role("heading").first).to_have_text("Can I trust it?")
    expect(about).to_contain_text("MedQuAD")
    measured = about.get_by_text("This is not a safety guarantee.")
    expect(measured).to_be_hidden()
    about.get_by_text("How it was measured").click()
    expect(measured).to_be_visible()
    expect(page.locator("#advanced")).to_be_hidden()


def test_reload_tries_again_once_the_adapter_is_there(tmp_path, small_out, browser):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    with (
        running_app(tmp_path / "app", "--adapter", adapter) as address,
        opened(address, browser) as page,
    ):
        expect(page.locator("#status")).to_contain_text("'adapter' holds no adapter_config.json")
        assert not re.search("The model|local model", page.locator(".foot").inner_text()), "nothing is served yet"
        ask(page, EMERGENCY)
        expect(answers(page)).to_contain_text("911")
        shot(page, "trouble")
        shutil.copytree(small_out / "base", tmp_path / "base")
        shutil.copytree(small_out / "runs" / "demo" / "bundle", adapter, dirs_exist_ok=True)
        right = (adapter / "contract.toml").read_text(encoding="utf-8")
        wrong = right.replace("max_question_chars = 2000", 'max_question_chars = "many"')
        (adapter / "contract.toml").write_text(wrong, encoding="utf-8")
        button(page, "Reload").click()
        expect(page.locator("#status")).to_contain_text("max_question_chars = 'many', which is not of type int")
        assert str(tmp_path) not in page.locator("body").inner_text()
        (adapter / "contract.toml").write_text(right, encoding="utf-8")
        button(page, "Reload").click()
        expect(page.locator("#status")).to_contain_text("demonstration")
        expect(button(page, "Reload")).to_be_hidden()
        expect(page.locator(".foot")).to_contain_text("A local model")
        button(page, "Clear").click()
        expect(answers(page)).to_have_count(0)
        ask(page, QUESTION)
        finished(page)
        assert "No answer just now" not in answers(page).inner_text()


# ---------------------------------------------------------------- for everybody
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(address, browser, scheme):
    with opened(address, browser, color_scheme=scheme) as page:
        found = axe(page)
        page.get_by_text("Advanced").click()
        ask(page, QUESTION)
        expect(answers(page)).to_contain_text(SENTENCES[-1])
        ask(page, EMERGENCY)
        expect(button(page, NOT_NOW)).to_be_visible()
        found += axe(page)
        shot(page, f"chat-{scheme}")
        open_compare(page)
        page.locator("#about details").evaluate_all("folds => folds.forEach(fold => { fold.open = true })")
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)
        assert found + axe(page) == []


def test_a_notice_looks_like_nothing_else_and_its_numbers_are_large_enough_to_tap(page, contract):
    ask(page, QUESTION)
    finished(page)
    ask(page, EMERGENCY)
    notice = page.locator("#chat .care")
    border = "e => getComputedStyle(e).border"
    assert "2px solid" in notice.evaluate(border) and "2px" not in page.locator("#chat .answer").first.evaluate(border)
    for link in notice.get_by_role("link").all():
        assert link.bounding_box()["height"] >= 44
    small = "e => parseFloat(getComputedStyle(e).fontSize)"
    line = answers(page).last.get_by_text(contract.disclaimer)
    assert line.count() == 1 and line.evaluate(small) < notice.locator("p").last.evaluate(small)


def test_print_shows_the_whole_question_and_no_controls(page):
    ask(page, f"{'My doctor told me a lot. ' * 30} What is gout?")
    finished(page)
    page.emulate_media(media="print", color_scheme="dark")
    typed = page.locator("#chat [data-testid=user]")
    assert typed.evaluate("e => e.scrollHeight <= e.clientHeight")
    expect(page.locator("button:visible, textarea:visible")).to_have_count(0)
    ink = page.locator("#chat .bot-row p").first.evaluate("e => getComputedStyle(e).color")
    assert ink == "rgb(0, 0, 0)"


def test_without_javascript_the_emergency_numbers_are_there(address, browser):
    with new_page(browser, java_script_enabled=False) as page:
        page.goto(address)
        expect(page.get_by_role("link", name="911")).to_have_attribute("href", "tel:911")
        expect(page.locator("body")).to_contain_text("needs JavaScript")


def test_the_page_works_in_a_frame_without_storage(address, browser):
    with new_page(browser, extra_http_headers=new_visitor()) as page:
        page.set_default_timeout(SLOW)
        page.add_init_script("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('denied') } })")
        page.set_content(f'<iframe src="{address}" width="800" height="700"></iframe>')
        frame = page.frame_locator("iframe")
        box = frame.get_by_role("textbox", name="Your question")
        box.fill(EMERGENCY)
        box.press("Enter")
        expect(frame.locator("#chat .care")).to_contain_text("911")


def test_the_back_button_brings_the_chat_back(address, browser):
    with opened(address, browser) as page:
        ask(page, QUESTION)
        finished(page)
        page.goto("about:blank")
        page.go_back()
        expect(answers(page)).to_contain_text(SENTENCES[-1])


def test_right_to_left_text_runs_from_right_to_left(page):
    ask(page, "ما هو الربو؟")
    expect(page.locator("#chat .user-row [data-testid=user]")).to_have_attribute("dir", "auto")
    assert page.locator("#chat .user-row [data-testid=user]").evaluate("e => getComputedStyle(e).direction") == "rtl"


def test_dark_mode_is_dark(address, browser):
    with opened(address, browser, color_scheme="dark") as page:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, re.findall(r"\d+", colour)[:3])) < 60, colour


def test_a_phone_shows_everything_and_a_notice_from_its_first_line(address, browser):
    with opened(address, browser, width=360, height=740, has_touch=True, is_mobile=True) as page:
        assert not scrolls_sideways(page)
        for part in (page.locator("gradio-app .notice"), *(button(page, text) for text in EXAMPLES), question(page)):
            expect(part).to_be_in_viewport(ratio=1)
        wait_for(lambda: stands_above(page, "#examples", "#composer"), 20, "the box covers no example")
        shot(page, "phone-start")
        ask(page, QUESTION)
        expect(answers(page)).to_contain_text(SENTENCES[-1])
        ask(page, "My doctor told me a lot of things that I could not follow. " * 16 + EMERGENCY)
        number = answers(page).last.get_by_text("US and Canada: 911")
        expect(number).to_be_in_viewport()
        page.wait_for_timeout(1500)
        expect(number).to_be_in_viewport()
        assert not scrolls_sideways(page)
        shot(page, "phone-notice")
        assert button(page, "Clear").bounding_box()["width"] > 44
        assert [v for v in axe(page) if "scrollable" in v] == [], "a long message scrolls by keyboard too"
        open_compare(page)
        page.wait_for_timeout(300)
        assert not scrolls_sideways(page)
        page.get_by_role("textbox", name="Question to both models").fill(EMERGENCY)
        button(page, "Compare").click()
        expect(page.locator("#notice-both li").last).to_be_in_viewport(ratio=1)
        shot(page, "phone-compare-notice")


def test_the_line_about_emergencies_is_the_largest_of_the_notice_and_grows_with_the_text(page):
    def sizes() -> list[float]:
        found = "lines => lines.map(e => parseFloat(getComputedStyle(e).fontSize))"
        return page.locator(".notice p, .foot p").evaluate_all(found)

    before = sizes()
    assert before[0] == max(before) and before[0] > before[1]
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert sizes() == [2 * size for size in before]


def test_the_keyboard_alone_is_enough(page):
    def go_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent.trim()") == name:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"the focus on {name} can be seen"
                return
        raise AssertionError(f"{name} can't be reached by Tab")

    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.type(f"{QUESTION} {SLOWLY}")
    go_to("Ask")
    page.keyboard.press("Enter")
    expect(answers(page)).to_contain_text("Writing…")
    go_to("Stop")
    page.keyboard.press("Space")
    expect(answers(page)).to_contain_text("You stopped the answer here")
    go_to("Clear")
    page.keyboard.press("Enter")
    expect(answers(page)).to_have_count(0)


def test_everything_that_is_operated_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, a")]
            .filter(e => e.checkVisibility() && !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert page.get_by_role("log").count() == 1, "answers are read out as they come"
    assert page.evaluate("document.documentElement.lang").startswith("en")
