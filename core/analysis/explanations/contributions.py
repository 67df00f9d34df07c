"""How much every concept contributes to one similarity, and to the margin between two candidates; exact (docs/study.md
section 4).

The variant of side s is h'' = (h + sum_k (s_k - 1) z_k D_k) P, x = a h'', y = (x - m) W, with P = I - V^T V and a =
1/||h''|| (1 where the variant has no affine map). With h = z D + u + e, every term is linear in one of: a concept's
code z'_k, the offset u (with m), the error e:

    y = g + o + err    g = a z' D P W    o = (a u P - m) W    err = a e P W    y^ = y - err    n = ||y_q|| ||y_c||
    concept k:        [ a_q z'_qk (D_k P W_q) . g_c + a_c z'_ck (D_k P W_c) . g_q ] / 2n
    offset:           ( o_q . y^_c + o_c . y^_q - o_q . o_c ) / n
    query error:      err_q . (y_c + y^_c) / 2n           candidate error: err_c . (y_q + y^_q) / 2n

Their sum is the cosine. Centred codes: where the variant centres and the fit saw codes, a z' is replaced by a z' minus
its mean over the statistics set, and that mean moves into the offset: o = (a u P - m + mean(a z') D P) W. Sums just as
exactly, and the offset is small. Cost: D read once for the query and all its
candidates, O(c d); without centred codes only active concepts are
touched. All sums in float64. Knows nothing of rankings. Removal is in `core/analysis/subspaces.py` (re-exported here).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.analysis.arrays import row_blocks
from core.analysis.subspaces import project_out, random_concepts, random_directions, removal_basis
from core.analysis.variants.transform import SideTransform, affine, decoded_mean
from core.errors import ShapeMismatch, UserError

__all__ = [
    "Contributions",
    "Margin",
    "SideState",
    "contributions",
    "edit_of",
    "unit_worths",
    "margin",
    "project_out",
    "random_concepts",
    "random_directions",
    "removal_basis",
]


@dataclass(frozen=True, eq=False)
class SideState:
    """One item as one side of a comparison."""

    h: Float[np.ndarray, " d"]
    """Its raw pooled embedding."""
    concepts: Int[np.ndarray, " k"]
    """Ids of its active concepts, each once."""
    activations: Float[np.ndarray, " k"]
    """z_k of these, embedding units, before any edit."""
    transform: SideTransform
    """The fitted variant of its side, and of its modality where the variant tells them apart (`SideTransform.of`)."""
    offset: Float[np.ndarray, " d"] | None = None
    """u in h = z D + u + e: what the code does not carry (b_dec, per-item offsets); None: zero."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """A cosine as a sum: `values`.sum() + offset + query_error + candidate_error = similarity. No unit; any sign."""

    concepts: Int[np.ndarray, " k"]
    """Ascending ids: all c of them with centred codes, else those active on either side."""
    values: Float[np.ndarray, " k"]
    offset: float
    query_error: float
    """What the SAE does not explain of the query."""
    candidate_error: float
    similarity: float
    """The cosine of the two transformed rows; 0 where one of them is zero (then all terms are 0)."""
    norm: float
    """n = ||y_q|| ||y_c||. With a = 1, W = I, m = 0 the mean over pairs of 2 n values_k is A_k of Eq 6."""
    centred_codes: bool


@dataclass(frozen=True, eq=False)
class Margin:
    """similarity(query, first) - similarity(query, second), term by term: the fields sum to `margin`."""

    concepts: Int[np.ndarray, " k"]
    values: Float[np.ndarray, " k"]
    """Positive: the concept speaks for the first candidate."""
    offset: float
    query_error: float
    candidate_error: float
    margin: float
    first: Contributions
    second: Contributions


def contributions(
    query: SideState, candidate: SideState, dictionary: Float[np.ndarray, "c d"], centred: bool | None = None
) -> Contributions:
    """Decompose the cosine of `query` and `candidate`. `centred`: None = centred codes where both sides have a code
    mean."""
    return _decomposed(query, [candidate], dictionary, centred)[0]


def margin(query: SideState, first: SideState, second: SideState, dictionary: Float[np.ndarray, "c d"]) -> Margin:
    """Why `first` is nearer to `query` than `second` (or not): the difference of the two decompositions."""
    a, b = _decomposed(query, [first, second], dictionary, None)
    concepts = np.union1d(a.concepts, b.concepts)
    values = np.zeros(len(concepts))
    values[np.searchsorted(concepts, a.concepts)] += a.values
    values[np.searchsorted(concepts, b.concepts)] -= b.values
    return Margin(
        concepts=concepts,
        values=values,
        offset=a.offset - b.offset,
        query_error=a.query_error - b.query_error,
        candidate_error=a.candidate_error - b.candidate_error,
        margin=a.similarity - b.similarity,
        first=a,
        second=b,
    )


def _decomposed(
    query: SideState, candidates: list[SideState], dictionary: np.ndarray, centred: bool | None
) -> list[Contributions]:
    """The cosine of `query` and each candidate. A large dictionary is read once for all of them."""
    if len({_is_centred(query, candidate, centred) for candidate in candidates}) > 1:
        return [_decomposed(query, [candidate], dictionary, centred)[0] for candidate in candidates]
    centred = _is_centred(query, candidates[0], centred)
    q, others = _terms(query, dictionary, centred), [_terms(candidate, dictionary, centred) for candidate in candidates]
    pairs = [(side, side.back(other.g)) for c in others for side, other in ((q, c), (c, q))]
    if centred:
        products = list(_dots(dictionary, np.arange(len(dictionary)), np.stack([v for _, v in pairs], axis=1)).T)
    else:
        products = [_dots(dictionary, side.concepts, v) for side, v in pairs]
    return [_summed(q, c, products[2 * i : 2 * i + 2], dictionary, centred) for i, c in enumerate(others)]


def _is_centred(query: SideState, candidate: SideState, centred: bool | None) -> bool:
    """Whether codes are centred; None: where both sides have a code mean."""
    has_means = query.transform.code_mean is not None and candidate.transform.code_mean is not None
    centred = has_means if centred is None else centred
    if centred and not has_means:
        raise UserError(
            "no mean code to centre with",
            got="a variant without centring, or fitted without codes",
            allowed="centred=False",
        )
    return centred


def _summed(
    q: "_Terms", c: "_Terms", products: list[np.ndarray], dictionary: np.ndarray, centred: bool
) -> Contributions:
    """The parts of one cosine. `products`: D_k . back(g of the other side) of the query's and the candidate's
    concepts."""
    concepts = np.arange(len(dictionary)) if centred else np.union1d(q.concepts, c.concepts)
    norm = float(np.linalg.norm(q.y) * np.linalg.norm(c.y))
    if norm == 0:
        return Contributions(concepts, np.zeros(len(concepts)), 0.0, 0.0, 0.0, 0.0, 0.0, centred)
    values = np.zeros(len(concepts))
    for side, product in zip((q, c), products, strict=True):
        values[np.searchsorted(concepts, side.concepts)] += side.codes * product
    q_hat, c_hat = q.y - q.error, c.y - c.error
    return Contributions(
        concepts=concepts,
        values=values / (2 * norm),
        offset=float(q.offset @ c_hat + c.offset @ q_hat - q.offset @ c.offset) / norm,
        query_error=float(q.error @ (c.y + c_hat)) / (2 * norm),
        candidate_error=float(c.error @ (q.y + q_hat)) / (2 * norm),
        similarity=float(q.y @ c.y) / norm,
        norm=norm,
        centred_codes=centred,
    )


def edit_of(state: SideState, dictionary: Float[np.ndarray, "c d"]) -> Float[np.ndarray, " d"]:
    """What the variant's edits add to an item's embedding: sum_k (s_k - 1) z_k D_k over its active concepts."""
    factors = dict(state.transform.edits)
    shifts = np.array([factors.get(int(k), 1.0) - 1.0 for k in state.concepts])
    return _weighted_rows(dictionary, state.concepts, shifts * state.activations)


def unit_worths(
    query: SideState, candidate: SideState, dictionary: Float[np.ndarray, "c d"], concept: int
) -> tuple[float, float]:
    """What one unit of a concept's activation on the query, and one on the candidate, adds to their cosine, the other
    item held as it is: s_k a_q (D_k P W_q) . g_c / 2n and its mirror image. 0 where a row is zero.

    With plain codes, worth_q z_qk + worth_c z_ck is the concept's contribution; with centred codes less the same of its
    mean code.
    """
    centred = query.transform.code_mean is not None and candidate.transform.code_mean is not None
    q, c = _terms(query, dictionary, centred), _terms(candidate, dictionary, centred)
    norm = float(np.linalg.norm(q.y) * np.linalg.norm(c.y))
    if norm == 0:
        return 0.0, 0.0
    row = np.asarray(dictionary[concept], dtype=np.float64)
    worths = [
        dict(side.side.edits).get(concept, 1.0) * side.scale * float(row @ side.back(other.g)) / (2 * norm)
        for side, other in ((q, c), (c, q))
    ]
    return worths[0], worths[1]


@dataclass(frozen=True, eq=False)
class _Terms:
    """The parts of one side in the space of the variant; y = g + offset + error."""

    concepts: np.ndarray
    codes: np.ndarray
    """a z', or a z' minus its mean, of `concepts`."""
    scale: float
    """a."""
    y: np.ndarray
    g: np.ndarray
    offset: np.ndarray
    error: np.ndarray
    side: SideTransform

    def back(self, g: np.ndarray) -> np.ndarray:
        """P W g: then D_k . back(g) = (D_k P W) . g, one matrix-vector product for all concepts."""
        return _projected(g if self.side.matrix is None else self.side.matrix @ g, self.side)


def _terms(state: SideState, dictionary: np.ndarray, centred: bool) -> _Terms:
    side = state.transform
    h, z = np.asarray(state.h, dtype=np.float64), np.asarray(state.activations, dtype=np.float64)
    if h.shape != dictionary.shape[1:]:
        raise ShapeMismatch(
            "the item does not fit the dictionary", got=f"width {len(h)}", allowed=f"width {dictionary.shape[1]}"
        )
    u = np.zeros_like(h) if state.offset is None else np.asarray(state.offset, dtype=np.float64)
    error = h - _weighted_rows(dictionary, state.concepts, z) - u
    factors = dict(side.edits)
    edited = z * np.array([factors.get(int(k), 1.0) for k in state.concepts])
    h = h + _weighted_rows(dictionary, state.concepts, edited - z)
    h = _projected(h, side)
    y = affine(h[None], side)[0]
    if not y.any():
        zero = np.zeros_like(y)
        return _Terms(state.concepts[:0], z[:0], 0.0, zero, zero, zero, zero, side)
    scale = float(1 / np.linalg.norm(h)) if side.normalises else 1.0
    concepts, codes = state.concepts, scale * edited
    decoded = _weighted_rows(dictionary, concepts, codes)
    if centred:
        assert side.code_mean is not None  # the callers refuse `centred` without it
        # z' - mean z' is dense: concepts that do not fire here still differ from their mean.
        dense = -side.code_mean
        dense[state.concepts] += codes
        concepts, codes = np.arange(len(dictionary)), dense
        decoded = decoded - _mean_row(side, dictionary)
    g = _linear(decoded, side)
    error = _linear(scale * error, side)
    return _Terms(concepts, codes, scale, y, g, y - g - error, error, side)


def _mean_row(side: SideTransform, dictionary: np.ndarray) -> np.ndarray:
    """mean(a z') D, from the fit where that has it."""
    assert side.code_mean is not None
    if side.code_mean_row is not None:
        return side.code_mean_row
    return decoded_mean(side.code_mean, dictionary)


def _projected(v: np.ndarray, side: SideTransform) -> np.ndarray:
    return v if side.removed_basis is None else project_out(v[None], side.removed_basis)[0]


def _linear(v: np.ndarray, side: SideTransform) -> np.ndarray:
    """v P W: the linear part of the variant."""
    projected = _projected(v, side)
    return projected if side.matrix is None else projected @ side.matrix


def _weighted_rows(dictionary: np.ndarray, concepts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_k w_k D_k, float64, in blocks of concepts."""
    total = np.zeros(dictionary.shape[1])
    for block in row_blocks(len(concepts), dictionary.shape[1]):
        total += weights[block] @ np.asarray(dictionary[concepts[block]], dtype=np.float64)
    return total


def _dots(dictionary: np.ndarray, concepts: np.ndarray, v: np.ndarray) -> np.ndarray:
    """D_k . v for the given concepts, float64, in blocks; v may be several vectors (d, m)."""
    out = np.empty((len(concepts), *v.shape[1:]))
    every = len(concepts) == len(dictionary)  # then they stand in order, and need no copy
    for block in row_blocks(len(concepts), dictionary.shape[1]):
        out[block] = np.asarray(dictionary[block if every else concepts[block]], dtype=np.float64) @ v
    return out
