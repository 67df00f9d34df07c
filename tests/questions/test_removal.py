"""Removal and its controls on a small run, recomputed with dense numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.analysis.subspaces import random_concepts
from core.errors import NotAvailable
from core.questions import removal
from core.run import Run, open_run
from core.store import Store


@pytest.fixture
def run(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(removal, "SHARES", (0.01,))
    monkeypatch.setattr(removal, "RANKS", (4,))
    return open_run("small-clip", Store(small_cache))


def dense(run: Run, part: str) -> np.ndarray:
    return np.asarray(run.embeddings(part), dtype=np.float64)


def hits(run: Run, basis: np.ndarray, centre: bool, k: int = 1) -> np.ndarray:
    """Per query, whether a relevant candidate is among the k best after projecting out the span of `basis`' rows."""
    span = np.linalg.qr(basis.T)[0] if len(basis) else np.zeros((basis.shape[1], 0))
    sides = []
    for part in ("queries", "candidates"):
        x = dense(run, part)
        x = x - x @ span @ span.T
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x = x - x.mean(axis=0) if centre else x
        sides.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    order = np.argsort(-(sides[0] @ sides[1].T).astype(np.float32), axis=1, kind="stable")[:, :k]
    return np.array([np.isin(order[q], run.qrels("test").relevant(q)).any() for q in range(len(order))], dtype=float)


def attribution(run: Run) -> np.ndarray:
    """Eq 6 over the support pairs, with the c x c matrix written out."""
    pairs, d = run.qrels("support").pairs, run.sae.dictionary.astype(np.float64)
    q = run.codes("support_queries").toarray()[pairs[:, 0]].astype(np.float64)
    c = run.codes("support_candidates").toarray()[pairs[:, 1]].astype(np.float64)
    gram = d @ d.T
    return np.mean(q * (c @ gram) + c * (q @ gram), axis=0)


@pytest.mark.parametrize("then", ["none", "center"])
def test_each_kind_is_what_numpy_computes(run: Run, then: str) -> None:
    table = removal.removal_controls(run, then, seeds=(0, 1))
    assert table.attrs["fitted_on"] == "support"
    rows = table[(table["metric"] == "recall@1") & (table["curve"] != "rank")].set_index("kind")
    d = run.sae.dictionary.astype(np.float64)
    alive = np.flatnonzero(
        (run.codes("support_queries").toarray() > 0).any(0) | (run.codes("support_candidates").toarray() > 0).any(0)
    )
    count, empty = round(0.01 * len(d)), np.zeros((0, d.shape[1]))
    none = hits(run, empty, then == "center")
    top = hits(run, d[np.argsort(-attribution(run))[:count]], then == "center")
    random = np.mean([hits(run, d[random_concepts(alive, count, s)], then == "center") for s in (0, 1)], axis=0)
    assert rows.loc["no removal", "value"] == none.mean()
    assert rows.loc["top attribution", "value"] == pytest.approx(top.mean(), abs=1e-9)
    assert rows.loc["random concepts", "value"] == pytest.approx(random.mean(), abs=1e-9)
    assert rows.loc["top attribution", "gain"] == pytest.approx((top - none).mean(), abs=1e-9)
    assert rows.loc["top attribution", "beyond_random"] == pytest.approx((top - random).mean(), abs=1e-9)
    assert rows.loc["top attribution", "gain_low"] <= (top - none).mean() <= rows.loc["top attribution", "gain_high"]


def test_controls_match_number_and_rank(run: Run) -> None:
    table = removal.removal_controls(run, "none", seeds=(0, 1))
    for (curve, _), point in table[table["curve"] != "none"].groupby(["curve", "share"]):
        by_kind = point[point["metric"] == "recall@1"].set_index("kind")
        assert by_kind["concepts"].nunique() == 1 and set(by_kind.index) == set(removal.KINDS)
        equal = by_kind.loc[["top attribution", "random directions", "top principal directions"], "rank"]
        assert equal.nunique() == 1 and (curve != "rank" or (by_kind["rank"] == 4).all())
    draws = table[table["kind"].str.startswith("random")]
    assert (
        (draws["draws"] == 2).all()
        and (draws["draw_lowest"] <= draws["value"]).all()
        and (draws["value"] <= draws["draw_highest"]).all()
    )


def test_a_run_without_an_sae_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "sae", None)
    with pytest.raises(NotAvailable, match="no SAE"):
        removal.removal_controls(run)
