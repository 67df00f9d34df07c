"""All failing queries under one variant, and what they have in common: the concept whose switching off repairs them,
the kind of error, the candidate that stands first in their place.

Attributed and causal are two things here: a concept *decides* a failure if its term alone is larger than the margin
(docs/study.md section 4); it *causes* it if the query succeeds once the concept is switched off (`switch_offs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.explanations.failures import failing
from core.analysis.variants import VariantSpec
from core.errors import UserError
from core.questions.answers import cached_table, item_frame, query_clusters, transformed, variant_of
from core.questions.comparisons import PairedGain
from core.questions.concepts import table
from core.questions.failures import failing_concepts
from core.questions.labels import has_truth
from core.questions.retrieval import evaluate
from core.questions.switch_offs import (
    SwitchOffs,
    beyond_matched,
    effects,
    measured_concepts,
    ranks_under,
    switch_offs,
)
from core.questions.what_if import measured, with_concepts_off
from core.run import Run
from core.waiting import about_to_compute

KINDS: Mapping[str, str] = {
    "same scene": "same things, same background: only number, size, place or wording differ",
    "wrong background": "right things, wrong background",
    "some things": "some of the things are right",
    "wrong things": "wrong things, right background",
    "nothing": "neither a thing nor the background is right",
}
"""Kinds of error, by what the right and the wrong candidate share; only the demo world knows."""
POOL = 16
"""Concepts that a group's repair chooses from at each step: those that repair most of the group by themselves."""
STEPS = 3


