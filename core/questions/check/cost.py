"""What a difference costs: recall with the given vectors beside the reference's, and which concepts moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.analysis.arrays import unit_rows
from core.analysis.retrieval import evaluate, rank_relevant
from core.questions.check.given import CHECKED_PARTS, Given, Sample
from core.questions.concepts import table
from core.records import Part
from core.run import Run

METRIC = "recall@1"
TOP = 10
"""Concepts that are listed."""


@dataclass(frozen=True)
class Cost:
    """Recall of both, on the same queries against the same candidates; None where it cannot be had."""

    reference: float | None
    given: float | None
    metric: str
    on: str
    """Which rows, in words; or why there is no recall."""


@dataclass(frozen=True)
class Moved:
    """A concept whose mean activation over the sample differs: in embedding units, given rows at the length of the
    reference's."""

    concept: int
    label: str
    reference: float
    given: float


def recall_cost(run: Run, given: Given) -> Cost:
    """Recall@1 on all given rows: with them, and with the run's own rows in their place.

    Where one side came only, the other side is the run's. Both sides have the dimensions that were given.
    """
    positions = {part: np.argsort(given.parts[part].rows, kind="stable") for part in given.parts}
    rows = {
        part: given.parts[part].rows[positions[part]]
        if part in given.parts
        else np.arange(len(run.embeddings(part)), dtype=np.int64)
        for part in CHECKED_PARTS
        if part in run.parts
    }
    if len(rows) < len(CHECKED_PARTS):
        return Cost(None, None, METRIC, "the run has no queries or no candidates")
    pairs = _pairs_within(run, rows)
    if not len(pairs):
        return Cost(None, None, METRIC, "no given query has a right candidate among the given ones")
    whole = len(rows["queries"]) == len(run.embeddings("queries"))
    # Of all queries those without a right candidate are misses, as everywhere; a sample may lack it by chance.
    queries = np.arange(len(rows["queries"])) if whole else np.unique(pairs[:, 0])
    pairs[:, 0] = np.searchsorted(queries, pairs[:, 0])
    recalls = []
    for use_given in (False, True):
        sides = {}
        for part in CHECKED_PARTS:
            one = given.parts.get(part) if use_given else None
            own = run.embeddings(part)[rows[part]] if one is None else one.vectors[positions[part]]
            sides[part] = unit_rows(np.asarray(own[:, : given.width], dtype=np.float64))
        ranked = rank_relevant(sides["queries"][queries], sides["candidates"], pairs)
        recalls.append(evaluate(ranked, resamples=1).value(METRIC))
    return Cost(recalls[0], recalls[1], METRIC, _on(run, given, len(queries), len(rows["candidates"])))


def _pairs_within(run: Run, rows: dict[Part, np.ndarray]) -> np.ndarray:
    """(p, 2) positions among `rows` of the relevant pairs whose two items are both there."""
    pairs = run.qrels("test").pairs
    both = np.isin(pairs[:, 0], rows["queries"]) & np.isin(pairs[:, 1], rows["candidates"])
    return np.column_stack(
        [np.searchsorted(rows[part], pairs[both, side]) for side, part in enumerate(CHECKED_PARTS)]
    ).astype(np.int64)


def _on(run: Run, given: Given, queries: int, candidates: int) -> str:
    """What the recall rests on."""
    whole = all(len(one.rows) == len(run.embeddings(part)) for part, one in given.parts.items())
    which = "all given rows" if given.kind == "vectors" else "the sample"
    which = "all rows of the run" if whole and len(given.parts) == len(CHECKED_PARTS) else which
    missing = [part for part in CHECKED_PARTS if part not in given.parts]
    sides = f"; the {missing[0]} are the run's own" if missing else ""
    cut = f"; both cut to {given.width} dimensions" if given.width < run.embeddings("queries").shape[1] else ""
    return f"{which}: {queries:,} queries against {candidates:,} candidates{sides}{cut}"


def moved_concepts(run: Run, given: Given, sample: Sample, reference: np.ndarray) -> tuple[Moved, ...]:
    """The concepts whose mean activation over the sample differs most, largest difference first; none for a run without
    an SAE or for vectors of another width."""
    if run.sae is None or given.width != reference.shape[1]:
        return ()
    from core.sae import SaeEncoder

    rows = np.concatenate(
        [given.parts[part].at(sample.positions[sample.of(part)]) for part in dict.fromkeys(sample.parts)]
    )
    order = np.concatenate([sample.of(part) for part in dict.fromkeys(sample.parts)])
    own = reference[order]
    rows = unit_rows(rows) * np.linalg.norm(own, axis=1, keepdims=True)
    encoder = SaeEncoder(run.sae_folder.checked(), run.sae.input)
    before, after = (
        np.asarray(encoder.encode(some.astype(np.float32)).codes.mean(axis=0)).ravel() for some in (own, rows)
    )
    most = np.argsort(-np.abs(after - before), kind="stable")[:TOP]
    labels = table(run)["label"].to_numpy()
    return tuple(
        Moved(int(k), str(labels[k]), float(before[k]), float(after[k])) for k in most if after[k] != before[k]
    )
