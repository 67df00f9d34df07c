"""Sentences of findings stay true whichever way a number falls."""

from __future__ import annotations

import pytest

from core.exhibits import EXHIBITS, Verdict
from docs.generate import findings


def verdict(outcome: str, difference: float, low: float, high: float) -> Verdict:
    return Verdict(on="demo", outcome=outcome, why="what: ...", difference=difference, low=low, high=high, n=1000)  # type: ignore[arg-type]


def test_a_clear_difference_has_a_direction() -> None:
    up, down = verdict("agrees", 0.487, 0.462, 0.511), verdict("disagrees", -0.076, -0.098, -0.055)
    assert findings.moved(up) == "rises by 48.7 points [+46.2, +51.1]"
    assert findings.moved(down) == "falls by 7.6 points [−9.8, −5.5]"
    assert findings.apart(up) == "48.7 points [+46.2, +51.1] above"
    assert findings.apart(down) == "7.6 points [−9.8, −5.5] below"


def test_the_direction_is_the_numbers_not_the_verdicts() -> None:
    """A claim that something falls agrees where the number is negative."""
    assert findings.moved(verdict("agrees", -0.076, -0.098, -0.055)) == "falls by 7.6 points [−9.8, −5.5]"


def test_what_is_not_clear_is_said_to_be_so() -> None:
    open_ = verdict("not clear", 0.004, -0.01, 0.018)
    assert findings.moved(open_) == "does not clearly change (+0.4 points [−1.0, +1.8])"
    assert findings.apart(open_) == "not clearly above or below (+0.4 points [−1.0, +1.8])"


def test_every_exhibit_is_a_finding_in_both_directions_and_metrics() -> None:
    entries = list(findings.entries())
    assert {entry.exhibit for entry in entries} | set(findings.LEFT_OUT) == set(EXHIBITS)
    removal = [entry.settings for entry in entries if entry.exhibit == "table-2"]
    assert removal == [
        ({"metric": "recall@1"}, {"metric": "recall@5"}),
        ({"then": "center", "metric": "recall@1"}, {"then": "center", "metric": "recall@5"}),
    ]
    assert len(findings.DIRECTIONS) == 2


def test_a_verdict_without_a_number_is_no_finding() -> None:
    silent = Verdict(on="demo", outcome="cannot be said", why="no SAE")
    with pytest.raises(LookupError, match="no SAE"):
        findings.moved(silent)