def failing_queries(run: Run, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """Every query whose first candidate is wrong: DataFrame[row, id, modality, text, rank, right, right_text, wrong,
    wrong_text, hub, kind].

    rank: of the first relevant candidate; queries without one in the pool are left out and counted. hub: failing
    queries that have this same wrong candidate first. kind: key of `KINDS`; "" where nothing is known of the items.
    attrs: queries, without_relevant.
    """
    spec = variant_of(run, variant)
    return cached_table(run, "failing-queries", {"variant": spec.explicit()}, lambda: _failing(run, spec))


def _failing(run: Run, spec: VariantSpec) -> pd.DataFrame:
    sides = (transformed(run, spec, "queries"), transformed(run, spec, "candidates"))
    rows, right, wrong = failing(*sides, run.qrels("test").pairs).T
    ranks, texts = evaluate(run, spec).ranks, run.corpus.items("candidates").texts
    hubs = np.bincount(wrong, minlength=len(texts))
    frame = item_frame(run, "queries", rows).assign(
        rank=ranks[rows],
        right=right,
        right_text=[texts[int(c)] or "" for c in right],
        wrong=wrong,
        wrong_text=[texts[int(c)] or "" for c in wrong],
        hub=hubs[wrong],
        kind=[_kind(run, int(a), int(b)) for a, b in zip(right, wrong, strict=True)],
    )
    frame.attrs = {"queries": len(ranks), "without_relevant": int((ranks == 0).sum())}
    return frame


def _kind(run: Run, right: int, wrong: int) -> str:
    """What two candidates share, by the ground truth of their scenes."""
    items = run.corpus.items("candidates")
    a, b = items.truth(right), items.truth(wrong)
    if not has_truth(run) or not a or not b:
        return ""
    things, background = set(a["things"]) & set(b["things"]), a["background"] == b["background"]
    if set(a["things"]) == set(b["things"]):
        return "same scene" if background else "wrong background"
    if things:
        return "some things"
    return "wrong things" if background else "nothing"


def causes(run: Run, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """Concepts by the failures they cause, most first: DataFrame[concept, label, attributed, causal, broken, change,
    change_low, change_high, p, beyond, controls, frequency, failures].

    attributed: failures it decides by its term (`failing_concepts`). causal: failures that succeed with it switched
    off. broken: successes that fail then. change: of recall@1, with a 95% paired interval; p corrected for all measured
    concepts (max-T). beyond: of `controls` concepts of the same frequency and energy, how many cause fewer failures.
    Concepts that neither decide nor cause one are left out. attrs: failures, caused (failures that at least one concept
    causes), measured (concepts), statistics, queries.

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()
    spec = variant_of(run, variant)
    arguments = {"variant": spec.explicit(), "measured": len(measured_concepts(run))}
    switch_offs(run, spec)  # before the lock of the table: it pauses for others
    return cached_table(run, "failure-causes", arguments, lambda: _causes(run, spec))


def _causes(run: Run, spec: VariantSpec) -> pd.DataFrame:
    off, decided = switch_offs(run, spec), failing_concepts(run, spec)
    frame = effects(run, off)
    fails = off.before > 1
    causal = ((off.ranks == 1) & fails).sum(axis=1)
    attributed = np.zeros(len(table(run)), dtype=np.int64)
    attributed[decided["concept"]] = decided["decided"]
    frame = frame.assign(
        attributed=attributed[off.concepts],
        causal=causal,
        beyond=beyond_matched(run, off, causal.astype(np.float64)),
        controls=min(20, len(off.concepts) - 1),
        failures=int(fails.sum()),
    )
    frame = frame[(frame["attributed"] > 0) | (frame["causal"] > 0)]
    frame = frame.sort_values(["causal", "change", "concept"], ascending=[False, False, True], kind="stable")
    columns = ["concept", "label", "attributed", "causal", "broken", "change", "change_low", "change_high", "p"]
    frame = frame[[*columns, "beyond", "controls", "frequency", "failures"]].reset_index(drop=True)
    caused = ((off.ranks == 1) & fails).any(axis=0)
    frame.attrs = {
        "failures": int(fails.sum()), "caused": int(caused.sum()), "measured": len(off.concepts),
        "statistics": off.statistics, "queries": len(off.before),
    }  # fmt: skip
    return frame


def measured_count(run: Run) -> int:
    """How many concepts `causes` switches off."""
    return len(measured_concepts(run))


def caused_by(run: Run, concept: int, variant: str | VariantSpec = "none") -> list[int]:
    """The failing queries that succeed once a concept is switched off, ascending rows."""
    off = switch_offs(run, variant)
    if concept not in off.concepts:
        return []
    (after,) = off.only([concept]).ranks
    return np.flatnonzero((off.before > 1) & (after == 1)).tolist()


@dataclass(frozen=True, eq=False)
class GroupRepair:
    """The best edit found for a group of failing queries, of 1, 2, ... concepts."""

    concepts: tuple[int, ...]
    labels: tuple[str, ...]
    variant: str
    """The variant with the edit, on which everything here is measured, statistics refitted."""
    repaired: int
    """Queries of the group that succeed then."""
    group: int
    fixed: int
    """All queries whose hit@1 changed for the better, the group included."""
    broken: int
    gain: PairedGain
    """Of recall@1 over all queries."""


def repair_group(
    run: Run, rows: tuple[int, ...], variant: str | VariantSpec = "none", steps: int = STEPS
) -> list[GroupRepair]:
    """Edits of 1 to `steps` concepts for a group of failing queries, by greed: each step adds the concept by which most
    of the group succeeds, less the queries that break. Ends where no concept adds any.

    A step chooses among the `POOL` concepts that repair most of the group by themselves.

    Raises:
        UserError: no query, or one that does not fail.
    """
    spec, group = variant_of(run, variant), np.unique(np.asarray(rows, dtype=np.int64))
    before = evaluate(run, spec).ranks
    if not len(group) or group.min() < 0 or group.max() >= len(before) or (before[group] <= 1).any():
        raise UserError("a group is of failing queries", got=f"{len(group)} queries", allowed="rows that fail")
    off = switch_offs(run, spec)

    def compute() -> list[GroupRepair]:
        about_to_compute()
        return _greedy_group(run, spec, group, off, steps)

    return run.memo(("group-repairs", spec, tuple(group.tolist()), steps), compute, limit=32)


def _greedy_group(run: Run, spec: VariantSpec, group: np.ndarray, off: SwitchOffs, steps: int) -> list[GroupRepair]:
    # Switched off already: nothing to gain by switching it off again.
    usable = ~np.isin(off.concepts, [k for k, factor in spec.edits if factor == 0])
    worth = _worth(off.ranks, off.before, group)
    alone = off.concepts[np.lexsort((off.concepts, -np.where(usable, worth, -np.inf)))[:POOL]]
    chosen: list[int] = []
    done: list[GroupRepair] = []
    best = 0
    for _ in range(steps):
        pool = [int(k) for k in alone if int(k) not in chosen]
        if not pool:
            break
        ranks, _ = ranks_under(run, spec, [tuple((k, 0.0) for k in sorted([*chosen, one])) for one in pool])
        values = _worth(ranks, off.before, group)
        if values.max() <= best:
            break
        best = int(values.max())
        chosen.append(pool[int(values.argmax())])
        done.append(_measured_group(run, spec, group, chosen))
    return done


def _worth(ranks: np.ndarray, before: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Queries of the group that succeed, less successes that fail: per row of `ranks`."""
    return (ranks[:, group] == 1).sum(axis=1) - ((ranks != 1) & (before == 1)).sum(axis=1)


def _measured_group(run: Run, spec: VariantSpec, group: np.ndarray, chosen: Sequence[int]) -> GroupRepair:
    one = measured(run, int(group[0]), spec, chosen)
    repaired = int((evaluate(run, with_concepts_off(spec, chosen)).ranks[group] == 1).sum())
    return GroupRepair(one.concepts, one.labels, one.variant, repaired, len(group), one.fixed, one.broken, one.gain)


def payload(run: Run, variant: str | VariantSpec, repair: GroupRepair) -> dict[str, Any]:
    """A group's repair as plain JSON, with what it was measured on: what a page exports."""
    return {
        "run": run.name, "before": str(variant_of(run, variant)), "variant": repair.variant,
        "concepts": list(repair.concepts), "labels": list(repair.labels), "group": repair.group,
        "repaired": repair.repaired, "fixed": repair.fixed, "broken": repair.broken,
        "recall@1_change": repair.gain.difference, "ci95": [repair.gain.low, repair.gain.high],
        "p": repair.gain.p_value, "queries": len(run.corpus.items("queries")),
        "independent_queries": _independent(run),
    }  # fmt: skip


def _independent(run: Run) -> int:
    clusters = query_clusters(run)
    return len(run.corpus.items("queries")) if clusters is None else int(clusters.max()) + 1
