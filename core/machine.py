"""What this machine has room for: free memory, and the refusal of what would not fit into it. Knows no models."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import TooLarge

GIB = 2**30


def free_memory() -> float:
    """Bytes of main memory that a new process could take; infinity where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file() or not hasattr(os, "sysconf"):
        return float("inf")
    line = next((text for text in meminfo.read_text().splitlines() if text.startswith("MemAvailable")), None)
    return float("inf") if line is None else int(line.split()[1]) * 1024


def check_memory(what: str, needed: float, free: float, todo: str) -> None:
    """Refuse what needs more bytes than are free, before it is tried.

    Args:
        what: what needs them, to be followed by "does not fit into memory".

    Raises:
        TooLarge: with both figures.
    """
    if needed > free:
        got, allowed = f"about {needed / GIB:,.1f} GiB needed", f"{free / GIB:,.1f} GiB, which are free"
        raise TooLarge(f"{what} does not fit into memory", got=got, allowed=allowed, todo=todo)
