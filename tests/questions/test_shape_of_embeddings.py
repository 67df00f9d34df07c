"""Geometry before and after on a small run, with dense numpy; the jackknife against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from core.questions import geometry, retrieval
from core.run import Run, open_run
from core.store import Store

NEGATIVES = 2000
"""Fewer than the 4,900 that there are, so that they are drawn."""


@pytest.fixture
def run(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(geometry, "NEGATIVES", NEGATIVES)
    monkeypatch.setattr(geometry, "UNIFORMITY_PAIRS", 500)
    return open_run("small", Store(small_cache))


def sides(run: Run, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows of queries and candidates, raw or centred per side."""
    found = []
    for part in ("queries", "candidates"):
        x = np.asarray(run.embeddings(part), dtype=np.float64)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x = x - x.mean(axis=0) if variant == "center" else x
        found.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    return found[0], found[1]


@pytest.mark.parametrize("variant", ["none", "center"])
def test_measures_are_what_numpy_computes(run: Run, variant: str) -> None:
    table = geometry.shape(run, ("none", "center"))
    value = table[table["variant"] == variant].set_index("measure")["value"]
    q, c = sides(run, variant)
    similarity = q @ c.T
    pairs = run.qrels("test").pairs
    positive = similarity[pairs[:, 0], pairs[:, 1]]
    shares = np.linalg.eigvalsh(np.cov(q.T))
    shares = np.maximum(shares, 0) / shares.sum()
    lists = np.argsort(-similarity.astype(np.float32), axis=1, kind="stable")[:, :10]
    counts = np.bincount(lists.ravel(), minlength=len(c))
    within = q @ q.T
    expected = {
        "modality gap": np.linalg.norm(q.mean(0) - c.mean(0)),
        "mean cosine across": similarity.mean(),
        "mean cosine within queries": within[~np.eye(len(q), dtype=bool)].mean(),
        "effective rank, queries": np.exp(-np.sum(shares[shares > 0] * np.log(shares[shares > 0]))),
        "participation ratio, queries": 1 / np.sum(shares**2),
        "hubness (skewness of N_10)": stats.skew(counts),
        "candidates in no top-10 list": np.mean(counts == 0),
        "alignment": np.mean(2 - 2 * positive),
        "mean cosine of matching pairs": positive.mean(),
        "recall@1": retrieval.evaluate(run, variant).evaluation.recall[1],
    }
    for measure, number in expected.items():
        assert value[measure] == pytest.approx(number, rel=2e-3, abs=1e-4), measure
    others = similarity[
        ~np.isin(np.arange(similarity.size).reshape(similarity.shape), pairs[:, 0] * len(c) + pairs[:, 1])
    ]
    assert value["mean cosine of other pairs"] == pytest.approx(others.mean(), abs=1e-8)
    d_prime = (positive.mean() - others.mean()) / np.sqrt((positive.var() + others.var()) / 2)
    assert value["d'"] == pytest.approx(d_prime, rel=1e-6)
    drawn = geometry.similarities(run, (variant,)).attrs[variant]
    assert drawn["d_prime"] == pytest.approx(d_prime, rel=1e-6)
    assert 0 < drawn["n_negative"] <= NEGATIVES


def test_differences_are_to_the_first_variant_and_lie_in_their_interval(run: Run) -> None:
    table = geometry.shape(run, ("none", "center"))
    raw = table[table["variant"] == "none"].set_index("measure")
    after = table[table["variant"] == "center"].set_index("measure")
    assert raw["change"].isna().all()
    assert after["change"].to_numpy() == pytest.approx((after["value"] - raw["value"]).to_numpy())
    tested = after.drop(index=list(geometry.POOL))
    assert (tested["change_low"] <= tested["change"]).all() and (tested["change"] <= tested["change_high"]).all()
    assert after.loc[list(geometry.POOL), "change_p"].isna().all()


def test_the_jackknife_of_a_mean_is_its_t_test() -> None:
    """For equal groups the jackknife error of a mean is the standard error of the group means; so is the p-value."""
    values = np.random.default_rng(0).normal(0.4, 1, (10, 30))
    left_out = [np.delete(values, g, axis=0).mean() for g in range(10)]
    low, high, p = geometry.jackknife_interval(values.mean(), left_out)
    expected = stats.ttest_1samp(values.mean(axis=1), 0)
    assert p == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert geometry.jackknife_interval(0.0, [0.0] * 5) == (0.0, 0.0, 1.0)


def test_leaving_queries_out_moves_the_pairs_with_them(run: Run) -> None:
    cloud = geometry._cloud(run, "none")
    gone = np.zeros(len(cloud.queries), dtype=bool)
    gone[[0, 2, 40]] = True
    rest = cloud.without(gone)
    kept = [(q, c) for q, c in cloud.pairs.tolist() if not gone[q]]
    assert len(rest.queries) == len(cloud.queries) - 3 and len(rest.pairs) == len(kept)
    for (new, c), (old, same) in zip(rest.pairs.tolist(), kept, strict=True):
        assert c == same and (rest.queries[new] == cloud.queries[old]).all()


def test_hubs_are_the_candidates_in_most_lists(run: Run) -> None:
    table = geometry.hubs(run, ("none",), n=3)
    q, c = sides(run, "none")
    counts = np.bincount(
        np.argsort(-(q @ c.T).astype(np.float32), axis=1, kind="stable")[:, :10].ravel(), minlength=len(c)
    )
    assert table["occurrences"].tolist() == sorted(counts.tolist(), reverse=True)[:3]
    assert [counts[row] for row in table["row"]] == table["occurrences"].tolist()
    assert (table["expected"] == len(q) * 10 / len(c)).all() and table["text"].str.len().gt(0).all()


def test_spectra_and_similarities_are_shares(run: Run) -> None:
    spectra = geometry.spectra(run, ("none",))
    for side, rows in zip(("queries", "candidates"), sides(run, "none"), strict=True):
        mine = spectra[spectra["side"] == side]
        values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
        assert mine["share"].to_numpy() == pytest.approx(values / values.sum(), abs=1e-6)
        assert mine["held"].iloc[-1] == pytest.approx(1)
    found = geometry.similarities(run, ("none",), bins=20)
    assert found[["positive", "negative"]].sum().to_numpy() == pytest.approx([1, 1])
    assert found.attrs["none"]["n_positive"] == len(run.qrels("test").pairs)
