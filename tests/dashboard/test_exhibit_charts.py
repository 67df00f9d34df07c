"""Every chart of an exhibit draws its table's own numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import core.exhibits
from core.exhibits import EXHIBITS, FILES, show_exhibit
from core.run import open_run
from core.store import Store
from dashboard.charts import exhibits as charts_exhibits
from dashboard.charts.exhibits import Drawing
from dashboard.charts.exhibits import drawing as charts_drawing
from dashboard.charts.exhibits import panels as charts_panels
from dashboard.words import exhibits as words_exhibits

STUDY = [name for name, exhibit in EXHIBITS.items() if exhibit.group == "study"]


@pytest.mark.parametrize("name", STUDY)
def test_every_chart_draws_the_numbers_of_its_table(name: str, small_store: Store) -> None:
    shown = show_exhibit(name, [open_run(run, small_store) for run in ("small", "small-clip")])
    pictures = charts_exhibits.draw(FILES[name], shown.table)
    for drawing, drawn in zip(charts_exhibits.drawings(FILES[name]), pictures, strict=True):
        lengths = drawing.kind in ("bars", "dots")
        traces = [trace for trace in drawn.figure.data if trace.hoverinfo != "skip"]
        values = [float(v) for trace in traces for v in (trace.x if lengths else trace.y)]
        columns = list(drawing.melt) or ["recall@5" if drawing.y == charts_drawing.METRIC else drawing.y]
        rows = shown.table
        for column, wanted in drawing.where.items():
            rows = rows[rows[column].isin(wanted)]
        for column, levels in drawing.level.items():
            rows = rows[~rows[column].isin(levels)]
        expected = np.concatenate([rows[column].to_numpy(float) for column in columns])
        assert sorted(values) == pytest.approx(sorted(expected))


def test_a_chart_stands_in_a_file_named_as_its_exhibit() -> None:
    files = {path.stem for path in Path(charts_exhibits.__file__).parent.glob("*_*.py") if path.stem != "__init__"}
    exhibits = {path.stem for path in Path(core.exhibits.__file__).parent.glob("*_*.py") if path.stem != "__init__"}
    assert files <= exhibits
    assert files <= set(FILES.values())


def test_every_exhibit_of_the_study_has_a_chart() -> None:
    assert all(charts_exhibits.drawings(FILES[name]) for name in STUDY)
    assert charts_exhibits.draw("no_such_exhibit", pd.DataFrame({"a": [1]})) == []


def test_bars_carry_their_intervals() -> None:
    drawing = Drawing(kind="bars", title="{metric} by run", x="run", y="recall@5")
    table = pd.DataFrame(
        {"run": ["a", "b"], "recall@5": [0.5, 0.7], "recall@5_low": [0.4, 0.65], "recall@5_high": [0.65, 0.8]}
    )
    (drawn,) = charts_drawing.draw((drawing,), table)
    bars = [trace for trace in drawn.figure.data if trace.type == "bar"]
    assert drawn.title == "Recall@5 by run"
    assert [trace.error_x.array[0] for trace in bars] == pytest.approx([0.15, 0.1])
    assert [trace.error_x.arrayminus[0] for trace in bars] == pytest.approx([0.1, 0.05])
    assert [text for trace in bars for text in trace.customdata] == ["a: 50.0% [40.0, 65.0]", "b: 70.0% [65.0, 80.0]"]


def test_numbers_stand_right_of_every_bar_and_interval() -> None:
    drawing = Drawing(kind="dots", title="", x="label", y="gain")
    table = pd.DataFrame(
        {"run": "a", "label": ["x", "y"], "gain": [-0.5, 0.02], "gain_low": [-0.6, -0.1], "gain_high": [-0.4, 0.14]}
    )
    figure = charts_drawing.draw((drawing,), table)[0].figure
    (texts,) = [trace for trace in figure.data if trace.mode == "text"]
    assert [text.strip() for text in texts.text] == ["−50.0", "+2.0"]
    assert min(texts.x) > 0.14
    assert list(texts.y) == [place for trace in figure.data if trace.mode == "markers" for place in trace.y]
    assert list(figure.layout.xaxis.ticktext) == ["−60", "−40", "−20", "0"]


def test_the_largest_stands_first_within_its_kind() -> None:
    drawing = Drawing(kind="dots", title="", x="remedy", y="gain", series="kind", sort=True)
    table = pd.DataFrame({"remedy": list("abcd"), "kind": ["t", "s", "t", "s"], "gain": [0.1, 0.9, 0.2, 0.8]})
    figure = charts_drawing.draw((drawing,), table)[0].figure
    assert list(figure.layout.yaxis.ticktext) == ["c", "a", "b", "d"]


def test_marks_of_a_category_are_neighbours_and_nothing_keeps_a_place_that_is_not_there() -> None:
    rows = pd.DataFrame({"dictionary": ["own", "pca", "own"], "run": ["a", "a", "b"]})
    assert charts_panels.slots(rows, "dictionary", "run") == {("own", "a"): 0, ("own", "b"): 1, ("pca", "a"): 2.45}


def test_a_figure_for_each_value_of_a_column_and_a_level_for_what_is_none() -> None:
    drawing = Drawing(
        kind="lines",
        title="after {value}",
        x="amount",
        y="recall@1",
        series="removal",
        apart="then",
        level={"removal": ["no"]},
    )
    rows = [("none", 0, "no", 0.5), ("none", 1, "top", 0.6), ("center", 0, "no", 0.7), ("center", 1, "top", 0.4)]
    drawn = charts_drawing.draw((drawing,), pd.DataFrame(rows, columns=["then", "amount", "removal", "recall@1"]))
    assert [one.title for one in drawn] == ["After nothing", "After centring"]
    assert [list(one.figure.data[0].y) for one in drawn] == [[0.6], [0.4]]
    assert [one.figure.layout.shapes[0].y0 for one in drawn] == [0.5, 0.7]
    assert [set(one.rows["then"]) for one in drawn] == [{"none"}, {"center"}]


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("recall@5", 0.1234, "12.3%"),
        ("gain", -0.0512, "−5.1"),
        ("gain_p", 0.00001, "< 0.0001"),
        ("gain_p", 0.04, "0.0400"),
        ("variant", "center", "centred"),
        ("layer", -1, "last"),
        ("queries", 2000, "2,000"),
        ("realign_seconds", 0.01234567, "0.01235"),
        ("beta", float("nan"), "raw"),
        ("recall@5", float("nan"), ""),
        ("inside", True, "yes"),
        ("gain", -1e-20, "0.0"),
        ("p, centred", 0.00001, "< 0.0001"),
        ("dictionary_kind", "sae", "SAE"),
        ("named", "218 ?", "218"),
    ],
)
def test_cells_are_written_by_what_they_are(column: str, value: object, text: str) -> None:
    assert words_exhibits.write(column, value) == text
