"""A run's numbers as a leaderboard prints them: mteb's measures, mteb's names, side by side at every depth.

Beside `retrieval.evaluate`, which is the study's: there recall is a hit rate, a relevant candidate counts 1 whatever
its grade, and equal scores rank by candidate order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.analysis.variants import VariantSpec
from core.questions.answers import cached_table, explicit, transformed, variant_of
from core.run import Run


def leaderboard(run: Run, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """DataFrame[k, hit_rate, recall, ndcg, map, mrr, precision], means over all test queries, ratios 0-1, not rounded.

    Definitions: `core/analysis/retrieval/leaderboard.py`. Grades of the qrels count. A run of an mteb task is scored
    by that task's rules: `ArguAna` takes the query's own document out, `CUB200I2IRetrieval` the first of each ranking.
    """
    spec = variant_of(run, variant)
    rules = {name: bool(run.corpus.benchmark.get(name)) for name in ("ignore_identical_ids", "skip_first_result")}

    def compute() -> pd.DataFrame:
        queries, candidates = (run.corpus.items(part).ids for part in ("queries", "candidates"))
        rows = science.leaderboard_ranking(
            transformed(run, spec, "queries"), transformed(run, spec, "candidates"), queries, candidates, **rules
        )
        scores = science.leaderboard_scores(rows, grades_of(run))
        return pd.DataFrame({"k": science.DEPTHS} | {name: values.mean(axis=0) for name, values in scores.items()})

    return cached_table(run, "leaderboard", {"variant": explicit(run, spec), "rules": rules}, compute)


def grades_of(run: Run) -> science.Grades:
    """The test qrels with their grades, and what they name beyond the pool."""
    qrels = run.qrels("test")
    absent = np.empty((0, 2), np.int64) if qrels.absent is None else np.asarray(qrels.absent)
    return science.Grades(qrels.pairs, qrels.grades.astype(np.float64), absent[:, 0], absent[:, 1].astype(np.float64))


def flat(table: pd.DataFrame) -> dict[str, float]:
    """The table as mteb's results hold it: `ndcg_at_10` -> value."""
    return {
        f"{name}_at_{int(row['k'])}": float(row[name]) for name in science.MEASURES for row in table.to_dict("records")
    }


def payload(run: Run, variant: str | VariantSpec) -> dict[str, Any]:
    """What `evaluate --measures mteb --json` prints."""
    benchmark, limit = run.corpus.benchmark, run.spec.corpus.limit
    scores = flat(leaderboard(run, variant))
    main = benchmark.get("main_score", "ndcg_at_10")
    notes = [f"limit = {limit}: no leaderboard's number, which counts all queries"] if limit else []
    if benchmark.get("vectors") == "predictions":
        notes.append("made of predictions: ranks are those of the file, similarities and geometry mean nothing")
    if len(run.corpus.report.bad):
        notes.append(f"{len(run.corpus.report.bad)} bad rows of the corpus were left out")
    return {
        "run": run.name,
        "variant": str(variant_of(run, variant)),
        "benchmark": dict(benchmark),
        "queries": len(run.corpus.items("queries")),
        "candidates": len(run.corpus.items("candidates")),
        "main_score": main,
        "value": scores.get(main),
        "scores": scores,
        "notes": notes,
    }
