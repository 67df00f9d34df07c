"""Text of others is shown as text: by the one function that does it, and on every page in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from dashboard_driver import APP, PAGES, Tab, wait_for
from hostile_server import WORDS, hostile

from core.store import Store
from dashboard import words
from dashboard.charts import base
from dashboard.words.foreign import JOINER, code

SERVED = APP.with_name("app.py")
LINKS = {
    "overview": ("metric",),
    "lesson": ("step", "query"),
    "concepts": ("find", "sort", "concept", "detail"),
    "modality": ("top", "weight", "point-small"),
    "similarity": ("share", "search", "view", "candidate"),
    "retrieval": ("before", "kind", "search", "statistics"),
    "playground": ("start", "picture", "typed", "fires"),
    "compare": ("against", "second", "top-k"),
    "map": ("point", "colour", "selected"),
    "exhibits": ("exhibit", "shelf", "which"),
    "check": ("check",),
    "runs": ("run", "other", "variant"),
}
"""Choices of a page that a link can fill with anything; every page also gets a second run and a variant."""
OFFENCES = """words => {
    const own = e => e.closest('[data-testid=stCode], [data-testid=stTextInput]');
    const all = [...document.querySelectorAll('.stApp *')].filter(e => !own(e));
    const made = all.filter(e => words.includes(e.textContent.trim())).map(e => e.outerHTML);
    const leads = e => { const to = new URL(e.src || e.href, location.href); return to.origin !== location.origin
        && !['data:', 'blob:'].includes(to.protocol); };
    const loaded = all.filter(e => typeof (e.src || e.href) === 'string' && (e.src || e.href) && leads(e))
        .map(e => e.outerHTML);
    const icons = all.filter(e => e.dataset.testid === 'stIconMaterial' && e.textContent === 'home')
        .map(e => e.outerHTML);
    const emoji = document.body.innerText.includes('😄') ? ['emoji'] : [];
    return [...made, ...loaded, ...icons, ...emoji, ...[...document.querySelectorAll('.katex')].map(e => e.outerHTML)]
        .map(html => html.slice(0, 300));
}"""

SHOWN = """[document.querySelector('.stApp').innerText,
    ...[...document.querySelectorAll('input')].map(e => e.value)].join(' ')"""


# -- the function ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("fox", "fox"),
        ("two foxes, one dog (test-17)", "two foxes, one dog (test-17)"),
        ("**bold**", r"\*\*bold\*\*"),
        ("![x](y)", r"!\[x\](y)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("$x$", r"\$x\$"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("a\n\n# b", "a # b"),
        ("\x1b[31mred\x07", r"\[31mred"),
        ("&lt;", r"\&lt;"),
        ("R&D", r"R\&D"),
        (":smile:", f":{JOINER}smile:"),
        (":red[x]", rf":{JOINER}red\[x\]"),
        ("https://a.example", f"https:{JOINER}//a.example"),
        ("www.a.example", f"www{JOINER}.a.example"),
        ("a@b.example", f"a@{JOINER}b.example"),
        ("a_b@c_d-e.example", rf"a\_b@{JOINER}c\_d-e.example"),
        ("Recall@1 raw: 84.0%, recall@5.", "Recall@1 raw: 84.0%, recall@5."),
        ("10:30, at 5: five", f"10:{JOINER}30, at 5: five"),
    ],
)
def test_signs_that_mean_something_are_escaped(text: str, written: str) -> None:
    assert words.plain(text) == written


def test_commands_in_a_sentence_stay_commands_and_nothing_else_does() -> None:
    assert words.prose("make it: `retrieval-lens run **x**`, *now*") == r"make it: `retrieval-lens run **x**`, \*now\*"
    assert words.prose("set `[sae] k = 5`") == "set `[sae] k = 5`"
    assert words.prose("one ` backtick and *stars*") == r"one \` backtick and \*stars\*"
    assert words.prose("`code` of others") == r"\`code\` of others"
    assert code("a`b") == "`` a`b ``"


def test_a_name_in_a_command_to_be_copied_is_one_argument() -> None:
    assert words.shell("demo") == "demo"
    assert words.shell("x; rm -rf ~") == "'x; rm -rf ~'"


def test_figures_show_tags_and_entities_as_text() -> None:
    assert base.text("<b>x</b> &lt; R&D") == "&lt;b>x&lt;/b> &amp;lt; R&D"


# -- every page ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, list[str]]]:
    """A server that no page may ever call: its port, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *arguments: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hostile_server(
    small_cache: Path, listener: tuple[int, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The small runs with hostile words, served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(small_cache, folder / "cache")
    command = [sys.executable, str(Path(__file__).with_name("hostile_server.py"))]
    environment = os.environ | {"RETRIEVAL_LENS_CACHE": str(folder / "cache")}
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [*command, str(SERVED), str(port), str(listener[0])], cwd=folder, env=environment, stdout=log, stderr=log
        )
        wait_for(f"http://127.0.0.1:{port}", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(120)  # its worker may be in the middle of a curve


@pytest.mark.browser
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PAGES)
def test_no_page_makes_anything_of_hostile_text(
    page: str, browser: object, hostile_server: str, listener: tuple[int, list[str]], small_store: Store
) -> None:
    port, asked = listener
    text = hostile(port)
    plain, linked = {"run": f"{text} small", "other": f"{text} small-clip"}, {name: text for name in LINKS[page]}
    for link in (plain, plain | linked):
        tab = Tab(browser, hostile_server)
        tab.page.set_default_timeout(400_000)  # every word is long, and the first page of a model loads it
        tab.open(page, **{name: quote(value, safe="") for name, value in link.items()})
        tab.page.wait_for_timeout(500)
        offences = tab.page.evaluate(OFFENCES, list(WORDS))
        assert offences == []
        assert "**hostile-bold**" in tab.page.evaluate(SHOWN).replace(JOINER, "")
        tab.healthy()
        tab.context.close()
    assert asked == []
