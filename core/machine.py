"""What this machine has room for: free memory, and the refusal of what would not fit into it. Knows no models."""

from __future__ import annotations

import sys
from pathlib import Path

from core.errors import TooLarge

GIB = 2**30


UNLIMITED = 2**60
"""Control groups of version 1 write a number near 2**63 where there is no limit."""


def free_memory() -> float:
    """Bytes of main memory that this process could still take: what the system has, or what is left of the limit of its
    container; infinity where neither is said."""
    return min(_free_of_system(), _free_of_container())


def used_memory() -> int:
    """Bytes of main memory that this process has taken at most so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # Linux counts in KiB


def _free_of_system() -> float:
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return float("inf")
    line = next((text for text in meminfo.read_text().splitlines() if text.startswith("MemAvailable")), None)
    return float("inf") if line is None else int(line.split()[1]) * 1024


def _free_of_container(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes left of the tightest memory limit of this process's control groups; infinity where it has none.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current, memory.stat) and
    cgroup-v1/memory.rst (memory.limit_in_bytes, memory.usage_in_bytes).
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return float("inf")
    free = float("inf")
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, limit, usage, cached = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        group = top / path.strip("/")
        # A limit of any group above holds too. A container sees its own group as the root, whatever the path says.
        for place in {group, top, *(above for above in group.parents if above.is_relative_to(top))}:
            free = min(free, _left(place, limit, usage, cached))
    return free


def _left(group: Path, limit: str, usage: str, cached: str) -> float:
    """Bytes left of one group's limit. Pages of files that nobody uses count as free: the kernel gives them back."""
    try:
        most = (group / limit).read_text().strip()
        if most == "max" or int(most) >= UNLIMITED:
            return float("inf")
        figures = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, int(most) - int((group / usage).read_text()) + int(figures.get(cached, 0)))
    except (OSError, ValueError):
        return float("inf")


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
