"""Plain numpy on a run's own embeddings, to hold exhibits against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from core.run import Run
from core.store import Store


@pytest.fixture
def runs(demo_runs: Mapping[str, Run], demo_store: Store) -> dict[str, Run]:
    """The demo runs of both models by name, in the default store of the test."""
    names = [model + task for task in ("", "-task1", "-task7") for model in ("demo", "demo-clip")]
    return {name: demo_runs[name] for name in names}


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64."""
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def hits(queries: np.ndarray, candidates: np.ndarray, pairs: np.ndarray, k: int) -> np.ndarray:
    """(n,) 0 or 1: whether a relevant candidate is among the k best by cosine; equal scores by candidate order."""
    scores = (unit(queries) @ unit(candidates).T).astype(np.float32)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    relevant = np.zeros(scores.shape, dtype=bool)
    relevant[pairs[:, 0], pairs[:, 1]] = True
    return np.take_along_axis(relevant, best, axis=1).any(axis=1).astype(float)


def whitened(x: np.ndarray, beta: float, eps: float = 1e-5) -> np.ndarray:
    """Eqs 11-12 on unit rows, dense."""
    rows = unit(x)
    centred = rows - rows.mean(axis=0)
    covariance = centred.T @ centred / (len(rows) - 1)
    d = len(covariance)
    values, vectors = np.linalg.eigh((1 - beta) * covariance + beta * np.trace(covariance) / d * np.eye(d))
    return centred @ vectors @ np.diag((values + eps) ** -0.5) @ vectors.T


Transform = Callable[[np.ndarray], np.ndarray]
RAW: Transform = unit
CENTRED: Transform = lambda x: unit(x) - unit(x).mean(axis=0)  # noqa: E731


def run_hits(run: Run, k: int, change: Transform = RAW, **view: object) -> np.ndarray:
    """`hits` of a run's test pairs, both sides changed alike; `view` picks a stored embedding by layer, pooling or
    mask."""
    chosen = (
        next(v for v in run.views if all(getattr(v, name) == value for name, value in view.items()))
        if view
        else run.view
    )
    queries, candidates = (np.asarray(run.embeddings(part, chosen)) for part in ("queries", "candidates"))  # type: ignore[arg-type]
    return hits(change(queries), change(candidates), run.qrels("test").pairs, k)
