"""`export` against everything: recall before and after whitening and the four measures, recomputed from its plain files
in float64.

Nothing of `core` is used for the recomputation: numpy and scipy over the definitions of the study.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from safetensors.numpy import load_file
from typer.testing import CliRunner

from core import pipeline
from core.commands.cli import app
from core.commands.export import export_run
from core.progress import NoProgress
from core.run import Run, open_run
from core.store import Store

RUNS = ("small", "small-clip", "small-task7")


def cli(*words: str) -> dict:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class Exported:
    """The files of one export, as an outsider reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queries, self.candidates = (
            np.load(folder / f"{p}.npy").astype(np.float64) for p in ("queries", "candidates")
        )
        self.items = {p: pd.read_parquet(folder / f"{p}.parquet") for p in ("queries", "candidates")}
        qrels = pd.read_parquet(folder / "qrels.parquet")
        rows = {p: {i: n for n, i in enumerate(self.items[p]["id"])} for p in self.items}
        self.pairs = [
            (rows["queries"][q], rows["candidates"][c])
            for q, c in zip(qrels["query-id"], qrels["corpus-id"], strict=True)
        ]
        self.codes = {
            p: sp.load_npz(folder / f"codes_{p}.npz").tocsr().astype(np.float64) for p in ("queries", "candidates")
        }
        self.dictionary = np.load(folder / "dictionary.npy").astype(np.float64)
        self.offset = {p: np.load(folder / f"offset_{p}.npy").astype(np.float64) for p in ("queries", "candidates")}

    def support(self, name: str) -> np.ndarray:
        """An array of the support split."""
        return np.load(self.folder / f"support_{name}.npy").astype(np.float64)

    def support_pairs(self) -> list[tuple[int, int]]:
        """Rows (query, candidate) of the support split."""
        qrels = pd.read_parquet(self.folder / "support_qrels.parquet")
        rows = {}
        for side in ("queries", "candidates"):
            ids = pd.read_parquet(self.folder / f"support_{side}.parquet")["id"]
            rows[side] = {i: n for n, i in enumerate(ids)}
        both = zip(qrels["query-id"], qrels["corpus-id"], strict=True)
        return [(rows["queries"][q], rows["candidates"][c]) for q, c in both]


