"""The four measures of concepts on sparse codes against the dense way: seconds and memory.

The dense way: codes as full matrices, M = D D^T, attribution as z_q * (z_c M) + z_c * (z_q M), all in float32. It runs
on `dense_pairs` pairs and `dense_concepts` concepts, where it fits; beside it ours on the same, and on the full size.
Memory is what a process takes beyond its imports. What the dense way would take on the full size is arithmetic.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from core.commands.benches.apart import alone, peak_gib

SIDES = ("dense", "sparse")
PAGE_MIB = 4 / 1024
"""Memory is given out in pages: less than one is not seen."""


def measures(
    pairs: int = 100_000,
    concepts: int = 32_768,
    active: int = 50,
    width: int = 1024,
    dense_pairs: int = 4_000,
    dense_concepts: int = 8_192,
    repeats: int = 5,
) -> dict[str, Any]:
    """Seconds and MiB of both ways on the small size and of ours on the full one, with the largest difference."""
    small = (min(pairs, dense_pairs), min(concepts, dense_concepts), active, width)
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in (*SIDES, "full")}
    for _ in range(repeats):
        for side in SIDES:
            runs[side].append(alone(_side, side, *small))
        runs["full"].append(alone(_side, "sparse", pairs, concepts, active, width))
    seconds = {side: median(one["seconds"] for one in several) for side, several in runs.items()}
    mib = {side: median(one["mib"] for one in several) for side, several in runs.items()}
    dense, sparse = (runs[side][0]["values"] for side in SIDES)
    # Two code matrices and two products of their shape, M, the dictionary: float32.
    whole = (4 * pairs * concepts + concepts**2 + concepts * width) * 4 / 2**20
    return {
        "pairs": pairs,
        "concepts": concepts,
        "active": active,
        "width": width,
        "repeats": repeats,
        "seconds": seconds["full"],
        "mib": mib["full"],
        "dense_mib_by_arithmetic": whole,
        "memory_ratio": whole / max(mib["full"], PAGE_MIB),
        "small_pairs": small[0],
        "small_concepts": small[1],
        "small_seconds": seconds["sparse"],
        "small_mib": mib["sparse"],
        "small_dense_seconds": seconds["dense"],
        "small_dense_mib": mib["dense"],
        "small_ratio": seconds["dense"] / seconds["sparse"],
        "largest_relative_difference": float(
            max(np.max(np.abs(a - b)) / np.max(np.abs(b)) for a, b in zip(dense, sparse, strict=True))
        ),
    }


def _side(side: str, pairs: int, concepts: int, active: int, width: int) -> dict[str, Any]:
    """One way in this process: seconds of the measures, MiB beyond the imports, and the values."""
    from core.analysis.concepts import measures as science

    before = peak_gib()
    rng = np.random.default_rng(0)
    dictionary = rng.standard_normal((concepts, width), dtype=np.float32)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes = [_codes(rng, pairs, concepts, active) for _ in range(2)]
    rows = np.repeat(np.arange(pairs)[:, None], 2, axis=1)
    if side == "dense":
        made = [part.toarray() for part in codes]
        started = time.perf_counter()
        values = _dense(made[0], made[1], dictionary)
    else:
        started = time.perf_counter()
        image, text = codes
        values = (
            science.energy(image, text),
            science.modality_score(image, text),
            science.bridge_diagonal(image, text, rows, dictionary),
            science.attribution(image, text, rows, dictionary),
        )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "mib": (peak_gib() - before) * 1024, "values": np.nan_to_num(np.stack(values))}


def _codes(rng: np.random.Generator, rows: int, concepts: int, active: int) -> csr_array:
    """Codes of `active` concepts a row, frequent concepts first."""
    drawn = (concepts * rng.random((rows, active), dtype=np.float32) ** 2).astype(np.int32)
    drawn.sort(axis=1)
    values = rng.random(rows * active, dtype=np.float32)
    codes = csr_array((values, drawn.ravel(), np.arange(0, rows * active + 1, active)), shape=(rows, concepts))
    codes.sum_duplicates()
    return codes


def _dense(z_q: np.ndarray, z_c: np.ndarray, dictionary: np.ndarray) -> tuple[np.ndarray, ...]:
    """Energy, modality score, bridge and attribution of pairs row for row (Eqs 3-6), as they are written."""
    energy = (z_q.mean(axis=0) + z_c.mean(axis=0)) / 2
    image, text = z_q.mean(axis=0), z_c.mean(axis=0)
    both = image + text
    modality = np.divide(text, both, out=np.full_like(both, np.nan), where=both > 0)
    bridge = (z_q * z_c).mean(axis=0) * (dictionary**2).sum(axis=1)
    gram = dictionary @ dictionary.T
    attribution = (z_q * (z_c @ gram) + z_c * (z_q @ gram)).mean(axis=0)
    return energy, modality, bridge, attribution
