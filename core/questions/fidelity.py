"""How well the run's dictionary stands for its embeddings: the figures that belong beside every SAE-based claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval
from core.analysis.arrays import row_blocks, unit_rows
from core.analysis.concepts import fidelity as science
from core.questions.answers import cached_table
from core.questions.labels import TEST_PARTS
from core.records import Part
from core.run import Run


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Figures of one run's SAE on its own test items.

    `table`: DataFrame[figure, value, n]: explained variance per dimension of queries, of candidates and of both (1 is
    perfect, negative is worse than the mean), mean L0 (active concepts per item), share of concepts that never fire,
    and recall@1/5 when the reconstructions z D + u are retrieved instead of the embeddings, beside the embeddings' own.
    """

    table: pd.DataFrame
    source: str
    trained_on: str

    def value(self, figure: str) -> float:
        """One figure by name."""
        return float(self.table.set_index("figure")["value"][figure])


def fidelity(run: Run) -> Fidelity:
    """Measure (or find) the fidelity of the run's SAE."""
    sae = run.need_sae()
    return Fidelity(cached_table(run, "fidelity", {}, lambda: _measure(run)), sae.source, sae.trained_on)


def figures(run: Run, codes: Mapping[Part, Any], rebuilt: Mapping[Part, np.ndarray]) -> dict[str, tuple[float, int]]:
    """Figure -> (value, n) of any dictionary's codes and reconstructions of the test items: explained variance per
    dimension of queries, of candidates and of both, mean L0, share of concepts that never fire."""
    width = run.embeddings("queries").shape[1]
    both, found = science.ExplainedVariance(width), {}
    for part in TEST_PARTS:
        one = science.ExplainedVariance(width)
        for block in row_blocks(*rebuilt[part].shape):
            for measure in (one, both):
                measure.add_batch(run.embeddings(part)[block], rebuilt[part][block])
        found[f"explained variance, {part}"] = one.compute(), len(rebuilt[part])
    of_test = [codes[part] for part in TEST_PARTS]
    n = sum(c.shape[0] for c in of_test)
    found["explained variance"] = both.compute(), n
    found["L0"] = sum(science.l0(c) * c.shape[0] for c in of_test) / n, n
    found["dead share"] = science.dead_share(*of_test), of_test[0].shape[1]
    return found


def _measure(run: Run) -> pd.DataFrame:
    rebuilt = {part: reconstruction(run, part) for part in TEST_PARTS}
    codes = {part: run.codes(part) for part in TEST_PARTS}
    rows = [(name, *figure) for name, figure in figures(run, codes, rebuilt).items()]
    rows += _recalls(run, "reconstruction", rebuilt)
    rows += _recalls(run, "embedding", {part: run.embeddings(part) for part in TEST_PARTS})
    return pd.DataFrame(rows, columns=["figure", "value", "n"])


def reconstruction(run: Run, part: Part) -> np.ndarray:
    """(n, d) fp32: z D + u of every item of a part."""
    codes, dictionary, offset = run.codes(part), run.need_sae().dictionary, run.offset(part)
    out = np.empty((codes.shape[0], dictionary.shape[1]), dtype=np.float32)
    for block in row_blocks(*out.shape):
        out[block] = codes[block] @ dictionary + (offset[block] if len(offset) > 1 else offset[0])
    return out


def _recalls(run: Run, name: str, rows: dict[Part, np.ndarray]) -> list[tuple[str, float, int]]:
    queries, candidates = (unit_rows(np.asarray(rows[part], dtype=np.float64)) for part in TEST_PARTS)
    ranked = retrieval.rank_relevant(queries, candidates, run.qrels("test").pairs)
    return [
        (f"recall@{k} of the {name}", float(retrieval.per_query(ranked, f"recall@{k}").mean()), len(queries))
        for k in (1, 5)
    ]
