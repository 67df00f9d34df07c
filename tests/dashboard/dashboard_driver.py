"""How tests drive the dashboard: AppTest for what a page says, `Tab` for what only a real browser shows."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import streamlit.config
from streamlit.testing.v1 import AppTest

from dashboard import words

# As in dashboard/.streamlit/config.toml, which AppTest does not read. With it every page goes through `ast.parse`, and
# CPython 3.11 fails there where another thread does the same ("AST constructor recursion depth mismatch").
streamlit.config.set_option("runner.magicEnabled", False)

APP = Path(__file__).parents[2] / "dashboard" / "frame.py"
PAGES = list(words.PAGES)
FRONT = PAGES[0]
PATIENCE = 150_000
"""Milliseconds to wait for a page; a busy machine is no failure."""
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
PROBE = re.compile(r"/[^/]+/_stcore/(health|host-config)$")
"""Streamlit asks below the page's own path first; that 404 is its way to find its root."""


def show(page: str, **link: str) -> AppTest:
    """The page as a fresh session sees it that opens the link."""
    app = AppTest.from_file(str(APP), default_timeout=240)
    if page != FRONT:
        app.switch_page(f"views/{page}.py")
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def texts(app: AppTest) -> str:
    """Everything written, as one string."""
    kinds = (
        app.markdown,
        app.caption,
        app.warning,
        app.info,
        app.error,
        app.code,
        app.title,
        app.subheader,
        app.get("html"),
    )
    return "\n".join(str(getattr(e, "value", None) or getattr(e.proto, "body", "")) for kind in kinds for e in kind)


def metric(app: AppTest, name: str) -> str:
    """The value of the first card with that word."""
    return next(m.value for m in app.metric if m.label == words.word(name).label)


def healthy(app: AppTest, page: str) -> None:
    assert not app.exception, [e.value for e in app.exception]
    assert app.title[0].value == words.PAGES[page][0]


def story(app: AppTest) -> str:
    """The sentence in big type."""
    return next(m for m in re.findall(r'<p class="lens-(?:story|lesson)">(.*?)</p>', texts(app)))


def waterfall(app: AppTest) -> tuple[list[float], str]:
    """Parts of the waterfall on the page, and the text on its last bar."""
    for chart in app.get("plotly_chart"):
        trace = json.loads(chart.proto.spec)["data"][0]
        if trace["type"] == "waterfall":
            return list(map(float, trace["x"][:-1])), trace["text"][-1]
    raise AssertionError("no waterfall")


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers."""
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
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._on_request)

    def _on_console(self, message: object) -> None:
        if message.type == "error" and not PROBE.search(message.location.get("url", "")):
            self.wrong.append(f"{message.text} {message.location.get('url', '')}")

    def _on_request(self, request: object) -> None:
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
        for _ in range(PATIENCE // 200):
            if wanted.items() <= self.link().items():
                return
            self.page.wait_for_timeout(200)
        raise AssertionError(f"link is {self.link()}, wanted {wanted}")

    def healthy(self) -> None:
        assert self.page.get_by_test_id("stException").count() == 0
        assert "Traceback" not in self.text()
        assert self.wrong == [], self.wrong
