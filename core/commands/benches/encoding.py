"""Batched encoding against the plain way: items per second and peak memory of both.

The plain way: one item at a time, every hidden state kept, vocabulary logits computed, the last state averaged, as the
study's released script does. The batched way: `Adapter.embed`. Equality of the embeddings is measured beside the speed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.commands.benches.apart import alone, peak_gib
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
        "peak_gib": peak_gib(),
        "rows": rows,
        "device": str(adapter.model.device),
    }


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of paired rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
