"""Evaluation of embeddings other than a run's first view: other layers, poolings, token masks."""

from __future__ import annotations

from core.analysis import retrieval as science
from core.analysis.variants import FitData, apply_variant, fit_variant
from core.config import OWN_MODEL
from core.errors import NotAvailable
from core.questions.answers import answer
from core.records import EmbeddingView
from core.run import Run
from core.store import Draft


def evaluate_view(run: Run, view: EmbeddingView, variant: str = "none") -> science.Evaluation:
    """Retrieval with one stored view of a run under a variant that needs no codes."""

    def write(draft: Draft) -> None:
        data = FitData(queries=run.embeddings("queries", view), candidates=run.embeddings("candidates", view))
        both = apply_variant(fit_variant(variant, data), data)
        ranked = science.rank_relevant(both.queries, both.candidates, run.qrels("test").pairs)
        for key, values in ranked.arrays().items():
            draft.save(key, values)

    folder = answer(run, "evaluate-view", {"view": str(view), "variant": variant}, write)
    return science.evaluate(science.Ranked.from_arrays(folder.array))


def stored(run: Run, field: str, setting: str) -> list[EmbeddingView]:
    """Views that differ from the run's first in one field only, the first included; `setting` is the [embedding] line that adds more.

    Raises:
        NotAvailable: only the first is stored, or the model has no such choice.
    """
    first = run.view
    if run.model_name == OWN_MODEL:
        raise NotAvailable(f"run {run.name!r} holds own embeddings, of one {field} only", todo="give it a [model] to embed its items anew")
    if first.pooling == "projected":
        raise NotAvailable(
            f"{run.model_name} is a dual encoder: one projected embedding per item, no {field} to choose",
            got=run.name,
            todo="choose a run of a multimodal LLM",
        )
    others = [name for name in ("layer", "pooling", "mask") if name != field]
    found = [v for v in run.views if all(getattr(v, name) == getattr(first, name) for name in others)]
    if len(found) < 2:
        raise NotAvailable(
            f"run {run.name!r} stores one {field} only",
            got=str(first),
            todo=f"put {setting} and cross = false under [embedding] of its spec, then `retrieval-lens run SPEC.toml`",
        )
    return found
