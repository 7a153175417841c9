"""A real browser for tests of pages: Debian's Chromium, driven by Playwright's Python package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser; skips the test where there is no Chromium.

    TRAP: while it is open, `asyncio.run` doesn't work in this thread, so close it with the module that uses it.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: install Debian's package `chromium` to run the tests of pages")
    with sync_playwright() as playwright:
        # --no-sandbox: containers run as root, where Chromium refuses to start with its sandbox
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], headless=True)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser: Browser, width: int = 1280, height: int = 900, **context: Any) -> Iterator[Page]:
    """An empty page with a storage of its own.

    context: more of what `Browser.new_context` takes, such as color_scheme="dark" or device_scale_factor=2.
    """
    own = browser.new_context(viewport={"width": width, "height": height}, **context)
    try:
        yield own.new_page()
    finally:
        own.close()


@contextmanager
def chromium_page(width: int = 1280, height: int = 900, **context: Any) -> Iterator[Page]:
    """An empty page of a fresh browser; context as above."""
    with chromium() as browser, new_page(browser, width, height, **context) as page:
        yield page


def troubles(page: Page, allowed: str) -> list[str]:
    """A list that fills while the page is used: script and console errors, dialogs, requests elsewhere.

    allowed: what the address of every request must begin with; `data:` addresses reach nobody and may be.
    """
    seen: list[str] = []

    def read(message: Any) -> None:
        if message.type == "error":
            seen.append(f"console: {message.text}")

    def dismiss(dialog: Any) -> None:
        seen.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def look(request: Any) -> None:
        if not request.url.startswith((allowed, "data:")):
            seen.append(f"request: {request.url}")

    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("console", read)
    page.on("dialog", dismiss)
    page.on("request", look)
    return seen


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than its window, which on a phone hides text."""
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
