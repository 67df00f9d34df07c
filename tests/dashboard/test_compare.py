"""Compare: table and counts are core's, and nothing is claimed that cannot be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dashboard_driver import Tab, healthy, show, story, texts

from core.questions import compare
from core.run import Run, open_run
from core.store import Store
from dashboard import words
from dashboard.charts import compare as charts_compare


def difference_words(row: pd.Series) -> str:
    """What the story says of a difference: its size where it is clear, else that it is not."""
    clear = row["difference_low"] * row["difference_high"] > 0 and row["p_value"] < 0.05
    return words.points(abs(row["difference"])).lstrip("+") if clear else "no clear difference"


def test_compare_shows_cores_table_and_counts(run: Run, clip: Run) -> None:
    app = show("compare", run="small", other="small-clip", variant="center", against="none")
    healthy(app, "compare")
    found = compare.compare(run, clip, "center", "none").table.set_index("metric")
    shown = texts(app)
    assert words.percent(found.loc["recall@1", "first"]) in story(app)
    assert words.percent(found.loc["recall@1", "second"]) in story(app)
    assert difference_words(found.loc["recall@1"]) in story(app)
    counts = compare.outcomes(run, clip, "center", "none").set_index("kind")["queries"]
    assert (
        f"{words.count(counts['only first'])} queries only A gets right, {words.count(counts['only second'])} only B"
        in shown
    )
    table = next(d.value for d in app.dataframe if "What it says" in d.value.columns)
    assert len(table) == len(compare.SHOWN_MEASURES) == len(words.GEOMETRY)


def test_compare_without_common_queries_stands_alone_and_says_why(small_store: Store) -> None:
    app = show("compare", run="small", second="small-task1")
    healthy(app, "compare")
    why = compare.pairing(open_run("small", small_store), open_run("small-task1", small_store))
    assert why and f"Not paired, because {why}" in texts(app)
    assert "Who finds what" not in texts(app)
    assert not any("difference" in d.value.columns for d in app.dataframe)


def test_compare_of_a_side_with_itself_claims_nothing(small_store: Store) -> None:
    app = show("compare", run="small", second="small")
    healthy(app, "compare")
    assert "no clear difference" in story(app)
    assert "Both sides are the same" in texts(app)


def test_compare_a_run_with_itself_under_another_variant(run: Run) -> None:
    app = show("compare", run="small", second="small", against="center")
    row = compare.compare(run, run, "none", "center").table.set_index("metric").loc["recall@1"]
    assert difference_words(row) in story(app)


def test_compare_replaces_what_cannot_be(small_store: Store) -> None:
    app = show("compare", run="small", second="nobody", against="frobnicate(")
    healthy(app, "compare")
    said = "\n".join(w.value for w in app.warning)
    assert "nobody" in said
    assert "frobnicate" in said


def test_outcome_table_holds_every_count_at_its_place() -> None:
    table = pd.DataFrame({"kind": ["both", "only first", "only second", "neither"], "queries": [5, 1, 3, 11]})
    figure = charts_compare.outcomes(table.assign(share=table["queries"] / 20), ("A", "B"), 1)
    at = {(a.x, a.y): a.text for a in figure.layout.annotations}
    assert at[0, 0].startswith("<b>5<")
    assert at[1, 0].startswith("<b>1<")  # A right (first row), B wrong (second column)
    assert at[0, 1].startswith("<b>3<")
    assert at[1, 1].startswith("<b>11<")


def test_bubbles_count_every_query_once() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 900, 500), rng.integers(1, 900, 500)
    table = charts_compare.binned(a, b)
    assert table["queries"].sum() == 500
    only = charts_compare.binned(np.array([1, 1, 40]), np.array([1, 1, 1]))
    assert only.set_index(only["x"].round(3)).loc[1.0, "queries"] == 2
    assert np.abs(np.log10(only["x"].max() / 40)) <= charts_compare.BIN / 2
    assert len(charts_compare.ranks(np.array([0, 0]), np.array([1, 2]), ("A", "B")).data[0].x) == 0


@pytest.mark.browser
def test_another_top_counts_anew_and_is_in_the_link(tab: Tab, run: Run, clip: Run) -> None:
    tab.open("compare", run="small", other="small-clip")
    tab.page.get_by_role("radio", name="5", exact=True).or_(
        tab.page.get_by_role("button", name="5", exact=True)
    ).first.click()
    tab.wait_for_link(**{"top-k": "5"})
    only = compare.outcomes(run, clip, k=5).set_index("kind")["queries"]["only second"]
    tab.page.get_by_text(f"{only} only B").first.wait_for()
    tab.healthy()
