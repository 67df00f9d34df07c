"""One failing query: what happens if a concept goes, and the smallest edit that repairs it.

Every concept that is active on the query, on its best relevant candidate or on the wrong one is switched off by itself.
Does the query succeed, whom else does it fix or break, and is that more than concepts of the same frequency and energy
do? Many are tried, so p-values are corrected. A repair is a set of concepts; what it costs elsewhere is measured on all
test queries, by the variant that has the edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.analysis.concepts.matching import nearest_concepts
from core.analysis.concepts.measures import energy, frequency
from core.analysis.explanations.repair import LARGEST, OneQuery, greedy_repair, smallest_repairs
from core.analysis.retrieval import fixed_and_broken
from core.analysis.variants import VariantSpec
from core.errors import NotAvailable
from core.questions.answers import variant_of
from core.questions.comparisons import PairedGain, benjamini_hochberg
from core.questions.concepts import table
from core.questions.retrieval import contest, evaluate
from core.questions.switch_offs import (
    SwitchOffs,
    both_sides,
    effects,
    ranks_under,
    some_switch_offs,
    switch_offs,
)
from core.records import Part
from core.run import Run

CHECKED = 12
"""Of several repairs of the smallest size: how many are ranked on all queries, those of the largest margin first."""
CONTROLS = 100
"""Concepts of nearest frequency and energy that a flip is compared with."""


@dataclass(frozen=True, eq=False)
class Repair:
    """Concepts whose switching off puts a relevant candidate first for one query, and what that does elsewhere."""

    query: int
    variant: str
    """The variant with the edit: what is measured below, and what one click applies."""
    concepts: tuple[int, ...]
    labels: tuple[str, ...]
    rank_before: int
    rank: int
    """Under `variant`, statistics refitted; 1 where the repair holds."""
    fixed: int
    broken: int
    """Queries whose hit@1 changed, this one included."""
    gain: PairedGain
    """Of recall@1 over all queries."""

    def to_json(self) -> dict[str, Any]:
        """What is measured, as plain JSON."""
        return {
            "variant": self.variant, "concepts": list(self.concepts), "labels": list(self.labels),
            "rank_before": self.rank_before, "rank": self.rank, "fixed": self.fixed, "broken": self.broken,
            "recall@1_change": self.gain.difference, "ci95": [self.gain.low, self.gain.high], "p": self.gain.p_value,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Repairs:
    """The repairs of one query under a variant."""

    query: int
    active: int
    """Concepts active on the query, the right or the wrong candidate."""
    tried: int
    """Sets of up to `largest` of them that were measured or ruled out by a single rival."""
    largest: int
    equally_small: int
    """Sets of the smallest size that repair, statistics kept; 0: no set of up to `largest` concepts does."""
    smallest: Repair | None
    """Of these the one with the best balance of fixed and broken queries among the `CHECKED` of largest margin; None
    where none holds."""
    greedy: Repair | None
    """What greed finds, one concept after the other; None where it gives up."""


def active_concepts(run: Run, query: int, variant: str | VariantSpec = "none") -> dict[int, str]:
    """Concept -> where it is active: "query", "right", "wrong", joined by commas; right and wrong as `contest` says.

    Raises:
        NotAvailable: a run without an SAE; a query without a relevant or without an irrelevant candidate.
    """
    run.need_sae()
    duel = contest(run, query, variant)
    if duel.right is None or duel.wrong is None:
        raise NotAvailable("nothing to repair", got="a query without a right, or without a wrong candidate")
    rows: list[tuple[str, Part, int]] = [
        ("query", "queries", query),
        ("right", "candidates", duel.right.row),
        ("wrong", "candidates", duel.wrong.row),
    ]
    where: dict[int, list[str]] = {}
    for name, part, row in rows:
        for k in sp.csr_array(run.codes(part))[[row]].indices.tolist():
            where.setdefault(int(k), []).append(name)
    return {k: ", ".join(where[k]) for k in sorted(where)}


def what_if(run: Run, query: int, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """Every active concept of a query switched off by itself: DataFrame[concept, label, active_on, rank, flips,
    flips_p, flips_q, fixed, broken, change, change_low, change_high, p, frequency, energy].

    rank: of this query's first relevant candidate then. flips: whether it becomes 1 (or stops to be, for a query that
    succeeds). flips_p: (1 + matched concepts that move this rank at least as far the same way) / (1 + matched), over
    the `CONTROLS` measured concepts of nearest frequency and energy; NaN until all concepts are measured
    (`with_controls`). flips_q: corrected for all rows (Benjamini-Hochberg). fixed, broken, change, p: over all queries,
    p corrected over the rows by max-T. Best first: flips, then change. attrs: rank (before), statistics, tried,
    controls.
    """
    spec = variant_of(run, variant)
    return _table(run, query, spec, some_switch_offs(run, list(active_concepts(run, query, spec)), spec), None)


def what_if_with_controls(run: Run, query: int, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """The same beside matched concepts: measures every concept of the run once per variant."""
    spec = variant_of(run, variant)
    every = switch_offs(run, spec)
    known = set(every.concepts.tolist())
    active = [k for k in active_concepts(run, query, spec) if k in known]
    return _table(run, query, spec, every.only(active), every)


def _table(run: Run, query: int, spec: VariantSpec, off: SwitchOffs, every: SwitchOffs | None) -> pd.DataFrame:
    before, after = int(off.before[query]), off.ranks[:, query]
    frame = effects(run, off)
    where = active_concepts(run, query, spec)
    p = np.full(len(frame), np.nan) if every is None else _flip_p(run, query, off, every)
    frame.insert(2, "active_on", [where[int(k)] for k in off.concepts])
    frame.insert(3, "rank", after)
    frame.insert(4, "flips", (after == 1) != (before == 1))
    frame.insert(5, "flips_p", p)
    frame.insert(6, "flips_q", benjamini_hochberg(p))
    moved = np.log(after) - np.log(before)
    order = np.lexsort((frame["concept"], -frame["change"], moved if before > 1 else -moved, ~frame["flips"]))
    frame = frame.iloc[order].reset_index(drop=True)
    controls = 0 if every is None else min(CONTROLS, len(every.concepts) - 1)
    frame.attrs = {"rank": before, "statistics": off.statistics, "tried": len(frame), "controls": controls}
    return frame


def _flip_p(run: Run, query: int, off: SwitchOffs, every: SwitchOffs) -> np.ndarray:
    """Place of each concept's move of this rank among matched concepts, one-sided in the direction of its move."""
    parts = (run.codes("queries"), run.codes("candidates"))
    share, strength = frequency(*parts), energy(*parts)
    moves = np.zeros(len(share))
    moves[every.concepts] = np.log(every.ranks[:, query]) - np.log(every.before[query])
    out = []
    for k in off.concepts:
        near = moves[nearest_concepts(int(k), share, strength, every.concepts)[:CONTROLS]]
        as_far = near * np.sign(moves[k]) >= abs(moves[k]) if moves[k] else np.ones(len(near), dtype=bool)
        out.append((1 + int(as_far.sum())) / (1 + len(near)))
    return np.array(out)


