"""Whether live numbers agree with a claim: the rules, one small function each, from numbers to a `Verdict`.

A rule that compares two settings of one run rests on the paired 95% interval over queries and on p. Where few queries
change the bootstrap interval is too narrow: with 4 that change, all one way, it leaves out 0 (a redraw misses all 4
with chance 0.02), the exact p is 0.125. Ratios are 0-1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Any

import pandas as pd

from core.exhibits.shared.records import About, Outcome, Verdict
from core.exhibits.shared.rows import each_run

SMALL = 0.02
"""Two recalls closer than this count as the same (2 points), where a claim says that something changes little."""
LEVEL = 0.05
"""A difference counts where p lies below this and the 95% interval leaves 0 out."""


def points(difference: float) -> str:
    """0.0123 -> `+1.2 points`."""
    return f"{100 * difference:+.1f} points"


def percent(ratio: float) -> str:
    """0.123 -> `12.3%`."""
    return f"{100 * ratio:.1f}%"


def direction(low: float, high: float, expected: int, p: float = nan) -> Outcome:
    """The interval lies on the expected side of 0, on the other, or spans it. `expected` is +1 or -1.

    Where a test was made (p is not NaN) and p is not below 0.05, nothing is clear, whatever the interval.
    """
    assert expected in (1, -1)
    if isnan(low) or isnan(high):
        return "cannot be said"
    if low <= 0 <= high or p >= LEVEL:
        return "not clear"
    return "agrees" if (low > 0) == (expected > 0) else "disagrees"


def same(low: float, high: float, margin: float = SMALL) -> Outcome:
    """The interval lies within +-margin, outside of it, or across its edge."""
    if isnan(low) or isnan(high):
        return "cannot be said"
    if -margin <= low and high <= margin:
        return "agrees"
    return "disagrees" if low > margin or high < -margin else "not clear"


def by_direction(
    on: str, what: str, row: Mapping[str, Any], expected: int, name: str = "gain", about: About = "claim"
) -> Verdict:
    """Judge the paired difference of a row (NAME, NAME_low, NAME_high, NAME_p, queries): above or below 0."""
    low, high, p = row[f"{name}_low"], row[f"{name}_high"], _p(row, name)
    unclear = "the interval spans 0" if low <= 0 <= high else "too few queries change: p is not below 0.05"
    return _verdict(on, what, row, name, direction(low, high, expected, p), unclear, about)


def by_sameness(
    on: str, what: str, row: Mapping[str, Any], margin: float = SMALL, name: str = "gain", about: About = "claim"
) -> Verdict:
    """Judge the paired difference of a row: small, that is with its whole interval within +-margin."""
    outcome = same(row[f"{name}_low"], row[f"{name}_high"], margin)
    return _verdict(on, what, row, name, outcome, f"the interval crosses the edge of ±{100 * margin:g} points", about)


def beyond_draws(verdict: Verdict, value: float, draws: Sequence[float]) -> Verdict:
    """The same verdict, not clear where a draw of the random control does as well: the interval holds the few draws
    fixed."""
    if verdict.outcome not in ("agrees", "disagrees") or not min(draws) <= value <= max(draws):
        return verdict
    why = f"{verdict.why}; not beyond every draw, these range from {percent(min(draws))} to {percent(max(draws))}"
    return replace(verdict, outcome="not clear", why=why)


def first_is_best(table: pd.DataFrame, column: str, named: str, first: str) -> tuple[Verdict, ...]:
    """The best other value of `column` below the first one, per run; raw embeddings."""
    found = []
    for name, rows in each_run(table[table["variant"] == "none"]):
        others = rows[rows["gain"].notna()]
        best = others.loc[others["gain"].idxmax()].to_dict()
        found.append(
            by_direction(
                name, f"{best['metric']} of the best other, {named.format(best[column])}, minus {first}'s", best, -1
            )
        )
    return tuple(found)


def cannot(on: str, why: str) -> Verdict:
    """Nothing can be said, and why."""
    return Verdict(on=on, outcome="cannot be said", why=why)


def _verdict(
    on: str, what: str, row: Mapping[str, Any], name: str, outcome: Outcome, unclear: str, about: About
) -> Verdict:
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    p = _p(row, name)
    tested = "" if isnan(p) else ", p < 0.0001" if p < 0.0001 else f", p {p:.4f}"
    why = (
        f"{what}: {points(value)} (95% interval {100 * low:+.1f} to {100 * high:+.1f}{tested}, n ="
        f" {int(row['queries']):,} queries)"
    )
    return Verdict(
        on=on, outcome=outcome, about=about, why=f"{why}; {unclear}" if outcome == "not clear" else why,
        difference=value, low=low, high=high, p_value=None if isnan(p) else p, n=int(row["queries"]),
    )  # fmt: skip


def _p(row: Mapping[str, Any], name: str) -> float:
    """The p-value of a row's difference; NaN where none was computed."""
    return float(row.get(f"{name}_p", row.get("p_value", nan)))
