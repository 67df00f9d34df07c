"""Vectors of a tiny run's items by a plain loop over transformers: one item at a time, no adapter of ours, so that a
planted fault does not go through the code that has to find it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.run import Run

QUERIES = 8
"""Pictures; each has two captions."""
CANDIDATES = 2 * QUERIES
INSTRUCTION = {
    "image": "\nSummarize the above image in one word: ",
    "text": "\nSummarize the above sentence in one word: ",
}
Planted = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Way:
    """How the plain loop embeds; defaults: as the run does."""

    template: Callable[[Any, list[dict[str, Any]]], str] = lambda processor, turns: processor.apply_chat_template(turns)
    instruction: bool = True
    image: Callable[[Any, str], Any] = lambda picture, name: picture
    """A picture gives a picture; None leaves it out; a string is sent as text in its place."""
    tokens: int | None = None
    layer: int = -1
    pooling: str = "mean"
    dtype: str = "float32"
    before_norm: bool = False


def spec_of(name: str, **sections: Any) -> Any:
    """The demo's spec, small, with other sections."""
    from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec

    made = RunSpec(
        name=name,
        corpus=CorpusSpec(source="demo", task=4, limit=QUERIES),
        model=ModelSpec(name="demo-mllm"),
        embedding=EmbeddingSpec(),
        sae=SaeSpec(source="shipped"),
    )
    return replace(made, **sections)


_MODELS: dict[str, Any] = {}


def embedded(run: Run, part: Any, way: Way) -> np.ndarray:
    """(n, d) of a part, item by item."""
    return np.stack([_of_item(run.corpus.items(part).item(row), way) for row in range(len(run.corpus.items(part)))])


def _of_item(item: Any, way: Way) -> np.ndarray:
    sent = way.image(item.image, item.id) if item.modality == "image" else item.text
    is_text = item.modality == "text" or isinstance(sent, str)
    words = sent if isinstance(sent, str) else ""
    content = [{"type": "text", "text": words}] if is_text else [{"type": "image"}] if sent is not None else []
    if way.instruction:
        content.append({"type": "text", "text": INSTRUCTION["text" if is_text else "image"]})
    return of_turns([{"role": "user", "content": content}], None if is_text else sent, way)


def of_turns(turns: list[dict[str, Any]], picture: Any, way: Way) -> np.ndarray:
    """(d,) of one conversation with at most one picture, as a server would embed it."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from core.models.known import WEIGHTS

    folder, dtype = WEIGHTS / "demo-mllm", getattr(torch, way.dtype)
    if way.dtype not in _MODELS:
        loaded = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()
        _MODELS[way.dtype] = (loaded, AutoProcessor.from_pretrained(folder))
    model, processor = _MODELS[way.dtype]
    images = None if picture is None else [picture]
    rendered = way.template(processor, turns)
    inputs = dict(processor(images=images, text=[rendered], return_tensors="pt", add_special_tokens=False))
    if picture is None and way.tokens is not None:
        inputs = {name: value[:, : way.tokens] for name, value in inputs.items()}
    inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    before: list[Any] = []
    hook = model.get_decoder().norm.register_forward_pre_hook(lambda _module, args: before.append(args[0][0]))
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states[way.layer][0].float()
    hook.remove()
    states = before[0].float() if way.before_norm else states
    return {"mean": states.mean(0), "last": states[-1], "max": states.max(0).values}[way.pooling].numpy()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
