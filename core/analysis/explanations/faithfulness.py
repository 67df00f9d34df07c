"""Are the linear contributions to a similarity faithful? The same concepts by Shapley value, by integrated gradients,
and by what happens when they are taken away or put in one after the other.

The game of one pair: a player is a concept that is active on either item. A weight w_k in [0, 1] of every player scales
its code on both items, and the variant as fitted gives the cosine:

    h(w) = base + sum_k w_k z_k D_k      base = h - sum_k z_k D_k      f(w) = cos(y_q(w), y_c(w))

f(1) is the similarity, f(0) that of the two items without any active concept. f is not linear: both items change, and
their lengths with them.

    Shapley value     mean over orders of f(those before k and k) - f(those before k); sums to f(1) - f(0) (efficiency)
    integrated gradients   w_k-derivative of f along w = (t, ..., t), integrated over t in [0, 1] (Sundararajan et al.
                           2017); sums to f(1) - f(0) (completeness) but for the rounding of the integral
    deletion, insertion    f as players are set to 0 from f(1) on, or to 1 from f(0) on, in the order of a score,
                           largest first; the area is the mean over the steps. Faithful: insertion high, deletion low.

Everything rests on inner products of base, players and mean, so that a value costs O(players^2) whatever d is. float64.
Edits of a variant are applied before; removal too. Knows nothing of runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from core.analysis.explanations.contributions import SideState
from core.analysis.subspaces import project_out

PERMUTATIONS = 200
NODES = 48
"""Points of the Gauss-Legendre rule along the path."""
BLOCK = 2**20
"""Weights of players held at a time: 8 MiB."""
MOST_EXACT = 16
"""Players up to which all subsets are walked through by `shapley_exact`: 65,536."""

Weights = Float[np.ndarray, "n k"]


@dataclass(frozen=True, eq=False)
class _Side:
    """Inner products of one item's rows, base last: before the affine map, and behind it."""

    before: Float[np.ndarray, "k1 k1"]
    behind: Float[np.ndarray, "k1 k1"]
    to_mean: Float[np.ndarray, " k1"]
    """Rows behind the map with the mean behind it."""
    mean: float
    """Square of the mean behind the map."""
    normalises: bool


