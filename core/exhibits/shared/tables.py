"""Tables that several exhibits share: a row per stored view, per variant, or against a run of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.config import OWN_MODEL
from core.errors import NotAvailable
from core.exhibits.shared.rows import MLLM, corrected, gain, head, kind, partner, recalls
from core.questions import retrieval
from core.questions.views import evaluate_view
from core.records import VIEW_FIELDS, EmbeddingView
from core.run import Run


def stored(run: Run, field: str, setting: str) -> list[EmbeddingView]:
    """Views that differ from the run's first in one field only, the first included; `setting` is the [embedding] line
    that adds more. Where the model answers is no pooling of the turn's tokens: it has an exhibit of its own.

    Raises:
        NotAvailable: only the first is stored, or the model has no such choice.
    """
    first = run.view
    if run.model_name == OWN_MODEL:
        raise NotAvailable(
            f"run {run.name!r} holds own embeddings, of one {field} only",
            todo="give it a [model] to embed its items anew",
        )
    if first.pooling == "projected":
        raise NotAvailable(
            f"{run.model_name} gives one final vector per item (a dual encoder, or a sentence-transformers model): no"
            f" {field} to choose",
            got=run.name,
            todo="choose a run of a multimodal LLM",
        )
    others = [name for name in VIEW_FIELDS if name != field]
    same = [v for v in run.views if all(getattr(v, name) == getattr(first, name) for name in others)]
    views = [v for v in same if v == first or field != "pooling" or v.pooling != "answer"]
    if len(views) < 2:
        raise NotAvailable(
            f"run {run.name!r} stores one {field} only",
            got=str(first),
            todo=f"put {setting} and cross = false under [embedding] of its spec, then `retrieval-lens run SPEC.toml`",
        )
    return views


def by_view(runs: Sequence[Run], field: str, setting: str, metric: str = "recall@5") -> pd.DataFrame:
    """Recall, raw and with ReAlign, of every stored view that differs from the first in `field` only.

    gain: the paired difference to the first view under the same variant; gain_p_max: its p corrected for all other
    views (max-T).
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        views = stored(run, field, setting)
        for variant in ("none", "realign"):
            base = evaluate_view(run, views[0], variant)
            every = [base if view == views[0] else evaluate_view(run, view, variant) for view in views]
            for view, evaluation, p in zip(views, every, corrected(base, every, metric), strict=True):
                setting_ = {field: getattr(view, field), "variant": variant}
                apart = gain(base, evaluation, metric) | {"gain_p_max": p}
                rows.append(head(run) | setting_ | recalls(evaluation) | {"metric": metric} | apart)
    table = pd.DataFrame(rows)
    table.attrs = {"notes": ["ReAlign: beta 0.1, mean and covariance of each side's own test rows of that view."]}
    return table


def by_variant(runs: Sequence[Run], variants: Sequence[str], metric: str) -> pd.DataFrame:
    """Rows (run, variant): recalls, gain to raw, beyond_centring to the second variant; notes of how each was
    fitted."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for run in runs:
        evaluated = [retrieval.evaluate(run, variant) for variant in variants]
        for variant, one in zip(variants, evaluated, strict=True):
            named = {"variant": variant.partition("(")[0]} | recalls(one.evaluation) | {"metric": metric}
            centred = gain(evaluated[1].evaluation, one.evaluation, metric, "beyond_centring")
            rows.append(head(run) | named | gain(evaluated[0].evaluation, one.evaluation, metric) | centred)
            notes += one.notes
    table = pd.DataFrame(rows)
    table.attrs = {"notes": list(dict.fromkeys(notes))}
    return table


def against(runs: Sequence[Run], baseline: str, metric: str) -> pd.DataFrame:
    """Rows (run, variant) with the difference of multimodal LLMs to the raw embeddings of a run of kind `baseline`,
    `against`.

    narrowed: what ReAlign adds to that difference; it equals ReAlign's paired gain, since the baseline stays as it is.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for run in runs:
        raw, other = retrieval.evaluate(run).evaluation, partner(run, runs, baseline) if kind(run) == MLLM else None
        theirs = retrieval.evaluate(other).evaluation if other else None
        for variant in ("none", "realign"):
            evaluated = retrieval.evaluate(run, variant)
            evaluation, notes = evaluated.evaluation, [*notes, *evaluated.notes]
            apart = gain(theirs, evaluation, metric) if theirs else gain(raw, raw, metric)
            named = (
                {"variant": variant} | recalls(evaluation) | {"metric": metric, "against": other.name if other else ""}
            )
            rows.append(head(run) | named | apart | gain(raw, evaluation, metric, "narrowed"))
    table = pd.DataFrame(rows)
    table.attrs = {"notes": list(dict.fromkeys(notes))}
    return table


def realigned(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with ReAlign that have a run to be compared with."""
    return table[(table["variant"] == "realign") & (table["against"] != "")].to_dict("records")
