"""Adapters on a GPU that is not there: whatever meets the model's tensors must have been moved to its device; and on a
real one where it is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend import GpuTensor, PretendGpu, moved

from core.config import ModelSpec
from core.models import load_model
from core.models.answer import WORD_VIEWS
from core.models.base import PROJECTED
from core.records import EmbeddingView, Item

VIEWS = (
    EmbeddingView(),
    EmbeddingView(1, "max", "no-prompt"),
    EmbeddingView(1, "mean", "no-outliers"),
    EmbeddingView(-1, "last"),
)
WORDS = (EmbeddingView(-1, "answer"), *WORD_VIEWS.values())
"""Read by chat models only."""


@pytest.fixture(scope="module", params=["llava", "clip"])
def folder(request: pytest.FixtureRequest, llava_folder: Path, clip_folder: Path) -> Path:
    return llava_folder if request.param == "llava" else clip_folder


def loaded(folder: Path) -> Any:
    return load_model(ModelSpec(name=str(folder), attention="eager"))


def on_pretended_gpu(folder: Path) -> Any:
    """Its weights there; inside `PretendGpu` only."""
    adapter = loaded(folder)
    moved(adapter.model)
    assert all(isinstance(parameter, GpuTensor) for parameter in adapter.model.parameters())
    return adapter


def views_of(adapter: Any) -> tuple[EmbeddingView, ...]:
    return (PROJECTED,) if adapter.facts.kind == "dual" else (*VIEWS, *WORDS)


def test_a_gpu_gives_what_the_cpu_gives(folder: Path, mixed: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cpu")
    plain = loaded(folder)
    views = views_of(plain)
    expected, states = plain.embed(mixed, views), plain.token_states(mixed)
    with PretendGpu():
        adapter = on_pretended_gpu(folder)
        found, again = adapter.embed(mixed, views), adapter.token_states(mixed)
    for view in views:
        assert not isinstance(found[view], torch.Tensor)
        for name in found[view].dtype.names or ("",):
            one, other = ((rows[view][name] if name else rows[view]) for rows in (found, expected))
            assert np.allclose(one, other, atol=1e-5), view
    assert np.allclose(again.states, states.states, atol=1e-5)


def test_inputs_left_on_the_cpu_are_seen(folder: Path, mixed: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    with PretendGpu():
        adapter = on_pretended_gpu(folder)
        where = "_moved" if adapter.facts.kind == "dual" else "_on_device"
        monkeypatch.setattr(adapter, where, dict)
        with pytest.raises(RuntimeError, match="same device"):
            adapter.embed(mixed, views_of(adapter))


def test_a_mask_left_on_the_cpu_is_seen(llava_folder: Path, mixed: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    from core.models import decoder

    monkeypatch.setitem(decoder.POOLINGS, "mean", lambda states, keep: decoder_mean(states, keep.cpu()))
    decoder_mean: Callable[..., Any] = lambda states, keep: (states * keep[..., None]).sum(1)  # noqa: E731
    with PretendGpu(), pytest.raises(RuntimeError, match="same device"):
        on_pretended_gpu(llava_folder).embed(mixed, [EmbeddingView()])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_real_gpu_gives_what_the_cpu_gives(folder: Path, mixed: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cpu")
    expected = loaded(folder)
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cuda")
    spec = ModelSpec(name=str(folder), attention="eager", dtype="float32")
    view = views_of(expected)[0]
    one, other = (adapter.embed(mixed, [view])[view] for adapter in (expected, load_model(spec)))
    assert np.abs(one - other).max() < 1e-3 * np.abs(one).max()
