"""Recall of pictures and captions of the demo world, both ways, by the ranking of every other page and exhibit.

In:  unit rows of pictures and of their captions. Out: Recall@1/5/10 by direction.
"""

from __future__ import annotations

import numpy as np

from core.analysis.retrieval.evaluation import RECALLS, per_query
from core.analysis.retrieval.ranking import Ranked, rank_relevant


def recall_both_ways(images: np.ndarray, texts: np.ndarray, per_image: int = 2) -> dict[str, dict[int, float]]:
    """Recall (0-1) from image to text and from text to image; captions of image i are rows i * per_image and on."""
    captions = np.arange(len(texts))
    own_image = captions // per_image
    return {
        "image to text": _recall(rank_relevant(images, texts, np.column_stack([own_image, captions]))),
        "text to image": _recall(rank_relevant(texts, images, np.column_stack([captions, own_image]))),
    }


def _recall(ranked: Ranked) -> dict[int, float]:
    return {k: float(per_query(ranked, f"recall@{k}").mean()) for k in RECALLS}
