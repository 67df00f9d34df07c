"""What tests of the dashboard share: small runs for the structure of pages, the demo's runs for its numbers, a browser.

`small_store` of tests/conftest.py holds the demo's runs with 50 queries each: every page and exhibit works on them, in
a fraction of the time. A test that needs the demo's own numbers takes `demo_store` and says so by its marker.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_driver import Tab, wait_for

from core.questions import map
from core.run import Run, open_run
from core.store import Store


@pytest.fixture
def run(small_store: Store) -> Run:
    return open_run("small", small_store)


@pytest.fixture
def clip(small_store: Store) -> Run:
    return open_run("small-clip", small_store)


# -- in the browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium or Chrome of this machine; the test is skipped where there is none."""
    names = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
    path = os.environ.get("CHROME") or next((found for name in names if (found := shutil.which(name))), None)
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


@pytest.fixture(scope="session")
def server(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`retrieval-lens serve` with the small runs on a free port, started where no checkout is."""
    # umap takes half a minute to import. Other tests of pages need it in this process; the server reads what it made.
    for name in ("small", "small-clip"):
        map.points(open_run(name, Store(small_cache)), "none")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    log = (elsewhere / "log.txt").open("w")
    command = [sys.executable, "-m", "core", "serve", "--port", str(port)]
    environment = os.environ | {"RETRIEVAL_LENS_CACHE": str(small_cache)}
    process = subprocess.Popen(command, cwd=elsewhere, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, elsewhere / "log.txt")
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture
def tab(browser: object, server: str) -> Iterator[Tab]:
    made = Tab(browser, server)
    yield made
    made.context.close()
