"""Labels of concepts are chosen on some items and scored on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from core import pipeline
from core.analysis.concepts import labels as science
from core.config import parse_spec
from core.questions import labels as labels_module
from core.questions.concepts import table
from core.questions.labels import label_all
from core.run import Run, open_run
from core.store import Store


def test_held_out_by_hand() -> None:
    """Concept 0 fires on 0 and 1, a holds of 1, 2, 3: one together, F1 = 2 / 5, by chance 2 2 3 / (4 5)."""
    codes = sp.csr_array(np.array([[1.0, 0], [2, 0], [0, 0], [0, 0]]))
    known = science.with_names([{"b"}, {"a", "b"}, {"a"}, {"a"}], ("a", "b"))
    scored = science.held_out(codes, known, np.array([0, -1]))
    assert scored.f1[0] == pytest.approx(0.4) and scored.chance[0] == pytest.approx(0.6)
    assert np.isnan(scored.f1[1]) and scored.fires.tolist() == [2, 0]


def test_the_chance_level_is_that_of_shuffled_items() -> None:
    rng = np.random.default_rng(0)
    fires, holds = rng.random(400) < 0.2, rng.random(400) < 0.3
    known = science.with_names([{"a"} if h else set() for h in holds], ("a",))
    codes = sp.csr_array(fires[:, None].astype(float))
    shuffled = [science.held_out(codes[rng.permutation(400)], known, np.array([0])).f1[0] for _ in range(500)]
    assert science.held_out(codes, known, np.array([0])).chance[0] == pytest.approx(np.mean(shuffled), abs=0.005)


@pytest.mark.demo
def test_labels_are_scored_on_items_that_did_not_choose_them(demo_store: Store) -> None:
    """Recomputed for some concepts from scene facts, item by item."""
    run = open_run("demo", demo_store)
    frame = table(run)
    assert "support split" in frame.attrs["labels"]
    codes = {part: sp.csr_array(run.codes(part)) for part in ("queries", "candidates")}
    things = [run.corpus.items(part).truth(row)["things"] for part in codes for row in range(codes[part].shape[0])]
    every = sp.vstack(list(codes.values()), format="csr")
    names = {t for one in things for t in one}
    checked = 0
    for row in frame.itertuples():
        name = row.label.rstrip("?")
        if name in names and checked < 25:
            fires = every[:, [row.concept]].toarray()[:, 0] > 0
            holds = np.array([name in one for one in things])
            assert row.label_f1 == pytest.approx(2 * (fires & holds).sum() / (fires.sum() + holds.sum()))
            assert row.label_n == fires.sum()
            assert row.label.endswith("?") == (row.label_f1 < 0.5)
            checked += 1
    assert checked == 25


@pytest.mark.demo
def test_chance_labels_fall_on_the_test_split(demo_store: Store) -> None:
    """What was chosen for being best on one split is worse on the other: that is why it is scored there."""
    run = open_run("demo", demo_store)
    labels = label_all(run).table
    named = labels[labels["label_f1"].notna()]
    assert (named["label_f1"] < 0.15).mean() > 0.05
    assert (named["label_f1"] > named["label_chance"]).mean() > 0.6


def own_run(folder: Path, store: Store) -> Run:
    """60 captions on both sides; half say fox, half say owl; no support split."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    words = ["fox" if i % 2 else "owl" for i in range(60)]
    for part, mark in (("queries", "q"), ("candidates", "c")):
        rows = np.array([[i % 2, 1 - i % 2, 0.5, 0.1] for i in range(60)]) + 0.05 * rng.standard_normal((60, 4))
        np.save(folder / f"{part}.npy", rows.astype(np.float32))
        frame = pd.DataFrame({"id": [f"{mark}{i}" for i in range(60)], "modality": "text", "text": words})
        frame.to_parquet(folder / f"{part}.parquet", index=False)
    pairs = pd.DataFrame({"query-id": [f"q{i}" for i in range(60)], "corpus-id": [f"c{i}" for i in range(60)]})
    pairs.assign(score=1).to_parquet(folder / "qrels.parquet", index=False)
    spec = {
        "name": "own",
        "corpus": {"source": "embeddings", "path": str(folder)},
        "sae": {"width": 8, "k": 1, "steps": 50, "batch": 16},
    }
    return pipeline.run(parse_spec(spec), store)


def test_without_a_support_split_one_half_chooses_and_the_other_scores(tmp_path: Path) -> None:
    run = own_run(tmp_path / "own", Store(tmp_path / "cache"))
    assert not run.has_support
    labels = label_all(run)
    assert "no support split" in labels.source
    fired = sum(np.asarray((run.codes(part) > 0).sum(axis=0)).ravel() for part in ("queries", "candidates"))
    assert (labels.table["label_n"] <= fired).all() and labels.table["label_n"].sum() == pytest.approx(
        fired.sum() / 2, rel=0.1
    )


@pytest.mark.parametrize("agreements", [1, 12, 10**6])
def test_names_do_not_depend_on_how_many_concepts_are_looked_at_together(
    agreements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The definition, concept by concept and attribute by attribute."""
    rng = np.random.default_rng(4)
    codes, holds = rng.random((80, 7)) * (rng.random((80, 7)) < 0.3), rng.random((80, 4)) < 0.3
    codes[:, 2] = holds[:, 1]
    codes[:, 5] = 0
    known = science.with_names([{f"a{j}" for j in np.flatnonzero(row)} for row in holds], [f"a{j}" for j in range(4)])
    monkeypatch.setattr(labels_module, "AGREEMENTS", agreements)
    best, f1 = labels_module._best(sp.csr_array(codes), known)
    for k in range(7):
        fires, expected = codes[:, k] > 0, []
        for j in range(4):
            both = (fires & holds[:, j]).sum()
            value = 2 * both / (fires.sum() + holds[:, j].sum())
            lifted = fires.any() and both / fires.sum() >= labels_module.LIFT * holds[:, j].mean()
            expected.append(value if lifted and value >= labels_module.LEAST else 0.0)
        assert f1[k] == pytest.approx(max(expected))
        assert max(expected) == 0 or best[k] == int(np.argmax(expected))
    assert best[2] == 1 and f1[2] == 1
