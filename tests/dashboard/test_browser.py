"""The real command in a real browser: every page renders, links go both ways, charts are not blank, nothing is said on
the console."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboard import words

pytestmark = [pytest.mark.browser, pytest.mark.demo, pytest.mark.timeout(600)]

PAGES = list(words.PAGES)
PATIENCE = 150_000
"""Milliseconds to wait for a page; a busy machine is no failure."""
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
PROBE = re.compile(r"/[^/]+/_stcore/(health|host-config)$")
"""Streamlit asks below the page's own path first; that 404 is its way to find its root."""


def browser_path() -> str | None:
    """A Chromium or Chrome of this machine."""
    names = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
    return os.environ.get("CHROME") or next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    path = browser_path()
    if path is None:
        if os.environ.get("RETRIEVAL_LENS_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium or Chrome found, and RETRIEVAL_LENS_REQUIRE_BROWSER=1")
        pytest.skip("no Chromium or Chrome found; set CHROME to one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(demo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`retrieval-lens serve` on a free port, started where no checkout is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    log = (elsewhere / "log.txt").open("w")
    command = [sys.executable, "-m", "core", "serve", "--port", str(port)]
    environment = os.environ | {"RETRIEVAL_LENS_CACHE": str(demo_cache)}
    process = subprocess.Popen(command, cwd=elsewhere, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, elsewhere / "log.txt")
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"no server at {address}: {log.read_text()}")


class Tab:
    """A browser tab that remembers what went wrong in it."""

    def __init__(self, browser: object, address: str, size: str = "desk", scheme: str = "light") -> None:
        self.address, self.wrong = address, []
        self.context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._asked)

    def _heard(self, message: object) -> None:
        if message.type == "error" and not PROBE.search(message.location.get("url", "")):
            self.wrong.append(f"{message.text} {message.location.get('url', '')}")

    def _asked(self, request: object) -> None:
        host = urlsplit(request.url).hostname
        if host not in (None, "127.0.0.1"):
            self.wrong.append(f"asked the network: {request.url}")

    def open(self, page: str, **link: str) -> Tab:
        path = "" if page == PAGES[0] else page
        query = "&".join(f"{name}={value}" for name, value in link.items())
        self.page.goto(f"{self.address}/{path}?{query}")
        return self.settle(page)

    def settle(self, page: str) -> Tab:
        """Wait until the page of that name has finished."""
        self.page.get_by_role("heading", name=words.PAGES[page][0], level=1, exact=True).wait_for()
        self.page.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")
        self.page.wait_for_function(
            "document.querySelectorAll('[data-testid=stMain] [data-testid=stSkeleton]').length === 0"
        )
        return self

    def text(self) -> str:
        return self.page.get_by_test_id("stMain").inner_text()

    def link(self) -> dict[str, str]:
        return {
            name: values[0] for name, values in parse_qs(urlsplit(self.page.evaluate("location.href")).query).items()
        }

    def wait_for_link(self, **wanted: str) -> None:
        for _ in range(100):
            if wanted.items() <= self.link().items():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"link is {self.link()}, wanted {wanted}")

    def healthy(self) -> None:
        assert self.page.get_by_test_id("stException").count() == 0
        assert "Traceback" not in self.text()
        assert self.wrong == []


@pytest.fixture
def tab(browser: object, server: str) -> Iterator[Tab]:
    made = Tab(browser, server)
    yield made
    made.context.close()


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_page_renders(page: str, size: str, scheme: str, browser: object, server: str) -> None:
    made = Tab(browser, server, size, scheme).open(page, run="demo", other="demo-clip")
    made.healthy()
    assert made.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    made.context.close()


def test_charts_are_not_blank(tab: Tab) -> None:
    tab.open("modality", run="demo")
    tab.page.locator(".js-plotly-plot .bars path").first.wait_for()
    tab.page.locator(".js-plotly-plot .scatterlayer path.point").first.wait_for()
    assert tab.page.locator(".js-plotly-plot .bars path").count() >= 5
    box = tab.page.locator(".js-plotly-plot").first.bounding_box()
    assert box["height"] > 150
    assert box["width"] > 250


