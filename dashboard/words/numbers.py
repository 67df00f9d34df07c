"""How numbers are written. Ratios are 0-1 in `core`; only here they become per cent."""

from __future__ import annotations

from math import isnan


def percent(ratio: float | None, digits: int = 1) -> str:
    """0.1234 -> `12.3%`; None or NaN -> `undefined`."""
    if ratio is None or isnan(ratio):
        return "undefined"
    return f"{100 * ratio:.{digits}f}%"


def points(difference: float, digits: int = 1) -> str:
    """A difference of two ratios in percentage points: 0.0123 -> `+1.2 points`."""
    written = f"{100 * difference:+.{digits}f}".replace("-", "−")
    return f"{written.lstrip('+−') if float(f'{100 * difference:.{digits}f}') == 0 else written} points"


def count(number: float) -> str:
    """12345 -> `12,345`."""
    return f"{int(number):,}"


def size(number: float) -> str:
    """Bytes in the largest unit that keeps it above one."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds as `0.4 s`, `12 s` or `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def interval(low: float, high: float, digits: int = 1) -> str:
    """`23.1–29.4%`."""
    return f"{100 * low:.{digits}f}–{100 * high:.{digits}f}%"


def sample(number: int, what: str) -> str:
    """`n = 1,000 queries`."""
    return f"n = {count(number)} {what}"
