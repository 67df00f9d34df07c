"""Retrieval under variants: how good, what changed, for which queries.

Everything is exact (no approximate index); statistics of transforms come from where the variant says (STUDY section 6).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.questions.answers import answer, fitted, transformed, variant_of
from core.run import Run
from core.store import Draft

BETAS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)
METRICS = ("recall@1", "recall@5", "recall@10", "mrr", "ndcg@10")
Kind = Literal["all", "failing", "fixed", "broken"]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A variant's evaluation on the test pairs.

    `ranks` is (n_queries,) int64: rank of the first relevant candidate, 1 is best, 0 where the query has none in the pool.
    """

    variant: str
    evaluation: science.Evaluation
    ranks: np.ndarray
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two variants on the same queries; `fixed` and `broken` are query rows whose hit@k changed."""

    before: Evaluated
    after: Evaluated
    table: pd.DataFrame
    fixed: np.ndarray
    broken: np.ndarray
    k: int = 1


@dataclass(frozen=True, eq=False)
class Rankings:
    """The top candidates of one query before and after."""

    before: pd.DataFrame
    after: pd.DataFrame


def evaluate(run: Run, variant: str = "none") -> Evaluated:
    """Recall@1/5/10, MRR, nDCG@10 with 95% bootstrap intervals over queries (STUDY section 7)."""
    name = str(variant_of(run, variant))

    def write(draft: Draft) -> None:
        started = time.perf_counter()
        queries, candidates = transformed(run, variant, "queries"), transformed(run, variant, "candidates")
        ranked = science.rank_relevant(queries, candidates, run.qrels("test").pairs)
        draft.facts |= {"notes": list(fitted(run, variant).notes), "seconds": time.perf_counter() - started}
        for key, values in ranked.arrays().items():
            draft.save(key, values)

    folder = answer(run, "evaluate", {"variant": name}, write)
    ranked = science.Ranked.from_arrays(folder.array)
    memo = run._memo.setdefault("evaluations", {})
    if name not in memo:
        memo[name] = science.evaluate(ranked)
    return Evaluated(name, memo[name], ranked.first, tuple(folder.facts["notes"]), folder.facts["seconds"])
