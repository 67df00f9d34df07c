"""Whether live numbers agree with a claim: the rules, one small function each, from numbers to a `Verdict`.

A rule that compares two settings of one run rests on the paired 95% interval over queries; p is reported beside it. Ratios are 0-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from core.exhibits.registry import Outcome, Verdict

SMALL = 0.02
"""Two recalls closer than this count as the same (2 points), where a claim says that something changes little."""


def points(difference: float) -> str:
    """0.0123 -> `+1.2 points`."""
    return f"{100 * difference:+.1f} points"


def percent(ratio: float) -> str:
    """0.123 -> `12.3%`."""
    return f"{100 * ratio:.1f}%"


def direction(low: float, high: float, expected: int) -> Outcome:
    """The interval lies on the expected side of 0, on the other, or spans it. `expected` is +1 or -1."""
    assert expected in (1, -1)
    if isnan(low) or isnan(high):
        return "cannot be said"
    if low <= 0 <= high:
        return "not clear"
    return "agrees" if (low > 0) == (expected > 0) else "disagrees"


def same(low: float, high: float, margin: float = SMALL) -> Outcome:
    """The interval lies within +-margin, outside of it, or across its edge."""
    if isnan(low) or isnan(high):
        return "cannot be said"
    if -margin <= low and high <= margin:
        return "agrees"
    return "disagrees" if low > margin or high < -margin else "not clear"


def by_direction(on: str, what: str, row: Mapping[str, Any], expected: int) -> Verdict:
    """Judge the paired difference of a row (gain, gain_low, gain_high, p_value, queries): above or below 0."""
    return _verdict(on, what, row, direction(row["gain_low"], row["gain_high"], expected), "its 95% interval spans 0")


def by_sameness(on: str, what: str, row: Mapping[str, Any], margin: float = SMALL) -> Verdict:
    """Judge the paired difference of a row: small, that is with its whole interval within +-margin."""
    unclear = f"its 95% interval crosses the edge of ±{100 * margin:g} points"
    return _verdict(on, what, row, same(row["gain_low"], row["gain_high"], margin), unclear)


def cannot(on: str, why: str) -> Verdict:
    """Nothing can be said, and why."""
    return Verdict(on=on, outcome="cannot be said", why=why)


def _verdict(on: str, what: str, row: Mapping[str, Any], outcome: Outcome, unclear: str) -> Verdict:
    interval = f"95% interval {100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f}"
    p = "" if row.get("p_value") is None else f", p {'< 0.0001' if row['p_value'] < 0.0001 else format(row['p_value'], '.4f')}"
    why = f"{what}: {points(row['gain'])} ({interval}{p}, n = {int(row['queries']):,} queries)"
    return Verdict(
        on=on, outcome=outcome, why=f"{why}; {unclear}" if outcome == "not clear" else why,
        difference=row["gain"], low=row["gain_low"], high=row["gain_high"], p_value=row.get("p_value"), n=int(row["queries"]),
    )  # fmt: skip
