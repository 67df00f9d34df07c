"""What pages take on a large run: a server, a real headless browser, and a table of seconds beside their bars.

In: a number of candidates. Out: rows with what was measured, how often, and the bar. The run is that of `world.py`
(32,768 concepts, K = 50, d = 1,024, up to 5,000 queries), made once and kept where a folder is named. Server and
browser are processes of this machine; memory is the server's own, without files that it maps (these are shared).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.commands.benches.browser import Visitor, chromium
from core.commands.benches.large_run import large_store, make_large
from core.commands.benches.world import Size
from core.errors import UserError

PAGES = ("Overview", "Concepts", "Modality", "Similarity", "Retrieval", "Compare", "Exhibits", "Runs")
"""Pages that ask no model, by the title in the menu."""
ROUNDS, TIMES, VISITORS = 3, 8, 10
STARTS = 300
"""Seconds that a server may take to start."""


@dataclass(frozen=True)
class Measured:
    """One row: seconds or bytes.

    Attributes:
        what: in words. value: the 95th percentile where it was measured several times. bar: what is promised, None
            where nothing is. unit: "s" or "MiB". times: how often.
    """

    what: str
    value: float
    bar: float | None
    unit: str = "s"
    times: int = 1


def dashboard(items: int, folder: Path | None = None) -> Iterator[Measured]:
    """Make the large run, serve it, and measure its pages, row by row.

    Raises:
        NotAvailable: no playwright or no browser.
    """
    with chromium():  # before anything takes long
        pass
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) if folder is None else folder
        make_large(root, Size.of(items))
        yield from measure(root)


def measure(root: Path, pages: tuple[str, ...] = PAGES) -> Iterator[Measured]:
    """The table, row by row, on the large run below `root`. Answers that are not cached yet are computed by the first
    visit."""
    with chromium() as browser:
        with served(root) as server:
            visitor = Visitor(browser, server.address)
            yield Measured(
                "first page, from the start of the server, nothing cached", visitor.open("", run="large"), None
            )
            for page in pages[1:]:
                yield Measured(f"{page}, first time, nothing cached", visitor.menu(page), None)
            visitor.close()
        with served(root) as server:
            visitor = Visitor(browser, server.address)
            yield Measured("first page, from the start of the server", visitor.open("", run="large"), None)
            visitor.close()
        with served(root) as server:
            server.wait_until_idle()
            before = server.memory()
            visitor = Visitor(browser, server.address)
            yield Measured("first page after imports", visitor.open("", run="large"), 3.0)
            for page in pages[1:]:
                yield Measured(f"{page}, first time, answers cached", visitor.menu(page), None)
            switches = [visitor.menu(page) for _ in range(ROUNDS) for page in pages]
            yield _p95("page switch", switches, 0.7)
            for part in (_concepts, _pairs, _queries, _removal):
                yield from part(visitor)
            visitor.close()
            yield Measured("server memory beyond the imports", server.memory() - before, 2048.0, "MiB")
            yield _visitors(browser, server)


def _p95(what: str, seconds: list[float], bar: float) -> Measured:
    return Measured(f"{what}, p95", float(np.percentile(seconds, 95)), bar, times=len(seconds))


def _concepts(visitor: Visitor) -> list[Measured]:
    """Other concepts, by the buttons of those that fire together with one."""
    visitor.open("concepts", run="large", concept=7)
    return [_p95("a concept", [visitor.press("items", n % 5) for n in range(TIMES)], 0.5)]


def _pairs(visitor: Visitor) -> list[Measured]:
    """Pairs that nobody has asked for: a query with the right candidate, then with the wrong one."""
    seconds = []
    for query in range(TIMES // 2):
        visitor.open("similarity", run="large", query=query)
        seconds += [visitor.choose("Right"), visitor.choose("Wrong")]
    return [_p95("a pair", seconds, 0.3)]


def _queries(visitor: Visitor) -> list[Measured]:
    """Other queries of the list, before and after ReAlign."""
    visitor.open("retrieval", run="large")
    tables = visitor.page.get_by_test_id("stDataFrame")
    last = tables.count() - 1
    return [_p95("one query before and after", [visitor.row(last, n % 6) for n in range(1, TIMES + 1)], 0.5)]


def _removal(visitor: Visitor) -> list[Measured]:
    """The direction of one concept, of another query each time: the pair on screen first, then all queries."""
    visitor.open("similarity", run="large", query=int(time.time()) % 100)
    shown, whole = visitor.removes()
    return [
        Measured("removal, the pair on screen", shown, 0.5),
        Measured("removal and re-ranking of all queries", whole, 10.0),
    ]


def _visitors(browser: object, server: Server) -> Measured:
    """How much memory grows with ten visitors of all pages."""
    before = server.memory()
    visitors = [Visitor(browser, server.address) for _ in range(VISITORS)]  # type: ignore[arg-type]
    for visitor in visitors:
        visitor.open("", run="large")
        for page in ("Concepts", "Similarity", "Retrieval"):
            visitor.menu(page)
    grown = server.memory() - before
    for visitor in visitors:
        visitor.close()
    return Measured(f"memory of {VISITORS} visitors", grown, None, "MiB", VISITORS)


@dataclass(frozen=True)
class Server:
    """A running dashboard."""

    address: str
    process: subprocess.Popen[bytes]

    def memory(self) -> float:
        """MiB that are the server's own: resident, without mapped files; all of it where the system does not say."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        except OSError:
            shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, check=True)
            return int(shown.stdout) / 1024
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon:"))

    def wait_until_idle(self, most: float = 120.0) -> None:
        """Wait until it has imported what it imports in the background."""
        until, before = time.perf_counter() + most, -1.0
        while time.perf_counter() < until:
            time.sleep(2.0)
            now = self._worked()
            if now - before < 0.1:
                return
            before = now

    def _worked(self) -> float:
        """CPU seconds so far."""
        shown = subprocess.run(["ps", "-o", "cputimes=", "-p", str(self.process.pid)], capture_output=True, check=True)
        return float(shown.stdout)


@contextmanager
def served(root: Path) -> Iterator[Server]:
    """`retrieval-lens serve` on the cache of the large run, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"RETRIEVAL_LENS_CACHE": str(large_store(root).root)}
    command = [sys.executable, "-m", "core", "serve", "--port", str(port)]
    with (root / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(port, process, root / "server.log")
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.perf_counter() + STARTS
    while time.perf_counter() < until:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise UserError("the dashboard did not start", got=log.read_text(encoding="utf-8")[-500:])
