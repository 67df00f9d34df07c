"""Measure the speed page: seconds and memory on this machine, now."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from core.commands.benches.corpus import scale
from core.commands.benches.encoding import benchmark

ITEMS, CORPUS_ITEMS = 256, 100_000
"""Items encoded both ways, and items of the large corpus."""


def measured(items: int = ITEMS, corpus_items: int = CORPUS_ITEMS, demo: bool = True) -> str:
    """A table of what was measured, and the command for each row. The demo is made twice, in a cache of its own."""
    encoding = benchmark(number=items)
    large = scale(corpus_items)
    rows = [
        ("`retrieval-lens bench`", "batched encoding against a plain loop of batch size 1", _encoding(encoding)),
        (
            f"`retrieval-lens bench --corpus {corpus_items}`",
            "a large corpus: made, then opened and evaluated",
            _large(large),
        ),
    ]
    if demo:
        with tempfile.TemporaryDirectory() as cache:
            first, again = _demo(cache), _demo(cache)
        command = "`retrieval-lens demo --no-serve`"
        rows += [
            (command, "the whole demo, nothing cached", f"{first:.0f} s"),
            (command, "the same again, everything cached", f"{again:.0f} s"),
        ]
    where = f"{os.cpu_count()} CPU cores ({platform.machine()}), {encoding['device']}, torch {version('torch')}"
    head = f"Measured on {datetime.now(UTC):%Y-%m-%d} with version {version('retrieval-lens')}: {where}."
    table = ["| command | what | measured |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([head, "", *table])


def _demo(cache: str) -> float:
    """Seconds of one `demo --no-serve` with that cache."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "core", "demo", "--no-serve"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "RETRIEVAL_LENS_CACHE": cache})
    return time.perf_counter() - started


def _encoding(figures: dict[str, Any]) -> str:
    return (
        f"{figures['batched_items_per_second']:.0f} against {figures['plain_items_per_second']:.0f} items/s, ratio"
        f" {figures['ratio']:.1f}; lowest cosine between the two {figures['lowest_cosine']:.4f}; peak memory"
        f" {figures['batched_peak_gib']:.2f} against {figures['plain_peak_gib']:.2f} GiB; {figures['items']} items"
    )


def _large(figures: dict[str, Any]) -> str:
    written = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in figures.items()}
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in written.items())
