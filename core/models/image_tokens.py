"""Image tokens of a model: which ids they have, how many an image takes, and in what grid they lie.

An image takes as many tokens as its processor says. Where a processor does not say it for a size, a blank picture of
that size is processed once and counted. A model that reads images by cross-attention (Llama-Vision) has no image
tokens: its placeholder is a token of the template, and every mask that leaves image tokens out keeps all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from core.errors import ModelError
from core.records import Item

TILE_LENGTHS = ("image_seq_len", "image_seq_length")
"""Names under which processors keep the number of tokens of one image or, where they cut it up, of one tile."""


def image_ids(processor: Any, config: Any) -> frozenset[int]:
    """Ids whose embeddings the model replaces by image features; empty for a model with cross-attention.

    Raises:
        ModelError: neither the config nor the processor names one.
    """
    if cross_attention_layers(config):
        return frozenset()
    named: tuple[Any, ...] = (getattr(config, "image_token_id", None), getattr(config, "image_token_index", None))
    # The config goes first: Gemma 3's processor has the start mark, not the image token, under this name.
    if all(i is None for i in named):
        named = (getattr(processor, "image_token_id", None),)
    ids = frozenset(int(i) for i in named if i is not None)
    if not ids:
        raise ModelError(
            "the processor names no image token",
            got=type(processor).__name__,
            allowed="an image-text-to-text processor",
        )
    return ids


def cross_attention_layers(config: Any) -> frozenset[int]:
    """Indices of decoder layers that read the image and are passed over where there is none; empty for most models."""
    return frozenset(getattr(config.get_text_config(), "cross_attention_layers", None) or ())


def placeholders(processor: Any) -> list[str]:
    """Strings that stand for an image or a video in a text: an item's own words must not spell one."""
    owners = (processor, processor.tokenizer)
    tokens = {getattr(owner, name, None) for owner in owners for name in ("image_token", "video_token")}
    return sorted(token for token in tokens if token)


def without_placeholders(item: Item, processor: Any) -> Item:
    """The item, any placeholder that its own text spells broken up by a space: it would count as an image."""
    text = item.text or ""
    for token in placeholders(processor):
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return replace(item, text=text) if text != (item.text or "") else item


class ImageCounts:
    """Tokens that replace the placeholder of an image, by its size (width, height)."""

    def __init__(self, processor: Any, measure: Callable[[tuple[int, int]], int]) -> None:
        self._processor, self._measure = processor, measure
        self._known: dict[tuple[int, int], int] = {}

    def __call__(self, size: tuple[int, int]) -> int:
        """Tokens of an image of that size."""
        if size not in self._known:
            # transformers has no public name for it, and some processors lack it: a blank picture is measured there.
            if hasattr(self._processor, "_get_num_multimodal_tokens"):
                counts = self._processor._get_num_multimodal_tokens(image_sizes=[size[::-1]])
                self._known[size] = int(counts["num_image_tokens"][0])
            else:
                self._known[size] = self._measure(size)
        return self._known[size]


def grid(processor: Any, inputs: Any, row: int, ids: Sequence[int], image: frozenset[int]) -> tuple[int, int] | None:
    """(rows, columns) of the image tokens of one item; None without an image, or where they are not one grid (tiles,
    row ends).

    Args:
        row: of the item within the call; items of one call all have an image or all lack one.
        ids: token ids of the item.
        image: see `image_ids`.
    """
    if "image_grid_thw" in inputs:
        merge = processor.image_processor.merge_size
        _, height, width = inputs["image_grid_thw"][row].tolist()
        return height // merge, width // merge
    count = sum(i in image for i in ids)
    tile = next((getattr(processor, name) for name in TILE_LENGTHS if getattr(processor, name, None)), count)
    side = int(count**0.5)
    return (side, side) if side and side * side == count == tile and "image_sizes" not in inputs else None
