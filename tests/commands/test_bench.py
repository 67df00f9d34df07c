"""The benchmarks on a few items: both sides see the same items, and the figures are of what they say."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from core.commands.bench import benchmark, demo_items, scale


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
