"""A headless browser that opens pages of the dashboard and clocks them.

In: the address of a server. Out: seconds from a click or a link to the page at rest: its script has ended, and nothing
on it is still a placeholder. Knows nothing of what is asked.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from core.errors import NotAvailable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 540_000
"""Milliseconds until a page counts as failed."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
AT_REST = """() => {
    const app = document.querySelector('.stApp')
    return app && app.dataset.testScriptState === 'notRunning'
        && !document.querySelector('[data-testid=stMain] [data-testid=stSkeleton]')
        && !document.querySelector('[data-testid=stMain] [data-stale=true]')
}"""


@contextmanager
def chromium(flags: Sequence[str] = FLAGS) -> Iterator[Browser]:
    """A headless Chromium or Chrome of this machine.

    Raises:
        NotAvailable: playwright is not installed, or there is no browser.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        todo = "pip install playwright (it comes with retrieval-lens[test])"
        raise NotAvailable("pages are measured in a real browser, which playwright drives", todo=todo) from error
    names = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
    path = os.environ.get("CHROME") or next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise NotAvailable("no Chromium or Chrome found", todo="install one, or set CHROME to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(flags))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One browser tab."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.address = address
        self.context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)

    def open(self, page: str, **link: object) -> float:
        """Open a page by its link; seconds until it is at rest."""
        started = time.perf_counter()
        self.page.goto(f"{self.address}/{page}?{urlencode(link)}")
        return self._rest(started)

    def menu(self, title: str) -> float:
        """Choose a page in the menu; seconds until it is at rest."""
        started = time.perf_counter()
        self.page.get_by_test_id("stSidebar").get_by_role("link", name=title).first.click()
        self.page.get_by_role("heading", name=title, level=1, exact=True).wait_for()
        return self._rest(started)

    def press(self, label: str, nth: int = 0) -> float:
        """Press a button that changes what is shown; seconds until the page is at rest."""
        button = self.page.get_by_test_id("stMain").get_by_role("button", name=label).nth(nth)
        button.scroll_into_view_if_needed()
        started = time.perf_counter()
        button.click()
        self._begun()
        return self._rest(started)

    def choose(self, label: str) -> float:
        """Choose one of the options that stand side by side; seconds until the page is at rest."""
        main = self.page.get_by_test_id("stMain")
        option = main.get_by_role("radio", name=label, exact=True).or_(
            main.get_by_role("button", name=label, exact=True)
        )
        started = time.perf_counter()
        option.first.click()
        self._begun()
        return self._rest(started)

    def row(self, table: int, line: int) -> float:
        """Choose a line of the page's n-th table; seconds until the page is at rest."""
        grid = self.page.get_by_test_id("stDataFrame").nth(table)
        grid.scroll_into_view_if_needed()
        started = time.perf_counter()
        # The first column marks lines; below the header every line is 35 or 40 pixels high.
        grid.click(position={"x": 12, "y": 38 + 40 * line + 18})
        self._begun()
        return self._rest(started)

    def removes(self) -> tuple[float, float]:
        """Remove the direction of the concept on the Similarity page; seconds until its pair is on screen without it,
        and until recall over all queries is."""
        main = self.page.get_by_test_id("stMain")
        button = main.get_by_role("button", name="Remove its direction")
        button.scroll_into_view_if_needed()
        started = time.perf_counter()
        button.click()
        main.get_by_role("button", name="Put its direction back").first.wait_for()
        shown = time.perf_counter() - started
        main.get_by_text("See the rankings under this variant").first.wait_for()
        return shown, time.perf_counter() - started

    def close(self) -> None:
        """Close the tab."""
        self.context.close()

    def _begun(self) -> None:
        """Wait until the server has taken the click."""
        state = "document.querySelector('.stApp').dataset.testScriptState"
        self.page.wait_for_function(f"{state} !== 'notRunning'", polling=5, timeout=10_000)

    def _rest(self, started: float) -> float:
        self.page.get_by_role("heading", level=1).first.wait_for()
        self.page.wait_for_function(AT_REST, polling=10)
        return time.perf_counter() - started
