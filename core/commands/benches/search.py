"""Whitening and search against the study's way in plain torch, and search alone against bare float32 products.

The study's way: whole matrices in float32, covariance, its SVD, whitened copies of both sides, one matrix of all
similarities, its top 10. Ours: `fit_variant("realign")` and `top_k_variant`, from files, with exact lists. Every side
runs in a process of its own, the sides in turn, `repeats` times; the medians are reported. Rows are generated: 3 in 4
queries are a noisy copy of a candidate, on a decaying spectrum with a common mean, as embeddings have it.

Beside them the roofline: the floating-point operations and bytes of ours over the rates this device was measured at.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from core.commands.benches.apart import alone, peak_gib

K = 10
BARE_BLOCK = 1024, 8192
"""Queries and candidates of a bare product: as large as is fast."""
SIDES = ("study", "ours", "bare products", "ours, search alone")


def search(
    candidates: int = 100_000, queries: int = 5_000, width: int = 1024, repeats: int = 5, device: str = "cpu"
) -> dict[str, Any]:
    """Seconds and peak memory (GiB, on a GPU of its allocator) of every side, ratios, and how many lists agree."""
    with tempfile.TemporaryDirectory() as folder:
        alone(_make_rows, folder, candidates, queries, width)
        measured: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(repeats):
            for side in SIDES:
                measured[side].append(alone(_side, side, folder, device))
        ceilings = alone(_ceilings, device, width)
    seconds = {side: median(one["seconds"] for one in runs) for side, runs in measured.items()}
    peaks = {side: max(one["peak_gib"] for one in runs) for side, runs in measured.items()}
    study, ours = (measured[side][0].get("top") for side in ("study", "ours"))
    figures: dict[str, Any] = {
        "device": device,
        "candidates": candidates,
        "queries": queries,
        "width": width,
        "repeats": repeats,
    }
    for side in SIDES:
        name = side.replace(", ", "_").replace(" ", "_")
        figures |= {f"{name}_seconds": seconds[side], f"{name}_peak_gib": peaks[side]}
        for part in ("whitening", "search"):
            if part in measured[side][0]:
                figures[f"{name}_{part}_seconds"] = median(one[part] for one in measured[side])
    floor = _floor(candidates, queries, width, ceilings)
    return figures | {
        "ratio": seconds["study"] / seconds["ours"],
        "memory_ratio": peaks["ours"] / peaks["study"],
        "search_over_bare": seconds["ours, search alone"] / seconds["bare products"],
        "equal_lists": None if study is None or ours is None else _agreement(study, ours),
        **ceilings,
        "roofline_seconds": floor,
        "times_roofline": seconds["ours"] / floor,
    }


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of queries with the same candidates in the same order; float32 may exchange neighbours."""
    return float((a == b).all(axis=1).mean())


def _make_rows(folder: str, candidates: int, queries: int, width: int) -> dict[str, Any]:
    """candidates.npy and queries.npy, float32, not of unit length."""
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(width)) ** -0.4
    mean, mirror = 0.3 * rng.standard_normal(width), rng.standard_normal(width)
    mirror /= np.linalg.norm(mirror)
    out = np.lib.format.open_memmap(Path(folder, "candidates.npy"), "w+", np.float32, (candidates, width))
    for start in range(0, candidates, 8192):
        z = rng.standard_normal((min(8192, candidates - start), width), dtype=np.float32) * spectrum
        out[start : start + len(z)] = z - 2 * np.outer(z @ mirror, mirror) + mean
    chosen = rng.integers(0, candidates, queries)
    noise = rng.standard_normal((queries, width), dtype=np.float32) * spectrum
    kept = np.where(np.arange(queries) % 4 > 0, 1.0, 0.0)[:, None]  # every fourth query has no candidate of its own
    np.save(Path(folder, "queries.npy"), (kept * out[np.sort(chosen)] + 0.8 * noise + 0.1 * mean).astype(np.float32))
    return {}


def _side(side: str, folder: str, device: str) -> dict[str, Any]:
    """Seconds and peak memory of one side, in this process; an error of memory is a result."""
    work = {"study": _study, "ours": _ours, "bare products": _bare, "ours, search alone": _search_alone}[side]
    if side in ("study", "bare products") or device != "cpu":
        import torch

        try:
            return work(folder, device) | {"peak_gib": peak_gib()}
        except torch.OutOfMemoryError:
            return {"seconds": float("inf"), "peak_gib": float("inf")}
    return work(folder, device) | {"peak_gib": peak_gib()}


