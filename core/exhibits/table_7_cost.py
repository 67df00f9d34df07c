"""Table 7: seconds and memory of ReAlign against computing the similarities, on a run's own shapes and on synthetic
ones, measured here.

Seconds: median of several repeats, with their range. Memory: the peak of arrays allocated on top of the inputs
(`tracemalloc`, which sees every numpy array and not the work space inside BLAS), from a pass of its own. Numbers hold
for this machine only.
"""

from __future__ import annotations

import os
import platform
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.arrays import row_blocks
from core.analysis.variants import FitData, apply_variant, fit_variant
from core.exhibits.shared.agreement import direction
from core.exhibits.shared.records import Exhibit, Option, Verdict
from core.exhibits.shared.rows import head
from core.run import Run

REPEATS = 5
SYNTHETIC = (2304, 3584, 4096)
"""Dimensions of the study's models; rows are few, so that a laptop can."""
SYNTHETIC_ROWS = (256, 2048)
"""Queries, candidates."""
MIB = 2**20


def compute(runs: Sequence[Run], synthetic: bool = False) -> pd.DataFrame:
    """Table 7: one row per run, and three of synthetic rows where asked. ratio = ReAlign / similarities; a low one
    speaks for the claim."""
    rows = []
    for run in runs:
        data = FitData(queries=run.embeddings("queries"), candidates=run.embeddings("candidates"))
        rows.append(head(run) | {"shapes": "the run's"} | measure(data))
        if synthetic:
            rows += [head(run) | {"shapes": "synthetic"} | measure(random_rows(d), repeats=1) for d in SYNTHETIC]
    table = pd.DataFrame(rows)
    here = ", ".join(f"{name} {value}" for name, value in machine().items())
    table.attrs = {"notes": [f"Measured on this machine ({here}); seconds of another differ.", *_ways()]}
    return table


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 7: the ratio of ReAlign to similarities below 1 in all repeats."""
    return tuple(_cost(row) for row in table[table["shapes"] == "the run's"].to_dict("records"))


def _cost(row: Mapping[str, Any]) -> Verdict:
    outcome = direction(row["ratio_low"] - 1, row["ratio_high"] - 1, -1)
    shape = f"{row['queries']:,} queries, {row['candidates']:,} candidates, d = {row['dimensions']:,}"
    why = (
        f"ReAlign {1000 * row['realign_seconds']:.1f} ms, similarities {1000 * row['similarity_seconds']:.1f} ms: ratio"
        f" {row['ratio']:.2f} "
    )
    why += f"(least and most of {row['repeats']} repeats {row['ratio_low']:.2f} to {row['ratio_high']:.2f}; {shape})"
    return Verdict(on=str(row["run"]), outcome=outcome, why=why, n=int(row["repeats"]))


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Table 7, in ms and MiB; memory has no interval."""
    rows = []
    for row in table[table["shapes"] == "the run's"].to_dict("records"):
        setting = f"d={row['dimensions']}"
        for step in ("realign", "similarity"):
            seconds = [1000 * row[f"{step}_seconds{end}"] for end in ("", "_low", "_high")]
            rows.append((row["run"], setting, f"{step}_ms", *seconds))
            rows.append((row["run"], setting, f"{step}_mib", row[f"{step}_mib"], float("nan"), float("nan")))
    return pd.DataFrame(rows, columns=["run", "setting", "metric", "value", "low", "high"])


def machine() -> dict[str, str]:
    """What the seconds hang on: processor, cores this process may use, numpy."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    return {"processor": _processor(), "cores": str(cores), "threads": threads, "numpy": np.__version__}


def measure(data: FitData, repeats: int = REPEATS) -> dict[str, Any]:
    """Seconds (median, low and high of the repeats) and peak MiB of fitting and applying ReAlign, and of all
    similarities."""
    fitted = fit_variant("realign", data)
    both = apply_variant(fitted, data)
    values: dict[str, Any] = {
        "queries": len(data.queries),
        "candidates": len(data.candidates),
        "dimensions": data.queries.shape[1],
        "repeats": repeats,
    }

    def whiten() -> None:
        fresh = FitData(queries=data.queries, candidates=data.candidates)
        apply_variant(fit_variant("realign", fresh), fresh)

    def similarities() -> None:
        for block in row_blocks(len(both.queries), len(both.candidates)):
            _ = both.queries[block] @ both.candidates.T

    steps = {"realign": whiten, "realign_apply": lambda: apply_variant(fitted, data), "similarity": similarities}
    seconds = {name: _seconds(step, repeats) for name, step in steps.items()}
    for name, step in steps.items():
        low, middle, high = np.percentile(seconds[name], [0, 50, 100])
        values |= {
            f"{name}_seconds": middle,
            f"{name}_seconds_low": low,
            f"{name}_seconds_high": high,
            f"{name}_mib": _peak(step) / MIB,
        }
    ratios = np.sort(seconds["realign"]), np.sort(seconds["similarity"])
    middle = values["realign_seconds"] / values["similarity_seconds"]
    return values | {
        "ratio": middle,
        "ratio_low": ratios[0][0] / ratios[1][-1],
        "ratio_high": ratios[0][-1] / ratios[1][0],
    }


def random_rows(dimensions: int, seed: int = 0) -> FitData:
    """Normal rows of that many dimensions."""
    rng = np.random.default_rng(seed)
    queries, candidates = (rng.standard_normal((n, dimensions), dtype=np.float32) for n in SYNTHETIC_ROWS)
    return FitData(queries=queries, candidates=candidates)


def _seconds(step: Callable[[], object], repeats: int) -> np.ndarray:
    """(repeats,) seconds of each call, after one that is not counted where there are several."""
    if repeats > 1:
        step()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        taken.append(time.perf_counter() - started)
    return np.array(taken)


def _peak(step: Callable[[], object]) -> int:
    """Bytes allocated at most at once during a call, on top of what was there before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _ways() -> tuple[str, ...]:
    return (
        (
            "ReAlign: fit both sides and transform every row; it grows with rows x dimensions² and dimensions³."
            " Similarities: one product per query and candidate, in blocks; they grow with queries x candidates x"
            " dimensions."
        ),
        "MiB: peak of arrays on top of the embeddings; blocks keep the similarities small whatever the pool.",
    )


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(
                (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
            )
    except OSError:
        return platform.processor() or platform.machine()


EXHIBIT = Exhibit(
    name="table-7",
    title="Table 7",
    claim="ReAlign costs less than computing the similarities.",
    definition=(
        "Median seconds and peak memory of fitting and applying ReAlign (Eqs 11-12) to all rows, and of all "
        "query-candidate products, both in fp32 blocks on this machine. Synthetic rows: 256 queries, 2,048 "
        "candidates at the dimensions of the study."
    ),
    rule=(
        "Agrees where the longest ReAlign took less than the shortest similarities over all repeats, "
        "disagrees where the shortest took more than the longest, else not clear."
    ),
    variants=("realign",),
    compute=compute,
    judge=judge,
    measured=measured,
    depends=machine,
    options=(
        Option(
            name="synthetic", default=False, help="Also time d = 2304, 3584 and 4096 (once each; minutes on a laptop)."
        ),
    ),
    needs="embeddings",
    contradictions=("The GPU is not stated.",),
)
