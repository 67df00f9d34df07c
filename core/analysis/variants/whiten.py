"""Centring and whitening: moments -> a frozen affine record -> its application.

1. `moments_of` / `CovarianceAccumulator` collect mean, covariance (N-1) and one fourth moment in one pass, in float64.
2. `fit_center`, `fit_scale`, `fit_pca`, `fit_zca`, `fit_realign`, `fit_auto` turn the moments into an `AffineRecord`.
3. `apply_affine` maps rows by (x - mean) @ matrix. It cannot learn.

ReAlign is Eqs 11-12 of the study as its released code computes them: Sigma_b = (1-b) Sigma + b tr(Sigma)/d I (the
estimator of scikit-learn's ShrunkCovariance, on the N-1 covariance), Sigma_b = U L U^T, W = U (L + eps I)^(-1/2) U^T.
beta 1 makes W a multiple of I: nothing but centring as far as cosines go. beta 0 is ZCA. Rank: with N <= d the
covariance has a null space; its directions get the gain 1/sqrt(eps) (ZCA) or 1/sqrt(floor + eps) (ReAlign, floor = b
tr/d). Rows of the fitting set have no component there, other rows do, so the record warns. N < 2 is refused by the
moments, and so are rows with NaN or infinity. Constant rows: covariance 0, W = I / sqrt(eps), every fitted row maps to
0. Directions whose eigenvalue and eps together are rounding of the largest eigenvalue get gain 0 (pseudo-inverse), so
eps = 0 gives finite numbers for any rows. Knows nothing of sides, variants or L2 norms: what is normalised before is
the caller's business.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import row_blocks
from core.analysis.variants.moments import CovarianceAccumulator, Moments, merge_moments, moments_of
from core.errors import ShapeMismatch, UserError

__all__ = [
    "AffineRecord",
    "CovarianceAccumulator",
    "Moments",
    "apply_affine",
    "fit_auto",
    "fit_center",
    "fit_pca",
    "fit_realign",
    "fit_scale",
    "fit_zca",
    "merge_moments",
    "moments_of",
    "shrinkage_ledoit_wolf",
    "shrinkage_oas",
]

AutoMethod = Literal["ledoit-wolf", "oas"]
TINY = 1e-200
"""An eigenvalue below this counts as 0: its gain would have no finite square."""
EPS_WARNING_SHARE = 0.1
"""An eps of this share of the shrinkage floor (without shrinkage: of the mean variance) changes the result visibly."""


@dataclass(frozen=True, eq=False)
class AffineRecord:
    """A fitted map x -> (x - mean) @ matrix."""

    mean: Float[np.ndarray, " d"]
    matrix: Float[np.ndarray, "d d_out"] | None
    """None: the identity."""
    kind: str
    n_samples: int
    """Rows it was fitted on."""
    beta: float | None = None
    """Shrinkage intensity, 0-1; None where the kind has none."""
    eps: float | None = None
    """Added to the eigenvalue (or variance) inside the square root."""
    warnings: tuple[str, ...] = ()
    """One sentence each: eps not negligible, rank deficient."""


def apply_affine(x: Float[np.ndarray, "n d"], record: AffineRecord) -> Float[np.ndarray, "n d_out"]:
    """(x - mean) @ matrix in float64, blocked, returned as float64 (n, d_out). Raises ShapeMismatch on another
    width."""
    if x.shape[1] != len(record.mean):
        raise ShapeMismatch(
            "rows do not fit the record", got=f"width {x.shape[1]}", allowed=f"width {len(record.mean)}"
        )
    width = x.shape[1] if record.matrix is None else record.matrix.shape[1]
    out = np.empty((len(x), width))
    for block in row_blocks(*x.shape):
        centred = x[block] - record.mean
        out[block] = centred if record.matrix is None else centred @ record.matrix
    return out


def fit_center(moments: Moments) -> AffineRecord:
    """x - mean."""
    return AffineRecord(moments.mean, None, "center", moments.n_samples)


def fit_scale(moments: Moments, eps: float = 1e-5) -> AffineRecord:
    """(x_j - mean_j) / sqrt(var_j + eps) for each dimension j: scaling without rotation, for the split of the gain."""
    gains = _inverse_root(np.maximum(np.diag(moments.covariance), 0.0), eps)
    return _record(moments, np.diag(gains), "scale-dims", None, eps)


def fit_pca(moments: Moments, eps: float = 1e-5, n_components: int | None = None) -> AffineRecord:
    """W = U_r (L_r + eps)^(-1/2), (d, r), largest eigenvalues first, sign fixed so that the largest entry is positive.

    Its axes are this set's own: cosines between rows of two different fits mean nothing (docs/study.md section 6).
    """
    values, vectors = moments.spectrum
    if n_components is not None and not 1 <= n_components <= len(values):
        raise UserError("cannot keep so many components", got=n_components, allowed=f"1 to {len(values)}")
    matrix = vectors[:, :n_components] * _inverse_root(values[:n_components], eps)
    return _record(moments, matrix, "pca", 0.0, eps)


def fit_zca(moments: Moments, eps: float = 1e-5) -> AffineRecord:
    """W = U (L + eps)^(-1/2) U^T: ReAlign with beta 0."""
    return _record(moments, _symmetric_whitening(moments, 0.0, eps), "zca", 0.0, eps)


def fit_realign(moments: Moments, beta: float = 0.1, eps: float = 1e-5) -> AffineRecord:
    """Shrinkage ZCA, Eqs 11-12 (see the module's text). beta in [0, 1], eps >= 0."""
    return _record(moments, _symmetric_whitening(moments, beta, eps), "realign", beta, eps)


def fit_auto(moments: Moments, method: AutoMethod = "ledoit-wolf", eps: float = 1e-5) -> AffineRecord:
    """ReAlign with the shrinkage that Ledoit-Wolf or OAS chooses from the data instead of a set beta."""
    beta = shrinkage_ledoit_wolf(moments) if method == "ledoit-wolf" else shrinkage_oas(moments)
    return _record(moments, _symmetric_whitening(moments, beta, eps), f"auto-{method}", beta, eps)


def shrinkage_ledoit_wolf(moments: Moments) -> float:
    """Ledoit & Wolf (2004), as sklearn.covariance.ledoit_wolf_shrinkage, from one pass of moments. In [0, 1]; constant
    rows: 0.

    With S the 1/N covariance, m = tr(S)/d: b = (sum_i ||y_i||^4 / N - ||S||^2) / N, delta = ||S - m I||^2, beta =
    min(b, delta) / delta.
    """
    n, d = moments.n_samples, len(moments.mean)
    s = moments.covariance * ((n - 1) / n)
    squared, m = float(np.sum(s**2)), float(np.trace(s)) / d
    delta = squared - d * m**2
    spread = (moments.fourth / n - squared) / n
    return max(0.0, min(spread, delta) / delta) if delta > 0 else 0.0


def shrinkage_oas(moments: Moments) -> float:
    """Oracle approximating shrinkage (Chen et al. 2010, Eq 23), as sklearn.covariance.oas. In [0, 1]; constant rows:
    1."""
    n, d = moments.n_samples, len(moments.mean)
    s = moments.covariance * ((n - 1) / n)
    alpha, m2 = float(np.mean(s**2)), (float(np.trace(s)) / d) ** 2
    denominator = (n + 1) * (alpha - m2 / d)
    return 1.0 if denominator <= 0 else min((alpha + m2) / denominator, 1.0)


def _symmetric_whitening(moments: Moments, beta: float, eps: float) -> Float[np.ndarray, "d d"]:
    """W = U (L_b + eps)^(-1/2) U^T with shrunk eigenvalues L_b."""
    values, vectors = moments.spectrum
    shrunk = (1 - beta) * values + beta * values.mean()
    return (vectors * _inverse_root(shrunk, eps)) @ vectors.T


def _inverse_root(values: Float[np.ndarray, " r"], eps: float) -> Float[np.ndarray, " r"]:
    """(values + eps)^(-1/2); 0 where the sum is 0 (pseudo-inverse)."""
    damped = values + eps
    # Eigenvalues come with an error of about the largest times d times the rounding of float64 (as matrix_rank counts).
    rounding = damped.max(initial=0.0) * len(damped) * np.finfo(np.float64).eps
    return np.divide(1.0, np.sqrt(damped), out=np.zeros_like(damped), where=(damped > rounding) & (damped > TINY))


def _record(moments: Moments, matrix: np.ndarray, kind: str, beta: float | None, eps: float) -> AffineRecord:
    """The record with what the fit warns of."""
    warnings = _eps_warning(moments, beta or 0.0, eps) + _rank_warning(moments, beta or 0.0, kind)
    return AffineRecord(moments.mean, matrix, kind, moments.n_samples, beta, eps, warnings)


def _eps_warning(moments: Moments, beta: float, eps: float) -> tuple[str, ...]:
    """An eps that is not small beside the shrinkage floor."""
    reference = (beta or 1.0) * moments.mean_variance
    if eps <= 0 or eps < EPS_WARNING_SHARE * reference:
        return ()
    name = "the shrinkage floor beta*tr/d" if beta else "the mean variance tr/d"
    share = f"{eps / reference:.0%} of" if reference else "above"
    return (f"eps {eps:g} is {share} {name} ({reference:.2g}): it acts as shrinkage of its own",)


def _rank_warning(moments: Moments, beta: float, kind: str) -> tuple[str, ...]:
    """A covariance of fewer rows than dimensions without shrinkage."""
    n, d = moments.n_samples, len(moments.mean)
    if n > d or beta > 0 or kind == "scale-dims":
        return ()
    return (
        (
            f"fitted on {n} rows of {d} dimensions: the covariance is rank-deficient and nothing but eps bounds its"
            " null space"
        ),
    )