@pytest.fixture(scope="module")
def exported(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_LENS_CACHE", str(small_cache))
        found = {}
        for run in RUNS:
            out = tmp_path_factory.mktemp(run)
            assert CliRunner().invoke(app, ["export", run, "--out", str(out)]).exit_code == 0
            found[run] = Exported(out)
        return found


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def hits(
    queries: np.ndarray, candidates: np.ndarray, pairs: list[tuple[int, int]]
) -> tuple[dict[int, set[int]], set[int]]:
    """Per k the query rows that hit, and the rows whose answer hangs on a tie of 1e-6 (left out of the comparison)."""
    similarity = unit(queries) @ unit(candidates).T
    relevant: dict[int, list[int]] = {}
    for q, c in pairs:
        relevant.setdefault(q, []).append(c)
    found: dict[int, set[int]] = {1: set(), 5: set(), 10: set()}
    ties: set[int] = set()
    for q, rows in relevant.items():
        best = similarity[q, rows].max()
        rivals = np.delete(similarity[q], rows)
        certain, possible = int((rivals > best + 1e-6).sum()), int((rivals > best - 1e-6).sum())
        for k, hit in found.items():
            if certain < k:
                hit.add(q)
            if (certain < k) != (possible < k):
                ties.add(q)
    return found, ties


def whitened(x: np.ndarray, fit: np.ndarray, beta: float, eps: float) -> np.ndarray:
    """ReAlign by its definition (Eqs 11-12): statistics of `fit`, applied to `x`; both already L2-normalised."""
    mean = fit.mean(axis=0)
    covariance = (fit - mean).T @ (fit - mean) / (len(fit) - 1)
    shrunk = (1 - beta) * covariance + beta * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(shrunk)
    return (x - mean) @ vectors @ np.diag((values.clip(min=0) + eps) ** -0.5) @ vectors.T


def assert_recall(payload: dict, queries: np.ndarray, candidates: np.ndarray, exported: Exported) -> None:
    found, ties = hits(queries, candidates, exported.pairs)
    for k in (1, 5, 10):
        slack = len(ties) / payload["queries"]
        assert payload["recall"][str(k)] == pytest.approx(len(found[k]) / payload["queries"], abs=slack + 1e-12)
    assert len(ties) <= 0.02 * payload["queries"], "too many ties for the comparison to mean anything"


@pytest.mark.parametrize("run", RUNS)
def test_raw_recall(run: str, exported: dict[str, Exported], small_store: object) -> None:
    e = exported[run]
    assert_recall(cli("evaluate", run, "--json"), e.queries, e.candidates, e)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("statistics", ["per-side", "shared"])
@pytest.mark.parametrize(("beta", "eps"), [(0.1, 1e-5), (0.5, 1e-3), (1.0, 1e-5)])
def test_realign_recall(
    run: str, statistics: str, beta: float, eps: float, exported: dict[str, Exported], small_store: object
) -> None:
    e = exported[run]
    words = ("--transform", "realign", "--beta", str(beta), "--eps", str(eps), "--statistics", statistics)
    q, c = unit(e.queries), unit(e.candidates)
    fits = (q, c) if statistics == "per-side" else (np.concatenate([q, c]),) * 2
    assert_recall(
        cli("evaluate", run, *words, "--json"), whitened(q, fits[0], beta, eps), whitened(c, fits[1], beta, eps), e
    )


@pytest.mark.parametrize("run", RUNS)
def test_centred_recall(run: str, exported: dict[str, Exported], small_store: object) -> None:
    e = exported[run]
    q, c = unit(e.queries), unit(e.candidates)
    assert_recall(cli("evaluate", run, "--transform", "center", "--json"), q - q.mean(axis=0), c - c.mean(axis=0), e)


@pytest.mark.parametrize("run", RUNS)
def test_exported_whitening_is_the_one_evaluated(run: str, exported: dict[str, Exported], small_store: object) -> None:
    e = exported[run]
    w = load_file(e.folder / "whitening.safetensors")
    q, c = (
        (unit(x) - w[f"{s}.mean"]) @ w[f"{s}.matrix"] for x, s in ((e.queries, "query"), (e.candidates, "candidate"))
    )
    assert_recall(cli("evaluate", run, "--transform", "realign", "--json"), q, c, e)


@pytest.mark.parametrize("run", RUNS)
def test_the_four_measures(run: str, exported: dict[str, Exported], small_store: object) -> None:
    e = exported[run]
    table = pd.read_parquet(e.folder / "concepts.parquet")
    zq, zc = e.codes["queries"].toarray(), e.codes["candidates"].toarray()
    both = np.concatenate([zq, zc])
    modality = np.concatenate([e.items[p]["modality"].to_numpy() for p in ("queries", "candidates")])
    expect = {"energy": both.mean(axis=0), "frequency": (both > 0).mean(axis=0)}
    a, b = zq[[q for q, _ in e.pairs]], zc[[c for _, c in e.pairs]]
    expect["bridge"] = (a * b).mean(axis=0) * (e.dictionary**2).sum(axis=1)
    expect["attribution"] = (a * (b @ e.dictionary @ e.dictionary.T) + b * (a @ e.dictionary @ e.dictionary.T)).mean(
        axis=0
    )
    for name, values in expect.items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(table[name] / scale, values / scale, atol=1e-4, err_msg=name)
    if {"text", "image"} <= set(modality):
        text, image = both[modality == "text"].mean(axis=0), both[modality == "image"].mean(axis=0)
        fires = text + image > 0
        np.testing.assert_allclose(
            table["modality_score"][fires], (text / np.where(fires, text + image, 1))[fires], atol=1e-4
        )
        assert table["modality_score"][~fires].isna().all(), "a concept that never fires has no modality score"
    else:
        assert table["modality_score"].isna().all()


def test_codes_and_dictionary_fit_the_embeddings(exported: dict[str, Exported]) -> None:
    for e in exported.values():
        np.testing.assert_allclose(np.linalg.norm(e.dictionary, axis=1), 1, atol=1e-4)
        assert (e.codes["queries"].data >= 0).all()
        assert e.codes["queries"].shape == (len(e.queries), len(e.dictionary))


def test_reconstructions_are_those_whose_fidelity_is_told(exported: dict[str, Exported], small_store: object) -> None:
    """z D + offset from the folder alone: its explained variance is the one `show` prints."""
    e = exported["small"]
    rows = {"queries": e.queries, "candidates": e.candidates}
    rebuilt = {p: e.codes[p] @ e.dictionary + e.offset[p] for p in rows}
    x, y = (np.concatenate([of["queries"], of["candidates"]]) for of in (rows, rebuilt))
    explained = 1 - ((x - y) ** 2).sum() / ((x - x.mean(axis=0)) ** 2).sum()
    figures = {row["figure"]: row["value"] for row in cli("show", "small", "--json")["sae"]}
    assert figures["explained variance"] == pytest.approx(explained, abs=1e-4)
    for part, values in rows.items():  # the shipped SAE has no decoder bias: its offset is there, and it is zero
        assert e.offset[part].shape in ((1, values.shape[1]), values.shape)


@pytest.mark.parametrize("run", ["small", "small-task7"])
def test_removal_fitted_on_the_support_split_from_the_folder_alone(
    run: str, exported: dict[str, Exported], small_store: object
) -> None:
    """Eqs 6 and 8-10: attribution on support pairs, the top 1% of the dictionary projected out, test queries ranked."""
    e = exported[run]
    zq, zc = (sp.load_npz(e.folder / f"support_codes_{s}.npz").toarray() for s in ("queries", "candidates"))
    pairs = np.array(e.support_pairs())
    a, b = zq[pairs[:, 0]].astype(np.float64), zc[pairs[:, 1]].astype(np.float64)
    d = e.dictionary
    attribution = (a * (b @ d @ d.T) + b * (a @ d @ d.T)).mean(axis=0)
    top = np.argsort(-attribution, kind="stable")[: max(1, round(0.01 * len(d)))]
    _, s, vt = np.linalg.svd(d[top], full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.99)) + 1
    v = vt[:kept]
    removed = [x - x @ v.T @ v for x in (e.queries, e.candidates)]
    assert_recall(cli("evaluate", run, "--remove-top", "0.01", "--json"), *removed, e)
    assert len(e.support("queries")) == len(zq) and e.support("candidates").shape[1] == d.shape[1]