def test_click_changes_the_link_and_the_link_gives_the_same_view(tab: Tab, browser: object, server: str) -> None:
    tab.open("modality", run="demo")
    tab.page.get_by_role("radio", name="by its energy").or_(
        tab.page.get_by_role("button", name="by its energy")
    ).first.click()
    tab.wait_for_link(weight="by its energy")
    tab.page.get_by_text("Energy in text concepts").first.wait_for()
    shown = tab.settle("modality").page.get_by_test_id("stMetricValue").all_inner_texts()
    tab.page.reload()
    again = tab.settle("modality").page.get_by_test_id("stMetricValue").all_inner_texts()
    assert again == shown
    other = Tab(browser, server)
    other.page.goto(tab.page.evaluate("location.href"))
    assert other.settle("modality").page.get_by_test_id("stMetricValue").all_inner_texts() == shown
    other.context.close()
    tab.healthy()


def test_choosing_a_run_is_in_the_link_on_every_page(tab: Tab) -> None:
    tab.open("runs", run="demo")
    tab.page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").first.click()
    tab.page.get_by_role("option", name=re.compile("^demo-clip$")).click()
    tab.wait_for_link(run="demo-clip")
    tab.page.get_by_test_id("stSidebar").get_by_role("link", name="Modality").click()
    tab.settle("modality").wait_for_link(run="demo-clip")
    assert "demo-clip" in tab.text()
    tab.healthy()


def test_back_button_restores_the_view(tab: Tab) -> None:
    tab.open("concepts", run="demo", concept="3")
    tab.page.get_by_test_id("stSidebar").get_by_role("link", name="Runs").click()
    tab.settle("runs").page.go_back()
    tab.settle("concepts").wait_for_link(run="demo", concept="3")
    tab.healthy()


def test_back_button_leads_out_again(tab: Tab) -> None:
    tab.page.goto("about:blank")
    tab.open("overview")
    assert tab.link() == {}
    for page in ("modality", "runs", "map"):
        tab.page.get_by_test_id("stSidebar").get_by_role("link", name=words.PAGES[page][0]).click()
        tab.settle(page).wait_for_link(run="demo")
    for page in ("runs", "modality", "overview"):
        tab.page.go_back()
        tab.settle(page)
    tab.page.go_back()
    assert tab.page.url == "about:blank"
    assert tab.wrong == []


def test_a_page_is_found_again_as_it_was_left(tab: Tab) -> None:
    tab.open("modality", run="demo", top="0.05")
    for page in ("runs", "modality"):
        tab.page.get_by_test_id("stSidebar").get_by_role("link", name=words.PAGES[page][0]).click()
        tab.settle(page)
    tab.wait_for_link(run="demo", top="0.05")
    tab.healthy()


def test_menu_closes_on_a_phone(browser: object, server: str) -> None:
    made = Tab(browser, server, "phone").open("runs", run="demo")
    made.page.get_by_test_id("stExpandSidebarButton").click()
    made.page.get_by_test_id("stSidebar").get_by_role("link", name="Modality").click()
    made.settle("modality")
    made.page.wait_for_function("document.querySelector('[data-testid=stSidebar]').dataset.collapsed === 'true'")
    made.healthy()
    made.context.close()


def test_link_from_one_page_to_another_carries_the_run(tab: Tab) -> None:
    tab.open("overview", run="demo-clip")
    tab.page.get_by_test_id("stMain").get_by_role("link", name="See the distribution").click()
    tab.settle("modality").wait_for_link(run="demo-clip")
    tab.healthy()


def test_a_variant_can_be_written(tab: Tab) -> None:
    tab.open("runs", run="demo")
    tab.page.get_by_role("button", name="Write a variant").click()
    field = tab.page.get_by_label("Expression")
    field.fill("frobnicate")
    tab.page.get_by_role("button", name="Use it").click()
    tab.page.get_by_test_id("stPopoverBody").get_by_test_id("stAlert").wait_for()
    field.fill("realign(beta=0.5)")
    tab.page.get_by_role("button", name="Use it").click()
    tab.wait_for_link(variant="realign(beta=0.5)")
    tab.healthy()


def test_impossible_link_says_so(tab: Tab) -> None:
    tab.open("runs", run="nope", variant="frobnicate")
    assert "There is no run “nope” here" in tab.text()
    tab.wait_for_link(run="demo")
    tab.healthy()
