"""How well the run's dictionary stands for its embeddings: the figures that belong beside every SAE-based claim."""

from __future__ import annotations

from dataclasses import dataclass

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


def _measure(run: Run) -> pd.DataFrame:
    both = science.ExplainedVariance(run.sae_folder.array("dictionary").shape[1])
    rows: list[tuple[str, float, int]] = []
    rebuilt = {}
    for part in TEST_PARTS:
        one = science.ExplainedVariance(run.need_sae().dictionary.shape[1])
        rebuilt[part] = reconstruction(run, part)
        for block in row_blocks(*rebuilt[part].shape):
            for measure in (one, both):
                measure.add_batch(run.embeddings(part)[block], rebuilt[part][block])
        rows.append((f"explained variance, {part}", one.compute(), len(rebuilt[part])))
    n = sum(map(len, rebuilt.values()))
    codes = [run.codes(part) for part in TEST_PARTS]
    rows.append(("explained variance", both.compute(), n))
    rows.append(("L0", float(sum(c.nnz for c in codes) / n), n))
    fired = np.sum([np.asarray((c > 0).sum(axis=0)).ravel() for c in codes], axis=0)
    rows.append(("dead share", float((fired == 0).mean()), len(fired)))
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
