"""A large corpus of the demo world: seconds and peak memory of making a run of it, and of its first answers."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from core.commands.benches.apart import alone, peak_gib


def scale(items: int, model: str = "demo-clip") -> dict[str, Any]:
    """Seconds and peak memory (GiB) of a corpus of about `items` scenes and captions, from first row to first answers.

    Made in an empty cache that is deleted afterwards. `make`: ingest, encode, codes; `open`: open the run, the four
    measures, recall raw and with ReAlign.
    """
    with tempfile.TemporaryDirectory() as cache:
        made = alone(_make_run, cache, model, items)
        opened = alone(_open_run, cache)
    return {"model": model, **made, **opened}


def _make_run(cache: str, model: str, items: int) -> dict[str, Any]:
    """Make a run of the demo world in that cache; items, seconds and peak memory."""
    from core import pipeline
    from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
    from core.progress import RichProgress
    from core.store import Store

    spec = RunSpec(
        name="scale",
        corpus=CorpusSpec(source="demo", limit=max(1, round(items / 3))),
        model=ModelSpec(name=model),
        sae=SaeSpec(source="shipped"),
    )
    started = time.perf_counter()
    run = pipeline.run(spec, Store(Path(cache)), RichProgress())
    made = sum(len(run.embeddings(part)) for part in run.parts)
    return {"items": made, "make_seconds": time.perf_counter() - started, "make_peak_gib": peak_gib()}


def _open_run(cache: str) -> dict[str, Any]:
    """Open that run and answer what the first pages ask; seconds, peak memory and recalls."""
    from core.questions import concepts, retrieval
    from core.run import open_run
    from core.store import Store

    started = time.perf_counter()
    run = open_run("scale", Store(Path(cache)))
    concepts.table(run)
    recalls = [retrieval.evaluate(run, variant).evaluation.recall[1] for variant in ("none", "realign")]
    seconds = time.perf_counter() - started
    return {
        "open_seconds": seconds,
        "open_peak_gib": peak_gib(),
        "recall@1": recalls[0],
        "recall@1 realign": recalls[1],
    }
