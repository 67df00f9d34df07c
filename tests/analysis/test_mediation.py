"""A removal's change taken apart: the settings against dense matrices, the parts by hand, worlds of one part only."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.retrieval import per_query, rank_relevant
from core.analysis.retrieval.mediation import SETTINGS, mediated, setting_rows
from core.analysis.subspaces import random_directions
from core.analysis.variants.transform import SideTransform, transform

N, D = 60, 8


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.normal(size=(N, D)) + rng.normal(size=D)) * rng.uniform(0.5, 9, size=(N, 1))


def test_settings_are_the_formulas_in_dense_matrices(rows: np.ndarray) -> None:
    basis = random_directions(D, 3, seed=1)
    inside, x = basis.T @ basis, unit(rows)
    mean = np.tile(x.mean(0), (N, 1))
    expected = {
        "raw": x,
        "means alone": x - mean @ inside,
        "rows alone": x @ (np.eye(D) - inside) + mean @ inside,
        "removal": x @ (np.eye(D) - inside),
        "centred": x - mean,
        "removal after centring": (x - mean) @ (np.eye(D) - inside),
    }
    assert set(expected) == set(SETTINGS)
    for setting, dense in expected.items():
        assert setting_rows(rows, basis, setting) == pytest.approx(unit(dense), abs=1e-6)


def test_both_parts_are_the_removal_and_its_step_after_centring(rows: np.ndarray) -> None:
    basis = random_directions(D, 3, seed=1)
    assert setting_rows(rows, basis, "removal") == pytest.approx(
        transform(rows, SideTransform(removed_basis=basis)), abs=1e-6
    )
    centred = SideTransform(mean=unit(rows).mean(0))
    assert setting_rows(rows, basis, "centred") == pytest.approx(transform(rows, centred), abs=1e-6)


def test_rows_alone_leave_the_mean_where_it_was(rows: np.ndarray) -> None:
    """Inside the subspace every row is the mean, up to its length."""
    basis, x = random_directions(D, 3, seed=1), unit(rows)
    inside = unit(setting_rows(rows, basis, "rows alone").astype(float) @ basis.T)
    assert inside == pytest.approx(np.tile(unit(x.mean(0)[None] @ basis.T), (N, 1)), abs=1e-5)


def world(gap: float, noise: float) -> dict[str, np.ndarray]:
    """Hit@1 per query and setting: pairs share 6 dimensions; 2 others hold a gap between the sides, or noise."""
    rng = np.random.default_rng(5)
    shared = unit(rng.normal(size=(N, D - 2)))
    sides = []
    for sign in (1, -1):
        drawn = rng.normal(size=(N, 2)) * noise
        sides.append(np.hstack([shared, gap * sign + drawn - drawn.mean(0)]))
    basis = np.eye(D)[-2:]
    pairs = np.column_stack([np.arange(N), np.arange(N)])
    return {
        setting: per_query(rank_relevant(*(setting_rows(side, basis, setting) for side in sides), pairs), "recall@1")
        for setting in SETTINGS
    }


def parts_of(hits: dict[str, np.ndarray]) -> tuple[float, float]:
    found = mediated(*(hits[name] for name in ("raw", "means alone", "rows alone", "removal"))).parts()
    return found[0].share, found[1].share


def test_where_only_rows_differ_the_rows_are_all_of_it() -> None:
    hits = world(gap=0.0, noise=4.0)
    assert hits["raw"].mean() < 0.6 and hits["removal"].mean() == 1.0
    means, rows = parts_of(hits)
    assert means == pytest.approx(0.0, abs=0.1) and rows == pytest.approx(1.0, abs=0.1)


def test_where_the_subspace_holds_the_means_alone_the_means_are_all_of_it() -> None:
    """Rows of one side are equal inside the subspace: taking the means' part is the removal, the rows' part nothing."""
    side = np.hstack([unit(np.random.default_rng(5).normal(size=(N, D - 2))), np.full((N, 2), 1.5)])
    basis = np.eye(D)[-2:]
    settings = {setting: setting_rows(side, basis, setting) for setting in SETTINGS}
    assert settings["means alone"] == pytest.approx(settings["removal"], abs=1e-6)
    assert settings["rows alone"] == pytest.approx(settings["raw"], abs=1e-6)
    raw, removal = np.zeros(N), np.ones(N)
    assert mediated(raw, removal, raw, removal).parts()[0].share == 1.0


def test_parts_by_hand() -> None:
    raw, alone, rows, removal = (np.array(v, float) for v in ([0, 0, 0, 1], [1, 1, 0, 1], [0, 1, 0, 1], [1, 1, 1, 1]))
    found = mediated(raw, alone, rows, removal)
    assert found.total.tolist() == [1, 1, 1, 0]
    assert found.through_means.tolist() == [1, 0.5, 0.5, 0] and found.through_rows.tolist() == [0, 0.5, 0.5, 0]
    assert (found.through_means - found.through_rows).tolist() == (alone - rows).tolist()
    means, others = found.parts()
    assert (means.change, others.change) == (0.5, 0.25) and means.share == pytest.approx(2 / 3)
    assert means.share + others.share == pytest.approx(1)
    assert means.low <= means.change <= means.high and means.share_low <= means.share <= means.share_high


def test_no_change_has_no_shares() -> None:
    raw, removal = np.tile([0.0, 1.0], 20), np.tile([1.0, 0.0], 20)
    means, rows = mediated(raw, raw, removal, removal).parts()
    assert np.isnan([means.share, means.share_low, rows.share, rows.share_high]).all()
    assert means.change == 0 and means.low == means.high == 0


def test_queries_that_share_an_answer_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    raw, removal = np.zeros(40), np.repeat((rng.uniform(size=8) < 0.5).astype(float), 5)
    alone = mediated(raw, removal, raw, removal).parts()[0]
    together = mediated(raw, removal, raw, removal, np.repeat(np.arange(8), 5)).parts()[0]
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
