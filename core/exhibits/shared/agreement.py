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

from core.analysis.retrieval import smallest_difference
from core.exhibits.shared.records import About, Outcome, Verdict
from core.exhibits.shared.rows import CONTRASTIVE, MLLM, TUNED, UNKNOWN, each_run

SMALL = 0.02
"""Two recalls closer than this count as the same (2 points), where a claim says that something changes little."""
NO_CLAIM = {
    CONTRASTIVE: "the claim speaks of multimodal LLMs, this is a contrastive model",
    TUNED: "the claim speaks of multimodal LLMs as they are, this one was tuned for retrieval",
    UNKNOWN: (
        'nobody said what kind of model made these vectors: put family = "generative", "contrastive" or'
        ' "tuned" under [model] of the spec and run it again'
    ),
}
"""Why the claims on multimodal LLMs say nothing of another kind of model."""
Z = 1.959964
"""Standard errors to each side of a normal 95% interval."""
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


def of_mllm(verdict: Verdict, kind: str) -> tuple[Verdict, ...]:
    """The verdict, where the claim speaks of this kind of model; else that it does not, and the numbers beside it."""
    if kind == MLLM:
        return (verdict,)
    spoken = cannot(verdict.on, f"{NO_CLAIM[kind]}; beside it: {verdict.why}")
    numbers = {name: getattr(verdict, name) for name in ("difference", "value", "low", "high", "p_value", "n")}
    return replace(spoken, **numbers), replace(verdict, about="beside")


def beyond_draws(verdict: Verdict, value: float, draws: Sequence[float]) -> Verdict:
    """The same verdict, not clear where a draw of the random control does as well: the interval holds the few draws
    fixed."""
    if verdict.outcome not in ("agrees", "disagrees") or not min(draws) <= value <= max(draws):
        return verdict
    why = f"{verdict.why}; not beyond every draw, these range from {percent(min(draws))} to {percent(max(draws))}"
    unsure = replace(verdict, outcome="not clear", why=why)
    return with_detectable(unsure, verdict.n, f"{verdict.n:,} queries")


def first_is_best(table: pd.DataFrame, column: str, named: str, first: str) -> tuple[Verdict, ...]:
    """The best other value of `column` below the first one, per run; raw embeddings.

    The best of several was chosen for being best: its p (gain_p_max) is corrected for all that it was chosen from.
    """
    verdicts: list[Verdict] = []
    for name, rows in each_run(table[table["variant"] == "none"]):
        others = rows[rows["gain"].notna()]
        best = others.loc[others["gain"].idxmax()].to_dict()
        what = f"{best['metric']} of the best of {len(others)} others, {named.format(best[column])}, minus {first}'s"
        verdict = by_direction(name, what, best | {"gain_p": best["gain_p_max"]}, -1)
        verdicts += of_mllm(verdict, best["kind"])
    return tuple(verdicts)


def cannot(on: str, why: str) -> Verdict:
    """Nothing can be said, and why."""
    return Verdict(on=on, outcome="cannot be said", why=why)


def _verdict(
    on: str, what: str, row: Mapping[str, Any], name: str, outcome: Outcome, unclear: str, about: About
) -> Verdict:
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    p, n = _p(row, name), int(row["queries"])
    tested = "" if isnan(p) else ", p < 0.0001" if p < 0.0001 else f", p {p:.4f}"
    why = f"{what}: {points(value)} (95% interval {100 * low:+.1f} to {100 * high:+.1f}{tested}, n = {n:,} queries)"
    verdict = Verdict(
        on=on, outcome=outcome, about=about, why=f"{why}; {unclear}" if outcome == "not clear" else why,
        difference=value, low=low, high=high, p_value=None if isnan(p) else p, n=n,
    )  # fmt: skip
    return with_detectable(verdict, n, f"{n:,} queries")


def with_detectable(verdict: Verdict, n: int | None, sample: str) -> Verdict:
    """A verdict that is not clear, with the smallest difference that its sample could have shown."""
    if verdict.outcome != "not clear" or verdict.low is None or verdict.high is None:
        return verdict
    smallest = smallest_difference((verdict.high - verdict.low) / (2 * Z), n)
    if isnan(smallest):
        return verdict
    why = f"{verdict.why}; the smallest difference that {sample} show in 4 of 5 samples: {100 * smallest:.1f} points"
    return replace(verdict, detectable=smallest, why=why)


def _p(row: Mapping[str, Any], name: str) -> float:
    """The p-value of a row's difference; NaN where none was computed."""
    return float(row.get(f"{name}_p", row.get("p_value", nan)))
