"""The subspace of a set of concepts, and its removal (Eqs 8-10); seeded random controls.

In: dictionary rows D_R (m, d) of the concepts to remove. 1. SVD D_R = U S V^T. 2. V_r = top r right singular vectors.
3. h' = h - V_r V_r^T h. Knows nothing of how the concepts were chosen.
"""

import numpy as np
from jaxtyping import Float, Int

from core.analysis.engine import Array
from core.errors import UserError


def removal_basis(
    rows: Float[np.ndarray, "m d"], energy_share: float = 0.99, rank: int | None = None
) -> Float[np.ndarray, "r d"]:
    """Orthonormal rows V_r that span the main directions of `rows`, largest singular value first. float64.

    r = `rank` where given (at most the rank of `rows`), else the fewest directions whose squared singular values sum to
    `energy_share` of the total: the paper does not give r (docs/study.md section 5). No or only zero rows: (0, d).
    """
    if not 0 < energy_share <= 1:
        raise UserError("energy share out of range", got=energy_share, allowed="above 0, up to 1")
    if not len(rows):
        return np.zeros((0, rows.shape[1]))
    _, singular, basis = np.linalg.svd(np.asarray(rows, dtype=np.float64), full_matrices=False)
    full = int(np.sum(singular > singular[0] * max(rows.shape) * np.finfo(np.float64).eps))
    if rank is None:
        energy = np.cumsum(singular**2)
        rank = int(np.searchsorted(energy, energy_share * energy[-1] * (1 - 1e-12))) + 1
    return basis[: min(rank, full)]


def project_out(x: Array, basis: Array) -> Array:
    """h' = h - V^T V h for each row h of `x` (n, d), V orthonormal rows (r, d) (Eq 10), on any engine. Precision of the
    wider input; r = 0 returns a copy."""
    return x - (x @ basis.T) @ basis


def join_bases(*bases: Float[np.ndarray, "_ d"]) -> Float[np.ndarray, "r d"]:
    """One orthonormal basis of the sum of several subspaces; a single one is returned as it is."""
    return bases[0] if len(bases) == 1 else removal_basis(np.vstack(bases), energy_share=1.0)


def random_concepts(pool: Int[np.ndarray, " p"], count: int, seed: int) -> Int[np.ndarray, " count"]:
    """`count` different concepts drawn from `pool`, in ascending order: the control of equal number."""
    if not 1 <= count <= len(pool):
        raise UserError("cannot draw so many concepts", got=count, allowed=f"1 to {len(pool)}")
    return np.sort(np.random.default_rng(seed).choice(pool, size=count, replace=False))


def random_directions(d: int, rank: int, seed: int) -> Float[np.ndarray, "rank d"]:
    """`rank` orthonormal directions, uniform over the sphere: the control of equal rank. float64."""
    if not 1 <= rank <= d:
        raise UserError("cannot draw so many directions", got=rank, allowed=f"1 to {d}")
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, rank)))[0].T
