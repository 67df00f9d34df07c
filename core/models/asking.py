"""A loaded model asked in another way than its facts say: other prompts, a token limit, other sizes of images.

In: an adapter and an `Asking`. Out: a second adapter around the same weights and the same lock, which gives what a
server with that setting would give. For comparing settings; nothing made by it is stored as a run's embeddings.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from core.errors import NotAvailable
from core.models.base import Adapter
from core.models.cutting import TokenCut
from core.models.decoder import DecoderAdapter
from core.models.dual import DualAdapter
from core.models.prompts import Style


@dataclass(frozen=True)
class Asking:
    """What is different; None leaves a setting as the model's facts have it."""

    style: Style | None = None
    """Prompts: the turn, and what stands around it."""
    cut: TokenCut | None = None
    """Token limit of items without an image. A dual encoder cuts the end of a text only."""
    pixels: tuple[int, int] | None = None
    """Smallest and largest area an image is resized to, for processors that have such limits."""


def has_pixel_limits(adapter: Adapter) -> bool:
    """Whether the model's processor keeps the area of images within limits (the Qwen-VL kind)."""
    processor = getattr(adapter, "processor", None)
    return "longest_edge" in dict(getattr(getattr(processor, "image_processor", None), "size", {}) or {})


def asked(adapter: Adapter, asking: Asking) -> Adapter:
    """The same weights, asked in that way.

    Raises:
        NotAvailable: the kind of model has no such setting.
    """
    if asking == Asking():
        return adapter
    if isinstance(adapter, DecoderAdapter):
        return _decoder(adapter, asking)
    if isinstance(adapter, DualAdapter) and asking.style is None and asking.pixels is None:
        return _dual(adapter, asking)
    raise NotAvailable(f"{adapter.facts.name} cannot be asked in another way", got=f"kind {adapter.facts.kind}")


def _decoder(adapter: DecoderAdapter, asking: Asking) -> DecoderAdapter:
    """A second adapter: its own prompts, cut and counts of image tokens; the first one's weights and lock."""
    processor = adapter.processor if asking.pixels is None else _resized(adapter, asking.pixels)
    other = type(adapter)(adapter.facts, adapter.model, processor)
    other.lock, other.preparing = adapter.lock, adapter.preparing
    other.style, other.cut = asking.style or adapter.style, asking.cut or adapter.cut
    return other


def _dual(adapter: DualAdapter, asking: Asking) -> DualAdapter:
    """A second adapter whose texts end earlier.

    Raises:
        NotAvailable: the beginning is to be cut off, which no library does for this kind.
    """
    if asking.cut is None or asking.cut.keep != "first":
        raise NotAvailable(f"{adapter.facts.name} is only cut at the end of a text", got=str(asking.cut))
    other = copy.copy(adapter)
    other.text_length = min(asking.cut.limit, adapter.text_length)
    return other


def _resized(adapter: DecoderAdapter, pixels: tuple[int, int]) -> Any:
    """The processor with other limits of an image's area.

    Raises:
        NotAvailable: it has no such limits.
    """
    if not has_pixel_limits(adapter):
        raise NotAvailable(f"the processor of {adapter.facts.name} has no limits of an image's area")
    processor = copy.copy(adapter.processor)
    size = dict(zip(("shortest_edge", "longest_edge"), pixels, strict=True))
    pictures = adapter.processor.image_processor
    # Older versions of these classes keep the limits twice; the second pair would win over `size`.
    kept = {name: value for name, value in pictures.to_dict().items() if name not in ("min_pixels", "max_pixels")}
    processor.image_processor = type(pictures).from_dict(kept | {"size": size})
    return processor
