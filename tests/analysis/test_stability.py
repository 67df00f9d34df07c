"""Agreement of dictionaries: by hand, against slow loops, all permutations and scipy's principal angles."""

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from core.analysis.concepts.stability import assign, match, span_overlap
from core.errors import ShapeMismatch, UserError


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def pair():
    rng = np.random.default_rng(4)
    return unit(rng.standard_normal((7, 5))), unit(rng.standard_normal((6, 5)))


def test_match_against_a_loop(pair, monkeypatch):
    a, b = pair
    found = match(a, b)
    for i in range(7):
        cosines = [float(np.dot(a[i], row)) for row in b]
        assert found.second[i] == int(np.argmax(cosines))
        assert found.cosine[i] == pytest.approx(max(cosines), abs=1e-12)
    monkeypatch.setattr("core.analysis.arrays.block_bytes", lambda: 8 * 13)
    np.testing.assert_allclose(match(a, b).cosine, found.cosine, atol=1e-12)


def test_shares_by_hand():
    """Cosines 1, 0.8 and -1 -> 0 (its best is the orthogonal row); energy 1, 3, 0."""
    first = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, -1]])
    second = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    found = match(first, second)
    np.testing.assert_allclose(found.cosine, [1, 0.8, 0])
    assert found.second[:2].tolist() == [0, 1]
    assert found.share_above(0.7) == pytest.approx(2 / 3)
    assert found.share_above(0.9) == pytest.approx(1 / 3)
    energy = np.array([1.0, 3, 0])
    assert found.share_above(0.9, energy) == pytest.approx(1 / 4)
    assert found.mean(energy) == pytest.approx((1 + 3 * 0.8) / 4)
    assert np.isnan(found.mean(np.zeros(3)))
    alive = match(first, second, np.array([False, True, True]))
    assert alive.first.tolist() == [1, 2]
    assert alive.share_above(0.7, energy) == 1


def test_assignment_is_the_best_of_all(pair):
    a, b = pair
    cosines = a[:5] @ b.T
    best = max(sum(cosines[i, p[i]] for i in range(5)) for p in permutations(range(6), 5))
    found = assign(a[:5], b)
    assert found.cosine.sum() == pytest.approx(best)
    assert len(set(found.second)) == 5
    np.testing.assert_allclose(found.cosine, cosines[found.first, found.second])


def test_assignment_knows_only_the_alive(pair):
    a, b = pair
    alive, other = np.array([1, 0, 1, 1, 0, 1, 1], bool), np.array([0, 1, 1, 0, 1, 1], bool)
    found = assign(a, b, alive, other)
    assert len(found.first) == 4
    assert alive[found.first].all() and other[found.second].all()


def test_a_shuffled_dictionary_agrees_fully(pair):
    a, _ = pair
    order = np.random.default_rng(0).permutation(7)
    for found in (match(a, 3 * a[order]), assign(a, 3 * a[order])):
        np.testing.assert_allclose(found.cosine, 1)
        assert order[found.second].tolist() == list(range(7))
    assert match(a, -a).cosine.max() < 0.999


def test_spans_against_scipys_angles(pair):
    a, b = pair
    found = span_overlap(a[:2], b[:3], energy_share=1.0)
    np.testing.assert_allclose(np.sort(np.arccos(found.cosines)), np.sort(subspace_angles(a[:2].T, b[:3].T)), atol=1e-7)
    assert found.ranks == (2, 3)
    assert found.by_chance == pytest.approx(3 / 5)


def test_spans_by_hand():
    axes = np.eye(4)
    assert span_overlap(axes[:2], axes[:3]).mean_squared == pytest.approx(1)
    assert span_overlap(axes[:2], axes[2:]).mean_squared == pytest.approx(0)
    tilted = np.array([[1.0, 0, 0, 0], [0, 1, 1, 0]])
    assert span_overlap(axes[:2], tilted).mean_squared == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(span_overlap(axes[:0], axes).mean_squared)


def test_chance_is_what_random_spans_share():
    rng = np.random.default_rng(0)
    drawn = [span_overlap(rng.standard_normal((3, 12)), rng.standard_normal((5, 12)), 1.0) for _ in range(400)]
    assert np.mean([d.mean_squared for d in drawn]) == pytest.approx(drawn[0].by_chance, abs=0.02)


def test_what_does_not_fit_is_refused(pair):
    a, b = pair
    for compare in (match, assign, span_overlap):
        with pytest.raises(ShapeMismatch):
            compare(a, b[:, :4])
    with pytest.raises(UserError, match="nothing to match"):
        match(a, b[:0])
