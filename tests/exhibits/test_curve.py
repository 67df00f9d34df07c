"""A verdict is worth what survives: specification curves, on made-up settings and on a small run."""

from __future__ import annotations

from typing import Any

import pytest

from core.analysis.variants import FitData, VariantSpec
from core.exhibits import table_2_removal
from core.exhibits.shared import curve
from core.exhibits.shared.records import Setting, Settings, Verdict
from core.exhibits.shared.rows import METRIC
from core.questions import removal
from core.run import Run, open_run
from core.store import Store

YES, NO, OPEN, UNSAID = "agrees", "disagrees", "not clear", "cannot be said"


def settings(*outcomes: tuple[Any, Any, str]) -> list[Setting]:
    """Settings by (metric, set size, outcome)."""
    return [
        Setting(
            on="r",
            choices={"metric": metric, "share": share},
            outcome=outcome,  # type: ignore[arg-type]
            value=0.1,
            low=0.0,
            high=0.2,
            n=10,
            default=False,
        )
        for metric, share, outcome in outcomes
    ]


def verdict(outcome: Any) -> Verdict:
    return Verdict(on="r", outcome=outcome, why="numbers", difference=0.1, low=0.0, high=0.2, n=10)


@pytest.mark.parametrize("default", [YES, NO, OPEN])
def test_settings_that_contradict_each_other_make_it_depend(default: str) -> None:
    """Recall@1 disagrees, Recall@5 agrees, whatever the size: the choice is the metric."""
    found = curve.survived(verdict(default), settings(("1", 1, NO), ("1", 2, NO), ("5", 1, YES), ("5", 2, YES)))
    assert (found.outcome, found.depends_on, found.settings) == ("depends", "metric", Settings(2, 4))
    assert "1: 0 agree, 2 disagree; 5: 2 agree, 0 disagree" in found.why


def test_the_choice_is_the_one_that_tells_the_outcomes_apart_best() -> None:
    mixed = settings(("1", 1, NO), ("5", 1, NO), ("1", 2, YES), ("5", 2, YES), ("10", 2, NO))
    assert curve.survived(verdict(YES), mixed).depends_on == "share"


@pytest.mark.parametrize("default", [YES, NO, OPEN])
def test_what_is_not_clear_contradicts_nothing(default: str) -> None:
    other = YES if default == YES else NO
    found = curve.survived(verdict(default), settings(("1", 1, other), ("5", 1, OPEN), ("10", 1, UNSAID)))
    assert (found.outcome, found.depends_on) == (default, None)
    assert found.settings == Settings(int(other == YES), 2), "a setting that cannot be said is not counted"


def test_a_curve_that_is_not_there_yet_settles_nothing_either_way() -> None:
    settled = [curve.survived(verdict(o), None).outcome for o in (YES, NO, OPEN)]
    assert settled == ["not settled", "not settled", OPEN]
    assert curve.PENDING in curve.survived(verdict(NO), None).why
    assert curve.survived(verdict(NO), None).settings is None


def test_what_cannot_be_said_has_no_settings() -> None:
    unsaid = Verdict(on="r", outcome="cannot be said", why="no partner")
    assert curve.survived(unsaid, settings(("1", 1, YES))) is unsaid


def test_the_table_has_a_column_per_choice_that_varies() -> None:
    table = curve.table_of(settings(("1", 1, YES), ("5", 1, NO)))
    assert list(table["metric"]) == ["1", "5"] and "share" not in table and list(table["outcome"]) == [YES, NO]


def test_metrics_of_one_removal_share_its_rankings(small_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 2's curve asks for every removal with three metrics: ranked once, each with its own gain."""
    ranked: list[str] = []
    rank_under = removal.rank_under

    def counting(run: Run, variant: VariantSpec, data: FitData | None = None) -> Any:
        ranked.append(str(variant))
        return rank_under(run, variant, data)

    monkeypatch.setattr(removal, "rank_under", counting)
    runs = [open_run("small", small_store)]
    tables = {m: table_2_removal.compute(runs, draws=0, metric=m) for m in METRIC.allowed}
    assert len(ranked) == 2  # nothing removed, and the top concepts
    for metric, table in tables.items():
        none, top = table[metric]
        assert table["gain"].iloc[1] == pytest.approx(top - none)
