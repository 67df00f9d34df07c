"""What a fitted variant does to the rows of one side, always in this order:

1. edits     h <- h + sum_k (s_k - 1) z_k D_k      scale concept k by s_k, in embedding units
2. removal   h <- h - V^T V h                      project a subspace out (Eq 10)
3. L2 norm   x = a h, a = 1 / ||h||
4. affine    y = (x - mean) @ matrix               centring, whitening; composed where a variant has several
5. L2 norm   y / ||y||, so that dot products are cosines

Without an affine map step 3 would change nothing and is left out (a = 1). Rows that are zero before 3, or whose
distance from the mean is rounding (1e-12), come out as zero rows: similarity 0 with everything, never NaN. A row that
holds NaN or infinity is refused: any similarity would be made up. Computed in float64, block by block; nothing of size
items x concepts is ever dense. Cannot learn. Knows nothing of how it was fitted.

A side whose statistics are per modality has an affine map per modality (`by_modality`): its rows are transformed by the
map of their own modality, so each row needs to say which one that is.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from core.analysis.arrays import Codes, read_blocks, row_blocks, unit
from core.analysis.engine import NUMPY, Array, Engine, engine, engine_of, namespace, row_squares, to_numpy
from core.analysis.subspaces import project_out
from core.analysis.variants.fitdata import Modalities
from core.analysis.variants.whiten import AffineRecord
from core.errors import ShapeMismatch, UserError, VariantError

ROUNDING = 1e-12
"""A row this close to the mean (unit rows) is the mean: what is left is rounding and must not be blown up to unit
length."""

LARGEST = 1e150
"""Numbers from here on have no finite square in float64, so a row that holds one has no length."""


@dataclass(frozen=True, eq=False)
class SideTransform:
    """The five steps for one side. The default is the identity: raw cosine."""

    edits: tuple[tuple[int, float], ...] = ()
    """(concept, factor), each concept once."""
    removed_basis: Float[np.ndarray, "r d"] | None = None
    """Orthonormal rows."""
    mean: Float[np.ndarray, " d"] | None = None
    matrix: Float[np.ndarray, "d d_out"] | None = None
    n_samples: int = 0
    """Rows the affine map was fitted on; 0 without one."""
    records: tuple[AffineRecord, ...] = ()
    """The fitted affine steps of which mean and matrix are the composition."""
    code_mean: Float[np.ndarray, " c"] | None = None
    """Mean of a z over the statistics set (after edits), to decompose centred similarities; None where nothing is
    centred."""
    code_mean_row: Float[np.ndarray, " d"] | None = None
    """code_mean @ D, kept because D is large; None: compute it."""
    by_modality: tuple[tuple[str, "SideTransform"], ...] = ()
    """(modality, what happens to its rows), every modality once; empty where all rows are treated alike. Otherwise
    mean, matrix, n_samples, records and code_mean stand in the parts alone; edits and removal, alike in all of them,
    here too."""

    @property
    def normalises(self) -> bool:
        """Whether step 3 applies."""
        return self.mean is not None or self.matrix is not None or bool(self.by_modality)

    def of(self, modality: str | None) -> "SideTransform":
        """What happens to a row of that modality; itself where all rows are treated alike.

        Raises:
            VariantError: the modality makes a difference and is not given, or is not known.
        """
        if not self.by_modality:
            return self
        parts = dict(self.by_modality)
        if modality not in parts:
            raise VariantError(
                "this variant treats every modality by its own statistics: a row must say its own",
                got="none" if modality is None else repr(modality),
                allowed=" or ".join(map(repr, parts)),
                todo="give the modality, or use statistics=per-side",
            )
        return parts[modality]

    def width(self, d: int) -> int:
        """Columns of what comes out for rows of d columns."""
        one = self.by_modality[0][1] if self.by_modality else self
        return d if one.matrix is None else one.matrix.shape[1]


def transform(
    x: Float[np.ndarray, "n d"],
    side: SideTransform,
    codes: Codes | None = None,
    dictionary: Float[np.ndarray, "c d"] | None = None,
    dtype: type[np.floating] = np.float32,
    modality: Modalities | None = None,
) -> Float[np.ndarray, "n d_out"]:
    """Unit rows (or zero rows) of the variant, computed in float64, stored as `dtype`.

    `codes` (n, c) and `dictionary` (c, d) in embedding units are needed by edits alone, `modality` (n,) by statistics
    per modality alone. n = 0 gives (0, d_out).
    """
    out = np.empty((len(x), side.width(x.shape[1])), dtype=dtype)
    place = engine(2.0 * x.shape[0] * x.shape[1] * out.shape[1])
    for block, rows in read_blocks(x):
        part = None if codes is None else codes[block]
        named = None if modality is None else modality[block]
        out[block] = to_numpy(unit(affine(prepare(rows, side, part, dictionary, place), side, named)))
    return out


def transform_block(
    x: Float[np.ndarray, "n d"],
    side: SideTransform,
    codes: Codes | None,
    dictionary: Float[np.ndarray, "c d"] | None,
    modality: Modalities | None,
    place: Engine = NUMPY,
) -> Array:
    """`transform` of one block, (n, d_out) float32, left where it was computed."""
    parts = []
    for block, rows in read_blocks(x):  # a block of float64 takes more memory than one of float32
        part = None if codes is None else codes[block]
        named = None if modality is None else modality[block]
        y = unit(affine(prepare(rows, side, part, dictionary, place), side, named))
        xp = namespace(y)
        parts.append(xp.astype(y, xp.float32))
    if not parts:
        return place.put(np.empty((0, side.width(x.shape[1])), np.float32))
    return parts[0] if len(parts) == 1 else namespace(parts[0]).concat(parts)


def prepare(
    x: Float[np.ndarray, "n d"],
    side: SideTransform,
    codes: Codes | None = None,
    dictionary: Float[np.ndarray, "c d"] | None = None,
    place: Engine = NUMPY,
) -> Array:
    """Steps 1 and 2 in float64: edits and removal, no normalisation. (n, d) on the engine `place`.

    Raises:
        UserError: edits without codes or dictionary; rows with NaN, infinity or numbers whose squares are infinite.
        ShapeMismatch: codes of other rows or of another dictionary.
    """
    h = place.put(x, "float64")
    with np.errstate(over="ignore", invalid="ignore"):
        in_range = to_numpy(row_squares(h) < LARGEST**2)  # NaN compares false
    if not in_range.all():  # the sum of squares is enough to see that all are, and costs no copy
        in_range = (np.abs(to_numpy(h)) < LARGEST).all(axis=1)
    if not in_range.all():
        raise UserError(
            "an embedding holds NaN, infinity or a number beyond 1e150",
            got=f"row {int(np.argmin(in_range))} of {len(h)}",
            todo="leave the item out, or encode it again",
        )
    if side.edits:
        if codes is None or dictionary is None:
            todo = "give both, or choose a run with an SAE"
            raise UserError("this variant edits concepts", got="no codes or no dictionary", todo=todo)
        if codes.shape != (len(h), len(dictionary)):
            allowed = f"({len(h)}, {len(dictionary)})"
            raise ShapeMismatch("codes do not fit", got=f"codes {codes.shape}", allowed=allowed)
        concepts = [concept for concept, _ in side.edits]
        shifts = np.array([factor - 1.0 for _, factor in side.edits])
        # Only the edited columns are made dense, and only their rows of the dictionary are read.
        h = h + place.put((codes[:, concepts].toarray() * shifts) @ np.asarray(dictionary[concepts], dtype=np.float64))
    if side.removed_basis is not None:
        h = project_out(h, place.put(side.removed_basis))
    return h


def affine(h: Array, side: SideTransform, modality: Modalities | None = None) -> Array:
    """Steps 3 and 4 in float64: y = (h/||h|| - mean) @ matrix, (n, d) -> (n, d_out) on the engine of `h`; h itself
    where there is no affine map. Zero rows stay zero. `modality` (n,): needed where the side has a map per modality.
    """
    if not side.normalises:
        return h
    place = engine_of(h)
    if side.by_modality:
        out = place.put(np.empty((len(h), side.width(h.shape[1]))))
        named = np.full(len(h), None) if modality is None else np.asarray(modality)
        for one in dict.fromkeys(named.tolist()):
            rows = place.put(np.flatnonzero(named == one))
            out[rows] = affine(h[rows], side.of(one))
        return out
    xp = namespace(h)
    norms = xp.sqrt(row_squares(h))
    y = h / xp.where(norms > 0, norms, xp.ones_like(norms))[:, None]
    if side.mean is not None:
        y -= place.put(side.mean)
        # A zero row, or one equal to the mean, has no direction: whitening would blow its rounding up to a unit row.
        y[(norms == 0) | (row_squares(y) <= ROUNDING**2)] = 0.0
    return y if side.matrix is None else y @ place.put(side.matrix)


def edited_codes(codes: Codes, edits: tuple[tuple[int, float], ...]) -> csr_array:
    """z' = z with the column of each edited concept scaled by its factor; float64, the input is left alone."""
    factors = np.ones(codes.shape[1])
    for concept, factor in edits:
        factors[concept] = factor
    scaled = csr_array(codes)
    values = np.asarray(scaled.data, dtype=np.float64) * factors[scaled.indices]
    return csr_array((values, scaled.indices, scaled.indptr), shape=scaled.shape)


