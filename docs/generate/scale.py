"""docs/scale.md: how long a run on many workers takes, by arithmetic from rates measured here."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from core.engine.estimate import GIB, Load, Rates, estimate

ITEMS = (10**6, 10**8, 10**9)
WORKERS = (1, 8, 64, 512)
LOAD = Load(picture=100_000, width=3584, k=50)
"""Qwen2-VL-7B's width, K = 50, and a photograph of 100 kB."""
NETWORK = 10e9 / 8
"""Bytes per second of a network of 10 Gbit/s: named, not measured."""
GPU_ITEMS = 30.0
"""Items per second of one GPU: named, not measured; `retrieval-lens bench` on such a machine says what it is there."""
BYTES = 2**28
"""Written for a measurement."""
BLOCKS = 200
"""Handed out for one."""


def measured() -> str:
    """The part of the page: rates with their sources, then the table."""
    with tempfile.TemporaryDirectory() as folder:
        writing = _writing(Path(folder))
        reading = _reading(Path(folder))
        windows = _bookkeeping()
    rates = Rates(GPU_ITEMS, reading, writing, NETWORK, windows)
    return f"{_rates(rates)}\n\n{table(rates, LOAD)}"


def table(rates: Rates, load: Load) -> str:
    """Markdown: items x workers -> hours, bytes, and what holds it up."""
    rows = [
        "| items | workers | hours | in the cache | on the network | the slowest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for items in ITEMS:
        for workers in WORKERS:
            made = estimate(items, workers, rates, load)
            rows.append(
                f"| {items:,} | {workers} | {made.hours:,.1f} | {made.kept / GIB:,.0f} GiB |"
                f" {made.travelled / GIB:,.0f} GiB | {made.holds_up} |"
            )
    return "\n".join(rows)


def _rates(rates: Rates) -> str:
    said = {
        f"{rates.items:g} items/s": "one worker: assumed of a GPU and a model of 7 billion parameters, not measured;"
        " put in what `retrieval-lens bench` says on yours",
        f"{rates.reading / 1e6:,.0f} MB/s": "files of 100 kB read and checked, one after another: measured here",
        f"{rates.writing / 1e6:,.0f} MB/s": "arrays written into a memory map, summed and flushed: measured here",
        f"{rates.network / 1e6:,.0f} MB/s": "the network of one machine: 10 Gbit/s, named",
        f"{rates.windows:,.0f} windows/s": "blocks of 1,024 items that Ray Data hands to a worker and back, empty:"
        " measured here",
    }
    lines = "\n".join(f"| {rate} | {source} |" for rate, source in said.items())
    weight = f"An item: {LOAD.picture:,.0f} bytes of picture, {LOAD.width:,} columns, K = {LOAD.k}; {LOAD.kept:,} kept."
    return f"| rate | what, and where it comes from |\n| --- | --- |\n{lines}\n\n{weight}"


def _writing(folder: Path) -> float:
    """Bytes per second of rows written into a memory map, summed and flushed, as `Gathering` does."""
    from core.disk import reserved_map
    from core.windows import sum_of

    rows, width = BYTES // (LOAD.width * 4), LOAD.width
    array, _ = reserved_map(folder / "rows.npy", (rows, width), np.dtype(np.float32))
    block = np.random.default_rng(0).normal(size=(1024, width)).astype(np.float32)
    started = time.perf_counter()
    for at in range(0, rows, 1024):
        window = range(at, min(at + 1024, rows))
        array[window.start : window.stop] = block[: len(window)]
        sum_of(window, (array,))
    array.flush()
    return array.nbytes / (time.perf_counter() - started)


def _reading(folder: Path) -> float:
    """Bytes per second of files read and hashed, as a window is read for a worker."""
    from core.corpus.images import read_bytes
    from core.corpus.readers import digest

    data, files = np.random.default_rng(0).bytes(int(LOAD.picture)), [folder / f"{at}.jpg" for at in range(500)]
    for file in files:
        file.write_bytes(data)
    started = time.perf_counter()
    for file in files:
        digest(read_bytes(file))
    return len(files) * len(data) / (time.perf_counter() - started)


class _Nothing:
    """A worker that gives back what it gets."""

    def __call__(self, row: dict[str, int]) -> dict[str, int]:
        return row


def _bookkeeping() -> float:
    """Windows per second that Ray Data hands to a worker and back, where neither reading nor encoding takes time."""
    from core.engine import Cluster, connected
    from core.engine.flow import flow

    with connected(Cluster(workers=1)) as session:
        rows = flow(session, [{"first": at} for at in range(BLOCKS)], lambda row: row, _Nothing, ())
        next(rows)  # once the worker is there
        started = time.perf_counter()
        came = sum(1 for _ in rows)
    return came / (time.perf_counter() - started)
