"""A fitted variant as plain arrays, and the lines of numpy that apply them: no other module of this project is needed.

`arrays_of` names what a file of a remedy holds; `treat` and `drift` are what stands beside that file, word for word
(`core/commands/remedy.py` copies their source). Both do in float64 what `transform.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.analysis.variants.fit import FittedVariant
from core.errors import VariantError


def arrays_of(fitted: FittedVariant) -> dict[str, np.ndarray]:
    """`SIDE.removed` (r, d) orthonormal rows, `SIDE.mean` (d,), `SIDE.matrix` (d, d_out) of both sides, float64; each
    where the variant has it. With statistics per modality `SIDE.text.mean`, `SIDE.image.mean` and so on.

    Raises:
        VariantError: it edits concepts: then a row can be treated with its codes alone, which take the SAE.
    """
    if fitted.spec.edits:
        raise VariantError(
            "an edit of concepts needs the SAE", got=str(fitted.spec), allowed="removals, centring, whitening"
        )
    arrays: dict[str, np.ndarray] = {}
    for name, side in (("query", fitted.query), ("candidate", fitted.candidate)):
        parts = {f"{name}.removed": side.removed_basis}
        for place, one in [(f"{name}.{m}", one) for m, one in side.by_modality] or [(name, side)]:
            parts |= {f"{place}.mean": one.mean, f"{place}.matrix": one.matrix}
        arrays |= {part: np.asarray(a, np.float64) for part, a in parts.items() if a is not None}
    return arrays


def treat(x: np.ndarray, side: str, w: Mapping[str, np.ndarray], modality: str = "") -> np.ndarray:
    """Raw embeddings (n, d), or one (d,), of one side, "query" or "candidate" -> unit rows; compare by dot product.

    `modality` of all these rows, "text", "image" or "image,text": needed where statistics are per modality.
    """
    kinds = {key.split(".")[1] for key in w if key.startswith(f"{side}.") and key.count(".") == 2}
    if kinds and modality not in kinds:
        raise ValueError(f"say the modality of these rows: one of {sorted(kinds)}")
    at = f"{side}.{modality}" if kinds else side
    x = np.atleast_2d(np.asarray(x, dtype=np.float64))
    if f"{side}.removed" in w:
        x = x - (x @ w[f"{side}.removed"].T) @ w[f"{side}.removed"]
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    if f"{at}.mean" in w:
        empty = ~x.any(axis=1)
        x = x - w[f"{at}.mean"]
        x[empty | (np.linalg.norm(x, axis=1) <= 1e-12)] = 0.0
    x = x @ w[f"{at}.matrix"] if f"{at}.matrix" in w else x
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)


def drift(new: np.ndarray, w: Mapping[str, np.ndarray]) -> float:
    """How far the mean of new raw queries (m, d) has moved, 1 is chance; above w["drift.limit"] fit again."""
    x = np.asarray(new, dtype=np.float64)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    moved = np.sum((x.mean(axis=0) - w["drift.mean"]) ** 2)
    return float(moved / (w["drift.variance"] * (1 / len(x) + 1 / w["drift.n"])))
