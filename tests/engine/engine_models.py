"""A model without weights, for workers: what an item becomes can be worked out by hand. Some items are poison."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.models import ModelFacts
from core.models.outliers import MEASURE
from core.models.pooling import POOLINGS  # noqa: F401 - what a worker imports anyway
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates

D = 3
FACTS = ModelFacts("fake", "chat", "k" * 16, "/nowhere", "", "fake", D, 2, "float32", "study")
VIEWS = (EmbeddingView(),)


class Model:
    """Embeds an item as (characters of its text, mean of its picture, 1); norm ratio 2, no outliers."""

    facts, hidden_size, vocabulary = FACTS, D, 0

    def __init__(self, raises: str = "", kills: str = "", uncounted: str = "", mark: Path | None = None) -> None:
        self.raises, self.kills, self.uncounted, self.mark = raises, kills, uncounted, mark

    def lengths(self, items: Sequence[Item]) -> list[int]:
        if any(item.id == self.uncounted for item in items):
            raise ValueError("absolute aspect ratio must be smaller than 200")
        return [len(item.text or "12345") for item in items]

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        for item in items:
            if item.id == self.raises:
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\nand more")
            if item.id == self.kills:
                os._exit(1)
        return {view: np.array([self.row(item, view) for item in items], np.float32) for view in views}

    def row(self, item: Item, view: EmbeddingView) -> tuple[float, ...]:
        if view.pooling == MEASURE:
            return 2.0, 0.0
        picture = 0.0 if item.image is None else float(np.asarray(item.image).mean())
        return float(len(item.text or "")), picture, 1.0

    def token_states(self, items: Sequence[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        counts = [len(item.text or "12345") for item in items]
        rows = [(float(n), t, len(item.id)) for item, n in zip(items, counts, strict=True) for t in range(n)]
        return TokenStates(
            states=np.array(rows, np.float32),
            item=np.repeat(np.arange(len(items)), counts),
            text=["x"] * len(rows),
            role=["text"] * len(rows),
            grids=[None] * len(items),
        )
