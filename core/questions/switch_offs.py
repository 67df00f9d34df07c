"""What every concept does to every query when it is switched off: measured once per variant, read by many questions.

Each concept that fires is set to 0 on all rows (`set(k=0)` in front of the variant) and all test queries are ranked
again. Statistics of the variant are refitted where that is exact and quick (no affine step, or centring); a whitening
is kept as fitted without the edit. `statistics` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from core.analysis.concepts.matching import DRAWS, nearest_concepts
from core.analysis.concepts.measures import energy, frequency
from core.analysis.explanations.edit_ranks import Edit, can_refit, ranks_refitted, ranks_under_edits
from core.analysis.explanations.failures import SideRows
from core.analysis.retrieval.resampling import bootstrap_means, max_t
from core.analysis.variants import VariantSpec
from core.questions.answers import answer, answer_if_there, fit_data, fitted, query_clusters, side_of, variant_of
from core.questions.concepts import table
from core.questions.failures import side_rows
from core.questions.retrieval import evaluate
from core.run import Run
from core.store import Draft
from core.waiting import about_to_compute, pause

MOST = 1024
"""Concepts that are measured; the most frequent ones where more fire."""
BLOCK = 16
"""Concepts between two pauses."""
Statistics = Literal["refitted", "kept"]
STATISTICS: dict[Statistics, str] = {
    "refitted": "statistics refitted after each edit",
    "kept": "statistics as fitted before the edit",
}


@dataclass(frozen=True, eq=False)
class SwitchOffs:
    """Ranks of all test queries with one concept switched off at a time; rank of the first relevant candidate, 1 is
    best, 0 where the pool holds none."""

    statistics: Statistics
    concepts: np.ndarray
    """(e,) int64, ascending."""
    before: np.ndarray
    """(n,) int64: ranks under the variant alone."""
    ranks: np.ndarray
    """(e, n) int64."""

    @property
    def changes(self) -> np.ndarray:
        """(e, n) int8: hit@1 after less hit@1 before; 1 fixed, -1 broken."""
        return (self.ranks == 1).astype(np.int8) - (self.before == 1).astype(np.int8)

    def only(self, concepts: Sequence[int] | np.ndarray) -> SwitchOffs:
        """The rows of some of its concepts."""
        at = np.searchsorted(self.concepts, np.unique(np.asarray(concepts, dtype=np.int64)))
        return SwitchOffs(self.statistics, self.concepts[at], self.before, self.ranks[at])


def both_sides(run: Run, variant: VariantSpec) -> tuple[SideRows, SideRows]:
    """Queries and candidates with the fitted variant."""
    one = fitted(run, variant)
    query, candidate = (side_rows(run, part, side_of(one, part)) for part in ("queries", "candidates"))
    return query, candidate


def ranks_under(run: Run, variant: str | VariantSpec, edits: Sequence[Edit]) -> tuple[np.ndarray, Statistics]:
    """(e, n) ranks of the test queries under the variant with each edit, and what became of its statistics."""
    spec = variant_of(run, variant)
    query, candidate = both_sides(run, spec)
    if can_refit(spec):
        return ranks_refitted(spec, fit_data(run), query, candidate, edits), "refitted"
    dictionary = run.need_sae().dictionary
    return ranks_under_edits(query, candidate, run.qrels("test").pairs, edits, dictionary), "kept"


def measured_concepts(run: Run) -> np.ndarray:
    """(e,) the concepts that fire on a query or a candidate, ascending; the `MOST` most frequent."""
    share = frequency(run.codes("queries"), run.codes("candidates"))
    order = np.lexsort((np.arange(len(share)), -share))[:MOST]
    return np.sort(order[share[order] > 0]).astype(np.int64)


def switch_offs(run: Run, variant: str | VariantSpec = "none") -> SwitchOffs:
    """Every concept that fires, switched off by itself; kept in the cache.

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()
    spec = variant_of(run, variant)
    concepts = measured_concepts(run)
    arguments = {"variant": spec.explicit(), "concepts": len(concepts)}
    if answer_if_there(run, "switch-offs", arguments) is None:
        about_to_compute()
        # Outside of `answer`, whose lock a visitor who goes first at a pause could wait for.
        ranks = _in_blocks(run, spec, concepts)

        def write(draft: Draft) -> None:
            draft.save("concepts", concepts)
            draft.save("ranks", ranks.astype(np.int32))

        answer(run, "switch-offs", arguments, write)
    folder = answer_if_there(run, "switch-offs", arguments)
    assert folder is not None  # written just now
    ranks = np.asarray(folder.array("ranks"), dtype=np.int64)
    statistics: Statistics = "refitted" if can_refit(spec) else "kept"
    return SwitchOffs(statistics, np.asarray(folder.array("concepts")), evaluate(run, spec).ranks, ranks)