def repairs(run: Run, query: int, variant: str | VariantSpec = "none", largest: int = LARGEST) -> Repairs | None:
    """The smallest edits that repair a failing query: exact up to `largest` concepts, and by greed; None for a query
    that does not fail.

    Sets are searched with the variant's statistics kept, and what is returned is measured with the variant that has the
    edit: a repair that does not hold there is not one.
    """
    spec = variant_of(run, variant)
    before = int(evaluate(run, spec).ranks[query])
    if before == 1:
        return None

    def compute() -> Repairs:
        active = np.array(list(active_concepts(run, query, spec)), dtype=np.int64)
        relevant = np.unique(run.qrels("test").relevant(query))
        one = OneQuery(*both_sides(run, spec), query, relevant, active, run.need_sae().dictionary)
        result, (chosen, margin) = smallest_repairs(one, largest), greedy_repair(one)
        smallest = _best_of(run, query, spec, result.sets[:CHECKED])
        greedy = measured(run, query, spec, chosen) if margin > 0 else None
        return Repairs(query, len(active), result.tried, largest, len(result.sets), smallest, greedy)

    return run.memo(("repairs", spec, query, largest), compute, limit=64)


def _best_of(run: Run, query: int, spec: VariantSpec, sets: Sequence[tuple[int, ...]]) -> Repair | None:
    """The set of best balance of fixed and broken queries whose repair holds when it is applied."""
    if not sets:
        return None
    ranks, _ = ranks_under(run, spec, [tuple((k, 0.0) for k in chosen) for chosen in sets])
    order = np.argsort(-(ranks == 1).sum(axis=1), kind="stable")
    for i in order:
        repair = measured(run, query, spec, sets[int(i)])
        if repair.rank == 1:
            return repair
    return None


def measured(run: Run, query: int, variant: str | VariantSpec, concepts: Sequence[int]) -> Repair:
    """The variant with these concepts switched off, on all queries."""
    spec = variant_of(run, variant)
    edited = with_concepts_off(spec, concepts)
    before, after = evaluate(run, spec), evaluate(run, edited)
    changes = fixed_and_broken(before.ranks, after.ranks)
    labels = table(run)["label"]
    return Repair(
        query,
        str(edited),
        tuple(concepts),
        tuple(str(labels.iloc[k]) for k in concepts),
        int(before.ranks[query]),
        int(after.ranks[query]),
        len(changes.fixed),
        len(changes.broken),
        PairedGain.between([before.evaluation.ranked], [after.evaluation.ranked], "recall@1"),
    )


def with_concepts_off(variant: VariantSpec, concepts: Sequence[int]) -> VariantSpec:
    """The variant with these concepts switched off."""
    for k in concepts:
        variant = variant.with_factor(int(k), 0.0)
    return variant


def payload(run: Run, query: int, variant: str | VariantSpec = "none", controls: bool = True) -> dict[str, Any]:
    """What `explain --json` prints."""
    spec = variant_of(run, variant)
    frame = (what_if_with_controls if controls else what_if)(run, query, spec)
    found = repairs(run, query, spec)
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return {
        "run": run.name,
        "query": str(run.corpus.items("queries").ids[query]),
        "variant": str(spec),
        **frame.attrs,
        "concepts": records,
        "smallest": None if found is None or found.smallest is None else found.smallest.to_json(),
        "greedy": None if found is None or found.greedy is None else found.greedy.to_json(),
        "sets_tried": 0 if found is None else found.tried,
    }
