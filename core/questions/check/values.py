"""The values that are tried of every setting, on the sample at hand: those that could change something there."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.models.answer import ANSWER, check_answers
from core.models.asking import has_pixel_limits
from core.models.base import ModelFacts
from core.models.cutting import TokenCut
from core.models.decoder import DecoderAdapter
from core.models.dual import DualAdapter
from core.models.pooling import MASKED_ROLES
from core.questions.check.conditions import (
    AS_TEXT,
    BLACK_IMAGE,
    EMPTY_TEXT,
    FILTERS,
    NO_IMAGE,
    WITHOUT_MODEL,
    Change,
    PictureSize,
    Setting,
)
from core.questions.check.encoding import SampleEncoder
from core.questions.check.given import OTHER, Given
from core.questions.check.wording import frames, turns

SIDES = (32, 48, 56, 64, 112, 128, 224, 256, 336, 384, 448, 512, 672, 768, 1024)
"""Pixels a side that services and processors resize pictures to."""
IMAGE_TOKENS = (64, 256, 512, 768, 1024, 1280, 2560, 16384)
"""Limits of image tokens that configurations of the Qwen-VL kind name; one token is 28 x 28 pixels with most."""
TOKEN_LIMITS = (8, 16, 32, 64, 77, 128, 256, 512, 1024, 2048, 4096, 8192)
MOST_BETWEEN = 24
"""Limits that are tried between the longest text that fits and the shortest that does not."""
TYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, eq=False)
class Values:
    """What there is to try.

    Attributes:
        changes: setting -> its values.
        untried: setting -> why it has none here, in words.
    """

    changes: dict[Setting, list[Change]]
    untried: dict[Setting, str]


def values_of(encoder: SampleEncoder, given: Given, reference: np.ndarray, differing: np.ndarray) -> Values:
    """Every value of every setting.

    Args:
        reference: (n, d) rows of the sample under the run's own conditions.
        differing: (n,) bool, which rows differ under these.
    """
    changes: dict[Setting, list[Change]] = {}
    untried: dict[Setting, str] = {}
    has_images = any(modality != "text" for modality in encoder.modalities)
    if encoder.adapter is not None:
        decoder = isinstance(encoder.adapter, DecoderAdapter)
        no_prompts = "" if decoder else f"{encoder.adapter.facts.name} has no prompts"
        changes["template"] = _templates(encoder) if decoder else []
        changes["instruction"] = _instructions(encoder) if decoder else []
        changes["image missing"] = _missing(decoder) if has_images else []
        changes["image sent as text"], too_long = _as_text(encoder, given) if has_images else ([], "")
        untried |= {"image sent as text": too_long} if too_long else {}
        changes["resolution"] = _sizes(encoder) if has_images else []
        changes["token limit"] = _limits(encoder, differing)
        changes["pooling"] = _poolings(encoder)
        changes["layer"] = _layers(encoder)
        changes["norm"] = _norms(encoder)
        changes["dtype"] = _types(encoder)
        changes["query and document swapped"] = _other_side(encoder) if decoder else []
        untried |= dict.fromkeys(("template", "instruction"), no_prompts) if no_prompts else {}
        no_image = "the sample holds no image"
        untried |= {} if has_images else dict.fromkeys(("image missing", "image sent as text", "resolution"), no_image)
    changes["normalisation"] = [_scaled(given, reference)]
    changes.setdefault("dtype", []).extend(_rounded(encoder))
    changes["truncated dimensions"] = _dimensions(given, reference)
    changes.setdefault("query and document swapped", []).extend(_other_file(given))
    changes["rows shuffled"] = [Change("rows shuffled", "the run's order", "another order", (("shuffled", True),))]
    return Values({setting: some for setting, some in changes.items() if some}, untried)


def _facts(encoder: SampleEncoder) -> ModelFacts:
    assert encoder.adapter is not None
    return encoder.adapter.facts


def _templates(encoder: SampleEncoder) -> list[Change]:
    """Frames; a plain model renders none."""
    if _facts(encoder).kind != "chat":
        return []
    style = encoder.adapter.style  # type: ignore[union-attr]  # decoders have one
    was = "no chat template" if style.frame.written == ("", "") else "the template of the run's prompts"
    named = frames(style, encoder.end_token())
    return [Change("template", was, name, (("frame", name),)) for name in named]


def _instructions(encoder: SampleEncoder) -> list[Change]:
    was = f"that of {encoder.run.preset!r}"
    named = turns(encoder.adapter.style)  # type: ignore[union-attr]  # decoders have one
    return [Change("instruction", was, name, (("turn", name),)) for name in named]


def _missing(decoder: bool) -> list[Change]:
    names = (NO_IMAGE, EMPTY_TEXT, BLACK_IMAGE) if decoder else (EMPTY_TEXT, BLACK_IMAGE)
    return [Change("image missing", "the image", name, (("image", name),)) for name in names]


def _as_text(encoder: SampleEncoder, given: Given) -> tuple[list[Change], str]:
    """Strings known for every image of the sample that the model can read; and, in words, those it cannot."""
    places = zip(encoder.sample.places(), encoder.modalities, strict=True)
    needed = {place for place, modality in places if modality != "text"}
    names = [name for name, known in given.strings.items() if needed <= set(known)]
    readable = [name for name in names if _most_tokens(encoder, given.strings[name].values()) <= _reach(encoder)]
    changes = [Change("image sent as text", "the image", name, (("image", AS_TEXT + name),)) for name in readable]
    too_long = ", ".join(name for name in names if name not in readable)
    why = f"{too_long}: longer than the {_reach(encoder):,} tokens that the model reads" if too_long else ""
    return changes, why


def _most_tokens(encoder: SampleEncoder, strings: Iterable[str]) -> int:
    """Of the longest string; 0 where the model's tokenizer is not at hand (a dual encoder's cuts by itself)."""
    tokenizer = encoder.tokenizer()
    return 0 if tokenizer is None else max(map(len, tokenizer(list(strings))["input_ids"]))


def _reach(encoder: SampleEncoder) -> int:
    """Tokens that the model was made to read at once; no limit where its configuration names none."""
    config = getattr(getattr(encoder.adapter, "model", None), "config", None)
    return getattr(config and config.get_text_config(), "max_position_embeddings", None) or sys.maxsize


def _sizes(encoder: SampleEncoder) -> list[Change]:
    """Sizes below the largest picture's, and limits of area where the processor has such."""
    largest = max(max(item.picture.size) for item in encoder.items if item.modality != "text")
    sizes = [PictureSize(kind, side) for side in SIDES if side < largest for kind in ("longest", "square")]
    sizes += [PictureSize("square", side) for side in SIDES if side >= largest][:4]
    adapter = encoder.adapter
    if adapter is not None and has_pixel_limits(adapter):
        pictures: Any = adapter.processor.image_processor  # type: ignore[attr-defined]  # `has_pixel_limits` saw it
        own = dict(pictures.size)
        token = (int(pictures.patch_size) * int(pictures.merge_size)) ** 2
        areas = [(own["shortest_edge"], n * token) for n in IMAGE_TOKENS]
        areas += [(n * token, max(own["longest_edge"], n * token)) for n in (4, 256)]
        sizes += [
            PictureSize("area", high, low)
            for low, high in dict.fromkeys(areas)
            if low <= high and (low, high) != (own["shortest_edge"], own["longest_edge"])
        ]
    return [_size(size) for size in sizes]


