"""Dual encoders against transformers called by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import NotAvailable
from core.models import Adapter
from core.models.base import PROJECTED
from core.records import EmbeddingView, Item, StatePlace


def by_hand(folder: Path, item: Item, siglip: bool) -> tuple[np.ndarray | None, np.ndarray | None]:
    from transformers import AutoModel, AutoProcessor

    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    text = image = None
    padding = (
        {"padding": "max_length", "max_length": 32, "truncation": True}
        if siglip
        else {"truncation": True, "max_length": 24}
    )
    with torch.inference_mode():
        if item.text is not None:
            ids = processor.tokenizer(item.text, return_tensors="pt", **padding)["input_ids"]
            text = model.get_text_features(input_ids=ids).pooler_output[0].numpy()
        if item.image is not None:
            image = (
                model.get_image_features(**processor.image_processor(item.image, return_tensors="pt"))
                .pooler_output[0]
                .numpy()
            )
    return text, image


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2"])
def test_embeddings_are_the_projections_and_fused_ones_the_sum_of_units(
    kind: str, mixed: list[Item], request: pytest.FixtureRequest
) -> None:
    adapter, folder = request.getfixturevalue(kind), request.getfixturevalue(f"{kind}_folder")
    found = adapter.embed(mixed, [PROJECTED])[PROJECTED]
    for row, item in zip(found, mixed, strict=True):
        text, image = by_hand(folder, item, kind != "clip")
        expected = unit(text) + unit(image) if item.modality == "image,text" else text if image is None else image
        assert np.abs(row - expected).max() < 1e-4 * np.abs(expected).max()
        alone = adapter.embed([item], [PROJECTED])[PROJECTED][0]
        assert unit(row) @ unit(alone) >= 0.99999


def test_token_states_are_projected_patches_and_words(clip: Adapter, mixed: list[Item]) -> None:
    states = clip.token_states(mixed)
    assert states.states.shape[1] == clip.hidden_size == 20
    for i, item in enumerate(mixed):
        mine = [(t, r) for t, r, at in zip(states.text, states.role, states.item, strict=True) if at == i]
        patches = sum(r == "image" for _, r in mine)
        assert (patches, states.grids[i]) == ((0, None) if item.modality == "text" else (16, (4, 4)))
        words = "".join(t for t, r in mine if r == "text")
        assert (item.text or "").startswith(words)
        assert bool(words) == (item.text is not None)
    last = np.flatnonzero(states.item == 0)[-1]  # the state of </s> of the first text is what a CLIP projects
    assert np.abs(states.states[last] - clip.embed(mixed[:1], [PROJECTED])[PROJECTED][0]).max() < 1e-4


def test_a_single_patch_of_siglip_goes_through_the_pooling_head(siglip: Adapter, mixed: list[Item]) -> None:
    states = siglip.token_states([mixed[1]])
    assert states.states.shape == (16, 24)
    assert np.ptp(states.states, axis=0).max() > 0


def test_images_of_any_shape_have_grids_of_their_shape(siglip2: Adapter, mixed: list[Item]) -> None:
    states = siglip2.token_states(mixed)
    shapes = siglip2.processor.image_processor([item.image for item in mixed if item.image], return_tensors="pt")[
        "spatial_shapes"
    ]
    assert [grid for grid in states.grids if grid] == [tuple(shape) for shape in shapes.tolist()]
    assert len({grid for grid in states.grids if grid}) > 1
    for row, item in enumerate(mixed):
        grid = states.grids[row]
        patches = sum(role == "image" for role, at in zip(states.role, states.item, strict=True) if at == row)
        assert patches == (grid[0] * grid[1] if grid else 0)
        words = len(siglip2.tokenizer(item.text, truncation=True, max_length=32)["input_ids"]) if item.text else 0
        assert siglip2.lengths([item]) == [patches + words] == [int((states.item == row).sum())]


def test_lengths_count_words_and_patches(clip: Adapter, mixed: list[Item]) -> None:
    words = [
        len(clip.tokenizer(item.text, truncation=True, max_length=24)["input_ids"]) if item.text else 0
        for item in mixed
    ]
    assert clip.lengths(mixed) == [
        n + (0 if item.modality == "text" else 17) for n, item in zip(words, mixed, strict=True)
    ]


def test_what_a_dual_encoder_lacks_is_named(clip: Adapter, mixed: list[Item]) -> None:
    for call in (
        lambda: clip.embed(mixed, [EmbeddingView()]),
        lambda: clip.token_states(mixed, StatePlace(1)),
        lambda: clip.top_tokens(np.ones((1, 20)), 3),
        lambda: clip.generate(mixed[0], "What?"),
    ):
        with pytest.raises(NotAvailable, match="tiny-clip"):
            call()


def test_no_items_no_rows(clip: Adapter) -> None:
    assert clip.embed([], [PROJECTED])[PROJECTED].shape == (0, 20)
    assert clip.lengths([]) == []
    assert clip.token_states([]).states.shape == (0, 20)
