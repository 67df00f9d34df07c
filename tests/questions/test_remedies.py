"""The table of remedies on small runs, recomputed with dense numpy from the papers' definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from core.memo import Memo
from core.questions import remedies
from core.questions.comparisons import holm
from core.records import EmbeddingView
from core.run import Run


def side(run: Run, part: str, view: EmbeddingView | None = None) -> np.ndarray:
    x = np.asarray(run.embeddings(part, view), dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def recall(run: Run, scores: np.ndarray) -> float:
    best = np.argmax(scores, axis=1)
    return float(np.mean([best[q] in run.qrels("test").relevant(q) for q in range(len(best))]))


@pytest.fixture
def run(small_runs: Mapping[str, Run]) -> Run:
    return small_runs["small"]


def test_score_corrections_are_the_papers_after_raw_and_after_centring(run: Run) -> None:
    """CSLS, inverted softmax (t = 0.05) and QB-Norm (active queries only), with whole matrices."""
    table = remedies.remedies(run).set_index("setting")["recall@1"]
    q, c, bank = (side(run, part) for part in ("queries", "candidates", "support_queries"))
    centred = (unit(q - q.mean(0)), unit(c - c.mean(0)), unit(bank - q.mean(0)))
    for name, (queries, candidates, others) in {"none": (q, c, bank), "center": centred}.items():
        s, b = queries @ candidates.T, others @ candidates.T
        csls = 2 * s - np.sort(s, 1)[:, -10:].mean(1)[:, None] - np.sort(b, 0)[-10:].mean(0)
        softmax = np.exp(s / 0.05) / np.exp(b / 0.05).sum(0)
        active = np.isin(s.argmax(1), b.argmax(1))
        dynamic = np.where(active[:, None], softmax, s)
        for remedy, scores in (("csls", csls), ("inverted-softmax", softmax), ("qb-norm", dynamic)):
            assert table[f"{name} / {remedy}"] == pytest.approx(recall(run, scores)), (name, remedy)


def test_gap_closing_is_a_shift_to_the_common_mean(run: Run) -> None:
    table = remedies.remedies(run).set_index("setting")["recall@1"]
    q, c = side(run, "queries"), side(run, "candidates")
    half = (q.mean(0) - c.mean(0)) / 2
    assert table["close-gap"] == pytest.approx(recall(run, unit(q - half) @ unit(c + half).T))
    gap = unit((q.mean(0) - c.mean(0))[None])[0]
    q1, c1 = unit(q - np.outer(q @ gap, gap)), unit(c - np.outer(c @ gap, gap))
    assert table["remove-mean-direction"] == pytest.approx(recall(run, q1 @ c1.T))


def test_layers_poolings_and_masks_are_other_stored_embeddings(run: Run) -> None:
    table = remedies.remedies(run)
    by_setting = table.set_index("setting")["recall@1"]
    for view in (
        EmbeddingView(3, "mean", "all"),
        EmbeddingView(-1, "last", "all"),
        EmbeddingView(-1, "mean", "no-image"),
    ):
        q, c = side(run, "queries", view), side(run, "candidates", view)
        assert by_setting[f"{view} / none"] == pytest.approx(recall(run, q @ c.T))
    kinds = {"baseline", "transform", "score correction", "layer", "pooling", "token mask", "reading"}
    assert set(table["kind"]) == kinds
    assert any("small-chat.toml" in note for note in table.attrs["notes"])


def test_gains_are_against_raw_and_corrected_over_the_table(run: Run) -> None:
    table = remedies.remedies(run)
    assert table["gain"].to_numpy() == pytest.approx((table["recall@1"] - table["recall@1"].iloc[0]).to_numpy())
    assert np.isnan(table["gain_p"].iloc[0]) and table["gain_p"].iloc[1:].notna().all()
    assert table["p_holm"].iloc[1:].to_numpy() == pytest.approx(holm(table["gain_p"].iloc[1:]))
    realign = table.loc[table["setting"] == "realign", "recall@1"].item()
    assert table["beyond_realign"].to_numpy() == pytest.approx((table["recall@1"] - realign).to_numpy())
    assert (table["fitted_on"].str.len() > 0).all()


def test_a_dual_encoder_has_no_layers(small_runs: Mapping[str, Run]) -> None:
    table = remedies.remedies(small_runs["small-clip"])
    assert set(table["kind"]) == {"baseline", "transform", "score correction"}
    assert any("dual encoder" in note for note in table.attrs["notes"])


def test_without_support_queries_the_bank_is_the_test_queries(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(run, _memos=Memo())  # what it remembers of its support split is not asked
    monkeypatch.setattr(Run, "parts", property(lambda self: ("queries", "candidates")))
    assert remedies.query_bank(run, "none") == pytest.approx(side(run, "queries"), abs=1e-6)
    assert any("transductive" in note for note in remedies._notes(run, [], []))
    assert "transductive" in next(remedies._corrections(run))[0]["fitted_on"]


def test_other_prompts_are_another_run_of_the_same_items(run: Run, small_runs: Mapping[str, Run]) -> None:
    """No small run has other prompts; the run of the other model stands in for one, on the same queries."""
    other = small_runs["small-clip"]
    rows = list(remedies._prompts(run, [other]))
    words = f"prompts {other.preset}, {other.view.words}"  # named, since it is not the run's own view
    assert [head["remedy"] for head, _ in rows] == [words, f"{words} with ReAlign"]
    assert rows[0][0]["fitted_on"] == "nothing" and "transductive" in rows[1][0]["fitted_on"]
    q, c = side(other, "queries"), side(other, "candidates")
    assert (rows[0][1].first == 1).mean() == pytest.approx(recall(run, q @ c.T))
