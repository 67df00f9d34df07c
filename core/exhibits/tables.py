"""The tables: runs in, one tidy table out. Ratios are 0-1; intervals are 95% bootstrap over queries."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd

from core.analysis.retrieval import paired_difference, rank_relevant
from core.analysis.variants import FitData, apply_variant, fit_variant
from core.exhibits.figures import by_view, head, recalls
from core.questions import modality, retrieval, similarity
from core.run import Run

WHITENINGS = ("none", "center", "pca", "zca", "realign")


def overlaps(runs: Sequence[Run]) -> pd.DataFrame:
    """Table 1: overlap of the top 1% by energy, attribution and bridge (Eq 7)."""
    return pd.concat([modality.overlaps(run).assign(**head(run)) for run in runs], ignore_index=True)


def removal(runs: Sequence[Run]) -> pd.DataFrame:
    """Table 2 with the control it lacks: recall after removing the top share by attribution, and as many random concepts."""
    frames = [similarity.removal_curve(run).assign(**head(run)) for run in runs]
    for frame in frames:
        frame.attrs = {}
    return pd.concat(frames, ignore_index=True)


def realign(runs: Sequence[Run]) -> pd.DataFrame:
    """Tables 3 and 9: recall raw, centred and with ReAlign; the paired difference of recall@5 to raw."""
    return _variants(runs, ("none", "center", "realign"))


def whitenings(runs: Sequence[Run]) -> pd.DataFrame:
    """Table 8: PCA, ZCA, ReAlign."""
    return _variants(runs, WHITENINGS)


def pooling(runs: Sequence[Run]) -> pd.DataFrame:
    """Table 5: mean, last, max, min pooling."""
    return by_view(runs, "pooling", 'poolings = ["mean", "last", "max", "min"]')


def cost(runs: Sequence[Run]) -> pd.DataFrame:
    """Table 7: seconds to fit and apply ReAlign, and to rank, measured now on this machine."""
    rows = []
    for run in runs:
        data = FitData(queries=run.embeddings("queries"), candidates=run.embeddings("candidates"))
        started = time.perf_counter()
        both = apply_variant(fit_variant("realign", data), data)
        whitened = time.perf_counter()
        rank_relevant(both.queries, both.candidates, run.qrels("test").pairs)
        ranked = time.perf_counter()
        sizes = {"queries": len(both.queries), "candidates": len(both.candidates), "dimensions": both.queries.shape[1]}
        rows.append(head(run) | sizes | {"realign_seconds": whitened - started, "ranking_seconds": ranked - whitened})
    return pd.DataFrame(rows)


def _variants(runs: Sequence[Run], variants: Sequence[str]) -> pd.DataFrame:
    rows = []
    for run in runs:
        raw = retrieval.evaluate(run, "none").evaluation
        for variant in variants:
            found = retrieval.evaluate(run, variant).evaluation
            paired = paired_difference(raw, found, "recall@5")
            gain = {"gain": paired.difference, "gain_low": paired.low, "gain_high": paired.high, "p_value": paired.p_value}
            rows.append(head(run) | {"variant": variant} | recalls(found) | gain)
    return pd.DataFrame(rows)
