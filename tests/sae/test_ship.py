"""The shipped SAEs' script, on a fake model: a folder that `obtain` takes, with the figures it measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from core.demo.train import saes as ship
from core.demo.train import states
from core.models import ModelFacts
from core.models.table import KNOWN
from core.progress import NoProgress
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates
from core.sae.files import FACTS, read_config
from core.sae.files import WEIGHTS as TENSORS

D = 12


class Fake:
    """States are the mean colours of an image's quarters, or the letters of a text."""

    hidden_size = D
    facts = ModelFacts("demo-mllm", "chat", "k" * 16, "/nowhere", "", "fake", D, 2, "float32", "study")

    def token_states(self, items: Sequence[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        found = [self._states(item) for item in items]
        count = sum(map(len, found))
        return TokenStates(
            np.concatenate(found),
            np.repeat(np.arange(len(items)), [len(f) for f in found]),
            [""] * count,
            ["text"] * count,
            [],
        )

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        return dict.fromkeys(views, np.stack([self._states(item).mean(0) for item in items]).astype(np.float32))

    def _states(self, item: Item) -> np.ndarray:
        seed = (item.text or "").encode() + (np.asarray(item.image).mean((0, 1)).tobytes() if item.image else b"")
        return np.random.default_rng(list(seed)).normal(size=(4, D))


@pytest.mark.parametrize("data", ["tokens", "pooled", "mixture"])
def test_a_recipe_makes_a_folder_with_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.setattr(ship, "PAIRS", 5)
    monkeypatch.setattr(ship, "COMPOSED", 2)
    folder, work = tmp_path / "sae", tmp_path / "work"
    recipe = replace(
        ship.RECIPES["demo-mllm"], architecture="topk", width=32, k=3, data=data, steps=4, batch=16, pool=12
    )
    facts = ship.make(Fake(), recipe, folder, work, NoProgress())  # type: ignore[arg-type]
    assert json.loads((folder / FACTS).read_text()) == facts
    assert (facts["k"], facts["input"], facts["recipe"]["data"]) == (3, "raw", data)
    assert (facts["model"], facts["layer"]) == ("demo-mllm", -1)
    figures = facts["held_out"]
    assert set(figures) == {"image -> text", "text -> image", "image,text"}
    found = figures["image -> text"]
    assert {"explained variance of images", "explained variance of texts", "dead share", "recall@5 kept"} <= set(found)
    assert found["L0"] <= 3 and figures["image,text"]["L0"] <= 3
    assert found["recall@5 of the embedding"] == 1
    assert found["explained variance, queries"] == found["explained variance of images"]
    assert read_config(folder)["d_sae"] == 32


def test_what_is_measured_is_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are stored in half precision before the figures are taken, so that measuring again gives the same."""
    monkeypatch.setattr(ship, "PAIRS", 5)
    monkeypatch.setattr(ship, "COMPOSED", 2)
    recipe = replace(ship.RECIPES["demo-mllm"], width=32, k=3, steps=4, batch=16, pool=12)
    facts = ship.make(Fake(), recipe, tmp_path / "sae", tmp_path, NoProgress())  # type: ignore[arg-type]
    with safe_open(tmp_path / "sae" / TENSORS, "np") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {np.dtype(np.float16)}  # noqa: SIM118
    again = ship.measured(Fake(), recipe, tmp_path / "sae", tmp_path, NoProgress())  # type: ignore[arg-type]
    assert again == facts["held_out"]


def test_states_are_made_once_and_a_longer_pool_begins_with_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "BLOCK", 4)
    made: list[str] = []

    class Counting(Fake):
        def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
            made.extend(item.id for item in items)
            return super().embed(items, views)

    def rows(count: int) -> np.ndarray:
        blocks = states.pooled(Counting(), states.train_item, count, EmbeddingView(), tmp_path, NoProgress())  # type: ignore[arg-type]
        return np.concatenate(blocks)

    short, long = rows(8), rows(12)
    assert np.array_equal(long[:8], short) and len(long) == 12
    assert made == [f"train-{i}" for i in range(12)]


def test_every_recipe_is_for_a_known_model() -> None:
    assert {recipe.model for recipe in ship.RECIPES.values()} <= set(KNOWN)


def test_items_of_the_world_come_in_three_sorts_and_are_the_same_every_time() -> None:
    items = [states.world_item("train", i) for i in range(6)]
    assert [item.modality for item in items] == ["image", "text", "image,text"] * 2
    assert all((item.image is None) == (item.modality == "text") for item in items)
    assert items[1].text == states.world_item("train", 1).text
    assert items[1].text != states.world_item("support", 1).text
