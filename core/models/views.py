"""Which views of a model a spec asks for: layer x pooling x mask x norm x sublayer, checked against what it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from core.config import EmbeddingSpec
from core.errors import NotAvailable, SpecError
from core.models.answer import ANSWER, check_answers
from core.models.base import PROJECTED, ModelFacts
from core.records import EmbeddingView

if TYPE_CHECKING:
    from core.corpus import ItemTable


def resolve_views(spec: EmbeddingSpec, facts: ModelFacts) -> tuple[EmbeddingView, ...]:
    """Every layer x pooling x mask x norm x sublayer of the spec (`cross = false`: those that differ from the first of
    each in one field only).

    The first of each comes first; where no pooling is named, it is the one of the model's prompts. Pooling `answer`
    takes one token, so it has the mask `all` only; only the last layer's output passes the final norm, so other places
    have the norm `after` only. A dual encoder has its projected embedding only.

    Raises:
        SpecError: a layer the model does not have, `projected` of a model that projects nothing, or a layer, pooling,
            mask or next words of a dual encoder other than the defaults.
        NotAvailable: an answer is to be read of a model whose prompts leave no room for it.
    """
    if facts.kind == "dual":
        return _projected(spec, facts)
    if facts.kind == "sentence-transformers":
        return _sentence_views(spec, facts)
    if "projected" in spec.poolings:
        allowed = "'mean', 'last', 'max', 'min', 'answer'"
        raise SpecError(
            f"{facts.name} has no projected embedding", got="embedding.poolings = 'projected'", allowed=allowed
        )
    check_answers(facts, (*spec.poolings, *spec.words))
    return _token_views(spec, facts)


def _token_views(spec: EmbeddingSpec, facts: ModelFacts) -> tuple[EmbeddingView, ...]:
    """Views that pool token states."""
    for layer in spec.layers:
        if not -facts.layers - 1 <= layer <= facts.layers:
            allowed = f"{-facts.layers - 1} to {facts.layers} (0: input of the decoder, -1: after the final norm)"
            raise SpecError(f"{facts.name} has no such layer", got=f"embedding.layers = {layer}", allowed=allowed)
    choices = (spec.layers, spec.poolings or (facts.pooling,), spec.masks, spec.norms, spec.sublayers)
    first = tuple(values[0] for values in choices)
    views = [
        _view(facts, *chosen)
        for chosen in product(*choices)
        if spec.cross or sum(a != b for a, b in zip(chosen, first, strict=True)) <= 1
    ]
    return tuple(dict.fromkeys(views))


def _sentence_views(spec: EmbeddingSpec, facts: ModelFacts) -> tuple[EmbeddingView, ...]:
    """The final vectors of a sentence-transformers model, and its token states pooled otherwise where that is asked
    for.

    Raises:
        SpecError: token states of a model that gives none, or a layer, mask, norm or sublayer without a pooling of
            token states.
        NotAvailable: it has no answer and no next words.
    """
    check_answers(facts, (*spec.poolings, *spec.words))
    pooled = tuple(pooling for pooling in spec.poolings if pooling != PROJECTED.pooling)
    if pooled and facts.layers:
        projected = () if PROJECTED.pooling not in spec.poolings else (PROJECTED,)
        tokens = _token_views(replace(spec, poolings=pooled), facts)
        return (*projected, *tokens) if spec.poolings[0] == PROJECTED.pooling else (*tokens, *projected)
    default = EmbeddingSpec()
    for name in ("layers", "masks", "norms", "sublayers", "words", *(["poolings"] if pooled else [])):
        if getattr(spec, name) != getattr(default, name):
            has = "its final vectors" + (', and token states with poolings = ["mean"]' if facts.layers else "")
            raise SpecError(
                f"{facts.name} embeds by its own pooling",
                got=f"embedding.{name}",
                allowed=has,
                todo=f"leave embedding.{name} out" + (", or name a pooling" if facts.layers else ""),
            )
    return (PROJECTED,)


def _view(facts: ModelFacts, layer: int, pooling: str, mask: str, norm: str, sublayer: str) -> EmbeddingView:
    """One view, with what does not apply to it at its default, so that equal numbers have one name.

    Raises:
        SpecError: the attention output of the decoder's input.
    """
    if sublayer == "attention" and layer in {0, -facts.layers - 1}:
        allowed = "a layer from 1 on, or -1"
        got = f"embedding.layers = {layer} with sublayers = 'attention'"
        raise SpecError("no attention stands before the decoder's input", got=got, allowed=allowed)
    normed = layer in {-1, facts.layers} and sublayer == "block"
    return EmbeddingView(layer, pooling, "all" if pooling == ANSWER else mask, norm if normed else "after", sublayer)


def _projected(spec: EmbeddingSpec, facts: ModelFacts) -> tuple[EmbeddingView, ...]:
    """The one view of a dual encoder; every other choice of the spec is refused."""
    default = EmbeddingSpec()
    for name in ("layers", "poolings", "masks", "norms", "sublayers", "words"):
        if getattr(spec, name) not in (getattr(default, name), ("mean",), (PROJECTED.pooling,)):
            todo = f"leave embedding.{name} out"
            raise SpecError(
                f"{facts.name} is a dual encoder", got=f"embedding.{name}", allowed="its projected embedding", todo=todo
            )
    return (PROJECTED,)


def check_masks(tables: Sequence[ItemTable], views: Sequence[EmbeddingView]) -> None:
    """Refuse the mask of the item's own text where an item has none, before any other part is encoded.

    Raises:
        NotAvailable: and which item it is.
    """
    if all(view.mask != "text" for view in views):
        return
    for table in tables:
        if (row := next((row for row, kind in enumerate(table.modality) if kind == "image"), None)) is not None:
            todo = "leave this mask out of [embedding] masks, or these items out of the corpus"
            raise NotAvailable(
                f"mask 'text' leaves no token of item {table.ids[row]!r}", got="an item of modality image", todo=todo
            )
