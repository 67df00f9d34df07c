"""How well a dictionary stands for a run's embeddings: the figures that belong beside every claim on concepts.

The measurement itself is in `core/analysis/retrieval/reconstruction.py`; here it is asked of a run, for its own SAE or
for another dictionary at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.arrays import row_blocks
from core.analysis.retrieval import reconstruction as science
from core.questions.alternates import OWN, Alternate
from core.questions.answers import cached_table
from core.questions.labels import TEST_PARTS
from core.records import Part
from core.run import Run


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Figures of one dictionary on the run's own test items.

    `table`: DataFrame[figure, value, n]: explained variance per dimension (1 is perfect, negative is worse than the
    mean) of both sides, of each side and of each modality; mean L0 (active concepts per item); share of concepts that
    never fire; recall@1/5/10 when the reconstructions z D + u are retrieved instead of the embeddings, the embeddings'
    own, and the share of it that is kept.
    """

    table: pd.DataFrame
    source: str
    trained_on: str

    def value(self, figure: str) -> float:
        """One figure by name."""
        return float(self.table.set_index("figure")["value"][figure])

    @property
    def explained(self) -> dict[str, float]:
        """Explained variance of `images`, `texts` and `items that hold both`, of those that the run has."""
        values = self.table.set_index("figure")["value"]
        names = {words: science.explained_of(words) for words in science.MODALITY_WORDS.values()}
        return {words: float(values[name]) for words, name in names.items() if name in values}

    def kept(self, metric: str = "recall@5") -> float:
        """Share of a recall of the embeddings, raw, that the reconstructions keep; NaN where there is none to lose."""
        return self.value(science.kept_of(metric))


def fidelity(run: Run) -> Fidelity:
    """Measure (or find) the fidelity of the run's SAE."""
    sae = run.need_sae()
    return Fidelity(cached_table(run, "fidelity", {}, lambda: _measure_own(run)), sae.source, sae.trained_on)


def of_dictionary(run: Run, dictionary: Alternate) -> Fidelity:
    """The same of a dictionary at hand, the run's own SAE or another one."""
    if dictionary.name == OWN:
        return fidelity(run)

    def measure() -> pd.DataFrame:
        rebuilt = {part: dictionary.reconstruction(part) for part in TEST_PARTS}
        return _table(figures(run, dictionary.codes, rebuilt))

    arguments = {"dictionary": dict(dictionary.identity)}
    return Fidelity(cached_table(run, "fidelity", arguments, measure), dictionary.name, dictionary.fitted_on)


def figures(run: Run, codes: Mapping[Part, Any], rebuilt: Mapping[Part, np.ndarray]) -> dict[str, tuple[float, int]]:
    """Figure -> (value, n) of any dictionary's codes and reconstructions of the test items
    (`core/analysis/retrieval/reconstruction.py`)."""
    queries, candidates = (
        science.Side(run.embeddings(part), rebuilt[part], codes[part], run.corpus.items(part).modality)
        for part in TEST_PARTS
    )
    return science.figures(queries, candidates, run.qrels("test").pairs)


def reconstruction(run: Run, part: Part) -> np.ndarray:
    """(n, d) fp32: z D + u of every item of a part."""
    codes, dictionary, offset = run.codes(part), run.need_sae().dictionary, run.offset(part)
    out = np.empty((codes.shape[0], dictionary.shape[1]), dtype=np.float32)
    for block in row_blocks(*out.shape):
        out[block] = codes[block] @ dictionary + (offset[block] if len(offset) > 1 else offset[0])
    return out


def _measure_own(run: Run) -> pd.DataFrame:
    codes = {part: run.codes(part) for part in TEST_PARTS}
    return _table(figures(run, codes, {part: reconstruction(run, part) for part in TEST_PARTS}))


def _table(by_name: Mapping[str, tuple[float, int]]) -> pd.DataFrame:
    rows = [(name, *figure) for name, figure in by_name.items()]
    return pd.DataFrame(rows, columns=["figure", "value", "n"])
