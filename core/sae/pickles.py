"""What a pickle asks for, read from its instructions without following any of them.

A checkpoint of torch is a pickle: a little program that may name any function of Python (a "global") and call it. Only
the names are looked at here, to say in one line why such a file is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickletools import genops

MOST_BYTES = 2**26
"""Instructions of a checkpoint are a few kilobytes; its tensors lie elsewhere or behind them."""
PLAIN = ("collections.OrderedDict", "collections.defaultdict", "builtins.list", "torch.")
"""Names, or beginnings of names, that a checkpoint of tensors and plain values holds."""


def foreign_global(path: Path) -> str | None:
    """The first function or class that a checkpoint of tensors has no use for; None where there is none."""
    plain = PLAIN + tuple(name.replace("builtins", "__builtin__") for name in PLAIN)
    return next((name for name in _globals(_instructions(path)) if not name.startswith(plain)), None)


def _instructions(path: Path) -> bytes:
    """The pickle itself: `data.pkl` of an archive as torch writes it, or the file."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as stream:
            return stream.read(MOST_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
            if name is None:
                return b""
            with archive.open(name) as stream:
                return stream.read(MOST_BYTES)
    except (OSError, ValueError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile):
        return b""


def _globals(data: bytes) -> Iterator[str]:
    """`module.name` of every global, in order, up to where the instructions break off.

    Old protocols write both words in one instruction; newer ones push them as two strings, perhaps from the memo.
    """
    strings: list[str] = []
    memo: dict[int, str] = {}
    last: str | None = None
    try:
        for instruction, argument, _ in genops(data):
            name = instruction.name
            if name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".")
            elif name == "STACK_GLOBAL":
                yield ".".join(strings[-2:])
            if "UNICODE" in name or "STRING" in name:
                last = str(argument)
                strings.append(last)
            elif name == "MEMOIZE":
                # Memoised things are numbered in order; only strings matter here, the others only count.
                memo[len(memo)] = last or ""
            elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo[int(str(argument))] = last or ""
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                last = memo.get(int(str(argument)), "")
                strings.append(last)
            else:
                last = None
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError):
        return
