"""Which stored embeddings of a run an exhibit compares: other layers, poolings, token masks."""

from __future__ import annotations

from core.config import OWN_MODEL
from core.errors import NotAvailable
from core.records import EmbeddingView
from core.run import Run


def stored(run: Run, field: str, setting: str) -> list[EmbeddingView]:
    """Views that differ from the run's first in one field only, the first included; `setting` is the [embedding] line
    that adds more.

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
