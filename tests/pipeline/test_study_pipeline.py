"""From the study's tables and tiny checkpoints of its four architectures to recall, through the whole pipeline, against
what its released code gave on them: embeddings, whitened embeddings, recall before and after.

Reads the folder named by RETRIEVAL_LENS_TEST_DATA; skipped without it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.pipeline import run
from core.questions.answers import transformed
from core.questions.retrieval import evaluate
from core.records import Part
from core.store import Store

PARTS: tuple[Part, Part] = ("queries", "candidates")
TASKS = range(1, 9)


def near_ties(ours: list[np.ndarray], theirs: list[np.ndarray], pairs: np.ndarray, k: int) -> int:
    """Queries whose hit at k hangs on a difference of scores no larger than that between our scores and theirs."""
    ours_scores, scores = ours[0] @ ours[1].T, theirs[0] @ theirs[1].T
    slack = 2 * np.abs(ours_scores - scores).max()
    count = 0
    for query in range(len(scores)):
        relevant = pairs[pairs[:, 0] == query, 1]
        others = np.sort(np.delete(scores[query], relevant))[::-1]
        count += bool(
            len(relevant) and len(others) >= k and abs(scores[query, relevant].max() - others[k - 1]) <= slack
        )
    return count


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("model", ["qwen2", "qwen3", "paligemma", "chameleon"])
def test_from_tables_to_recall_as_the_released_code(
    model: str, test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path))
    folder = test_data / "study_parity"
    arrays, printed = (
        np.load(folder / f"expected_{model}.npz"),
        json.loads((folder / f"expected_{model}.json").read_text()),
    )
    exact = []
    for task in TASKS:
        spec = RunSpec(
            corpus=CorpusSpec(source="mbeir", path=str(folder / f"task{task}"), task=task),
            model=ModelSpec(name=str(folder / "models" / model), dtype="float32"), sae=SaeSpec(source="none"),
        )  # fmt: skip
        made = run(spec, Store(tmp_path))
        pairs = made.qrels("test").pairs
        for variant, suffix, name, tolerance in (
            ("none", "", "base", 2e-5),
            ("realign(beta=0.1,eps=1e-5)", "_realign", "realign", 1e-3),
        ):
            ours = [unit(transformed(made, variant, part)) for part in PARTS]
            theirs = [arrays[f"task{task}_{part}{suffix}"] for part in PARTS]
            for mine, expected in zip(ours, theirs, strict=True):
                assert float(np.abs(mine - unit(expected)).max()) < tolerance, (task, name)
            recall = evaluate(made, variant).evaluation.recall
            for k in (1, 5, 10):
                difference = round(abs(recall[k] - printed[f"task{task}"][name][f"Recall@{k}"]) * len(theirs[0]))
                assert difference <= near_ties(ours, [unit(rows) for rows in theirs], pairs, k), (task, name, k)
                exact.append(difference == 0)
    assert np.mean(exact) > 0.9