@dataclass(frozen=True, eq=False)
class PairGame:
    """The similarity of one pair as a function of the weights of its active concepts."""

    players: Int[np.ndarray, " k"]
    """Concepts, ascending."""
    query: _Side
    candidate: _Side
    across: Float[np.ndarray, "k1 k1"]
    """Rows of the query behind its map with rows of the candidate behind its own."""
    mean_to_candidate: Float[np.ndarray, " k1"]
    query_to_mean: Float[np.ndarray, " k1"]
    means: float

    def values(self, weights: Weights) -> Float[np.ndarray, " n"]:
        """f of every row of weights; 0 where an item has no direction."""
        return self._parts(weights)[0]

    def gradients(self, weights: Weights) -> Float[np.ndarray, "n k"]:
        """Derivatives of f by every weight."""
        value, v, (a, lq), (b, lc) = self._parts(weights)
        n = np.sqrt(lq * lc)
        n = np.where(n > 0, n, np.inf)
        # top = y_q . y_c: of a_q v X_q - m_q with b v X_c - m_c
        crossed = v @ self.across.T  # of every query row with the candidate's sum
        back = v @ self.across
        toq = (v * self.mean_to_candidate).sum(axis=1)
        toc = (v * self.query_to_mean).sum(axis=1)
        d_a, d_b = self._d_scale(self.query, v, a), self._d_scale(self.candidate, v, b)
        sq = (v * crossed).sum(axis=1)
        d_top = (
            (a * b)[:, None] * (crossed + back)
            + (d_a * b[:, None] + a[:, None] * d_b) * sq[:, None]
            - d_b * toq[:, None]
            - b[:, None] * self.mean_to_candidate
            - d_a * toc[:, None]
            - a[:, None] * self.query_to_mean
        )
        d_lq, d_lc = self._d_length(self.query, v, a, d_a), self._d_length(self.candidate, v, b, d_b)
        safe = [np.where(square > 0, square, np.inf)[:, None] for square in (lq, lc)]
        whole = d_top / n[:, None] - value[:, None] / 2 * (d_lq / safe[0] + d_lc / safe[1])
        return whole[:, :-1]

    def _parts(
        self, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """f, the weights with that of the base, and (a, ||y||^2) of either side."""
        v = np.hstack([np.asarray(weights, dtype=np.float64), np.ones((len(weights), 1))])
        a, lq = self._lengths(self.query, v)
        b, lc = self._lengths(self.candidate, v)
        top = (
            a * b * _form(v, self.across) - b * (v @ self.mean_to_candidate) - a * (v @ self.query_to_mean) + self.means
        )
        n = np.sqrt(lq * lc)
        value = np.divide(top, n, out=np.zeros_like(top), where=n > 0)
        return value, v, (a, lq), (b, lc)

    @staticmethod
    def _lengths(side: _Side, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(a, ||y||^2) of one side."""
        square = _form(v, side.before)
        ones = np.ones(len(v))
        a = np.divide(1.0, np.sqrt(np.maximum(square, 0)), out=np.zeros(len(v)), where=square > 0)
        a = a if side.normalises else ones
        behind, mean = _form(v, side.behind), v @ side.to_mean
        return a, np.maximum(a * a * behind - 2 * a * mean + side.mean, 0.0)

    @staticmethod
    def _d_scale(side: _Side, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Derivatives of a = 1/||h||: -a^3 (X X^T v); 0 where it is 1."""
        return -(a**3)[:, None] * (v @ side.before) if side.normalises else np.zeros_like(v)

    @staticmethod
    def _d_length(side: _Side, v: np.ndarray, a: np.ndarray, d_a: np.ndarray) -> np.ndarray:
        """Derivatives of ||y||^2 = a^2 v B v - 2 a v . m + m . m."""
        behind, mean = _form(v, side.behind), v @ side.to_mean
        return (
            2 * (a * behind - mean)[:, None] * d_a
            + 2 * (a * a)[:, None] * (v @ side.behind)
            - 2 * a[:, None] * side.to_mean
        )


def _form(v: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n,): v M v of every row."""
    return np.einsum("nk,nk->n", v @ matrix, v)


def pair_game(query: SideState, candidate: SideState, dictionary: Float[np.ndarray, "c d"]) -> PairGame:
    """The game of one pair under the variant of its two states."""
    players = np.union1d(query.concepts, candidate.concepts)
    (q, q_rows, q_mean), (c, c_rows, c_mean) = (_side(one, players, dictionary) for one in (query, candidate))
    return PairGame(
        players=players,
        query=q,
        candidate=c,
        across=q_rows @ c_rows.T,
        mean_to_candidate=c_rows @ q_mean,
        query_to_mean=q_rows @ c_mean,
        means=float(q_mean @ c_mean),
    )


def _side(state: SideState, players: np.ndarray, dictionary: np.ndarray) -> tuple[_Side, np.ndarray, np.ndarray]:
    """Inner products of an item's players and base; its rows and mean behind the map."""
    t, factors = state.transform, dict(state.transform.edits)
    own = np.asarray(dictionary[state.concepts], dtype=np.float64)
    z = np.asarray(state.activations, dtype=np.float64)
    rows = np.zeros((len(players) + 1, dictionary.shape[1]))
    edited = z * np.array([factors.get(int(k), 1.0) for k in state.concepts])
    rows[np.searchsorted(players, state.concepts)] = edited[:, None] * own
    rows[-1] = np.asarray(state.h, dtype=np.float64) - z @ own
    rows = rows if t.removed_basis is None else project_out(rows, t.removed_basis)
    behind = rows if t.matrix is None else rows @ t.matrix
    mean = np.zeros(rows.shape[1]) if t.mean is None else np.asarray(t.mean, dtype=np.float64)
    mean = mean if t.matrix is None else mean @ t.matrix
    side = _Side(rows @ rows.T, behind @ behind.T, behind @ mean, float(mean @ mean), t.normalises)
    return side, behind, mean


@dataclass(frozen=True, eq=False)
class Shapley:
    """Shapley values of the players, with their standard errors over permutations."""

    values: Float[np.ndarray, " k"]
    errors: Float[np.ndarray, " k"]
    permutations: int


def shapley(game: PairGame, permutations: int = PERMUTATIONS, seed: int = 0) -> Shapley:
    """Shapley values over random orders of the players, seeded; unbiased, and efficient in every order.

    Standard error: sample deviation of a player's marginal gains over the root of the number of orders.
    """
    k, rng = len(game.players), np.random.default_rng(seed)
    if not k:
        return Shapley(np.zeros(0), np.zeros(0), permutations)
    gains, step = np.empty((permutations, k)), max(1, BLOCK // (k + 1) ** 2)
    for start in range(0, permutations, step):
        orders = [rng.permutation(k) for _ in range(min(step, permutations - start))]
        values = game.values(np.concatenate([along(order) for order in orders])).reshape(len(orders), k + 1)
        for at, (order, f) in enumerate(zip(orders, values, strict=True), start):
            gains[at, order] = np.diff(f)
    return Shapley(gains.mean(axis=0), gains.std(axis=0, ddof=1) / np.sqrt(permutations), permutations)


def shapley_exact(value: Callable[[Bool[np.ndarray, "n k"]], np.ndarray], k: int) -> Float[np.ndarray, " k"]:
    """Shapley values by all subsets of k players: over S without i, the sum of |S|! (k - |S| - 1)! / k! (f(S + i) -
    f(S))."""
    from math import comb

    assert k <= MOST_EXACT
    codes = np.arange(2**k)
    members = (codes[:, None] >> np.arange(k)) & 1 == 1
    f, sizes = value(members), members.sum(axis=1)
    weights = np.array([1 / (k * comb(k - 1, int(size))) if size < k else 0.0 for size in sizes])
    out = np.empty(k)
    for i in range(k):
        without = ~members[:, i]
        out[i] = float((weights[without] * (f[codes[without] | (1 << i)] - f[without])).sum())
    return out


def integrated_gradients(game: PairGame, nodes: int = NODES) -> Float[np.ndarray, " k"]:
    """Integrated gradients from no active concept to all of them, along the diagonal."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    ts = (points + 1) / 2
    return weights / 2 @ game.gradients(np.repeat(ts[:, None], len(game.players), axis=1))


def along(order: Int[np.ndarray, " k"]) -> Float[np.ndarray, "k1 k"]:
    """Weights as players are put in, in that order: row i has the first i at 1."""
    k = len(order)
    place = np.empty(k, dtype=np.int64)
    place[order] = np.arange(k)
    return (place[None, :] < np.arange(k + 1)[:, None]).astype(np.float64)


@dataclass(frozen=True)
class Areas:
    """Area under the deletion and under the insertion curve, as mean values of f; `between` is their difference."""

    deletion: float
    insertion: float

    @property
    def between(self) -> float:
        """Insertion minus deletion: higher is more faithful; 0 on average for an order that knows nothing."""
        return self.insertion - self.deletion


def areas(game: PairGame, scores: Float[np.ndarray, " k"]) -> Areas:
    """Areas of the order of the scores, largest first (ties by concept); trapezoids over the share of players."""
    k = len(game.players)
    if not k:
        value = float(game.values(np.zeros((1, 0)))[0])
        return Areas(value, value)
    put_in = along(np.argsort(-scores, kind="stable"))
    curves = [game.values(weights) for weights in (1 - put_in, put_in)]
    deletion, insertion = (float((f[:-1] + f[1:]).sum() / (2 * k)) for f in curves)
    return Areas(deletion, insertion)
