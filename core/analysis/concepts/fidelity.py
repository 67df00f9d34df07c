"""How well a dictionary stands for the embeddings: explained variance, L0, dead share, recall of the reconstructions.

In: rows x (n, d), their reconstructions x_hat (n, d), codes (n, c), modalities (n,), and the relevant pairs of both
sides. Explained variance streams in batches. Knows nothing of how the codes were made. The one home of these figures:
`core/questions/fidelity.py` asks for those of a run, `core/sae/fidelity.py` for those of an SAE on rows at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from core.analysis.arrays import Codes, row_blocks, unit_rows
from core.analysis.concepts.measures import frequency
from core.analysis.retrieval.evaluation import per_query
from core.analysis.retrieval.ranking import Ranked, rank_relevant
from core.errors import ShapeMismatch

EXPLAINED = "explained variance"
"""Of all items; followed by the name of a side or of a modality: of these alone."""
MODALITY_WORDS = {"image": "images", "text": "texts", "image,text": "items that hold both"}
KEPT_AT = (1, 5)
"""Recalls that reconstructions are measured by."""


@dataclass(frozen=True, eq=False)
class Side:
    """The items of one side of a retrieval task, as they are and as a dictionary rebuilds them."""

    rows: Float[np.ndarray, "n d"]
    rebuilt: Float[np.ndarray, "n d"]
    """z D + u."""
    codes: Codes
    """(n, c)."""
    modality: Sequence[str] | np.ndarray
    """(n,) "image", "text" or "image,text"."""


def figures(queries: Side, candidates: Side, pairs: Int[np.ndarray, "p 2"]) -> dict[str, tuple[float, int]]:
    """Figure -> (value, n) of a dictionary on the items of a task.

    Explained variance of both sides together, of each side, and of the items of each modality that occurs, each around
    its own mean; L0; dead share; per recall that of the reconstructions, that of the embeddings, and the share that is
    kept (first / second; NaN where the embeddings find nothing). n: items, queries, or concepts for the dead share.
    """
    sides = {"queries": queries, "candidates": candidates}
    codes = [side.codes for side in sides.values()]
    items = sum(len(side.rows) for side in sides.values())
    found = {f"{EXPLAINED}, {name}": _explained(side) for name, side in sides.items()}
    found[EXPLAINED] = _explained(queries, candidates)
    for modality, measure in sorted(_per_modality(queries, candidates).items()):
        found[explained_of(MODALITY_WORDS[modality])] = measure.compute(), measure.n
    found["L0"] = sum(l0(z) * z.shape[0] for z in codes if z.shape[0]) / items if items else float("nan"), items
    found["dead share"] = dead_share(*codes), codes[0].shape[1]
    kept = recall_kept(queries.rows, candidates.rows, queries.rebuilt, candidates.rebuilt, pairs, (1, 5, 10))
    for k, recall in kept.items():
        found[f"recall@{k} of the reconstruction"] = recall.reconstructions, len(queries.rows)
        found[f"recall@{k} of the embedding"] = recall.embeddings, len(queries.rows)
        found[kept_of(f"recall@{k}")] = recall.share, len(queries.rows)
    return found


def explained_of(words: str) -> str:
    """Name of the figure: explained variance of `images`, `texts`, ..."""
    return f"{EXPLAINED} of {words}"


def kept_of(metric: str) -> str:
    """Name of the figure: the share of a recall that the reconstructions keep."""
    return f"{metric} kept"


class ExplainedVariance:
    """Explained variance per dimension, pooled: 1 - sum_j SSE_j / sum_j SST_j over all rows added.

    SSE_j = sum_i (x_ij - x_hat_ij)^2; SST_j = sum_i (x_ij - mean_j)^2, around the mean of **each dimension** (around
    one global mean an offset of the data alone would look like a good fit). 1 = perfect, 0 = as good as the mean,
    negative = worse. No unit. float64; SST by a running mean (Chan), so neither large offsets nor the split into
    batches matter. NaN for constant or no input.
    """

    def __init__(self, d: int) -> None:
        self.n = 0
        self._mean, self._sst, self._sse = np.zeros(d), np.zeros(d), np.zeros(d)

    def add_batch(self, x: Float[np.ndarray, "n d"], x_hat: Float[np.ndarray, "n d"]) -> None:
        """Take in n rows and their reconstructions."""
        if x.shape[1] != len(self._mean):
            raise ShapeMismatch("rows do not fit", got=f"width {x.shape[1]}", allowed=f"width {len(self._mean)}")
        if not len(x):
            return
        rows = np.asarray(x, dtype=np.float64)
        mean, n = rows.mean(axis=0), len(rows)
        shift = mean - self._mean
        self._sst += np.sum((rows - mean) ** 2, axis=0) + shift**2 * (self.n * n / (self.n + n))
        self._mean += shift * (n / (self.n + n))
        self._sse += np.sum((rows - x_hat) ** 2, axis=0)
        self.n += n

    def compute(self) -> float:
        """The pooled value."""
        total = float(self._sst.sum())
        return 1.0 - float(self._sse.sum()) / total if total > 0 else float("nan")

    def per_dimension(self) -> Float[np.ndarray, " d"]:
        """1 - SSE_j / SST_j; NaN where the dimension is constant."""
        return 1.0 - np.divide(self._sse, self._sst, out=np.full_like(self._sse, np.nan), where=self._sst > 0)


def explained_variance_per_dimension(x: Float[np.ndarray, "n d"], x_hat: Float[np.ndarray, "n d"]) -> float:
    """`ExplainedVariance` of two whole arrays, pooled over dimensions."""
    calculator = ExplainedVariance(x.shape[1])
    for block in row_blocks(*x.shape):
        calculator.add_batch(x[block], x_hat[block])
    return calculator.compute()


def l0(codes: Codes) -> float:
    """Mean number of concepts that fire (z > 0) per item. NaN without items."""
    return float(np.count_nonzero(codes.data > 0)) / codes.shape[0] if codes.shape[0] else float("nan")


def dead_share(*codes: Codes) -> float:
    """Share of concepts that fire on no item of any part, 0-1. NaN without items."""
    fires = frequency(*codes)
    return float("nan") if np.isnan(fires).any() else float(np.mean(fires == 0))


def explained_by_modality(
    x: Float[np.ndarray, "n d"], x_hat: Float[np.ndarray, "n d"], modality: Sequence[str] | np.ndarray
) -> dict[str, float]:
    """Explained variance of the rows of each modality alone, around their own mean, in the order of first appearance.

    Both modalities together always look better: there the distance between their means counts as variance, and one
    concept explains it.
    """
    found = _per_modality(Side(x, x_hat, csr_array((len(x), 0)), modality))
    return {kind: measure.compute() for kind, measure in found.items()}


@dataclass(frozen=True)
class KeptRecall:
    """Recall@k, 0-1, of embeddings and of their reconstructions in their place, raw cosine."""

    embeddings: float
    reconstructions: float

    @property
    def share(self) -> float:
        """What the reconstructions keep; above 1 where they retrieve better. NaN where the embeddings retrieve
        nothing."""
        return self.reconstructions / self.embeddings if self.embeddings > 0 else float("nan")


def recall_kept(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    rebuilt_queries: Float[np.ndarray, "n d"],
    rebuilt_candidates: Float[np.ndarray, "m d"],
    pairs: Int[np.ndarray, "p 2"],
    at: Sequence[int] = KEPT_AT,
) -> dict[int, KeptRecall]:
    """k -> recall@k of the rows and of their reconstructions, for `at`; none of the rows need have unit length. NaN
    without queries."""
    if not len(queries):
        return dict.fromkeys(at, KeptRecall(float("nan"), float("nan")))

    def ranked(mine: np.ndarray, theirs: np.ndarray) -> Ranked:
        return rank_relevant(unit_rows(np.asarray(mine, np.float64)), unit_rows(np.asarray(theirs, np.float64)), pairs)

    before, after = ranked(queries, candidates), ranked(rebuilt_queries, rebuilt_candidates)
    return {k: KeptRecall(*(float(per_query(one, f"recall@{k}").mean()) for one in (before, after))) for k in at}


def _explained(*sides: Side) -> tuple[float, int]:
    """Explained variance of all items of some sides, and their number."""
    measure = ExplainedVariance(sides[0].rows.shape[1])
    for side in sides:
        for block in row_blocks(*side.rebuilt.shape):
            measure.add_batch(side.rows[block], side.rebuilt[block])
    return measure.compute(), measure.n


def _per_modality(*sides: Side) -> dict[str, ExplainedVariance]:
    """The same of the items of each modality that occurs."""
    found: dict[str, ExplainedVariance] = {}
    for side in sides:
        kinds = np.asarray(side.modality, dtype=str)
        for block in row_blocks(*side.rebuilt.shape):
            for kind in dict.fromkeys(kinds[block].tolist()):
                mine = kinds[block] == kind
                measure = found.setdefault(kind, ExplainedVariance(side.rows.shape[1]))
                measure.add_batch(np.asarray(side.rows[block])[mine], side.rebuilt[block][mine])
    return found