def _study(folder: str, device: str) -> dict[str, Any]:
    import torch

    # float64 steps and float32 products are compared with float32 products: TF32 stays off, as it is by default
    sides = [torch.from_numpy(np.load(Path(folder, f"{name}.npy"))).to(device) for name in ("queries", "candidates")]
    started = time.perf_counter()
    whitened = []
    for rows in sides:
        unit = torch.nn.functional.normalize(rows, dim=1)
        centred = unit - unit.mean(dim=0)
        covariance = centred.T @ centred / (len(rows) - 1)
        shrunk = 0.9 * covariance + 0.1 * covariance.trace() / len(covariance) * torch.eye(len(covariance)).to(rows)
        u, s, _ = torch.linalg.svd(shrunk)
        matrix = u @ torch.diag((s + 1e-5).rsqrt()) @ u.T
        whitened.append(torch.nn.functional.normalize(centred @ matrix, dim=1))
    _wait(device)
    whitening = time.perf_counter() - started
    top = (whitened[0] @ whitened[1].T).topk(K, dim=1).indices.cpu().numpy()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "whitening": whitening, "search": seconds - whitening, "top": top}


def _ours(folder: str, device: str) -> dict[str, Any]:
    from core.analysis.engine import computing_on
    from core.analysis.retrieval import top_k_variant
    from core.analysis.variants import FitData, fit_variant

    queries, candidates = (np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in ("queries", "candidates"))
    data = FitData(queries=queries, candidates=candidates)
    with computing_on(device):
        started = time.perf_counter()
        fitted = fit_variant("realign", data)
        fit = time.perf_counter() - started
        top = top_k_variant(fitted, data, K).candidates
    return {"seconds": time.perf_counter() - started, "whitening": fit, "top": top}


def _bare(folder: str, device: str) -> dict[str, Any]:
    """Float32 products of all queries with all candidates, block by block into one buffer; nothing is looked at."""
    import torch

    q, c = (torch.from_numpy(np.load(Path(folder, f"{name}.npy"))).to(device) for name in ("queries", "candidates"))
    buffer = torch.empty(BARE_BLOCK[0] * BARE_BLOCK[1], device=device)
    started = time.perf_counter()
    for i in range(0, len(q), BARE_BLOCK[0]):
        for j in range(0, len(c), BARE_BLOCK[1]):
            left, right = q[i : i + BARE_BLOCK[0]], c[j : j + BARE_BLOCK[1]].T
            torch.matmul(left, right, out=buffer[: len(left) * right.shape[1]].view(len(left), -1))
    _wait(device)
    return {"seconds": time.perf_counter() - started}


def _search_alone(folder: str, device: str) -> dict[str, Any]:
    """Exact top 10 of rows that are there: unit rows, as a variant without whitening has them."""
    from core.analysis.arrays import unit_rows
    from core.analysis.engine import computing_on
    from core.analysis.retrieval import rank_top_k

    q, c = (unit_rows(np.load(Path(folder, f"{name}.npy"))) for name in ("queries", "candidates"))
    with computing_on(device):
        started = time.perf_counter()
        rank_top_k(q, c, K)
    return {"seconds": time.perf_counter() - started}


def _ceilings(device: str, width: int) -> dict[str, Any]:
    """What this device reaches: float32 and float64 products (operations/s), and bytes/s from main memory to it."""
    from core.analysis.engine import NUMPY, Engine, to_numpy

    place = NUMPY if device == "cpu" else Engine(device)
    rows = np.random.default_rng(0).standard_normal((4096, width), dtype=np.float32)
    reached = {}
    for kind in ("float32", "float64"):
        some = place.put(rows, kind)
        seconds = _best(lambda some=some: to_numpy((some @ some.T)[:1, :1]))
        reached[f"{kind}_gflops"] = 2 * len(rows) ** 2 * width / seconds / 1e9
    moved = np.zeros(2**28, np.uint8)
    move = moved.copy if device == "cpu" else lambda: to_numpy(place.put(moved)[:1])
    return reached | {"gbytes_per_second": len(moved) / _best(move) / 1e9}


def _best(work: Any) -> float:
    """Seconds of the fastest of five calls, after one that pays for what is made once."""
    work()
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _floor(candidates: int, queries: int, width: int, ceilings: dict[str, Any]) -> float:
    """Seconds that whitening and search take at least: covariance and transform in float64 (2 n d^2 each, the
    covariance half of that as it is symmetric), products in float32 (2 q n d), every row read twice."""
    rows = candidates + queries
    operations_64, operations_32 = 3.0 * rows * width**2, 2.0 * queries * candidates * width
    computing = operations_64 / ceilings["float64_gflops"] + operations_32 / ceilings["float32_gflops"]
    return max(computing, 8.0 * rows * width / ceilings["gbytes_per_second"]) / 1e9


def _wait(device: str) -> None:
    """Until the GPU has done what it was told."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
