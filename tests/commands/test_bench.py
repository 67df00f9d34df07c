"""The benchmarks on a few items: both sides see the same items, and the figures are of what they say."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from core.commands.benches import sae, shapes
from core.commands.benches.corpus import scale
from core.commands.benches.encoding import benchmark, demo_items
from core.commands.benches.measures import measures
from core.commands.benches.profile import STEPS, profile
from core.commands.benches.search import search


@pytest.fixture(autouse=True)
def bare_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh process runs the main module again; tests of pages leave a page's script in its place."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


def test_items_of_three_sorts_in_turn() -> None:
    items = demo_items(7)
    assert [item.modality for item in items] == ["image", "text", "image,text"] * 2 + ["image"]
    assert all((item.image is None) == (item.modality == "text") for item in items)


def test_both_ways_give_the_same_embeddings() -> None:
    figures = benchmark(number=6)
    assert figures["items"] == 6
    assert figures["lowest_cosine"] > 0.99999
    assert figures["ratio"] == pytest.approx(figures["batched_items_per_second"] / figures["plain_items_per_second"])
    assert min(figures["plain_peak_gib"], figures["batched_peak_gib"]) > 0


def test_a_corpus_is_made_opened_and_measured() -> None:
    figures = scale(9)
    assert figures["items"] == 3 + 6 + 6 + 6  # images, two captions each, a support split of twice as many of either
    assert 0 <= figures["recall@1"] <= 1
    assert min(figures["make_peak_gib"], figures["open_peak_gib"]) > 0


def test_the_steps_of_encoding_are_timed() -> None:
    figures = profile("demo-clip", number=9)
    steps = {step: figures[f"{step}_seconds"] for step in STEPS}
    assert min(steps.values()) >= 0
    assert min(steps[step] for step in ("decode", "tokens", "processor", "model")) > 0
    own = steps["transfer"] + steps["model"] + steps["waiting"]  # one after another, in one thread
    assert 0 < own <= figures["seconds"]
    assert figures["model_share"] == pytest.approx(steps["model"] / figures["seconds"])


@pytest.mark.parametrize("side", sae.SIDES)
def test_sae_sides_are_timed_on_the_same_rows(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sae, "REPEATS", 2)
    figures = sae.SIDES[side](64, 4, 16, 32)
    assert figures["rows"] == (32 if side.endswith("codes") else sae.STEPS * 32)
    assert figures["seconds"] > 0


def test_a_model_of_a_shape_goes_through_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    text, vision = (shapes.QWEN2_VL_2B[part] for part in ("text_config", "vision_config"))
    rope = text["rope_parameters"] | {"mrope_section": [4, 4, 4]}
    text = text | {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "rope_parameters": rope}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 9000}
    vision = vision | {"depth": 2, "embed_dim": 32, "hidden_size": 48, "num_heads": 2}
    monkeypatch.setitem(shapes.SHAPES, "tiny", {"text_config": text, "vision_config": vision})
    figures = shapes._encoded("tiny", 3, "bfloat16")
    assert figures["finite"]
    assert figures["items"] == 3
    assert figures["peak_over_estimated"] == pytest.approx(figures["peak_gib"] / figures["estimated_gib"])


def test_search_measures_every_side() -> None:
    figures = search(candidates=500, queries=40, width=16, repeats=1)
    assert figures["equal_lists"] > 0.9  # float32 may exchange two neighbours
    assert figures["ratio"] == pytest.approx(figures["study_seconds"] / figures["ours_seconds"])
    assert min(figures[name] for name in ("ours_peak_gib", "study_peak_gib", "roofline_seconds")) > 0


def test_measures_agree_with_the_dense_way() -> None:
    figures = measures(pairs=300, concepts=200, active=5, width=16, dense_pairs=200, repeats=1)
    assert (figures["small_pairs"], figures["small_concepts"]) == (200, 200)
    assert figures["largest_relative_difference"] < 1e-4
    assert figures["dense_mib_by_arithmetic"] == pytest.approx((4 * 300 * 200 + 200**2 + 200 * 16) * 4 / 2**20)
