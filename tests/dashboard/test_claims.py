"""A verdict as the dashboard draws it: from hand-made records, so that every outcome is seen."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from core.exhibits.claims import Claim
from core.exhibits.shared.records import Outcome, Setting, Settings
from dashboard.charts import base, specification
from dashboard.parts import claims

CLAIM = Claim(
    claim=3,
    title="Top contributors are distractors",
    statement="Removal raises recall.",
    exhibit="table-2",
    on="demo",
    outcome="depends",
    metric="recall@5",
    value=-0.012,
    low=-0.029,
    high=0.031,
    n=1000,
    why="recall@5 after removal: -1.2 points (95% interval -2.9 to +3.1); agrees in 2 of 4 settings, disagrees in 1",
    settings=Settings(agrees=2, of=4),
    depends_on="the metric",
)


def setting(value: float | None, outcome: Outcome, default: bool = False, **choices: str) -> Setting:
    return Setting(
        on="demo", choices={"task": 4, **choices}, outcome=outcome, value=value, low=value, high=value, n=9,
        default=default,
    )  # fmt: skip


SETTINGS = (
    setting(-0.10, "disagrees", metric="recall@1"),
    setting(-0.012, "not clear", default=True, metric="recall@5"),
    setting(0.10, "agrees", metric="recall@10"),
    setting(0.30, "agrees", metric="recall@10"),
    setting(None, "cannot be said", metric="recall@1"),
)


def test_a_verdict_has_outcome_number_interval_n_settings_and_what_it_depends_on() -> None:
    code = claims.verdict(CLAIM, SETTINGS)
    assert ">depends</span>" in code
    assert "−1.2 points" in code
    assert "Recall@5, 95% interval −2.9 to +3.1, n = 1,000 queries" in code
    assert "agrees in 2 of 4 settings; depends on the metric" in code
    assert 'aria-label="Claim 3 on demo"' in code


def test_what_stands_beside_the_badge_is_not_said_twice_but_the_tooltip_has_all() -> None:
    code = claims.verdict(CLAIM, ())
    assert "recall@5 after removal" in re.sub(r"<[^>]*>", "", code)
    assert "disagrees in 1" not in re.sub(r"<[^>]*>", "", code)
    assert "disagrees in 1" in code


def test_beside_not_clear_stands_the_smallest_difference() -> None:
    unclear = replace(CLAIM, outcome="not clear", detectable=0.043, settings=None, depends_on=None)
    assert "could have shown 4.3 points or more" in claims.remark(unclear)
    assert claims.remark(replace(unclear, detectable=None)) == ""


def test_one_mark_per_setting_that_has_a_number_at_its_place() -> None:
    code = claims.strip(CLAIM, SETTINGS)
    marks = re.findall(r'<i class="([^"]+)" style="left:([\d.]+)%"', code)
    assert sorted((float(place), kind) for kind, place in marks) == [
        (0.0, "differs"),
        (22.0, "partly default"),
        (50.0, "agrees"),
        (100.0, "agrees"),
    ]
    assert '<u style="left:25.00%">' in code  # the reference, 0, between -10 and +30 points
    assert claims.strip(CLAIM, SETTINGS[:1]) == ""


def test_the_reference_of_a_share_is_a_half() -> None:
    share = replace(CLAIM, metric="share", value=0.2)
    assert '<u style="left:100.00%">' in claims.strip(share, SETTINGS)


def test_rows_of_the_curve_are_the_choices_that_differ() -> None:
    table, choices = claims.settings_table(SETTINGS)
    assert len(table) == len(SETTINGS)
    assert choices == ["Judged by"]  # the task is one for all
    assert set(table["Task"]) == {"image → text"}


def test_the_curve_draws_every_setting_once_rising_and_rings_the_default() -> None:
    table, choices = claims.settings_table(SETTINGS)
    figure = specification.curve(table, choices, "points")
    above = [trace for trace in figure.data if trace.yaxis in (None, "y") and trace.hoverinfo != "skip"]
    places = sorted((x, y) for trace in above for x, y in zip(trace.x, trace.y, strict=True))
    assert [y for _, y in places] == pytest.approx([-0.10, -0.012, 0.10, 0.30])
    colours = {trace.name.split(" (")[0]: trace.marker.color for trace in above}
    assert colours == {"agrees": base.PLUS, "disagrees": base.MINUS, "not clear": base.CONTROL}
    (ring,) = [trace for trace in figure.data if trace.name == "the default"]
    assert list(ring.y) == pytest.approx([-0.012])


def test_text_from_data_is_escaped() -> None:
    assert "<script" not in claims.verdict(replace(CLAIM, on="<script>", why="<script>"), ())
