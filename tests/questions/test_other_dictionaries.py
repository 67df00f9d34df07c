"""Other dictionaries on a small run: what is said of them, recomputed densely."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from core.questions import alternates, dictionaries, modality, retrieval
from core.questions.concepts import table as concept_table
from core.run import Run, open_run
from core.store import Store


@pytest.fixture
def run(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(alternates, "DIRECTIONS", {"pca": "PCA directions"})
    monkeypatch.setattr(alternates, "_shipped", lambda run: [])
    return open_run("small-clip", Store(small_cache))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def recall(run: Run, queries: np.ndarray, candidates: np.ndarray) -> float:
    best = np.argmax((unit(queries) @ unit(candidates).T).astype(np.float32), axis=1)
    return float(np.mean([best[q] in run.qrels("test").relevant(q) for q in range(len(best))]))


def test_pca_directions_are_fitted_on_support_and_pool_and_never_on_test_queries(run: Run) -> None:
    found = alternates.alternate(run, "PCA directions")
    rows = np.vstack([run.embeddings(part) for part in ("support_queries", "support_candidates", "candidates")]).astype(
        np.float64
    )
    axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2]
    d = found.dictionary.astype(np.float64)
    assert len(d) == 2 * rows.shape[1] and np.abs(d[: len(axes)] @ axes.T)[np.diag_indices(5)] == pytest.approx(
        np.ones(5), abs=1e-4
    )
    assert found.offsets["queries"][0] == pytest.approx(rows.mean(0), abs=1e-4)
    h = np.asarray(run.embeddings("queries")[3], dtype=np.float64) - rows.mean(0)
    scores = np.maximum(d @ h, 0)
    scores[np.argsort(-scores)[run.need_sae().k :]] = 0
    assert found.codes["queries"][[3]].toarray()[0] == pytest.approx(scores, abs=1e-3)


@pytest.mark.parametrize("name", [alternates.OWN, "PCA directions"])
def test_fidelity_is_what_numpy_computes(run: Run, name: str) -> None:
    row = dictionaries.sae_fidelity(run).set_index("dictionary").loc[name]
    found = alternates.alternate(run, name)
    rebuilt, rows = {}, {}
    for part in ("queries", "candidates"):
        rows[part] = np.asarray(run.embeddings(part), dtype=np.float64)
        rebuilt[part] = found.codes[part].toarray() @ found.dictionary + found.offsets[part]
    x, x_hat = (np.vstack(list(of.values())) for of in (rows, rebuilt))
    expected = 1 - ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert row["explained_variance"] == pytest.approx(expected, abs=1e-5)
    assert row["recall@1"] == pytest.approx(recall(run, *rebuilt.values()))
    assert row["gain"] == pytest.approx(row["recall@1"] - retrieval.evaluate(run).evaluation.recall[1])
    fired = sum((found.codes[part].toarray() > 0).sum(0) for part in rows)
    assert row["dead_share"] == pytest.approx(np.mean(fired == 0)) and row["l0"] == pytest.approx(fired.sum() / len(x))


def test_the_own_sae_says_what_the_other_pages_say(run: Run) -> None:
    row = dictionaries.conclusions(run).set_index("dictionary").loc[alternates.OWN]
    scores = modality.scores(run)
    assert (row["share_text"], row["share_image"], row["alive"]) == pytest.approx(
        (scores.share_text, scores.share_image, scores.alive)
    )
    assert row["share_for_99"] == modality.cumulative_energy(run).share_for_99
    overlaps = modality.overlaps(run).set_index("measures")["overlap"]
    assert (
        row["overlap_all"] == overlaps["all three"]
        and row["overlap_energy_attribution"] == overlaps["energy & attribution"]
    )
    assert row["recall@1"] == retrieval.evaluate(run, "remove-top(share=0.01)").evaluation.recall[1]
    assert np.isnan(row["own_cosine"])


def test_conclusions_of_directions_by_hand(run: Run) -> None:
    row = dictionaries.conclusions(run).set_index("dictionary").loc["PCA directions"]
    found = alternates.alternate(run, "PCA directions")
    q, c = (found.codes[part].toarray() for part in ("queries", "candidates"))
    image, text = q.mean(0), c.mean(0)
    fires = (image + text) > 0
    scores = text[fires] / (image + text)[fires]
    assert row["alive"] == fires.sum() and row["share_text"] == pytest.approx(np.mean(scores > 0.9))
    energy = np.sort(np.vstack([q, c]).mean(0))[::-1]
    assert row["concepts_for_99"] == np.searchsorted(np.cumsum(energy), 0.99 * energy.sum()) + 1
    pairs, d = run.qrels("support").pairs, found.dictionary.astype(np.float64)
    a, b = (
        found.codes[part].toarray()[rows]
        for part, rows in zip(("support_queries", "support_candidates"), pairs.T, strict=True)
    )
    top = np.argsort(-np.mean(a * (b @ (d @ d.T)) + b * (a @ (d @ d.T)), axis=0))[: row["top"]]
    u, s, _ = np.linalg.svd(d[top].T, full_matrices=False)
    span = u[:, s > 1e-6 * s[0]]
    sides = [unit(np.asarray(run.embeddings(part), dtype=np.float64)) for part in ("queries", "candidates")]
    assert row["rank"] == span.shape[1]
    assert row["recall@1"] == pytest.approx(recall(run, *(x - x @ span @ span.T for x in sides)))
    own = run.need_sae().dictionary.astype(np.float64)
    assert row["own_cosine"] == pytest.approx((d[fires] @ own.T).max(axis=1).mean(), abs=1e-5)
    mine = own[np.argsort(-concept_table(run)["attribution"].to_numpy(), kind="stable")[:10]]
    assert len(mine) == 10 and 0 <= row["own_span"] <= 1


def test_a_shipped_sae_is_the_encoders_own(small_runs: Mapping[str, Run]) -> None:
    """Every shipped SAE but the run's own is listed; its codes and offset rebuild what sae-lens rebuilds."""
    from core.sae import SaeEncoder, shipped_saes

    run = small_runs["small"]
    listed = [source for source in alternates.sources(run) if source.kind == "sae"]
    # Not the run's own, nor the one of another layer, whose embeddings the run does not show.
    others = {name for name in shipped_saes("demo-mllm") if name not in ("demo-mllm", "demo-mllm-layer3")}
    assert {source.name.replace("SAE ", "demo-mllm-") for source in listed} == others != set()
    found = alternates.alternate(run, listed[0].name)
    folder = shipped_saes("demo-mllm")[listed[0].name.replace("SAE ", "demo-mllm-")]
    rows = np.asarray(run.embeddings("queries")[:20])
    assert found.reconstruction("queries")[:20] == pytest.approx(SaeEncoder(folder, "raw").reconstruct(rows), abs=1e-3)
    assert found.trained["explained_variance"] > 0.5 and found.trained["rows"] in ("mixture", "tokens", "pooled")


def test_a_run_without_an_sae_has_the_other_dictionaries(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "sae", None)
    monkeypatch.setattr(Run, "saes", lambda self: ())
    assert alternates.names(run) == ["PCA directions"]


def test_a_note_names_its_dictionary_once() -> None:
    assert dictionaries._note("ICA directions", "ica: not converged") == "ICA directions: not converged"
    assert dictionaries._note("own SAE", "sae: x") == "own SAE: sae: x"
