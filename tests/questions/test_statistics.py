"""Sources of a whitening's gain, and support sizes on small runs, recomputed with plain numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from core.errors import NotAvailable
from core.memo import Memo
from core.questions import retrieval, statistics
from core.questions.answers import fit_data
from core.run import Run


@pytest.fixture(params=["small", "small-clip"])
def run(request: pytest.FixtureRequest, small_runs: Mapping[str, Run]) -> Run:
    return small_runs[request.param]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def rows(run: Run, part: str) -> np.ndarray:
    return unit(np.asarray(run.embeddings(part), dtype=np.float64))


def recall(run: Run, queries: np.ndarray, candidates: np.ndarray) -> float:
    best = np.argmax((unit(queries) @ unit(candidates).T).astype(np.float32), axis=1)
    return float(np.mean([best[q] in run.qrels("test").relevant(q) for q in range(len(best))]))


def test_means_and_sources_are_what_numpy_computes(run: Run) -> None:
    table = statistics.whitening_sources(run).drop_duplicates("variant").set_index("variant")["recall@1"]
    q, c, support = rows(run, "queries"), rows(run, "candidates"), rows(run, "support_queries")
    both = np.vstack([q, c]).mean(axis=0)
    expected = {
        "none": recall(run, q, c),
        "center": recall(run, q - q.mean(0), c - c.mean(0)),
        "center(statistics=shared)": recall(run, q - both, c - both),
        "center(statistics=support)": recall(run, q - support.mean(0), c - c.mean(0)),
        "center(statistics=candidates)": recall(run, q - c.mean(0), c - c.mean(0)),
    }
    for variant, value in expected.items():
        assert table[variant] == pytest.approx(value), variant


def test_the_gains_of_the_split_sum_to_the_whole(run: Run) -> None:
    table = statistics.whitening_sources(run)
    split = table[table["part"] == statistics.GAIN_SPLIT]
    assert split["gain"].sum() == pytest.approx(split["recall@1"].iloc[-1] - split["recall@1"].iloc[0])
    for row in table.itertuples():
        before = retrieval.evaluate(run, row.compared_with).evaluation.recall[1]
        assert row.gain == pytest.approx(row._5 - before)
    assert table.set_index("variant").loc["auto(method=oas,eps=1e-05)", "beta_queries"] > 0


def test_eps_against_the_shrinkage_floor_is_said(run: Run) -> None:
    """The warning appears exactly where eps is at least a tenth of beta tr / d."""
    whitening, notes = run.spec.whitening, statistics.whitening_sources(run).attrs["notes"]
    for part in ("queries", "candidates"):
        floor = whitening.beta * rows(run, part).var(axis=0, ddof=1).mean()
        said = any(n.startswith(f"realign: {part}, realign: eps") for n in notes)
        assert said == (whitening.eps >= 0.1 * floor)


def test_support_size_is_a_centring_by_the_drawn_rows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "DRAWS", (0, 1))
    table = statistics.support_size(run, ["center"], sizes=(20, 10_000)).set_index("size")
    q, c, support = rows(run, "queries"), rows(run, "candidates"), rows(run, "support_queries")
    found = []
    for seed in (0, 1):
        drawn = np.random.default_rng(seed).permutation(len(support))[:20]
        found.append(recall(run, q - support[drawn].mean(0), c - c.mean(0)))
    assert table.loc[20, "recall@1"] == pytest.approx(np.mean(found))
    assert (
        table.loc[len(support), "recall@1"]
        == retrieval.evaluate(run, "center(statistics=support)").evaluation.recall[1]
    )
    assert table.loc[20, "gain_worst"] <= table.loc[20, "gain"]
    assert fit_data(run).rows("support")[0].shape == support.shape


def test_without_support_it_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "parts", property(lambda self: ("queries", "candidates")))
    with pytest.raises(NotAvailable, match="support split"):
        statistics.support_size(replace(run, _memos=Memo()))
