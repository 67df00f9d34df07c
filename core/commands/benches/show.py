"""Benchmarks of a large run, printed: a row of a Markdown table as soon as it is measured, or one JSON object at the
end."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.commands.output import emit, say

PAGES_HEAD = "| what | measured | bar | times |\n| --- | --- | --- | --- |"
STAGES_HEAD = "| what | seconds | peak memory, GiB | disk, GiB |\n| --- | --- | --- | --- |"


def large(items: int, width: int, folder: Path | None, *, pages: bool, as_json: bool) -> None:
    """Measure the stages of a large run, or its pages, and print the table.

    Raises:
        NotAvailable: pages without playwright or a browser.
    """
    rows = []
    say(f"{items:,} candidates; {_machine()}\n\n{PAGES_HEAD if pages else STAGES_HEAD}", err=as_json)
    for row, cells in _pages(items, folder) if pages else _stages(items, width, folder):
        rows.append(row)
        say(f"| {' | '.join(cells)} |", err=as_json)
    if as_json:
        emit({"items": items, "rows": rows})


def _machine() -> str:
    names = ("numpy", "torch", "streamlit", "retrieval-lens")
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), " + ", ".join(f"{n} {version(n)}" for n in names)


def _pages(items: int, folder: Path | None) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    from core.commands.benches.dashboard import dashboard

    for row in dashboard(items, folder):
        bar = "" if row.bar is None else f"{row.bar:g} {row.unit}{'' if row.value <= row.bar else ', missed'}"
        yield asdict(row), (row.what, f"{row.value:.2f} {row.unit}", bar, str(row.times))


def _stages(items: int, width: int, folder: Path | None) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    from core.commands.benches.large_run import large_run

    for step in large_run(items, width, folder):
        peak = "" if step.peak_gib is None else f"{step.peak_gib:.2f}"
        disk = f"{step.disk_gib:.2f}" if step.disk_gib else ""
        yield asdict(step), (step.what, f"{step.seconds:.2f}", peak, disk)
