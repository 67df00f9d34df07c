"""Many visitors at once: how long a page takes them, and whether the server's memory stays where it was.

`python -m tests.torture.visitors --visitors 20 --minutes 10` serves the runs of the default cache and sends visitors
who open one page after the other. A visitor is a websocket that speaks Streamlit's protocol, as a browser tab does,
without drawing. Every link is opened once beforehand, and curves are computed, so that answers are warm; `--heavy`
adds a visitor who asks for what is not cached, all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PAGES = ("", "concepts", "modality", "similarity", "retrieval", "compare", "exhibits", "runs")
"""Pages that ask no model; "" is the front page."""
PATIENCE = 600
"""Seconds until a page counts as failed."""
THINK = 3.0
"""Seconds that a visitor looks at a page, on average."""
SLOWEST, GROWTH = 3.0, 0.10
"""What is promised: the 95th percentile of a page in seconds, and how much may come on top of the memory after the
first minute."""


@dataclass
class Measured:
    """What the visitors saw."""

    visitors: int
    minutes: float
    pages: int = 0
    failed: list[str] = field(default_factory=list)
    p50: float = float("nan")
    """Seconds a page takes, median and 95th percentile, from the question to the end of the script."""
    p95: float = float("nan")
    mib_after_first_minute: float = float("nan")
    """Memory of the server: resident set in MiB."""
    mib_at_end: float = float("nan")
    cpu_seconds_of_a_page: float = float("nan")
    """Of the server, whatever else the machine does."""
    load: float = float("nan")
    """Load of the machine at the end, over its cores: above 1 times say little."""

    @property
    def growth(self) -> float:
        return self.mib_at_end / self.mib_after_first_minute - 1

    @property
    def kept(self) -> bool:
        """Whether everything was as promised."""
        return not self.failed and self.p95 < SLOWEST and self.growth <= GROWTH


class Visitor:
    """One tab: a websocket that stays open from page to page."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: websockets.ClientConnection | None = None

    async def open(self, page: str, **choices: object) -> float:
        """Open a page by its link; seconds until its script has ended.

        Raises:
            RuntimeError: the script did not end well.
        """
        if self.socket is None:
            address = f"127.0.0.1:{self.port}"
            self.socket = await websockets.connect(
                f"ws://{address}/_stcore/stream", origin=f"http://{address}", subprotocols=["streamlit"], max_size=None
            )
        message, started = BackMsg(), time.perf_counter()
        message.rerun_script.query_string = urlencode(choices)
        message.rerun_script.page_name = page
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = ForwardMsg.FromString(await self.socket.recv())
                if answer.WhichOneof("type") == "script_finished":
                    break
        if answer.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
            raise RuntimeError(f"{page or 'overview'}: {ForwardMsg.ScriptFinishedStatus.Name(answer.script_finished)}")
        return time.perf_counter() - started

    async def close(self) -> None:
        """Close the tab."""
        if self.socket is not None:
            await self.socket.close()
            self.socket = None


def links(run: str, other: str | None) -> list[tuple[str, dict[str, object]]]:
    """The links that visitors open: every page, with other queries, concepts and variants."""
    frame = {"run": run} | ({"other": other} if other else {})
    chosen: list[dict[str, object]] = [{}, {"variant": "center"}, {"query": 3}, {"query": 7, "concept": 5}]
    return [(page, frame | choices) for page in PAGES for choices in chosen]


async def visit(measured: Measured, port: int, until: float, known: list, number: int) -> list[float]:
    """One visitor's pages, in seconds each; every tenth page in a new tab."""
    dice, seconds, visitor = random.Random(number), [], Visitor(port)
    await asyncio.sleep(THINK * dice.random())
    while time.time() < until:
        page, choices = dice.choice(known)
        try:
            seconds.append(await visitor.open(page, **choices))
        except Exception as error:
            measured.failed.append(f"{page} {choices}: {type(error).__name__}: {error}")
            await visitor.close()
        if dice.random() < 0.1:
            await visitor.close()
        await asyncio.sleep(2 * THINK * dice.random())
    await visitor.close()
    return seconds


