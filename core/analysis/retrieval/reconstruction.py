"""How well a dictionary stands for the embeddings of a retrieval task: every figure, measured in one place.

In: rows (n, d) of both sides, their reconstructions, codes and modalities, and the relevant pairs. Out: explained
variance of both sides, of each side and of each modality; L0; dead share; the recall of the reconstructions beside that
of the rows. `core/questions/fidelity.py` asks this of a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.analysis.arrays import Codes, row_blocks, unit_rows
from core.analysis.concepts.fidelity import ExplainedVariance, dead_share, l0
from core.analysis.retrieval.evaluation import per_query
from core.analysis.retrieval.ranking import rank_relevant

EXPLAINED = "explained variance"
"""Of all items; followed by the name of a side or of a modality: of these alone."""
MODALITY_WORDS = {"image": "images", "text": "texts", "image,text": "items that hold both"}
RECALLS = ("recall@1", "recall@5", "recall@10")


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
    values = {f"{EXPLAINED}, {name}": _explained(side) for name, side in sides.items()}
    values[EXPLAINED] = _explained(queries, candidates)
    for modality, measure in sorted(_per_modality(queries, candidates).items()):
        values[explained_of(MODALITY_WORDS[modality])] = measure.compute(), measure.n
    values["L0"] = sum(l0(z) * z.shape[0] for z in codes if z.shape[0]) / items if items else float("nan"), items
    values["dead share"] = dead_share(*codes), codes[0].shape[1]
    return values | _recalls(queries, candidates, pairs)


def explained_of(words: str) -> str:
    """Name of the figure: explained variance of `images`, `texts`, ..."""
    return f"{EXPLAINED} of {words}"


def kept_of(metric: str) -> str:
    """Name of the figure: the share of a recall that the reconstructions keep."""
    return f"{metric} kept"


def _recalls(queries: Side, candidates: Side, pairs: Int[np.ndarray, "p 2"]) -> dict[str, tuple[float, int]]:
    """Recalls by cosine of the reconstructions and of the rows, and the share that is kept."""
    n, values = len(queries.rows), {}

    def recalls(mine: np.ndarray, theirs: np.ndarray) -> list[float]:
        if not n:
            return [float("nan")] * len(RECALLS)
        units = [_units(rows) for rows in (mine, theirs)]
        ranked = rank_relevant(units[0], units[1], pairs)
        return [float(per_query(ranked, metric).mean()) for metric in RECALLS]

    rebuilt, own = recalls(queries.rebuilt, candidates.rebuilt), recalls(queries.rows, candidates.rows)
    for metric, after, before in zip(RECALLS, rebuilt, own, strict=True):
        values[f"{metric} of the reconstruction"] = after, n
        values[f"{metric} of the embedding"] = before, n
        values[kept_of(metric)] = after / before if before > 0 else float("nan"), n
    return values


def _units(rows: np.ndarray) -> np.ndarray:
    """(n, d) float64 unit rows; of a large matrix there is one copy, not two."""
    units = np.empty(rows.shape)
    for block in row_blocks(*rows.shape):
        units[block] = unit_rows(np.asarray(rows[block], dtype=np.float64))
    return units


def _explained(*sides: Side) -> tuple[float, int]:
    """Explained variance of all items of some sides, and their number."""
    measure = ExplainedVariance(sides[0].rows.shape[1])
    for side in sides:
        for block in row_blocks(*side.rebuilt.shape):
            measure.add_batch(side.rows[block], side.rebuilt[block])
    return measure.compute(), measure.n


def _per_modality(*sides: Side) -> dict[str, ExplainedVariance]:
    """The same of the items of each modality that occurs."""
    values: dict[str, ExplainedVariance] = {}
    for side in sides:
        kinds = np.asarray(side.modality, dtype=str)
        for block in row_blocks(*side.rebuilt.shape):
            for kind in dict.fromkeys(kinds[block].tolist()):
                mine = kinds[block] == kind
                measure = values.setdefault(kind, ExplainedVariance(side.rows.shape[1]))
                measure.add_batch(np.asarray(side.rows[block])[mine], side.rebuilt[block][mine])
    return values
