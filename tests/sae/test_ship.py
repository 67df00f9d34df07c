"""The shipped SAEs' script, on a fake model: a folder that `obtain` takes, with the figures it measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.demo.train import saes as ship
from core.models import ModelFacts
from core.progress import NoProgress
from core.records import EmbeddingView, Item, TokenStates
from core.sae.files import FACTS, read_config

D = 12


class Fake:
    """States are the mean colours of an image's quarters, or the letters of a text."""

    hidden_size = D
    facts = ModelFacts("demo-mllm", "chat", "k" * 16, "/nowhere", "", "fake", D, 2, "float32", "study")

    def token_states(self, items: Sequence[Item], layer: int = -1) -> TokenStates:
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
    monkeypatch.setattr(ship, "HELD_OUT", 12)
    recipe = replace(ship.RECIPES["demo-mllm"], width=32, k=3, data=data, steps=4, batch=16, pool=12)
    facts = ship.make(Fake(), recipe, tmp_path, NoProgress())  # type: ignore[arg-type]
    assert json.loads((tmp_path / FACTS).read_text()) == facts
    assert (facts["k"], facts["input"], facts["recipe"]["data"]) == (3, "raw", data)
    assert set(facts["held_out"]) == {"all", "image", "text", "image,text"}
    assert facts["held_out"]["all"]["rows"] == 12
    assert facts["held_out"]["all"]["l0"] <= 3
    assert read_config(tmp_path)["d_sae"] == 32


def test_items_of_the_world_come_in_three_sorts_and_are_the_same_every_time() -> None:
    items = [ship.world_item("train", i) for i in range(6)]
    assert [item.modality for item in items] == ["image", "text", "image,text"] * 2
    assert all((item.image is None) == (item.modality == "text") for item in items)
    assert items[1].text == ship.world_item("train", 1).text
    assert items[1].text != ship.world_item("support", 1).text
