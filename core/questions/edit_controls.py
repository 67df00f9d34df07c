"""Random edits beside an edit: is its change of recall more than that of any concepts as frequent and as strong?

The one home of controls that match an edit in number, frequency and energy. In: two variants, of which the second
edits or removes concepts that the first leaves alone. Each control puts other concepts in their place, with the same
factors and everything else equal, and is fitted and ranked as the variant itself is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core.analysis.concepts.matching import DRAWS, matched_draws
from core.analysis.concepts.measures import energy, frequency
from core.analysis.retrieval import per_query
from core.analysis.variants import Step, VariantSpec, make_step
from core.errors import UserError
from core.questions.answers import cached_table, cached_table_if_there, explicit, fitted, variant_of
from core.questions.comparisons import RECALLS, rank_under, tidy
from core.questions.retrieval import evaluate
from core.run import Run
from core.waiting import about_to_compute, pause

RANKED = ("remove-top", "remove-random")
"""Removals that choose their concepts themselves."""
ROUNDING = 1e-12
"""Changes of recall this near to each other are equal."""


@dataclass(frozen=True, eq=False)
class EditControl:
    """An edit's change of one recall beside those of matched random edits; shares 0-1."""

    metric: str
    change: float
    draws: np.ndarray
    """(m,) changes of the controls."""
    concepts: tuple[int, ...]
    """What the edit changes."""
    frequency: float
    """Mean over these concepts: share of items on which one fires, 0-1."""
    control_frequency: float
    """The same over all controls."""
    energy: float
    control_energy: float
    why: str = ""
    """Why there are no controls; "" where there are some."""

    @property
    def higher_than(self) -> int:
        """Controls after which recall is lower than after the edit."""
        return int((self.draws < self.change - ROUNDING).sum())

    @property
    def lower_than(self) -> int:
        """Controls after which recall is higher than after the edit."""
        return int((self.draws > self.change + ROUNDING).sum())

    @property
    def p_value(self) -> float:
        """One-sided, towards the side on which the edit lies: (1 + controls at least as far there) / (1 + controls)."""
        total = len(self.draws)
        return (1 + total - max(self.higher_than, self.lower_than)) / (1 + total)


def edited_concepts(run: Run, before: str | VariantSpec, after: str | VariantSpec) -> tuple[int, ...]:
    """The concepts that `after` scales or removes and `before` does not, ascending."""
    a, b = variant_of(run, before), variant_of(run, after)
    scaled = {k for k, factor in b.edits if dict(a.edits).get(k) != factor}
    removed = set(b.removed) - set(a.removed)
    ranked = [step for step in b.of_stage("removal") if step.name in RANKED and step not in a.steps]
    chosen = set(fitted(run, b).removed_concepts) - set(b.removed) if ranked else set()
    return tuple(sorted(int(k) for k in scaled | removed | chosen))


def edit_control(
    run: Run, before: str | VariantSpec, after: str | VariantSpec, metric: str = "recall@1", draws: int = DRAWS
) -> EditControl:
    """The change of recall from `before` to `after` beside that of `draws` matched random edits; without draws, and
    `why`, where `after` edits no concept that `before` leaves alone, or too few others fire."""
    concepts = edited_concepts(run, before, after)
    table = control_draws(run, before, after, draws) if concepts else None
    change = evaluate(run, after).evaluation.value(metric) - evaluate(run, before).evaluation.value(metric)
    if table is None or table.empty:
        why = "no concept is edited" if table is None else str(table.attrs["why"])
        return EditControl(metric, change, np.zeros(0), concepts, np.nan, np.nan, np.nan, np.nan, why)
    figures = {n: table.attrs[n] for n in ("frequency", "control_frequency", "energy", "control_energy")}
    return EditControl(metric, change, table[metric].to_numpy(), tuple(table.attrs["concepts"]), **figures)


def control_draws(run: Run, before: str | VariantSpec, after: str | VariantSpec, draws: int = DRAWS) -> pd.DataFrame:
    """One row per matched random edit: DataFrame[draw, concepts, recall@1, recall@5, recall@10]; recalls are changes
    to `before`.

    attrs: concepts (of the edit), frequency, control_frequency, energy, control_energy (means), why (where it is empty:
    too few concepts fire).
    """
    a, b = variant_of(run, before), variant_of(run, after)
    arguments = {"variants": explicit(run, a, b), "draws": draws}
    cached = cached_table_if_there(run, "edit-controls", arguments)
    if cached is not None:
        return cached
    about_to_compute()
    # Outside of `cached_table`, whose lock a visitor who goes first at a pause could wait for.
    table = _measure(run, a, b, draws)
    return cached_table(run, "edit-controls", arguments, lambda: table)


def _measure(run: Run, before: VariantSpec, after: VariantSpec, draws: int) -> pd.DataFrame:
    concepts = edited_concepts(run, before, after)
    parts = (run.codes("queries"), run.codes("candidates"))
    share, strength = frequency(*parts), energy(*parts)
    columns = ["draw", "concepts", *RECALLS]
    named = [k for step in after.steps for k, _ in step.concepts]
    try:
        others = matched_draws(concepts, share, strength, draws, never=named)
        variants = [swapped(after, dict(zip(concepts, drawn, strict=True))) for drawn in others.tolist()]
    except UserError as error:
        empty = pd.DataFrame(columns=columns)
        empty.attrs = {"why": str(error)}
        return empty
    baseline = evaluate(run, before).evaluation
    rows = []
    for i, (drawn, variant) in enumerate(zip(others.tolist(), variants, strict=True)):
        ranked, _ = rank_under(run, variant)
        changes = {m: float(per_query(ranked, m).mean()) - baseline.value(m) for m in RECALLS}
        rows.append({"draw": i, "concepts": ", ".join(map(str, drawn))} | changes)
        pause()
    return tidy(
        rows,
        concepts=list(concepts),
        frequency=float(share[list(concepts)].mean()),
        control_frequency=float(share[others].mean()),
        energy=float(strength[list(concepts)].mean()),
        control_energy=float(strength[others].mean()),
    )


def swapped(variant: VariantSpec, others: dict[int, int]) -> VariantSpec:
    """The variant with other concepts in the place of some: same factors, same options of the removal. A removal that
    chooses its concepts becomes one of these."""
    steps: list[Step] = []
    named = {k for step in variant.steps for k, _ in step.concepts}
    for step in variant.steps:
        if step.name in RANKED:
            rank = dict(step.options)["rank"]
            chosen = tuple((other, 0.0) for k, other in sorted(others.items()) if k not in named)
            steps.append(make_step("remove", concepts=chosen, rank=rank))
        elif step.concepts:
            steps.append(replace(step, concepts=tuple((others.get(k, k), factor) for k, factor in step.concepts)))
        else:
            steps.append(step)
    return VariantSpec(tuple(steps))
