"""The `study` preset against what the study's released code gives on tiny models of its four architectures.

Reads the folder named by RETRIEVAL_LENS_TEST_DATA; skipped without it.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.config import ModelSpec
from core.models import Adapter, load_model
from core.records import EmbeddingView, Item, Side

VIEW = EmbeddingView()
FILES: dict[Side, tuple[str, str]] = {"query": ("query", "queries"), "candidate": ("corpus", "candidates")}


@pytest.fixture(scope="module", params=["qwen2", "qwen3", "paligemma", "chameleon"])
def model(request: pytest.FixtureRequest, test_data: Path) -> tuple[str, Adapter]:
    folder = test_data / "study_parity" / "models" / request.param
    return request.param, load_model(ModelSpec(name=str(folder), dtype="float32"))


def read(test_data: Path, task: int, side: Side) -> list[Item]:
    path = test_data / "study_parity" / f"task{task}" / f"{FILES[side][0]}-00000-of-00001.parquet"
    return [
        Item(row["id"], row["modality"], row["text"], _image(row["image"]), task, side)
        for row in pq.read_table(path, columns=["id", "modality", "text", "image"]).to_pylist()
    ]


def _image(stored: dict[str, bytes] | None) -> Image.Image | None:
    return None if stored is None else Image.open(io.BytesIO(stored["bytes"])).convert("RGB")


@pytest.mark.parametrize("batch", [1, 8])
def test_embeddings_of_all_tasks_equal_the_released_code(
    model: tuple[str, Adapter], test_data: Path, batch: int
) -> None:
    name, adapter = model
    expected = np.load(test_data / "study_parity" / f"expected_{name}.npz")
    for task in range(1, 9):
        for side, (_, key) in FILES.items():
            items = read(test_data, task, side)
            rows = np.concatenate(
                [adapter.embed(items[i : i + batch], [VIEW])[VIEW] for i in range(0, len(items), batch)]
            )
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            assert np.abs(rows - expected[f"task{task}_{key}"]).max() < 2e-5, (task, side)


def test_roles_and_lengths(model: tuple[str, Adapter], test_data: Path) -> None:
    name, adapter = model
    items = [*read(test_data, 7, "query")[:2], *read(test_data, 4, "candidate")[:2]]
    states = adapter.token_states(items)
    assert adapter.lengths(items) == np.bincount(states.item).tolist()
    for i, item in enumerate(items):
        mine = [(t, r) for t, r, at in zip(states.text, states.role, states.item, strict=True) if at == i]
        assert "".join(t for t, r in mine if r == "text").strip() == item.text.strip()
        assert "".join(t for t, r in mine if r == "prompt").strip().startswith("Summarize")
        grid = states.grids[i]
        assert (grid is None) == (item.modality == "text")
        assert grid is None or grid[0] * grid[1] == sum(r == "image" for _, r in mine)
    assert isinstance(adapter.generate(items[0], "What is it?", 3), str)