def _in_blocks(run: Run, spec: VariantSpec, concepts: np.ndarray) -> np.ndarray:
    ranks = []
    for start in range(0, len(concepts), BLOCK):
        ranks.append(ranks_under(run, spec, [((int(k), 0.0),) for k in concepts[start : start + BLOCK]])[0])
        pause()
    return np.concatenate(ranks)


def some_switch_offs(run: Run, concepts: Sequence[int] | np.ndarray, variant: str | VariantSpec) -> SwitchOffs:
    """The same for some concepts; read from all of them where these are measured."""
    spec, some = variant_of(run, variant), np.unique(np.asarray(concepts, dtype=np.int64))
    known = measured_concepts(run)
    arguments = {"variant": spec.explicit(), "concepts": len(known)}
    if np.isin(some, known).all() and answer_if_there(run, "switch-offs", arguments) is not None:
        return switch_offs(run, spec).only(some)

    def compute() -> SwitchOffs:
        about_to_compute()
        ranks, statistics = ranks_under(run, spec, [((int(k), 0.0),) for k in some])
        return SwitchOffs(statistics, some, evaluate(run, spec).ranks, ranks)

    return run.memo(("switch-offs", spec, tuple(some.tolist())), compute, limit=16)


def effects(run: Run, off: SwitchOffs) -> pd.DataFrame:
    """What each switched concept does to recall: DataFrame[concept, label, frequency, energy, fixed, broken, change,
    change_low, change_high, p].

    fixed, broken: queries whose hit@1 changed. change: of recall@1, 95% paired bootstrap interval. p: corrected for all
    the concepts in `off` (max-T over sign flips); queries that share an answer are drawn and flipped together.
    """
    changes, known = off.changes.T.astype(np.float64), table(run)
    clusters = query_clusters(run)
    low, high = bootstrap_means(changes, clusters=clusters)
    return pd.DataFrame(
        {
            "concept": off.concepts,
            "label": known["label"].to_numpy()[off.concepts],
            "frequency": frequency(run.codes("queries"), run.codes("candidates"))[off.concepts],
            "energy": energy(run.codes("queries"), run.codes("candidates"))[off.concepts],
            "fixed": (changes > 0).sum(axis=0),
            "broken": (changes < 0).sum(axis=0),
            "change": changes.mean(axis=0),
            "change_low": low,
            "change_high": high,
            "p": max_t(changes, clusters=clusters),
        }
    )


def beyond_matched(run: Run, off: SwitchOffs, values: np.ndarray, draws: int = DRAWS) -> np.ndarray:
    """(e,) how many of the `draws` concepts of nearest frequency and energy have a smaller value; all that were
    measured are at hand in `off`."""
    share = frequency(run.codes("queries"), run.codes("candidates"))
    strength = energy(run.codes("queries"), run.codes("candidates"))
    by_concept = np.full(len(share), np.nan)
    by_concept[off.concepts] = values
    near = [nearest_concepts(int(k), share, strength, off.concepts)[:draws] for k in off.concepts]
    return np.array([int((by_concept[n] < by_concept[k]).sum()) for k, n in zip(off.concepts, near, strict=True)])
