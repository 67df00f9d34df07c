"""The `study` preset on tiny models of the study's four architectures, all eight task types.

Every prompt of docs/study.md section 2 is written out here; one item at a time goes straight through transformers, mean
over all tokens of the last hidden states; against the adapters, alone and in batches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import ModelSpec
from core.models import load_model
from core.records import EmbeddingView, Item, Modality, Side

WORDS = ["A red fox.", "Two boats on a lake at night, and a bridge", "x", "naïve 🦊: what is above the fox?"]
SENTENCE = "\nSummarize the above sentence in one word: "
IMAGE = "\nSummarize the above image in one word: "
TURNS: dict[tuple[int, Side], tuple[Modality, str]] = {
    (1, "query"): ("text", "{text}" + SENTENCE),
    (1, "candidate"): ("image", "{image}" + IMAGE),
    (2, "query"): ("text", "{text}" + SENTENCE),
    (2, "candidate"): ("text", "{text}" + SENTENCE),
    (3, "query"): ("text", "{text}" + SENTENCE),
    (3, "candidate"): ("image,text", "{image}{text}\nSummarize above image and sentence in one word: "),
    (4, "query"): ("image", "{image}" + IMAGE),
    (4, "candidate"): ("text", "{text}" + SENTENCE),
    (5, "query"): ("image", "{image}" + IMAGE),
    (5, "candidate"): ("image", "{image}" + IMAGE),
    (6, "query"): ("image,text", "{image}{text}\nSummarize above image and sentence in one word: "),
    (6, "candidate"): ("text", "{text}" + SENTENCE),
    (7, "query"): ("image,text", "{image}{text}\nSummarize the above image with the question in one word: "),
    (7, "candidate"): ("image", "{image}" + IMAGE),
    (8, "query"): ("image,text", "{image}{text}\nSummarize the above image and the sentence in one word: "),
    (8, "candidate"): ("image,text", "{image}{text}\nSummarize the above image and the sentence in one word: "),
}


def picture(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (36, 40 + 8 * (seed % 4), 3), np.uint8)
    return Image.fromarray(values)


def items_of(task: int) -> list[Item]:
    """Four queries and four candidates."""
    sides: tuple[Side, Side] = ("query", "candidate")
    return [
        Item(
            f"{side}{n}",
            modality := TURNS[task, side][0],
            None if modality == "image" else WORDS[n % 4] + " Why?" * (n // 4),
            None if modality == "text" else picture(10 * task + n),
            task,
            side,
        )
        for n, side in enumerate(sides[n // 4] for n in range(8))
    ]


def qwen(processor: Any, turn: str, item: Item) -> Any:
    opening = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    text = opening + turn.format(image="<|vision_start|><|image_pad|><|vision_end|>", text=item.text) + "<|im_end|>\n"
    return processor(text=[text], images=[item.image] if item.image else None, return_tensors="pt")


def paligemma(processor: Any, turn: str, item: Item) -> Any:
    text = "<image>" + turn.format(image="", text=item.text)
    inputs = processor(text=[text], images=[item.image or Image.new("RGB", (112, 112))], return_tensors="pt")
    return {name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values")}


def chameleon(processor: Any, turn: str, item: Item) -> Any:
    images = [item.image.resize((224, 224), Image.Resampling.LANCZOS)] if item.image else None
    return processor(text=[turn.format(image="<image>", text=item.text).strip()], images=images, return_tensors="pt")


CALLS: dict[str, Callable[[Any, str, Item], Any]] = {
    "qwen2_vl": qwen,
    "qwen3_vl": qwen,
    "paligemma": paligemma,
    "chameleon": chameleon,
}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("name", CALLS)
def test_all_eight_tasks_equal_the_prompts_written_out(name: str, zoo_folder: Callable[[str], Path]) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = zoo_folder(name)
    model, processor = AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    adapter, view = load_model(ModelSpec(name=str(folder), dtype="float32", preset="study")), EmbeddingView()

    def reference(item: Item) -> np.ndarray:
        with torch.inference_mode():
            states = model(
                **CALLS[name](processor, TURNS[item.task, item.side][1], item), output_hidden_states=True
            ).hidden_states[-1]
        return states[0].mean(0).numpy()

    for task in range(1, 9):
        items = items_of(task)
        expected = unit(np.stack([reference(item) for item in items]))
        alone = np.concatenate([adapter.embed([item], [view])[view] for item in items])
        for rows in (alone, adapter.embed(items, [view])[view]):
            assert float(np.abs(unit(rows) - expected).max()) < 2e-5, task
        assert float(np.abs(expected[:1] - expected[1:]).max(axis=1).min()) > 1e-3  # items differ by far more
