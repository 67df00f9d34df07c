"""What a selection of items has in common: recall of its queries, concepts that fire on it more than elsewhere, and
which of its queries fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.concepts.overrepresented import overrepresented
from core.analysis.retrieval import bootstrap_means, per_query, recall_by_chance
from core.analysis.variants import VariantSpec
from core.questions.answers import item_frame, query_clusters
from core.questions.concepts import table as concept_table
from core.questions.labels import TEST_PARTS, test_codes
from core.questions.retrieval import evaluate
from core.questions.selection import named, places, rows, size
from core.run import Run

CUTS = (1, 5, 10)
LISTED = 12
"""Concepts that are listed."""


@dataclass(frozen=True)
class RecallAt:
    """Recall at one cut-off of the selected queries, 0-1, with what it stands beside."""

    k: int
    recall: float
    low: float
    """95% bootstrap interval over the queries; those that share an answer are drawn together. NaN for too few."""
    high: float
    chance: float
    """Expected of a random ranking, for these queries."""
    elsewhere: float
    """Recall of all other queries; NaN where there are none."""
    queries: int


@dataclass(frozen=True)
class Counts:
    """How many items a selection holds, of how many."""

    queries: int
    candidates: int
    of: int


def counts(run: Run, selection: str) -> Counts:
    """What a selection holds."""
    chosen = rows(run, selection)
    return Counts(len(chosen["queries"]), len(chosen["candidates"]), size(run))


def with_matches(run: Run, selection: str) -> str:
    """The selection with what matches its items: the relevant candidates of its queries, the queries of its
    candidates."""
    chosen, pairs, queries = places(run, selection), run.qrels("test").pairs, len(run.corpus.items("queries"))
    ends = np.column_stack([pairs[:, 0], queries + pairs[:, 1]])
    touched = ends[np.isin(ends, chosen).any(axis=1)]
    return named(run, np.union1d(chosen, touched.ravel()).tolist())


def recall(run: Run, selection: str, variant: str | VariantSpec = "none") -> list[RecallAt]:
    """Recall@1, 5 and 10 of the selected queries under a variant; [] where it holds no query."""
    chosen = rows(run, selection)["queries"]
    if not len(chosen):
        return []
    ranked = evaluate(run, variant).evaluation.ranked
    inside = np.zeros(len(ranked.first), dtype=bool)
    inside[chosen] = True
    clusters = query_clusters(run)
    if clusters is not None:
        clusters = np.unique(clusters[chosen], return_inverse=True)[1]
    pairs = np.unique(run.qrels("test").pairs, axis=0)
    relevant = np.bincount(pairs[:, 0], minlength=len(inside))[chosen]
    found = []
    for k in CUTS:
        hits = per_query(ranked, f"recall@{k}")
        low, high = bootstrap_means(hits[chosen][:, None], clusters=clusters) if len(chosen) > 1 else _UNKNOWN
        others = float(hits[~inside].mean()) if not inside.all() else float("nan")
        by_chance = recall_by_chance(relevant, ranked.n_candidates, k)
        found.append(
            RecallAt(k, float(hits[chosen].mean()), float(low[0]), float(high[0]), by_chance, others, len(chosen))
        )
    return found


def concepts(run: Run, selection: str) -> pd.DataFrame:
    """Concepts that fire on more of the selected items than on as many others of the same modality:
    DataFrame[concept, label, fires, share, expected, times, p, p_corrected].

    share: of the selected items, 0-1; expected: the same of all items of these modalities; times: share / expected. p:
    one-sided, exact, stratified by modality; corrected for all concepts that fire on any item
    (`analysis.concepts.overrepresented`). attrs: selected, tested.

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()

    def compute() -> pd.DataFrame:
        chosen, total = rows(run, selection), len(run.corpus.items("queries"))
        inside = np.zeros(size(run), dtype=bool)
        inside[np.concatenate([chosen["queries"], total + chosen["candidates"]])] = True
        modality = np.concatenate([np.asarray(run.corpus.items(part).modality, dtype=str) for part in TEST_PARTS])
        found = overrepresented(test_codes(run), inside, modality, LISTED)
        labels = concept_table(run)["label"].to_numpy()
        frame = pd.DataFrame(
            {
                "concept": found.concepts,
                "label": labels[found.concepts],
                "fires": found.fires,
                "share": found.fires / found.chosen,
                "expected": found.expected / found.chosen,
                "times": found.fires / found.expected,
                "p": found.p_value,
                "p_corrected": found.p_corrected,
            }
        )
        frame.attrs = {"selected": found.chosen, "tested": found.tested}
        return frame

    return run.memo(("selected_concepts", selection), compute, limit=16)


def failing(run: Run, selection: str, variant: str | VariantSpec = "none", limit: int = 200) -> pd.DataFrame:
    """Selected queries whose first candidate is irrelevant, the worst first: DataFrame[row, id, modality, text, rank].

    rank: of the first relevant candidate. Queries with nothing to find are left out. attrs["total"]: how many fail.
    """
    chosen, ranks = rows(run, selection)["queries"], evaluate(run, variant).ranks
    fails = chosen[ranks[chosen] > 1]
    fails = fails[np.argsort(-ranks[fails], kind="stable")]
    frame = item_frame(run, "queries", fails[:limit]).assign(rank=ranks[fails[:limit]])
    frame.attrs = {"total": len(fails)}
    return frame


def items(run: Run, selection: str, limit: int = 500) -> pd.DataFrame:
    """The selected items: DataFrame[part, row, id, modality, text], queries first, at most `limit`."""
    frames, left = [], limit
    for part, chosen in rows(run, selection).items():
        frames.append(item_frame(run, part, chosen[:left]).assign(part=part))
        left -= len(frames[-1])
    return pd.concat(frames, ignore_index=True)


_UNKNOWN = np.full(1, np.nan), np.full(1, np.nan)
