"""Where the time of encoding goes: seconds of every step, how far they overlap, how long the model runs.

Items of the demo world, pictures as PNG bytes as they come from a file, through `encode_part` into an empty cache that
is deleted afterwards. `decode`, `tokens` (counting them) and `processor` are a thread's; `transfer`, `model` and
`waiting` (for the thread) the encoder's own, and add up to nearly all of the time that passes.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.commands.benches.apart import peak_gib
from core.commands.benches.encoding import WARM_UP, demo_items
from core.models.base import Adapter, Prepares
from core.records import EmbeddingView, Item

STEPS = ("decode", "tokens", "processor", "transfer", "model", "waiting")


@dataclass
class FileTable:
    """Items whose pictures are decoded whenever they are asked for, as `core.batches.Items` wants them."""

    members: Sequence[Item]
    content: str = "profile"
    modality: np.ndarray = field(init=False)
    texts: list[str | None] = field(init=False)
    _files: list[bytes | None] = field(init=False)

    def __post_init__(self) -> None:
        self.modality = np.array([item.modality for item in self.members], dtype=object)
        self.texts = [item.text for item in self.members]
        self._files = [_png(item) for item in self.members]

    def __len__(self) -> int:
        return len(self.members)

    def item(self, row: int) -> Item:
        """The item, its picture decoded."""
        from PIL import Image

        file = self._files[row]
        return replace(self.members[row], image=None if file is None else Image.open(io.BytesIO(file)).convert("RGB"))


def _png(item: Item) -> bytes | None:
    if item.image is None:
        return None
    item.image.save(stream := io.BytesIO(), "PNG")
    return stream.getvalue()


def profile(model: str = "demo-mllm", number: int = 256) -> dict[str, Any]:
    """Seconds by step, `overlap` (seconds of the steps over seconds that passed; 1 without any) and `model_share` (of
    the time that passed, 0-1)."""
    from core.config import ModelSpec
    from core.models import load_model

    adapter = load_model(ModelSpec(name=model))
    return {"model": model} | encoded(adapter, demo_items(number))


def encoded(adapter: Adapter, items: Sequence[Item]) -> dict[str, Any]:
    """The figures of one adapter on some items, after `WARM_UP` items that do not count."""
    from core.encode import encode_part
    from core.models.base import PROJECTED
    from core.progress import RichProgress
    from core.store import Store

    views = [PROJECTED if adapter.facts.projects else EmbeddingView()]
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as cache:
        for number, name in ((min(WARM_UP, len(items)), "warm"), (len(items), "timed")):
            if isinstance(adapter, Prepares):
                adapter.watch.seconds.clear()
            table, started = FileTable(items[:number], name), time.perf_counter()
            folder = encode_part(table, adapter.facts, lambda: adapter, views, Store(Path(cache)), RichProgress())
            passed = time.perf_counter() - started
            seconds = dict(adapter.watch.seconds) if isinstance(adapter, Prepares) else {}
            finite = bool(np.isfinite(folder.array(str(views[0]))).all())
    steps = {step: seconds.get(step, 0.0) for step in STEPS}
    work = sum(taken for step, taken in steps.items() if step != "waiting")
    return {
        "device": str(adapter.model.device) if hasattr(adapter, "model") else "unknown",
        "items": len(items),
        "tokens": folder.facts["tokens"],
        "seconds": passed,
        **{f"{step}_seconds": taken for step, taken in steps.items()},
        "overlap": work / passed,
        "model_share": steps["model"] / passed,
        "tokens_per_second": folder.facts["tokens"] / passed,
        "finite": finite,
        "peak_gib": peak_gib(),
    }
