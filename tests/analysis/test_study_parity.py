"""The study's released whitening and recalls, reproduced from its raw embeddings (needs RETRIEVAL_LENS_TEST_DATA)."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.analysis.retrieval import evaluate, rank_relevant
from core.analysis.variants import FitData, apply_variant, fit_variant

FOLDER = Path(os.environ.get("RETRIEVAL_LENS_TEST_DATA", "/nonexistent")) / "study_parity"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="RETRIEVAL_LENS_TEST_DATA names no folder with study_parity"
)
MODELS = ("qwen2", "qwen3", "paligemma", "chameleon")
TASKS = tuple(f"task{i}" for i in range(1, 9))


def pairs_of(task):
    tables = {
        name: pd.read_parquet(next((FOLDER / task).glob(f"{name}-*.parquet"))) for name in ("query", "corpus", "qrels")
    }
    rows = {name: {item: row for row, item in enumerate(tables[name]["id"])} for name in ("query", "corpus")}
    relevant = tables["qrels"].query("score > 0")
    return np.array(
        [
            (rows["query"][q], rows["corpus"][c])
            for q, c in zip(relevant["query-id"], relevant["corpus-id"], strict=True)
        ]
    )


@pytest.mark.parametrize("model", MODELS)
def test_realign_is_the_released_codes(model):
    theirs = np.load(FOLDER / f"expected_{model}.npz")
    for task in TASKS:
        data = FitData(queries=theirs[f"{task}_queries"], candidates=theirs[f"{task}_candidates"])
        ours = apply_variant(fit_variant("realign(beta=0.1,eps=1e-5)", data), data)
        assert np.abs(ours.queries - theirs[f"{task}_queries_realign"]).max() < 1e-3
        assert np.abs(ours.candidates - theirs[f"{task}_candidates_realign"]).max() < 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_recalls_are_the_released_codes(model):
    """Rankings of the study's own embeddings; a query may flip where the deciding scores differ by no more than fp32
    rounding."""
    arrays, expected = (
        np.load(FOLDER / f"expected_{model}.npz"),
        json.loads((FOLDER / f"expected_{model}.json").read_text()),
    )
    for task in TASKS:
        data, pairs = (
            FitData(queries=arrays[f"{task}_queries"], candidates=arrays[f"{task}_candidates"]),
            pairs_of(task),
        )
        for name, variant in (("base", "none"), ("realign", "realign")):
            rows = apply_variant(fit_variant(variant, data), data)
            recall = evaluate(rank_relevant(rows.queries, rows.candidates, pairs), resamples=10).recall
            for k in (1, 5, 10):
                assert abs(recall[k] - expected[task][name][f"Recall@{k}"]) < 1e-9, (task, name, k)
