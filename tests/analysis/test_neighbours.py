"""Exact neighbours and how kinds mix among them, against slow loops over the definition and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from core.analysis.arrays import unit_rows
from core.analysis.retrieval.neighbours import mixing, neighbours
from core.errors import UserError


def rows(n: int, d: int = 8, seed: int = 0) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).standard_normal((n, d))).astype(np.float32)


def test_neighbours_are_those_of_scikit_learn() -> None:
    x = rows(300)
    found = neighbours(x, 7)
    far, near = NearestNeighbors(n_neighbors=8, metric="cosine", algorithm="brute").fit(x.astype(float)).kneighbors()
    assert found.rows.shape == found.cosines.shape == (300, 7)
    assert (found.rows == near[:, :7]).all()
    assert np.allclose(found.cosines, 1 - far[:, :7], atol=1e-6)


def test_a_row_is_never_its_own_neighbour_even_among_many_equal_ones() -> None:
    x = np.repeat(rows(3), 20, axis=0)
    found = neighbours(x, 5)
    assert (found.rows != np.arange(60)[:, None]).all()
    for i in range(60):  # the other rows of the same direction, in order
        own = [j for j in range(i // 20 * 20, i // 20 * 20 + 20) if j != i]
        assert found.rows[i].tolist() == own[:5]


def test_fewer_rows_than_neighbours_give_all_others() -> None:
    found = neighbours(rows(4), 15)
    assert [set(line) for line in found.rows.tolist()] == [{0, 1, 2, 3} - {i} for i in range(4)]
    with pytest.raises(UserError, match="no neighbours"):
        neighbours(rows(1), 3)


def test_mixing_is_the_mean_share_of_other_kinds() -> None:
    x, kinds = rows(120, 5), np.array(["text", "image", "image"] * 40)
    nearest = neighbours(x, 4).rows
    found, shares = mixing(nearest, kinds)
    by_hand = [sum(kinds[j] != kinds[i] for j in nearest[i]) / 4 for i in range(120)]
    assert shares.tolist() == by_hand
    assert found.share == pytest.approx(sum(by_hand) / 120)
    # 40 texts have 80 others of 119, 80 images 40 of 119.
    assert found.expected == pytest.approx((40 * 80 + 80 * 40) / 119 / 120)
    assert found.low < found.share < found.high and (found.items, found.k) == (120, 4)


def test_mixing_by_shuffled_kinds_comes_to_what_is_expected() -> None:
    x, rng = rows(400, 6), np.random.default_rng(1)
    nearest, kinds = neighbours(x, 10).rows, np.array(["a"] * 100 + ["b"] * 300)
    drawn = [mixing(nearest, rng.permutation(kinds))[0] for _ in range(40)]
    spread = np.std([one.share for one in drawn]) / np.sqrt(len(drawn))
    assert abs(np.mean([one.share for one in drawn]) - drawn[0].expected) < 4 * spread


def test_items_that_belong_together_widen_the_interval() -> None:
    x = np.repeat(rows(30, 4), 10, axis=0)
    kinds = np.repeat(np.random.default_rng(2).choice(["a", "b"], 30), 10)
    nearest = neighbours(x + np.float32(0), 12).rows
    alone = mixing(nearest, kinds)[0]
    together = mixing(nearest, kinds, np.repeat(np.arange(30), 10))[0]
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
