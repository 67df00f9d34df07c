"""Pieces of rows that exhibits share: which run, its recalls with intervals, and the paired difference to another
setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.analysis import retrieval as science
from core.config import Family
from core.errors import NotAvailable
from core.exhibits.registry import Option
from core.run import Run

METRIC = Option(
    name="metric",
    default="recall@5",
    allowed=("recall@1", "recall@5", "recall@10"),
    help="The recall that differences are taken of.",
)
STATISTICS = Option(
    name="statistics",
    default="per-side",
    allowed=("per-side", "support", "shared", "candidates"),
    help=(
        "Rows that mean and covariance come from: each side's own, queries from the support split, both together, or"
        " the candidates."
    ),
)
MLLM, CONTRASTIVE, TUNED, UNKNOWN = "multimodal LLM", "contrastive", "fine-tuned retriever", "unknown"
KINDS: dict[Family, str] = {
    "generative": MLLM,
    "contrastive": CONTRASTIVE,
    "tuned": TUNED,
    "unknown": UNKNOWN,
}
"""The families of models as exhibits name them."""


def kind(run: Run) -> str:
    """What the run's model is, in words: a fact of the run (`Run.family`), never inferred from its embeddings."""
    return KINDS[run.family]


def head(run: Run) -> dict[str, Any]:
    """run, model, kind, task: the first columns of every exhibit."""
    return {"run": run.name, "model": run.model_name, "kind": kind(run), "task": run.spec.corpus.task}


def recalls(e: science.Evaluation) -> dict[str, Any]:
    """recall@1, @5, @10 with 95% intervals, and the numbers of queries and candidates they rest on."""
    values: dict[str, Any] = {}
    for k, value in e.recall.items():
        low, high = e.ci95[f"recall@{k}"]  # type: ignore[index]
        values |= {f"recall@{k}": value, f"recall@{k}_low": low, f"recall@{k}_high": high}
    return values | {"queries": e.queries, "candidates": e.candidates}


def gain(before: science.Evaluation, after: science.Evaluation, metric: str, name: str = "gain") -> dict[str, Any]:
    """after - before on the same queries, with paired 95% interval and p; NaN for a setting against itself."""
    if before is after:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high", f"{name}_p"), np.nan)
    paired = science.paired_difference(before, after, metric)
    return {
        name: paired.difference,
        f"{name}_low": paired.low,
        f"{name}_high": paired.high,
        f"{name}_p": paired.p_value,
    }


def mean_gain(difference: np.ndarray, name: str = "gain") -> dict[str, Any]:
    """The mean of per-query differences (n,), with bootstrap 95% interval and sign-flip p: where a setting is a mean of
    several."""
    low, high = science.bootstrap_means(difference[:, None])
    p = science.sign_flip(difference)
    return {
        name: float(difference.mean()),
        f"{name}_low": float(low[0]),
        f"{name}_high": float(high[0]),
        f"{name}_p": p,
    }


def need_pairs(run: Run) -> None:
    """NotAvailable for a run without relevant pairs: nothing can be retrieved."""
    if not len(run.qrels("test")):
        raise NotAvailable(
            f"run {run.name!r} has no relevant pairs, so there is nothing to retrieve",
            todo="add qrels or captions to its corpus and run it again",
        )


def partner(run: Run, runs: Sequence[Run], of_kind: str) -> Run | None:
    """The run of that kind on the same corpus, so that queries can be paired; None where there is none."""
    same = run.folder.facts["corpus"]
    return next((other for other in runs if kind(other) == of_kind and other.folder.facts["corpus"] == same), None)
