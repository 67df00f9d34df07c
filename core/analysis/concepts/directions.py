"""Dictionaries that are no SAE, in an SAE's contract: h = z D + u + e, unit rows of D, sparse codes z >= 0. A check on
what SAEs show.

1. `fit_directions(rows, kind, size, k, seed)`: u = mean of the rows; D from scikit-learn:
   pca      principal axes, each with both signs
   ica      columns of FastICA's mixing matrix, each with both signs
   kmeans   directions of the centroids of the centred rows (MiniBatchKMeans)
2. `encode(rows)`: scores (h - u) E, E = D^T (ica: the unmixing, scaled to rows of unit length). The k largest positive
   scores are active. PCA's axes are orthogonal, so scores are the best coefficients; the others overlap, and their k
   coefficients are fitted again by non-negative least squares (scipy), which may set some to 0.
PCA and ICA have at most min(d, N - 1) axes, so 2 d rows at most. Explained variance is in fidelity.py. Knows nothing of
runs.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls
from scipy.sparse import csr_array

from core.analysis.arrays import Codes, row_blocks, unit_rows
from core.errors import ShapeMismatch, UserError

DictionaryKind = Literal["pca", "ica", "kmeans"]
ICA_ITERATIONS, ICA_TOLERANCE = 100, 1e-3
KMEANS_EPOCHS = 20


@dataclass(frozen=True, eq=False)
class DirectionDictionary:
    """A fitted dictionary of directions. Cannot learn."""

    dictionary: Float[np.ndarray, "c d"]
    """Unit rows, float64."""
    offset: Float[np.ndarray, " d"]
    """u, the mean of the rows it was fitted on."""
    encoder: Float[np.ndarray, "d c"]
    """E: scores are (h - u) E."""
    k: int
    """Active concepts per item, at most."""
    kind: DictionaryKind
    n_samples: int
    notes: tuple[str, ...] = ()

    def encode(self, rows: Float[np.ndarray, "n d"]) -> csr_array:
        """Codes (n, c) in embedding units, float64, at most k positive values per row, columns ascending."""
        d, c = self.encoder.shape
        if rows.shape[1] != d:
            raise ShapeMismatch("rows do not fit the dictionary", got=f"width {rows.shape[1]}", allowed=f"width {d}")
        columns, values = np.empty((2, len(rows), self.k))
        for block in row_blocks(len(rows), max(c, d)):
            centred = rows[block] - self.offset
            columns[block], values[block] = self._active(centred)
        codes = csr_array(
            (values.ravel(), columns.ravel().astype(np.int32), np.arange(0, values.size + 1, self.k)),
            shape=(len(rows), c),
        )
        codes.eliminate_zeros()
        return codes

    def reconstruct(self, codes: Codes) -> Float[np.ndarray, "n d"]:
        """z D + u."""
        return codes @ self.dictionary + self.offset

    def _active(self, centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(columns, values) of the k best scores of every row; 0 where fewer are positive."""
        scores = centred @ self.encoder
        columns = np.sort(np.argpartition(-scores, self.k - 1, axis=1)[:, : self.k], axis=1)
        values = np.maximum(np.take_along_axis(scores, columns, axis=1), 0.0)
        if self.kind != "pca":
            for i, row in enumerate(centred):
                firing = values[i] > 0
                if firing.any():
                    values[i, firing] = nnls(self.dictionary[columns[i, firing]].T, row, maxiter=100 * self.k)[0]
        return columns, values


def fit_directions(
    rows: Float[np.ndarray, "n d"], kind: DictionaryKind = "pca", size: int = 1024, k: int = 32, seed: int = 0
) -> DirectionDictionary:
    """A dictionary of (at most) `size` directions of the rows, as they are: raw embeddings, not normalised. Fewer rows
    are noted.

    Raises:
        UserError: fewer than 2 rows, more centroids than rows, or a k that does not fit the size.
    """
    if len(rows) < 2 or (kind == "kmeans" and size > len(rows)):
        raise UserError(
            f"cannot fit {size} {kind} directions", got=f"{len(rows)} rows", allowed=f"at least {max(2, size)}"
        )
    x = np.asarray(rows, dtype=np.float64)
    offset = x.mean(axis=0)
    fit = {"pca": _pca, "ica": _ica, "kmeans": _kmeans}[kind]
    dictionary, encoder, notes = fit(x - offset, size, seed)
    if not 1 <= k <= len(dictionary):
        raise UserError("k does not fit the dictionary", got=k, allowed=f"1 to {len(dictionary)}")
    if len(dictionary) < size:
        notes = (
            (
                f"{kind}: {len(dictionary)} directions instead of {size}: {len(rows)} rows of {x.shape[1]} dimensions"
                " have no more"
            ),
            *notes,
        )
    return DirectionDictionary(dictionary, offset, encoder, k, kind, len(rows), notes)


_Fitted = tuple[np.ndarray, np.ndarray, tuple[str, ...]]
"""Dictionary (c, d), encoder (d, c), notes."""


def _axes(centred: np.ndarray, size: int) -> int:
    """How many axes a dictionary of both signs needs, and the rows have."""
    return max(1, min(size // 2, int(np.linalg.matrix_rank(centred))))


def _pca(centred: np.ndarray, size: int, seed: int) -> _Fitted:
    """Principal axes, each with both signs."""
    from sklearn.decomposition import PCA

    axes = PCA(_axes(centred, size), svd_solver="full").fit(centred).components_
    return np.vstack([axes, -axes]), np.hstack([axes.T, -axes.T]), ()


def _ica(centred: np.ndarray, size: int, seed: int) -> _Fitted:
    """Columns of FastICA's mixing matrix, each with both signs; encoded by the unmixing."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    ica = FastICA(
        _axes(centred, size), whiten="unit-variance", random_state=seed, max_iter=ICA_ITERATIONS, tol=ICA_TOLERANCE
    )
    with warnings.catch_warnings():  # not to be recorded: fits in other threads share what is caught
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(centred)
    lengths = np.linalg.norm(ica.mixing_, axis=0)
    axes, unmixing = (ica.mixing_ / lengths).T, ica.components_.T * lengths
    notes = (f"ica: not converged after {ICA_ITERATIONS} iterations",) if ica.n_iter_ >= ICA_ITERATIONS else ()
    return np.vstack([axes, -axes]), np.hstack([unmixing, -unmixing]), notes


def _kmeans(centred: np.ndarray, size: int, seed: int) -> _Fitted:
    """Directions of the centroids."""
    from sklearn.cluster import MiniBatchKMeans

    centres = (
        MiniBatchKMeans(
            size, init="random", max_iter=KMEANS_EPOCHS, random_state=seed, n_init=1, batch_size=max(1024, size)
        )
        .fit(centred)
        .cluster_centers_
    )
    lengths = np.linalg.norm(centres, axis=1)
    directions = unit_rows(centres[lengths > 1e-9 * lengths.max()])
    return directions, directions.T.copy(), ()
