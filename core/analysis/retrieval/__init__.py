"""Retrieval as one import: exact ranking (ranking.py), metrics and paired tests (evaluation.py). Holds no code of its
own."""

from core.analysis.retrieval.evaluation import (
    METRICS,
    Changes,
    Evaluation,
    Metric,
    PairedDifference,
    bootstrap_means,
    evaluate,
    fixed_and_broken,
    mcnemar_exact,
    paired_difference,
    per_query,
    safe_from,
    sign_flip,
)
from core.analysis.retrieval.ranking import Ranked, TopK, first_relevant_rank, rank_relevant, rank_top_k

__all__ = [
    "METRICS",
    "Changes",
    "Evaluation",
    "Metric",
    "PairedDifference",
    "Ranked",
    "TopK",
    "bootstrap_means",
    "evaluate",
    "first_relevant_rank",
    "fixed_and_broken",
    "mcnemar_exact",
    "paired_difference",
    "per_query",
    "rank_relevant",
    "rank_top_k",
    "safe_from",
    "sign_flip",
]
