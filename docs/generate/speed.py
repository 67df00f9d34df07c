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
from core.commands.benches.measures import measures
from core.commands.benches.search import search

ITEMS, CORPUS_ITEMS = 256, 100_000
"""Items encoded both ways, and items of the large corpus."""


def measured(items: int = ITEMS, corpus_items: int = CORPUS_ITEMS, demo: bool = True) -> str:
    """A table of what was measured, and the command for each row. The demo is made twice, in a cache of its own.
    Without it, search and measures are small too."""
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
    rows.append(_search() if demo else _search(2_000, 200, 64, 1))
    rows.append(_measures() if demo else _measures(1_000, 1_024, 64, 1))
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


def _search(
    candidates: int = 100_000, queries: int = 5_000, width: int = 1024, repeats: int = 5
) -> tuple[str, str, str]:
    """The row of whitening and search; medians."""
    f = search(candidates, queries, width, repeats)
    lists = "no list" if f["equal_lists"] is None else f"{f['equal_lists']:.1%} of the lists"
    sizes = f"--candidates {candidates} --queries {queries} --width {width} --repeats {repeats}"
    return (
        f"`retrieval-lens bench --search {sizes}`",
        "whitening and exact search against the study's way in plain torch, and search alone against bare float32"
        f" products, {candidates:,} candidates x {width}, {queries:,} queries, median of {repeats}",
        f"{f['ours_seconds']:.1f} against {f['study_seconds']:.1f} s, ratio {f['ratio']:.2f}; peak memory"
        f" {f['ours_peak_gib']:.2f} against {f['study_peak_gib']:.2f} GiB; search alone"
        f" {f['ours_search_alone_seconds']:.1f} against {f['bare_products_seconds']:.1f} s,"
        f" {f['search_over_bare']:.2f} times; {lists} equal; {f['times_roofline']:.1f} times the roofline of"
        f" {f['roofline_seconds']:.1f} s ({f['float32_gflops']:.0f} and {f['float64_gflops']:.0f} Gflop/s in float32"
        f" and float64, {f['gbytes_per_second']:.1f} GB/s); not run on a GPU here",
    )


def _measures(
    pairs: int = 100_000, concepts: int = 32_768, width: int = 1024, repeats: int = 5
) -> tuple[str, str, str]:
    """The row of the measures of concepts; medians."""
    f = measures(pairs, concepts, width=width, repeats=repeats)
    return (
        f"`retrieval-lens bench --measures --pairs {pairs} --concepts {concepts} --width {width} --repeats {repeats}`",
        f"energy, modality score, bridge and attribution of {pairs:,} pairs, {concepts:,} concepts, K = {f['active']},"
        f" median of {repeats}",
        f"{f['seconds']:.1f} s, {f['mib']:,.0f} MiB, where the dense way would take"
        f" {f['dense_mib_by_arithmetic']:,.0f} MiB ({f['memory_ratio']:.0f} times); on {f['small_pairs']:,} pairs and"
        f" {f['small_concepts']:,} concepts {f['small_seconds']:.1f} against {f['small_dense_seconds']:.1f} s,"
        f" {f['small_mib']:,.0f} against {f['small_dense_mib']:,.0f} MiB; largest relative difference"
        f" {f['largest_relative_difference']:.1e}",
    )


def _encoding(figures: dict[str, Any]) -> str:
    return (
        f"{figures['batched_items_per_second']:.0f} against {figures['plain_items_per_second']:.0f} items/s, ratio"
        f" {figures['ratio']:.1f}; lowest cosine between the two {figures['lowest_cosine']:.4f}; peak memory"
        f" {figures['batched_peak_gib']:.2f} against {figures['plain_peak_gib']:.2f} GiB; {figures['items']} items"
    )


def _large(figures: dict[str, Any]) -> str:
    written = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in figures.items()}
    return "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in written.items())
