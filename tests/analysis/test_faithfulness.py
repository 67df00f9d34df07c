"""Shapley values, integrated gradients and curves of one pair, held against slow code that knows only the variant."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest

from core.analysis.explanations.contributions import SideState, contributions
from core.analysis.explanations.faithfulness import (
    along,
    areas,
    integrated_gradients,
    pair_game,
    shapley,
    shapley_exact,
)
from core.analysis.variants import fit_variant, transform

VARIANTS = ["none", "center", "realign", "set(3=0,9=2)+realign", "remove(1,2)+zca", "remove-top(share=0.1)"]


def states(world, fitted, i, j):
    q, c = world.query_codes[[i]], world.candidate_codes[[j]]
    return (
        SideState(world.queries[i].astype(float), q.indices, q.data, fitted.query, None),
        SideState(world.candidates[j].astype(float), c.indices, c.data, fitted.candidate, None),
    )


def slow(world, fitted, query, candidate, players, weights):
    """The cosine with codes scaled, through `transform` itself: the items are built anew, edits as a factor."""
    rows = []
    for state in (query, candidate):
        h = state.h.copy()
        factors = dict(state.transform.edits)
        for k, z in zip(state.concepts, state.activations, strict=True):
            weight = weights[list(players).index(k)]
            h += (weight * factors.get(int(k), 1.0) - 1.0) * float(z) * world.dictionary[k].astype(float)
        plain = type(state.transform)(**{**vars(state.transform), "edits": ()})
        rows.append(transform(h[None], plain, dtype=np.float64)[0])
    return float(rows[0] @ rows[1])


@pytest.mark.parametrize("text", VARIANTS)
def test_values_are_the_cosine_of_rows_built_anew(world, text):
    fitted, rng = fit_variant(text, world), np.random.default_rng(0)
    for i, j in world.pairs[:4]:
        q, c = states(world, fitted, i, j)
        game = pair_game(q, c, world.dictionary)
        weights = rng.random((5, len(game.players)))
        weights[0], weights[1] = 1, 0
        expected = [slow(world, fitted, q, c, game.players, row) for row in weights]
        np.testing.assert_allclose(game.values(weights), expected, atol=1e-9)
        assert game.values(weights[:1])[0] == pytest.approx(contributions(q, c, world.dictionary).similarity, abs=1e-9)


@pytest.mark.parametrize("text", VARIANTS)
def test_gradients_are_differences_of_values(world, text):
    fitted = fit_variant(text, world)
    q, c = states(world, fitted, *world.pairs[3])
    game, at, step = pair_game(q, c, world.dictionary), 0.6, 1e-6
    k = len(game.players)
    start = np.full((1, k), at)
    found = game.gradients(start)[0]
    expected = [
        float(game.values(start + step * np.eye(k)[[n]])[0] - game.values(start - step * np.eye(k)[[n]])[0])
        / (2 * step)
        for n in range(k)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def by_definition(value, k):
    """Every subset without i, in two loops."""
    out = np.zeros(k)
    for i in range(k):
        others = [n for n in range(k) if n != i]
        for size in range(k):
            for subset in combinations(others, size):
                w = np.zeros((2, k), dtype=bool)
                w[:, list(subset)] = True
                w[1, i] = True
                f = value(w)
                out[i] += factorial(size) * factorial(k - size - 1) / factorial(k) * (f[1] - f[0])
    return out


def small(world, text, most=4):
    """A pair cut down to few concepts of either side, so that all subsets can be walked through."""
    fitted = fit_variant(text, world)
    q, c = states(world, fitted, *world.pairs[5])
    cut = [SideState(s.h, s.concepts[:most], s.activations[:most], s.transform, None) for s in (q, c)]
    return pair_game(*cut, world.dictionary)


@pytest.mark.parametrize("text", ["none", "realign"])
def test_permutations_find_the_exact_values_and_say_how_sure_they_are(world, text):
    game = small(world, text)
    k = len(game.players)
    assert 5 <= k <= 8
    exact = by_definition(lambda w: game.values(w.astype(float)), k)
    np.testing.assert_allclose(shapley_exact(lambda w: game.values(w.astype(float)), k), exact, atol=1e-12)
    found = shapley(game, 400, seed=1)
    assert found.permutations == 400
    assert (np.abs(found.values - exact) <= 4 * found.errors + 1e-12).all()
    whole = float(np.diff(game.values(np.array([np.zeros(k), np.ones(k)])))[0])
    assert found.values.sum() == pytest.approx(whole, abs=1e-12)  # efficiency
    assert exact.sum() == pytest.approx(whole, abs=1e-12)


def test_of_a_linear_function_the_shapley_values_are_its_weights():
    weights = np.array([0.3, -1.2, 0.0, 2.5, 0.7])
    np.testing.assert_allclose(shapley_exact(lambda w: w @ weights + 4.0, 5), weights, atol=1e-12)


@pytest.mark.parametrize("text", VARIANTS)
def test_integrated_gradients_are_complete(world, text):
    fitted = fit_variant(text, world)
    for i, j in world.pairs[:4]:
        game = pair_game(*states(world, fitted, i, j), world.dictionary)
        k = len(game.players)
        ends = game.values(np.array([np.zeros(k), np.ones(k)]))
        assert integrated_gradients(game, 96).sum() == pytest.approx(ends[1] - ends[0], abs=1e-5)


def test_along_puts_players_in_by_the_order():
    assert along(np.array([2, 0, 1])).tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]]


def test_areas_by_hand_and_a_reversed_order_turns_them_around(world):
    game = small(world, "none", most=1)
    assert len(game.players) == 2
    scores = np.array([1.0, 2.0])
    f = {w: float(game.values(np.array([w], float))[0]) for w in [(0, 0), (1, 0), (0, 1), (1, 1)]}
    found = areas(game, scores)
    assert found.insertion == pytest.approx((f[0, 0] / 2 + f[0, 1] + f[1, 1] / 2) / 2)
    assert found.deletion == pytest.approx((f[1, 1] / 2 + f[1, 0] + f[0, 0] / 2) / 2)
    assert areas(game, -scores).between == pytest.approx(-found.between)
