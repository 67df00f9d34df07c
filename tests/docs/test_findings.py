"""Sentences of findings stay true whichever way a number falls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.exhibits import EXHIBITS, Verdict
from docs.generate import findings


def verdict(outcome: str, difference: float, low: float, high: float) -> Verdict:
    return Verdict(on="demo", outcome=outcome, why="what: ...", difference=difference, low=low, high=high, n=1000)  # type: ignore[arg-type]


def test_a_clear_difference_has_a_direction() -> None:
    up, down = verdict("agrees", 0.487, 0.462, 0.511), verdict("disagrees", -0.076, -0.098, -0.055)
    assert findings.moved(up) == "rises by 48.7 points [46.2, 51.1]"
    assert findings.moved(down) == "falls by 7.6 points [5.5, 9.8]"
    assert findings.apart(up) == "48.7 points [46.2, 51.1] above"
    assert findings.apart(down) == "7.6 points [5.5, 9.8] below"


def test_the_direction_is_the_numbers_not_the_verdicts() -> None:
    """A claim that something falls agrees where the number is negative."""
    assert findings.moved(verdict("agrees", -0.076, -0.098, -0.055)) == "falls by 7.6 points [5.5, 9.8]"


def test_a_claim_that_depends_keeps_the_direction_of_its_number() -> None:
    """Other settings contradict this one; the number under this one is as far from 0 as it is."""
    depends = verdict("depends", 0.487, 0.457, 0.520)
    assert findings.moved(depends) == "rises by 48.7 points [45.7, 52.0]"
    assert findings.apart(depends) == "48.7 points [45.7, 52.0] above"
    pending = verdict("not clear", -0.3, -0.33, -0.27)  # one setting alone never disagrees with confidence
    assert findings.moved(pending) == "falls by 30.0 points [27.0, 33.0]"


def test_too_few_changes_are_not_clear_whatever_the_interval() -> None:
    few = replace(verdict("not clear", 0.004, 0.001, 0.008), p_value=0.125)
    assert findings.moved(few) == "does not clearly change (+0.4 points [+0.1, +0.8])"


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
    assert not findings.clear(silent)
    with pytest.raises(LookupError, match="no SAE"):
        findings.moved(silent)