def _size(size: PictureSize) -> Change:
    return Change("resolution", "the picture as it is", str(size), (("size", size),))


def other_filters(change: Change) -> list[Change]:
    """The same size by the other filters: tried where a size comes nearest, for clients resize by any of them."""
    size = dict(change.fields)["size"]
    if size.kind == "area":
        return []
    return [_size(replace(size, filter=one)) for one in FILTERS if one != size.filter]


def _limits(encoder: SampleEncoder, differing: np.ndarray) -> list[Change]:
    """Limits of texts: the usual ones, and those between the longest text that fits and the shortest that does not."""
    texts = np.array([modality == "text" for modality in encoder.modalities])
    if not texts.any():
        return []
    lengths = encoder.lengths()
    most = int(lengths[texts].max())
    limits = {limit for limit in TOKEN_LIMITS if limit < most} | _between(lengths[texts], differing[texts])
    changes = [_cut(TokenCut(limit), "the first") for limit in sorted(limits)]
    if isinstance(encoder.adapter, DualAdapter):
        return changes
    changes += [_cut(TokenCut(limit, "last"), "the last") for limit in sorted(limits)]
    tokenizer = encoder.tokenizer()
    if tokenizer is not None:
        own = np.array(
            [len(tokenizer(item.text or "", add_special_tokens=False)["input_ids"]) for item in encoder.items]
        )
        few = {limit for limit in TOKEN_LIMITS if limit < own[texts].max()} | _between(own[texts], differing[texts])
        changes += [
            Change("token limit", "none", f"the first {limit} tokens of the item's own text", (("words", limit),))
            for limit in sorted(few)
        ]
    return changes


def _cut(cut: TokenCut, which: str) -> Change:
    return Change("token limit", "none", f"{which} {cut.limit} tokens, template included", (("cut", cut),))