def decoded_mean(code_mean: Float[np.ndarray, " c"], dictionary: Float[np.ndarray, "c d"]) -> Float[np.ndarray, " d"]:
    """mean(a z') D in float64, block by block."""
    total = np.zeros(dictionary.shape[1])
    for block in row_blocks(*dictionary.shape):
        total += code_mean[block] @ np.asarray(dictionary[block], dtype=np.float64)
    return total


def compose(records: tuple[AffineRecord, ...]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(mean, matrix) of the chain of `records`: (x - m1) W1 - m2 = (x - (m1 + m2 W1^+)) W1, then W2, and so on.

    Exact where m2 lies in the range of W1, as it does when it was fitted on rows that went through W1. Anything else is
    refused.
    """
    if not records:
        return None, None
    mean, matrix = records[0].mean, records[0].matrix
    for record in records[1:]:
        mean = mean + (record.mean if matrix is None else _pulled_back(record, matrix))
        if record.matrix is not None:
            matrix = record.matrix if matrix is None else matrix @ record.matrix
    return mean, matrix


def _pulled_back(record: AffineRecord, matrix: np.ndarray) -> np.ndarray:
    """m2 W1^+: the mean of a later step in the space before `matrix`, by least squares."""
    before = np.linalg.lstsq(matrix.T, record.mean, rcond=None)[0]
    if not np.allclose(before @ matrix, record.mean, rtol=0, atol=1e-8 * max(1.0, float(np.abs(record.mean).max()))):
        raise VariantError(
            "these steps are no single affine map", got=record.kind, todo="put the step that drops dimensions last"
        )
    return before
