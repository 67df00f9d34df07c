"""The figures: runs in, one tidy table out. Ratios are 0-1; intervals are 95% bootstrap over queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.analysis.retrieval import Evaluation
from core.exhibits.views import evaluate_view, stored
from core.questions import modality, retrieval
from core.run import Run


def recalls(e: Evaluation) -> dict[str, Any]:
    """recall@1, @5, @10 with intervals and the number of queries."""
    values: dict[str, Any] = {}
    for k, value in e.recall.items():
        values |= {f"recall@{k}": value, f"recall@{k}_low": e.ci95[f"recall@{k}"][0], f"recall@{k}_high": e.ci95[f"recall@{k}"][1]}  # type: ignore[index]
    return values | {"queries": e.queries, "candidates": e.candidates}


def head(run: Run) -> dict[str, Any]:
    """run, model, task: the first columns of every exhibit."""
    return {"run": run.name, "model": run.model_name, "task": run.spec.corpus.task}


def models_compared(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 1: raw recall of each run."""
    return pd.DataFrame([head(run) | recalls(retrieval.evaluate(run).evaluation) for run in runs])


def modality_density(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 2: concepts (share of those with a score) and energy (share) per bin of the modality score (Eq 4)."""
    frames = []
    for run in runs:
        found = modality.scores(run)
        frame = found.histogram.assign(concepts=found.histogram["concepts"] / max(1, found.histogram["concepts"].sum()))
        frames.append(frame.assign(**head(run), alive=found.alive, dead=found.dead))
    return _tidy(frames)


def energy_concentration(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 3: share of all concepts that hold 99% of the energy (Eq 3)."""
    rows = []
    for run in runs:
        found = modality.cumulative_energy(run)
        rows.append(head(run) | {"concepts_for_99": found.share_for_99, "count": found.concepts_for_99, "concepts": found.n_concepts})
    return pd.DataFrame(rows)


def token_masks(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 4: recall with all tokens, without image tokens, without the prompt's tokens."""
    return by_view(runs, "mask", 'masks = ["all", "no-image", "no-prompt"]')


def layers(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 5: recall of every stored layer."""
    return by_view(runs, "layer", "layers = [1, 2, 3, -1]")


def beta_sweep(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 6: recall against the shrinkage beta."""
    return _tidy([retrieval.beta_sweep(run).assign(**head(run)) for run in runs])


def by_view(runs: Sequence[Run], field: str, setting: str) -> pd.DataFrame:
    """Recall, raw and with ReAlign, of every stored view that differs from the first in `field` only."""
    rows = []
    for run in runs:
        for view in stored(run, field, setting):
            for variant in ("none", "realign"):
                found = evaluate_view(run, view, variant)
                rows.append(head(run) | {field: getattr(view, field), "variant": variant} | recalls(found))
    return pd.DataFrame(rows)


def _tidy(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    for frame in frames:
        frame.attrs = {}
    table = pd.concat(frames, ignore_index=True)
    first = ["run", "model", "task"]
    return table[[*first, *(c for c in table.columns if c not in first)]]
