"""Outlier tokens: a tiny model given an attention sink, against a loop over the definition."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import EmbeddingSpec, ModelSpec
from core.models import Adapter, load_model
from core.models.outliers import OUTLIER_RATIO, measured, norm_ratios, ordinary, ordinary_rows
from core.models.pooling import POOLINGS, kept_tokens
from core.records import EmbeddingView, Item, StatePlace

SINK = "<|user|>"
LAYERS = (0, 1, 2, -1)


@pytest.fixture(scope="module")
def sunk(llava_folder: Path) -> Adapter:
    """A LLaVA whose first token of every turn has an embedding 4,000 times as long."""
    adapter = load_model(ModelSpec(name=str(llava_folder), dtype="float32"))
    with torch.no_grad():
        adapter.model.get_input_embeddings().weight[adapter.tokenizer.convert_tokens_to_ids(SINK)] *= 4000
    return adapter


def kept(states: np.ndarray) -> list[int]:
    """The definition, token by token."""
    norms = [float(np.sqrt(sum(float(x) ** 2 for x in state))) for state in states]
    median = sorted(norms)[(len(norms) - 1) // 2]
    return [at for at, norm in enumerate(norms) if norm <= 20 * median]


def reduced(states: np.ndarray, pooling: str) -> np.ndarray:
    return {"mean": states.mean(0), "last": states[-1], "max": states.max(0), "min": states.min(0)}[pooling]


def test_the_mask_leaves_out_what_the_definition_does(sunk: Adapter, mixed: list[Item]) -> None:
    views = [
        EmbeddingView(layer, pooling, "no-outliers")
        for layer, pooling in product(LAYERS, ("mean", "last", "max", "min"))
    ]
    found = sunk.embed(mixed, views)
    left_out: dict[int, list[int]] = {}
    for layer in LAYERS:
        tokens = sunk.token_states(mixed, StatePlace(layer))
        for row in range(len(mixed)):
            states = tokens.states[tokens.item == row]
            keep = kept(states)
            left_out.setdefault(layer, []).append(len(states) - len(keep))
            for view in (view for view in views if view.layer == layer):
                expected = reduced(states[keep], view.pooling)
                assert np.abs(found[view][row] - expected).max() < 1e-3 * np.abs(expected).max(), (view, row)
    assert min(left_out[1]) >= 1  # the sink
    assert left_out[-1] == [0] * len(mixed)  # the final norm evens it out


def test_figures_of_each_layer_are_those_of_the_definition(sunk: Adapter, mixed: list[Item]) -> None:
    found = sunk.embed(mixed, [measured(StatePlace(layer)) for layer in LAYERS])
    for layer in LAYERS:
        tokens = sunk.token_states(mixed, StatePlace(layer))
        for row in range(len(mixed)):
            states = tokens.states[tokens.item == row]
            norms = np.linalg.norm(states, axis=1)
            largest = norms.max() / np.sort(norms)[(len(norms) - 1) // 2]
            assert found[measured(StatePlace(layer))][row] == pytest.approx(
                [largest, len(states) - len(kept(states))], rel=1e-4
            )
    assert (found[measured(StatePlace(1))][:, 0] > OUTLIER_RATIO).all()


def test_without_a_sink_the_mask_changes_nothing(llava: Adapter, mixed: list[Item]) -> None:
    both = llava.embed(mixed, [EmbeddingView(), EmbeddingView(mask="no-outliers")])
    assert np.array_equal(*both.values())


def test_the_last_ordinary_token_stands_in_for_an_outlier_at_the_end() -> None:
    states = torch.tensor([[[1.0, 0], [0, 2.0], [50.0, 0], [9.0, 9.0]]])  # the fourth is padding
    attended = torch.tensor([[True, True, True, False]])
    assert norm_ratios(states, attended).tolist() == [[0.5, 1.0, 25.0, 0.0]]
    assert POOLINGS["last"](states, ordinary(states, attended)).tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("norms", [[0.0, 0.0, 0.0], [0.0, 0.0, 5.0], [1e30, 1.0], [3.0]])
def test_no_item_is_left_empty(norms: list[float]) -> None:
    states = torch.tensor([[[norm, 0.0] for norm in norms]])
    keep = ordinary(states, torch.ones(1, len(norms), dtype=torch.bool))
    assert keep.any()
    assert POOLINGS["mean"](states, keep).isfinite().all()


def test_rows_end_to_end_are_treated_as_the_batch(sunk: Adapter, mixed: list[Item]) -> None:
    tokens = sunk.token_states(mixed, StatePlace(1))
    keep = ordinary_rows(tokens.states, tokens.item)
    assert [np.flatnonzero(keep[tokens.item == row]).tolist() for row in range(len(mixed))] == [
        kept(tokens.states[tokens.item == row]) for row in range(len(mixed))
    ]
    assert np.array_equal(kept_tokens(tokens, "no-outliers"), keep)
    assert np.array_equal(kept_tokens(tokens, "no-prompt"), [role != "prompt" for role in tokens.role])


def test_a_spec_may_name_the_mask() -> None:
    assert EmbeddingSpec(masks=("all", "no-outliers")).masks == ("all", "no-outliers")