def _between(lengths: np.ndarray, differing: np.ndarray) -> set[int]:
    """Limits that cut every text that differs and none that does not; empty where no length parts the two."""
    if differing.all() or not differing.any():
        return set()
    low, high = int(lengths[~differing].max()), int(lengths[differing].min())
    return set(range(low, high)) if 0 < high - low <= MOST_BETWEEN else set()


def _poolings(encoder: SampleEncoder) -> list[Change]:
    """Every pooling over every mask that leaves a token of each item."""
    facts, own = _facts(encoder), encoder.base.view
    if facts.layers == 0 or own.pooling == "projected":
        return []
    texts_only = all(item.modality != "image" for item in encoder.items)
    masks = [mask for mask in MASKED_ROLES if mask != "text" or texts_only]
    views = [replace(own, pooling=pooling, mask=mask) for pooling in ("mean", "last", "max", "min") for mask in masks]
    if _answers(encoder):
        views.append(replace(own, pooling=ANSWER, mask="all"))
    return [
        Change("pooling", own.words, view.words, (("pooling", view.pooling), ("mask", view.mask)))
        for view in views
        if view != own
    ]


def _answers(encoder: SampleEncoder) -> bool:
    """Whether the model can be read behind an answer header."""
    from core.errors import NotAvailable
    from core.models.loading import check_template

    try:
        check_answers(_facts(encoder), [ANSWER])
        check_template(_facts(encoder), encoder.adapter.processor)  # type: ignore[union-attr]  # decoders have one
    except NotAvailable:
        return False
    return True


def _layers(encoder: SampleEncoder) -> list[Change]:
    """Every other entry of the model's hidden states, counted from the end."""
    facts, own = _facts(encoder), encoder.base.view
    if facts.layers == 0 or own.pooling == "projected":
        return []
    entries = facts.layers + 1
    others = [layer for layer in range(-1, -entries - 1, -1) if layer % entries != own.layer % entries]
    was = str(own.layer % entries - entries)
    changes = [Change("layer", was, str(layer), (("layer", layer),)) for layer in others]
    between = replace(own, sublayer="attention")
    if own.sublayer == "block":
        changes.append(Change("layer", was, between.place.words, (("sublayer", "attention"),)))
    return changes


def _norms(encoder: SampleEncoder) -> list[Change]:
    """The other side of the final norm, which only the last layer's output passes."""
    facts, own = _facts(encoder), encoder.base.view
    if facts.layers == 0 or own.layer % (facts.layers + 1) != facts.layers or own.sublayer != "block":
        return []
    other = "before" if own.norm == "after" else "after"
    return [Change("norm", f"{own.norm} the final norm", f"{other} the final norm", (("norm", other),))]


def _types(encoder: SampleEncoder) -> list[Change]:
    return [Change("dtype", encoder.compute, one, (("dtype", one),)) for one in TYPES if one != encoder.compute]


def _rounded(encoder: SampleEncoder) -> list[Change]:
    return [
        Change("dtype", "numbers as computed", f"stored as {one}", (("rounded", one),))
        for one in ("float16", "bfloat16")
    ]


def _other_side(encoder: SampleEncoder) -> list[Change]:
    to = "the other side's prompt"
    return [Change("query and document swapped", "each side's own prompt", to, (("other_side", True),))]


def _other_file(given: Given) -> list[Change]:
    """Possible where both files came and rows go by order."""
    if not all(part in given.parts and given.parts[part].by_order for part in OTHER):
        return []
    return [Change("query and document swapped", "each side's own file", "the other file", (("other_file", True),))]


def _scaled(given: Given, reference: np.ndarray) -> Change:
    """Rows of other lengths; in words which."""
    lengths = np.concatenate([np.linalg.norm(part.at(np.arange(min(256, len(part.rows)))), axis=1)
                              for part in given.parts.values()])  # fmt: skip
    return Change("normalisation", _lengths(np.linalg.norm(reference, axis=1)), _lengths(lengths), (("scaled", True),))


def _lengths(lengths: np.ndarray) -> str:
    if np.abs(lengths - 1).max() < 1e-2:
        return "rows of length 1"
    return f"rows of length {lengths.min():.3g} to {lengths.max():.3g}"


def _dimensions(given: Given, reference: np.ndarray) -> list[Change]:
    d = reference.shape[1]
    if given.width >= d:
        return []
    return [Change("truncated dimensions", f"{d}", f"the first {given.width}", (("dimensions", given.width),))]


assert {"normalisation", "rows shuffled"} <= WITHOUT_MODEL