async def ask_for_more(port: int, until: float, run: str) -> None:
    """A visitor who asks for what nobody has computed."""
    visitor, number = Visitor(port), 0
    while time.time() < until:
        number += 1
        try:
            async with asyncio.timeout(30):  # then this visitor loses patience and goes on
                await visitor.open("retrieval", run=run, variant=f"realign(beta=0.{number}{int(time.time())})")
        except (TimeoutError, RuntimeError, OSError, websockets.WebSocketException):
            await visitor.close()


async def visits(measured: Measured, port: int, process: int, run: str, other: str | None, heavy: bool) -> None:
    """Send the visitors, and measure."""
    known, first = links(run, other), Visitor(port)
    for page, choices in known:
        await first.open(page, **choices)
    await first.close()
    until, worked = time.time() + 60 * measured.minutes, cpu_seconds(process)
    tasks = [asyncio.create_task(visit(measured, port, until, known, number)) for number in range(measured.visitors)]
    extra = asyncio.create_task(ask_for_more(port, until, run)) if heavy else None
    await asyncio.sleep(min(60.0, 20 * measured.minutes))
    measured.mib_after_first_minute = resident_mib(process)
    seconds = [one for task in tasks for one in await task]
    measured.mib_at_end = resident_mib(process)
    measured.cpu_seconds_of_a_page = (cpu_seconds(process) - worked) / max(1, len(seconds))
    if extra is not None:
        await extra
    measured.pages = len(seconds)
    if seconds:
        measured.p50, measured.p95 = (float(np.percentile(seconds, q)) for q in (50, 95))
    measured.load = os.getloadavg()[0] / (os.cpu_count() or 1)


def resident_mib(process: int) -> float:
    """Memory of a process."""
    return _of_process(process, "rss") / 1024


def cpu_seconds(process: int) -> float:
    """What a process has computed so far."""
    return _of_process(process, "cputimes")


def _of_process(process: int, what: str) -> int:
    return int(subprocess.run(["ps", "-o", f"{what}=", "-p", str(process)], capture_output=True, check=True).stdout)


def measure(visitors: int, minutes: float, heavy: bool = False, curves: bool = True) -> Measured:
    """Serve the runs of the default cache to that many visitors for so long.

    `curves`: compute the specification curves of the claims first; else the server does so while visitors look.
    """
    from core.exhibits.claims import claims
    from core.run import list_runs
    from core.store import Store

    runs = list_runs(Store.default())
    if not runs:
        raise SystemExit("no run to show; next: retrieval-lens demo --no-serve")
    run = next((one for one in runs if one.name in ("demo", "small")), runs[0])
    corpus = run.folder.facts["corpus"]
    other = next((one for one in runs if one.folder.facts["corpus"] == corpus and one.key != run.key), None)
    if curves:
        claims([run, other] if other else [run], curves="computed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    measured = Measured(visitors, minutes)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log.txt").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "core", "serve", "--port", str(port)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(port, process, Path(folder) / "log.txt")
            coming = visits(measured, port, process.pid, run.name, other and other.name, heavy)
            # In a thread of its own: whoever calls may have an event loop in this one.
            with ThreadPoolExecutor(1) as apart:
                apart.submit(asyncio.run, coming).result()
        finally:
            process.terminate()
            process.wait(30)
    return measured


def _wait(port: int, process: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"no server: {log.read_text()}")


def main() -> None:
    """Print what was measured as JSON; exit 1 where it is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--heavy", action="store_true", help="one more visitor, who asks for what is not cached")
    given = parser.parse_args()
    measured = measure(given.visitors, given.minutes, given.heavy)
    written = asdict(measured) | {"growth": measured.growth, "kept": measured.kept}
    sys.stdout.write(json.dumps(written, indent=1) + "\n")
    sys.exit(0 if measured.kept else 1)


if __name__ == "__main__":
    main()
