"""Batched encoding against the plain way, both sides in one process on the same items, and the ratio.

The plain way: one item at a time, every hidden state kept, vocabulary logits computed, the last state averaged, as the study's released
script does. The batched way: `Adapter.embed`. Equality of the embeddings is measured beside the speed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.records import EmbeddingView, Item

if TYPE_CHECKING:
    from core.models.decoder import DecoderAdapter

BATCH = 64


def benchmark(model: str = "demo-mllm", number: int = 256) -> dict[str, Any]:
    """Items per second of both ways on `number` images and captions of the demo world, their ratio, and how far the embeddings differ."""
    from core.config import ModelSpec
    from core.models import load_model

    adapter: Any = load_model(ModelSpec(name=model))
    items = demo_items(number)
    view = EmbeddingView()
    adapter.embed(items[:BATCH], [view])  # warm-up of both sides' kernels
    plain_loop(adapter, items[:4])
    plain, plain_seconds = _timed(lambda: plain_loop(adapter, items))
    batched, batched_seconds = _timed(lambda: _batched(adapter, items, view))
    return {
        "model": model,
        "device": str(adapter.model.device),
        "items": len(items),
        "plain_items_per_second": len(items) / plain_seconds,
        "batched_items_per_second": len(items) / batched_seconds,
        "ratio": plain_seconds / batched_seconds,
        "lowest_cosine": float(_cosines(plain, batched).min()),
    }


def demo_items(number: int) -> list[Item]:
    """Half images, half captions, of test scenes."""
    from PIL import Image

    from core.demo import world

    found: list[Item] = []
    for one in world.captioned("test", (number + 1) // 2, per_scene=1):
        found.append(Item(f"i{one.index}", "image", image=Image.fromarray(world.render(one.scene))))
        found.append(Item(f"t{one.index}", "text", text=one.captions[0]))
    return found[:number]


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


def _batched(adapter: Any, items: list[Item], view: EmbeddingView) -> np.ndarray:
    order = np.argsort(adapter.lengths(items), kind="stable")
    rows = np.empty((len(items), adapter.hidden_size), np.float32)
    for start in range(0, len(items), BATCH):
        members = order[start : start + BATCH]
        rows[members] = adapter.embed([items[i] for i in members], [view])[view]
    return rows


def _timed(work: Any) -> tuple[np.ndarray, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
