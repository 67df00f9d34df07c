"""Numbers as they are written, checked by hand."""

from __future__ import annotations

import math

import pytest

from core.records import EmbeddingView
from dashboard import words


@pytest.mark.parametrize(
    ("ratio", "written"),
    [
        (0.1234, "12.3%"),
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.05949, "5.9%"),
        (None, "undefined"),
        (math.nan, "undefined"),
    ],
)
def test_percent(ratio: float | None, written: str) -> None:
    assert words.percent(ratio) == written


def test_difference_is_in_points_and_signed() -> None:
    assert words.points(0.25) == "+25.0 points"
    assert words.points(0.0) == words.points(-0.0001) == "0.0 points"
    assert words.points(-0.0123) == "−1.2 points"


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 1024**2, "3.0 MiB"), (5e12, "4656.6 GiB")],
)
def test_size(number: float, written: str) -> None:
    assert words.size(number) == written


@pytest.mark.parametrize(("seconds", "written"), [(0.42, "0.4 s"), (12.4, "12 s"), (200, "3 min 20 s")])
def test_duration(seconds: float, written: str) -> None:
    assert words.duration(seconds) == written


def test_a_number_that_cannot_be_is_undefined() -> None:
    assert words.word("modality_score").write(math.nan) == "undefined"
    assert words.word("recall@1").write(0.5) == "50.0%"
    assert words.word("recall@1_low") is words.word("recall@1")
    assert words.word("queries").write(12345) == "12,345"


def test_every_word_has_a_meaning_and_every_page_a_sentence() -> None:
    assert all(len(w.meaning) > 15 and w.meaning.endswith(".") for w in words.WORDS.values())
    assert {page for group in words.GROUPS.values() for page in group} == set(words.PAGES)


def test_views_are_named_in_words() -> None:
    assert EmbeddingView(-1, "mean", "all").words == "mean over all tokens of the last layer"
    assert EmbeddingView(-1, "projected", "all").words == "the model's own projected embeddings"
    assert EmbeddingView(4, "last", "no-prompt").words == "last of all but prompt tokens of layer 4"
    assert EmbeddingView(0, "max", "no-outliers").words == "max over all but outlier tokens of layer 0"