@pytest.mark.demo
def test_demo_candidates_are_unique(demo_runs: Mapping[str, Run]) -> None:
    texts = list(demo_runs["demo"].corpus.items("candidates").texts)
    assert len(set(texts)) == len(texts) >= 2000


def test_exported_whitening_per_modality_is_the_one_evaluated(
    small_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row by the map of its own modality, on either side; the recall is what `evaluate` says."""
    store = Store(
        shutil.copytree(small_cache, tmp_path / "cache")
    )  # the run that is made here stays out of the shared one
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(store.root))
    mixed = open_run("small-mixed", store).spec
    whitening = replace(mixed.whitening, statistics="per-modality")
    pipeline.run(replace(mixed, whitening=whitening, name="per-modality"), store, NoProgress())
    export_run(open_run("per-modality", store), tmp_path / "out")
    e, w = Exported(tmp_path / "out"), load_file(tmp_path / "out" / "whitening.safetensors")
    assert sorted(w) == sorted(f"{m}.{part}" for m in ("text", "image", "image,text") for part in ("mean", "matrix"))
    sides = [
        np.stack([(x - w[f"{m}.mean"]) @ w[f"{m}.matrix"] for x, m in zip(unit(rows), kinds, strict=True)])
        for rows, kinds in (
            (e.queries, e.items["queries"]["modality"]),
            (e.candidates, e.items["candidates"]["modality"]),
        )
    ]
    payload = cli("evaluate", "per-modality", "--transform", "realign", "--json")
    assert payload["statistics"] == "per-modality"
    assert_recall(payload, *sides, e)
