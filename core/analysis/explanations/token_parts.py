"""Where a mean-pooled embedding comes from: every token's part of it, of a similarity, and of one concept's share.

Mean pooling is a sum, h = (1/T) sum_t s_t, and a fitted variant is affine on it once its length a = 1/||h''|| is known
(`variants/transform.py`), so both split over tokens exactly:

    h'' = (h + edit) P      a = 1/||h''|| (1 without an affine map)      y = (a h'' - m) W
    part of token t:  y_t = (a / T) s_t P W        offset: o = y - sum_t y_t = (a (edit + h - mean s) P - m) W

The offset holds what no token brings: the mean that the variant subtracts, concepts switched off, and the rounding of
the stored embedding. A similarity is linear in either item, so with the other one held as it is

    cos = sum_t y_t . y' / n  +  o . y' / n        n = ||y|| ||y'||

adds up over the tokens of this side alone; over kinds of tokens of both sides it is a table that sums to the cosine.

One concept: its contribution to the cosine (docs/study.md section 4) is z_k r_k of the query plus the same of the
candidate, r_k = a' (D_k P W) . g' / 2n held fixed. The functional that is split is its pre-activation, linear in a
state: z_k = mean_t (w_k . s_t + b_k) wherever the encoder neither cut it off nor bent it; what is left of z_k is the
`rest`. All sums in float64. Knows nothing of models.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.analysis.subspaces import project_out
from core.analysis.variants.transform import SideTransform, affine
from core.errors import ShapeMismatch


@dataclass(frozen=True, eq=False)
class TokenParts:
    """One item in the space of a variant: y = parts.sum(axis=0) + offset."""

    parts: Float[np.ndarray, "t d_out"]
    """y_t, in the order of the tokens."""
    offset: Float[np.ndarray, " d_out"]
    scale: float
    """a / T: what a token state is multiplied by before P W."""

    @property
    def whole(self) -> Float[np.ndarray, " d_out"]:
        """y, not normalised."""
        return self.parts.sum(axis=0) + self.offset

    def by_kind(self, kind: Int[np.ndarray, " t"], kinds: int) -> Float[np.ndarray, "kinds_and_1 d_out"]:
        """Parts summed over the tokens of each kind (0 to kinds - 1); the offset is the last row."""
        sums = np.zeros((kinds + 1, self.parts.shape[1]))
        np.add.at(sums, kind, self.parts)
        sums[-1] = self.offset
        return sums


def token_parts(
    states: Float[np.ndarray, "t d"],
    side: SideTransform,
    h: Float[np.ndarray, " d"] | None = None,
    edit: Float[np.ndarray, " d"] | None = None,
) -> TokenParts:
    """The parts of the tokens that are pooled.

    Args:
        states: of the tokens in the mask, at least one.
        side: the fitted variant of the item's side and modality.
        h: the pooled embedding as it is stored; None: the mean of the states.
        edit: what switching concepts on or off adds to it, sum_k (s_k - 1) z_k D_k; None: nothing.

    Raises:
        ShapeMismatch: no tokens, or an embedding of another width.
    """
    s = np.asarray(states, dtype=np.float64)
    if not len(s) or (h is not None and h.shape != s.shape[1:]):
        raise ShapeMismatch("token states do not fit the embedding", got=f"{s.shape}", allowed="(t, d) with t >= 1")
    pooled = s.mean(axis=0) if h is None else np.asarray(h, dtype=np.float64)
    edited = pooled if edit is None else pooled + edit
    projected = _linear(edited, side, matrix=False)
    length = float(np.linalg.norm(projected))
    y = affine(projected[None], side)[0]
    scale = (1 / length if side.normalises and length else 1.0) / len(s)
    if not y.any():  # a row without a direction is similar to nothing: no token adds anything
        return TokenParts(np.zeros((len(s), len(y))), y, 0.0)
    parts = _linear(s * scale, side)
    return TokenParts(parts, y - parts.sum(axis=0), scale)


def towards(item: TokenParts, other: Float[np.ndarray, " d_out"]) -> tuple[Float[np.ndarray, " t"], float]:
    """(what each token adds to the cosine with `other`, what the offset adds); they sum to the cosine, 0 where a row is
    zero."""
    norm = float(np.linalg.norm(item.whole) * np.linalg.norm(other))
    if norm == 0:
        return np.zeros(len(item.parts)), 0.0
    return item.parts @ other / norm, float(item.offset @ other) / norm


def kind_table(one: Float[np.ndarray, "k d_out"], two: Float[np.ndarray, "l d_out"]) -> Float[np.ndarray, "k l"]:
    """What each pair of kinds adds to the cosine of the two items; sums to it. Rows and columns of `TokenParts.by_kind`
    of either item."""
    norm = float(np.linalg.norm(one.sum(axis=0)) * np.linalg.norm(two.sum(axis=0)))
    return one @ two.T / norm if norm else np.zeros((len(one), len(two)))


def self_shares(by_kind: Float[np.ndarray, "k d_out"]) -> Float[np.ndarray, " k"]:
    """Share of each kind in its item's own embedding, y_kind . y / ||y||^2; sums to 1, a share may be negative."""
    y = by_kind.sum(axis=0)
    square = float(y @ y)
    return by_kind @ y / square if square else np.zeros(len(by_kind))


def concept_split(
    pre_activations: Float[np.ndarray, " t"], activation: float, worth: float
) -> tuple[Float[np.ndarray, " t"], float]:
    """(what each token adds to a concept's share of a similarity, the rest); they sum to activation x worth.

    `worth`: what one unit of the concept's activation on this item adds to the similarity, r_k above. All 0 where the
    concept does not fire on the item.
    """
    if activation == 0:
        return np.zeros(len(pre_activations)), 0.0
    parts = pre_activations * worth / len(pre_activations)
    return parts, activation * worth - float(parts.sum())


def _linear(v: np.ndarray, side: SideTransform, matrix: bool = True) -> np.ndarray:
    """v P W, or v P; of one row or of several."""
    rows = np.atleast_2d(v)
    projected = rows if side.removed_basis is None else project_out(rows, side.removed_basis)
    mapped = projected if side.matrix is None or not matrix else projected @ side.matrix
    return mapped[0] if v.ndim == 1 else mapped
