"""Tables of the study against plain numpy on the run's own embeddings and codes."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.variants import FitData
from core.exhibits import show_exhibit, table_7_cost
from core.run import Run
from tests.exhibits.conftest import CENTRED, RAW, hits, run_hits, unit, whitened

pytestmark = pytest.mark.demo


def dense_measures(run: Run) -> dict[str, np.ndarray]:
    """Energy, attribution and bridge of every concept from dense codes and the c x c matrix, as Eqs 3, 5, 6 say."""
    q, c = (run.codes(part).toarray().astype(np.float64) for part in ("queries", "candidates"))
    d, pairs = np.asarray(run.need_sae().dictionary, dtype=np.float64), run.qrels("test").pairs
    gram, left, right = d @ d.T, q[pairs[:, 0]], c[pairs[:, 1]]
    attribution = (left * (right @ gram) + right * (left @ gram)).mean(axis=0)
    return {
        "energy": np.vstack([q, c]).mean(axis=0),
        "attribution": attribution,
        "bridge": (left * right).mean(axis=0) * np.diag(gram),
    }


def overlap(*sets: np.ndarray) -> float:
    return len(set.intersection(*map(set, sets))) / len(set.union(*map(set, sets)))


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_table_1_is_the_overlap_of_the_top_sets(runs: dict[str, Run], share: float) -> None:
    shown = show_exhibit("table-1", [runs["demo"], runs["demo-clip"]], share=share)
    found = {}
    for name in ("demo", "demo-clip"):
        measures = dense_measures(runs[name])
        size = max(1, round(share * len(measures["energy"])))
        e, a, b = (np.argsort(-measures[m], kind="stable")[:size] for m in ("energy", "attribution", "bridge"))
        found[name] = [overlap(e, a), overlap(e, b), overlap(a, b), overlap(e, a, b)]
        rows = shown.table[shown.table["run"] == name]
        assert list(rows["overlap"]) == pytest.approx(found[name])
        assert set(rows["set_size"]) == {size}
    gains = shown.table[shown.table["run"] == "demo"]["gain"]
    assert list(gains) == pytest.approx(np.subtract(found["demo"], found["demo-clip"]))


def test_table_2_projects_out_and_compares_with_random_removals(runs: dict[str, Run]) -> None:
    run = runs["demo"]
    shown = show_exhibit("table-2", [run], draws=2)
    rows = shown.table.set_index("removal")
    assert list(rows.index) == [
        "none",
        "top attribution",
        "random concepts, draw 1",
        "random concepts, draw 2",
        "mean of 2 random draws",
    ]
    d = np.asarray(run.need_sae().dictionary, dtype=np.float64)
    top = np.argsort(-support_attribution(run), kind="stable")[: round(0.01 * len(d))]
    _, sizes, directions = np.linalg.svd(d[top], full_matrices=False)
    held = np.cumsum(sizes**2) / np.sum(sizes**2)
    basis = directions[: int(np.searchsorted(held, 0.99 * (1 - 1e-12))) + 1]
    found = run_hits(
        run, 5, lambda x: np.asarray(x, dtype=np.float64) - np.asarray(x, dtype=np.float64) @ basis.T @ basis
    )
    assert rows.loc["top attribution", "recall@5"] == pytest.approx(found.mean(), abs=0.0015)
    random = rows.loc[["random concepts, draw 1", "random concepts, draw 2"], "recall@5"].mean()
    assert rows.loc["mean of 2 random draws", "recall@5"] == pytest.approx(random)
    assert rows.loc["top attribution", "beyond_random"] == pytest.approx(
        rows.loc["top attribution", "recall@5"] - random
    )
    assert any("support" in note for note in shown.notes)


def support_attribution(run: Run) -> np.ndarray:
    """Eq 6 over the support pairs, dense."""
    q, c = (run.codes(part).toarray().astype(np.float64) for part in ("support_queries", "support_candidates"))
    d, pairs = np.asarray(run.need_sae().dictionary, dtype=np.float64), run.qrels("support").pairs
    left, right = q[pairs[:, 0]], c[pairs[:, 1]]
    return (left * ((right @ d) @ d.T) + right * ((left @ d) @ d.T)).mean(axis=0)


def test_table_3_compares_raw_centred_and_realigned_query_by_query(runs: dict[str, Run]) -> None:
    run = runs["demo"]
    rows = show_exhibit("table-3", [run]).table.set_index("variant")
    raw, centred = run_hits(run, 5, RAW), run_hits(run, 5, CENTRED)
    realigned = hits(
        *(whitened(run.embeddings(part), 0.1) for part in ("queries", "candidates")), run.qrels("test").pairs, 5
    )
    assert rows.loc["center", "gain"] == pytest.approx((centred - raw).mean(), abs=0.0015)
    assert rows.loc["realign", "gain"] == pytest.approx((realigned - raw).mean(), abs=0.0015)
    assert rows.loc["realign", "beyond_centring"] == pytest.approx((realigned - centred).mean(), abs=0.0025)
    assert np.isnan(rows.loc["none", "gain"])


def test_table_3_says_where_statistics_come_from(runs: dict[str, Run]) -> None:
    shown = show_exhibit("table-3", [runs["demo"]], statistics="shared")
    assert any("shared statistics" in note for note in shown.notes)


def test_queries_that_share_an_answer_are_named_where_there_are_tests(runs: dict[str, Run]) -> None:
    """Two captions of one picture in demo-task1, one picture per query in demo."""
    owners = [
        set(runs["demo-task1"].qrels("test").query_rows[runs["demo-task1"].qrels("test").candidate_rows == c])
        for c in range(1000)
    ]
    n = sum(len(queries) for queries in owners if len(queries) > 1)
    notes = show_exhibit("table-3", [runs["demo"], runs["demo-task1"]]).notes
    (told,) = [note for note in notes if "share a relevant candidate" in note]
    assert told.startswith(f"demo-task1: {n:,} queries")
    assert not any(
        "share a relevant candidate" in note for note in show_exhibit("figure-3", [runs["demo-task1"]]).notes
    )


def test_table_4_shows_what_there_is_and_names_what_is_missing(runs: dict[str, Run]) -> None:
    shown = show_exhibit("table-4", [runs["demo"], runs["demo-clip"]])
    assert len(shown.table) == 4
    (claim,) = (v for v in shown.verdicts if v.about == "claim")
    assert claim.outcome == "cannot be said"
    assert "gme-qwen2-vl-7b" in claim.why


def test_table_5_pools_what_is_stored(runs: dict[str, Run]) -> None:
    shown = show_exhibit("table-5", [runs["demo"]], metric="recall@1")
    raw = shown.table[shown.table["variant"] == "none"].set_index("pooling")
    mean = run_hits(runs["demo"], 1)
    for pooling in ("last", "max", "min"):
        found = run_hits(runs["demo"], 1, RAW, layer=-1, pooling=pooling, mask="all")
        assert raw.loc[pooling, "recall@1"] == pytest.approx(found.mean())
        assert raw.loc[pooling, "gain"] == pytest.approx((found - mean).mean())


def test_table_8_is_realign_against_each_whitening(runs: dict[str, Run]) -> None:
    run = runs["demo"]
    rows = show_exhibit("table-8", [run]).table.set_index("variant")
    pairs, parts = run.qrels("test").pairs, ("queries", "candidates")
    best = hits(*(whitened(run.embeddings(part), 0.1) for part in parts), pairs, 5)
    zca = hits(*(whitened(run.embeddings(part), 0.0) for part in parts), pairs, 5)
    both = np.vstack([unit(run.embeddings(part)) for part in parts])  # PCA: one basis for both sides
    values, vectors = np.linalg.eigh(np.cov(both.T))
    shared = [(unit(run.embeddings(part)) - both.mean(axis=0)) @ vectors / np.sqrt(values + 1e-5) for part in parts]
    pca = hits(*shared, pairs, 5)
    assert rows.loc["zca", "realign_ahead"] == pytest.approx((best - zca).mean(), abs=0.003)
    assert rows.loc["pca", "realign_ahead"] == pytest.approx((best - pca).mean(), abs=0.003)


def test_table_9_is_what_is_left_of_the_gap(runs: dict[str, Run]) -> None:
    shown = show_exhibit("table-9", [runs["demo"], runs["demo-clip"]])
    rows = shown.table.set_index(["run", "variant"])
    baseline, raw = run_hits(runs["demo-clip"], 5), run_hits(runs["demo"], 5)
    assert rows.loc[("demo", "none"), "gain"] == pytest.approx((raw - baseline).mean())
    left, before = rows.loc[("demo", "realign"), "gain"], rows.loc[("demo", "none"), "gain"]
    assert rows.loc[("demo", "realign"), "narrowed"] == pytest.approx(left - before)
    assert rows.loc[("demo-clip", "realign"), "against"] == ""


def test_table_7_measures_its_own_shapes_on_this_machine(runs: dict[str, Run]) -> None:
    shown = show_exhibit("table-7", [runs["demo-clip"]])
    row = shown.table.iloc[0]
    assert (row["queries"], row["candidates"], row["dimensions"]) == (1000, 2000, 128)
    assert row["ratio"] == pytest.approx(row["realign_seconds"] / row["similarity_seconds"])
    assert row["realign_seconds_low"] <= row["realign_seconds"] <= row["realign_seconds_high"]
    assert any(table_7_cost.machine()["numpy"] in note for note in shown.notes)


def test_memory_is_that_of_the_arrays() -> None:
    megabyte = 2**20
    assert table_7_cost._peak(lambda: np.ones(megabyte, dtype=np.uint8)) == pytest.approx(megabyte, rel=0.01)
    rows = np.random.default_rng(0).standard_normal((400, 64), dtype=np.float32)
    found = table_7_cost.measure(FitData(queries=rows, candidates=rows), repeats=2)
    assert found["similarity_mib"] >= 400 * 400 * 4 / megabyte
    assert found["ratio_low"] <= found["ratio"] <= found["ratio_high"]
