"""Benchmarks: batched encoding against the plain way, and the memory a large corpus takes. Both sides of a ratio come
from one call.

The plain way: one item at a time, every hidden state kept, vocabulary logits computed, the last state averaged, as the
study's released script does. The batched way: `Adapter.embed`. Equality of the embeddings is measured beside the speed.
Every side runs in a process of its own, whose peak resident memory is the one reported.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import NotAvailable
from core.records import EmbeddingView, Item

if TYPE_CHECKING:
    from core.models import Adapter
    from core.models.decoder import DecoderAdapter

BATCH = 64
WARM_UP = 4
"""Items embedded before the clock starts."""


def benchmark(model: str = "demo-mllm", number: int = 256) -> dict[str, Any]:
    """Items per second and peak memory (GiB) of both ways, their ratio, and how far the embeddings differ.

    On `number` items of the demo world: a third each of images, captions and images with a text.
    """
    plain, batched = (alone(_timed_side, side, model, number) for side in ("plain", "batched"))
    return {
        "model": model,
        "device": batched["device"],
        "items": number,
        "plain_items_per_second": number / plain["seconds"],
        "batched_items_per_second": number / batched["seconds"],
        "ratio": plain["seconds"] / batched["seconds"],
        "plain_peak_gib": plain["peak_gib"],
        "batched_peak_gib": batched["peak_gib"],
        "lowest_cosine": float(_cosines(plain["rows"], batched["rows"]).min()),
    }


def scale(items: int, model: str = "demo-clip") -> dict[str, Any]:
    """Seconds and peak memory (GiB) of a corpus of about `items` scenes and captions, from first row to first answers.

    Made in an empty cache that is deleted afterwards. `make`: ingest, encode, codes; `open`: open the run, the four
    measures, recall raw and with ReAlign.
    """
    with tempfile.TemporaryDirectory() as cache:
        made = alone(_make_run, cache, model, items)
        opened = alone(_open_run, cache)
    return {"model": model, **made, **opened}


def alone(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `work` returns when a fresh process does it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def demo_items(number: int) -> list[Item]:
    """Images, captions and images with a text, in turn, of test scenes."""
    from PIL import Image

    from core import world

    items: list[Item] = []
    for one in world.captioned("test", -(-number // 3), per_scene=1):
        image, caption = Image.fromarray(world.render(one.scene)), one.captions[0]
        items.append(Item(f"i{one.index}", "image", image=image))
        items.append(Item(f"t{one.index}", "text", text=caption))
        items.append(Item(f"b{one.index}", "image,text", caption, image, 7, "query"))
    return items[:number]


def plain_loop(adapter: DecoderAdapter, items: Sequence[Item]) -> np.ndarray:
    """(n, d) mean of the last hidden states, batch size 1, all hidden states and logits computed."""
    import torch

    from core.models.prompts import prompt_of

    rows = []
    with torch.inference_mode():
        for item in items:
            rendered = adapter.render(item, prompt_of(item, adapter.facts.preset))
            inputs = adapter.process([item], [rendered]).to(adapter.model.device)
            output = adapter.model(**inputs, output_hidden_states=True)
            rows.append(output.hidden_states[-1][0].float().mean(dim=0).cpu().numpy())
    return np.stack(rows)


def batched_loop(adapter: Adapter, items: Sequence[Item]) -> np.ndarray:
    """(n, d) of the same view through `Adapter.embed`, items of like length together."""
    view = EmbeddingView()
    order = np.argsort(adapter.lengths(items), kind="stable")
    rows = np.empty((len(items), adapter.hidden_size), np.float32)
    for start in range(0, len(items), BATCH):
        members = order[start : start + BATCH]
        rows[members] = adapter.embed([items[i] for i in members], [view])[view]
    return rows


def _timed_side(side: str, model: str, number: int) -> dict[str, Any]:
    """Seconds, peak memory and embeddings of one of both ways, in this process."""
    from core.config import ModelSpec
    from core.models import load_model
    from core.models.decoder import DecoderAdapter

    adapter, items = load_model(ModelSpec(name=model)), demo_items(number)
    if not isinstance(adapter, DecoderAdapter):
        raise NotAvailable(f"{model} has no decoder to pool", got="a dual encoder", todo="choose an MLLM")
    loop = plain_loop if side == "plain" else batched_loop
    loop(adapter, items[:WARM_UP])  # the first calls also pay for lazy imports and kernels
    started = time.perf_counter()
    rows = loop(adapter, items)
    return {
        "seconds": time.perf_counter() - started,
        "peak_gib": _peak_gib(),
        "rows": rows,
        "device": str(adapter.model.device),
    }


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
    return {"items": made, "make_seconds": time.perf_counter() - started, "make_peak_gib": _peak_gib()}


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
        "open_peak_gib": _peak_gib(),
        "recall@1": recalls[0],
        "recall@1 realign": recalls[1],
    }


def _peak_gib() -> float:
    """Largest resident memory of this process so far; on a GPU, of its allocator."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of paired rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
