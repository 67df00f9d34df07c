"""How concepts split into text and image concepts (Eq 4), and what the same codes give when modality means nothing.

In: codes (n, c) of items that are pure texts or pure images, and which they are. The score weighs both modalities
alike, since it divides means; so does the weight of a concept here, the sum of both means, however many items there are
of each. Unequal numbers still tell on rare concepts: one that fires on a single item is a text concept as often as a
single item is a text. `balanced` draws as many of each; `shuffled` shows what is left of the split by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float

from core.analysis.arrays import Codes

Counted = Literal["once", "energy"]
TEXT_ABOVE, IMAGE_BELOW = 0.9, 0.1
"""Modality scores beyond which a concept counts as a text or an image concept."""
RESAMPLES = 1000
_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Scores:
    """The concepts that fire on at least so many items."""

    score: Float[np.ndarray, " s"]
    """Eq 4, 0 image to 1 text."""
    weight: Float[np.ndarray, " s"]
    """Mean on texts plus mean on images."""


@dataclass(frozen=True)
class Shares:
    """Shares of concepts, or of their weight, 0-1; NaN where no concept is scored."""

    text: float
    image: float

    @property
    def between(self) -> float:
        return 1 - self.text - self.image

    @property
    def lead(self) -> float:
        """Text minus image, -1 to 1."""
        return self.text - self.image


def modality_scores(codes: Codes, is_text: Bool[np.ndarray, " n"], least: int = 1) -> Scores:
    """Scores and weights of the concepts that fire on at least `least` of these items."""
    texts, images = int(is_text.sum()), int((~is_text).sum())
    matrix = sp.csr_array(codes, dtype=np.float64)
    on_text = is_text.astype(np.float64) @ matrix / max(1, texts)
    on_image = (~is_text).astype(np.float64) @ matrix / max(1, images)
    fires = np.asarray((matrix > 0).sum(axis=0)).ravel()
    weight = on_text + on_image
    scored = (fires >= least) & (weight > 0)
    return Scores(on_text[scored] / weight[scored], weight[scored])


def shares(scores: Scores, counted: Counted = "once") -> Shares:
    """The shares above 0.9 and below 0.1: each concept counted once, or by its energy."""
    weight = np.ones(len(scores.score)) if counted == "once" else scores.weight
    total = weight.sum()
    if not total:
        return Shares(float("nan"), float("nan"))
    text, image = scores.score > TEXT_ABOVE, scores.score < IMAGE_BELOW
    return Shares(float(weight[text].sum() / total), float(weight[image].sum() / total))


def share_intervals(scores: Scores, counted: Counted = "once", seed: int = 0) -> dict[str, tuple[float, float]]:
    """Percentile 95% intervals over redrawn concepts of `text`, `image`, `between`, and `lead`, text minus image."""
    n = len(scores.score)
    if not n:
        return dict.fromkeys(("text", "image", "between", "lead"), (float("nan"), float("nan")))
    weight = np.ones(n) if counted == "once" else scores.weight
    sides = {"text": scores.score > TEXT_ABOVE, "image": scores.score < IMAGE_BELOW}
    sides["between"] = ~(sides["text"] | sides["image"])
    columns = {name: mask.astype(np.float64) for name, mask in sides.items()}
    columns["lead"] = columns["text"] - columns["image"]
    masks = np.column_stack(list(columns.values()))
    rng, drawn = np.random.default_rng(seed), np.empty((RESAMPLES, len(columns)))
    step = max(1, _BLOCK // n)
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=size) * weight
        drawn[start : start + size] = weights @ masks / weights.sum(axis=1, keepdims=True)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(columns, low, high, strict=True)}


def balanced(is_text: Bool[np.ndarray, " n"], draws: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Row numbers of as many texts as images, drawn without replacement from the larger side, `draws` times."""
    rng = np.random.default_rng(seed)
    texts, images = np.flatnonzero(is_text), np.flatnonzero(~is_text)
    n = min(len(texts), len(images))
    for _ in range(draws):
        yield np.sort(np.concatenate([rng.permutation(texts)[:n], rng.permutation(images)[:n]]))


def shuffled(
    is_text: Bool[np.ndarray, " n"], measure: Callable[[Bool[np.ndarray, " n"]], Shares], draws: int, seed: int = 0
) -> list[Shares]:
    """`measure` of the items with modality shuffled over them: the split that would be there if it meant nothing."""
    rng = np.random.default_rng(seed)
    return [measure(rng.permutation(is_text)) for _ in range(draws)]
