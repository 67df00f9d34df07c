"""Retrieval as one import: exact ranking (ranking.py; under a variant, fused.py), metrics and paired differences
(evaluation.py), mteb's metrics (leaderboard.py), which modality answers (mixed_pools.py), intervals and tests
(resampling.py). No code of its own."""

from core.analysis.retrieval.evaluation import (
    METRICS,
    Changes,
    Evaluation,
    Metric,
    PairedDifference,
    evaluate,
    fixed_and_broken,
    paired_difference,
    per_query,
    recall_by_chance,
    safe_from,
)
from core.analysis.retrieval.fused import rank_variant, top_k_variant
from core.analysis.retrieval.leaderboard import (
    DEPTHS,
    MEASURES,
    Grades,
    leaderboard_ranking,
    leaderboard_scores,
    places_by_id,
)
from core.analysis.retrieval.mixed_pools import PoolAnswers, bias_by_chance, pool_answers
from core.analysis.retrieval.ranking import Ranked, TopK, first_relevant_rank, rank_relevant, rank_top_k
from core.analysis.retrieval.resampling import (
    bootstrap_means,
    exact_sign_flip,
    independent_interval,
    max_t,
    mcnemar_exact,
    shared_answers,
    sign_flip,
    smallest_difference,
)

__all__ = [
    "DEPTHS",
    "MEASURES",
    "METRICS",
    "Changes",
    "Evaluation",
    "Grades",
    "Metric",
    "PairedDifference",
    "PoolAnswers",
    "Ranked",
    "TopK",
    "bias_by_chance",
    "bootstrap_means",
    "evaluate",
    "exact_sign_flip",
    "first_relevant_rank",
    "fixed_and_broken",
    "independent_interval",
    "leaderboard_ranking",
    "leaderboard_scores",
    "max_t",
    "mcnemar_exact",
    "paired_difference",
    "per_query",
    "places_by_id",
    "pool_answers",
    "rank_relevant",
    "rank_top_k",
    "rank_variant",
    "recall_by_chance",
    "safe_from",
    "shared_answers",
    "sign_flip",
    "smallest_difference",
    "top_k_variant",
]
