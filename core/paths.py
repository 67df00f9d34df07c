"""What lies at a path, asked without failing: a name from a spec or a listing may be too long or lead anywhere.

Only regular files are ever opened: opening a FIFO waits for ever, reading `/dev/zero` never ends, and opening some
devices does something.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

Kind = Literal["file", "folder", "other", "nothing"]
NOT_REGULAR = "no regular file (a FIFO, device or socket); it is not opened"


def kind(path: Path) -> Kind:
    """What is there, links followed: "other" is a FIFO, a device or a socket; "nothing" also where a name cannot be."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # no such file, no permission, a loop of links; ValueError: NUL in the name
        return "nothing"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def is_file(path: Path) -> bool:
    """Whether it is a regular file, links followed."""
    return kind(path) == "file"


def within(root: Path, path: Path) -> bool:
    """Whether the path lies in `root` or below, links followed on both sides; False where it cannot be."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a loop of links
        return False
