"""From a folder of captioned pictures to the exhibit: a run of a tiny model that is read where it answers, against
numpy."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec, parse_spec
from core.errors import NotAvailable, SpecError
from core.exhibits import show_exhibit
from core.exhibits.shared.tables import stored
from core.models import load_model
from core.models.answer import WORD_VIEWS
from core.pipeline import run
from core.questions.remedies import remedies
from core.records import EmbeddingView, Part
from core.run import Run
from core.store import Store

VIEWS = EmbeddingSpec(poolings=("mean", "last", "answer"), cross=False)
SPOKEN = replace(VIEWS, words=("answer", "last"))
PARTS: tuple[Part, Part] = ("queries", "candidates")
N = 24


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("answer-cache"))


@pytest.fixture(scope="module")
def spec(llava_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    folder = tmp_path_factory.mktemp("pictures")
    with open(folder / "captions.csv", "w", newline="") as listing:
        rows = csv.writer(listing)
        rows.writerow(["file", "caption"])
        for n in range(N):
            pixels = np.random.default_rng(n).integers(0, 255, (36, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{n:02}.png")
            rows.writerow([f"{n:02}.png", f"{'A red fox sleeps.' if n % 2 else 'Two boats on a lake'} number {n}"])
    return RunSpec(
        name="told",
        corpus=CorpusSpec(source="folder", path=str(folder)),
        model=ModelSpec(name=str(llava_folder), dtype="float32", family="generative"),
        embedding=SPOKEN,
        sae=SaeSpec(source="none"),
    )


@pytest.fixture(scope="module")
def told(spec: RunSpec, store: Store) -> Run:
    return run(spec, store)


def scores_of(told: Run, reading: str, variant: str) -> np.ndarray:
    if "words" in reading:
        place = "last" if "no header" in reading else "answer"
        queries, candidates = (told.words(part, place).toarray().astype(np.float64) for part in PARTS)  # type: ignore[arg-type]
        return queries @ candidates.T
    pooling = {"mean of all tokens": "mean", "last token, no header": "last"}.get(reading, "answer")
    sides = []
    for part in PARTS:
        rows = np.asarray(told.embeddings(part, EmbeddingView(-1, pooling)), np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows - rows.mean(0) if variant == "center" else rows
        sides.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return sides[0] @ sides[1].T


def hits(scores: np.ndarray, k: int) -> np.ndarray:
    best = np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :k]
    return (best == np.arange(N)[:, None]).any(1).astype(float)


def test_what_is_stored_is_what_the_model_gives(told: Run) -> None:
    adapter = load_model(told.spec.model)
    for part in PARTS:
        table = told.corpus.items(part)
        items = [table.item(row) for row in range(N)]
        answer = EmbeddingView(-1, "answer")
        found = adapter.embed(items, [answer, *WORD_VIEWS.values()])
        assert np.abs(found[answer] - told.embeddings(part, answer)).max() < 1e-5
        for place, view in WORD_VIEWS.items():
            rows = told.words(part, place)
            assert rows.shape == (N, adapter.vocabulary) and rows.nnz == N * 256
            for row in range(N):
                entries = found[view][row]
                assert np.abs(rows[row].toarray()[0][entries["id"]] - entries["weight"]).max() < 1e-4
    assert told.encode_folder("queries").facts["views"] == [str(view) for view in told.views]


def test_the_exhibit_is_numpy_on_the_stored_rows(told: Run) -> None:
    shown = show_exhibit("answer", [told])
    assert not shown.left_out and not shown.notes
    table = shown.table.set_index(["reading", "variant"])
    assert len(table) == 11
    raw = hits(scores_of(told, "mean of all tokens", "none"), 1)
    for (reading, variant), row in table.iterrows():
        if variant == "realign":
            continue
        scores = scores_of(told, reading, variant)
        for k in (1, 5, 10):
            assert row[f"recall@{k}"] == pytest.approx(hits(scores, k).mean(), abs=1.01 / N * (variant == "center"))
            assert row[f"recall@{k}_low"] <= row[f"recall@{k}"] <= row[f"recall@{k}_high"]
        if variant == "none" and reading != "mean of all tokens":
            assert row["gain"] == pytest.approx((hits(scores, 1) - raw).mean())
            assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    at = table["recall@1"]
    answer, words = "where the answer begins", "next words where the answer begins"
    for reading, closed in ((answer, "last token, no header"), (words, "next words at the last token, no header")):
        expected = at[reading, "none"] - at[closed, "none"]
        assert table["beyond_no_header"][reading, "none"] == pytest.approx(expected)
    assert table["beyond_realign"][answer, "none"] == pytest.approx(
        at[answer, "none"] - at["mean of all tokens", "realign"]
    )
    assert [verdict.about for verdict in shown.verdicts] == ["claim", "beside", "beside"]
    assert shown.verdicts[0].difference == pytest.approx(table["beyond_no_header"][answer, "none"])
    assert "where the answer begins minus the last token" in shown.verdicts[0].why


def test_it_is_a_remedy_and_no_pooling_of_the_study(told: Run) -> None:
    table = remedies(told)
    rows = table[table["kind"] == "reading"].set_index("setting")
    assert list(rows.index) == [
        "layer-1-answer-all / none",
        "layer-1-answer-all / realign",
        "words at answer",
        "words at last",
    ]
    expected = show_exhibit("answer", [told]).table.set_index(["reading", "variant"])["recall@1"]
    assert rows["recall@1"].tolist() == [
        expected["where the answer begins", "none"],
        expected["where the answer begins", "realign"],
        expected["next words where the answer begins", "none"],
        expected["next words at the last token, no header", "none"],
    ]
    assert [view.pooling for view in stored(told, "pooling", "")] == ["mean", "last"]


def test_a_run_without_it_says_what_adds_it(spec: RunSpec, store: Store) -> None:
    quiet = run(replace(spec, name="quiet", embedding=VIEWS), store)
    shown = show_exhibit("answer", [quiet])
    assert len(shown.table) == 9 and "words = [" in shown.notes[0]
    with pytest.raises(NotAvailable, match="stores no next words at 'answer'.*words = "):
        quiet.words("queries", "answer")
    short = run(replace(spec, name="short", embedding=EmbeddingSpec(poolings=("mean", "last"))), store)
    left = show_exhibit("answer", [short]).left_out
    assert "does not store 'answer'" in left[0].why and 'poolings = ["mean", "last", "answer"]' in left[0].why


def test_older_specs_keep_their_keys(spec: RunSpec) -> None:
    quiet = replace(spec, embedding=VIEWS)
    assert "words" not in quiet.canonical()["embedding"]
    assert spec.canonical()["embedding"]["words"] == ("answer", "last")
    assert parse_spec(spec.canonical()) == spec and parse_spec(quiet.canonical()) == quiet
    with pytest.raises(SpecError, match="embedding.words is not known; got 'first'; allowed: .*'last'"):
        EmbeddingSpec(words=("first",))  # type: ignore[arg-type]
