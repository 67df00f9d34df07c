"""What figures draw, against the tables they are given; empty tables draw empty figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.charts import base as charts
from dashboard.charts import concepts as charts_concepts
from dashboard.charts import modality as charts_modality
from dashboard.charts import retrieval as charts_retrieval
from dashboard.charts import similarity as charts_similarity


def histogram(counts: list[int]) -> pd.DataFrame:
    edges = np.linspace(0, 1, len(counts) + 1)
    return pd.DataFrame(
        {"left": edges[:-1], "right": edges[1:], "concepts": counts, "energy": [2.0 * c for c in counts]}
    )


def test_modality_histogram_shows_shares_in_the_colours_of_the_modalities() -> None:
    bars = charts_modality.modality_histogram(histogram([1, *[0] * 17, 1, 2]), weighted=False).data[0]
    assert list(bars.y) == pytest.approx([0.25, *[0] * 17, 0.25, 0.5])
    assert bars.marker.color[0] == charts.IMAGE
    assert bars.marker.color[10] == charts.BOTH
    assert bars.marker.color[-1] == charts.TEXT


def test_modality_histogram_of_nothing_is_flat() -> None:
    assert max(charts_modality.modality_histogram(histogram([0] * 20), weighted=True).data[0].y) == 0


def test_waterfall_ends_at_the_sum() -> None:
    bars = charts_similarity.waterfall(["a", "b", "rest"], [0.5, -0.2, 0.1], "similarity").data[0]
    assert bars.measure[-1] == "total"
    assert bars.text[-1] == "0.400"
    assert bars.text[1] == "-0.200"


def test_before_after_bars_are_the_table_with_its_intervals() -> None:
    row = {
        "metric": "recall@1",
        "before": 0.1,
        "before_low": 0.08,
        "before_high": 0.13,
        "after": 0.5,
        "after_low": 0.45,
        "after_high": 0.52,
    }
    before, after = charts_retrieval.before_after(pd.DataFrame([row]), {"recall@1": "Recall@1"}).data
    assert (before.y[0], after.y[0]) == (0.1, 0.5)
    assert after.error_y.array[0] == pytest.approx(0.02)
    assert after.error_y.arrayminus[0] == pytest.approx(0.05)


def test_removal_curve_has_the_range_of_the_random_control() -> None:
    rows = [(0.0, "top attribution", 0, 0.1), (0.01, "top attribution", 0, 0.3)]
    rows += [(0.01, "random concepts", s, v) for s, v in enumerate((0.08, 0.1, 0.12))]
    table = pd.DataFrame(rows, columns=["share", "kind", "seed", "recall@1"])
    band, mean, top = charts_similarity.removal_curve(table).data
    assert sorted(band.y) == [0.08, 0.12]
    assert mean.y[0] == pytest.approx(0.1)
    assert list(top.y) == [0.1, 0.3]


def test_energy_scatter_leaves_out_what_never_fires() -> None:
    table = pd.DataFrame(
        {
            "concept": [0, 1, 2],
            "label": ["a", "b", ""],
            "energy": [1.0, 2.0, 0.0],
            "modality_score": [1.0, 0.05, np.nan],
        }
    )
    figure = charts_modality.energy_by_modality(table)
    assert sum(len(trace.x) for trace in figure.data) == 2


def test_activations_of_a_dead_concept_are_empty() -> None:
    assert len(charts_concepts.activations(pd.DataFrame(columns=["left", "right", "modality", "count"])).data) == 0


def test_backgrounds_let_the_theme_through() -> None:
    figure = charts_modality.modality_histogram(histogram([1, 2]), weighted=False)
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
