"""Variants: a spec and data in, a fitted chain of transforms out, one contract for all. The one currency of comparison.

1. `parse_variant("remove-top(share=0.01)+realign(beta=0.5)")` -> VariantSpec (expression.py says how the text works).
2. `fit_variant(spec, data)` -> FittedVariant: one SideTransform per side. Edits and removal come first and are the same
   for both sides; every affine step is fitted on the rows as they arrive at it: after edits, removal, L2 norm and the
   affine steps before it.
3. `transform(x, fitted.query, codes, dictionary)` -> unit rows, whose dot products are the variant's similarities.

A step within the model (`inside`) is no transform of rows: the rows of `data` were made by the changed model, and say
so (`FitData.inside`). Where the statistics of a step come from is in statistics.py. Fits that many variants share
(moments, scores) are cached in `data.memo`. Knows nothing of runs, files or screens; `steps.py` holds what each step
does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from core.analysis.subspaces import join_bases
from core.analysis.variants.expression import Step, VariantSpec, make_step, parse_variant
from core.analysis.variants.fitdata import FitData
from core.analysis.variants.options import STATISTICS
from core.analysis.variants.removal_fits import Removal
from core.analysis.variants.statistics import (
    PER_MODALITY,
    ModalityMoments,
    SideMoments,
    mean_codes,
    modality_mean_codes,
    modality_moments,
    side_moments,
)
from core.analysis.variants.transform import SideTransform, compose, decoded_mean, transform
from core.analysis.variants.whiten import AffineRecord
from core.errors import VariantError
from core.records import MODALITIES

Side = Literal["query", "candidate"]


@dataclass(frozen=True, eq=False)
class FittedVariant:
    """A variant ready to be applied."""

    spec: VariantSpec
    query: SideTransform
    candidate: SideTransform
    removed_concepts: tuple[int, ...] = ()
    """Concepts whose span was projected out, best first where they were ranked."""
    notes: tuple[str, ...] = ()
    """What a reader must know: where statistics come from, eps and rank warnings. One sentence each."""


@dataclass(frozen=True, eq=False)
class Transformed:
    """Both sides of a run under a variant: unit rows, float32."""

    queries: Float[np.ndarray, "nq d"]
    candidates: Float[np.ndarray, "nc d"]


def fit_variant(spec: VariantSpec | str, data: FitData) -> FittedVariant:
    """Fit every step of `spec` on `data`. Raises VariantError / NotAvailable where the data lack what a step needs."""
    spec = parse_variant(spec) if isinstance(spec, str) else spec
    _check_rows(spec, data)
    _check_concepts(spec, data)
    removal = _fit_removal(spec, data)
    start = SideTransform(edits=spec.edits, removed_basis=removal.basis if len(removal.basis) else None)
    query, candidate = start, start
    steps, pooled = spec.of_stage("affine"), list[str]()
    for i, step in enumerate(steps):
        # Fitted on the rows as they arrive: after edits, removal and the affine steps so far.
        before, options = VariantSpec(_before(spec) + steps[:i]), dict(step.options)
        if options["statistics"] == PER_MODALITY:
            moments = modality_moments(before, data, query, candidate)
            records = {m: step.kind.fit_affine(SideMoments(f.moments, f.moments), options) for m, f in moments.items()}
            query, candidate = _extended_by_modality(query, records), _extended_by_modality(candidate, records)
            pooled += [_pooled_note(step, moments)] if any(f.pooled for f in moments.values()) else []
            continue
        of_query, of_candidate = side_moments(str(options["statistics"]), before, data, query, candidate)
        # Each side is given the other's moments too: some steps compare the two (close-gap, remove-mean-direction).
        query = _extended(query, step.kind.fit_affine(SideMoments(of_query, of_candidate), options))
        candidate = _extended(candidate, step.kind.fit_affine(SideMoments(of_candidate, of_query), options))
    query, candidate = _with_code_means(spec, data, query, candidate)
    notes = removal.notes + _notes(steps, query, candidate, data) + tuple(pooled)
    return FittedVariant(spec, query, candidate, removal.concepts, notes)


def apply_variant(fitted: FittedVariant, data: FitData) -> Transformed:
    """Both sides of `data` transformed."""
    return Transformed(
        transform(data.queries, fitted.query, data.query_codes, data.dictionary, modality=data.query_modality),
        transform(
            data.candidates, fitted.candidate, data.candidate_codes, data.dictionary, modality=data.candidate_modality
        ),
    )


def gain_split(beta: float = 0.1, eps: float = 1e-5, statistics: str = "per-side") -> dict[str, VariantSpec]:
    """What is added -> variant: the steps that show where whitening's gain comes from, each adding one thing to the one
    before.

    none -> center (centring) -> scale-dims (scaling) -> zca (rotation: correlations) -> realign (shrinkage).
    """
    both: dict[str, Any] = {"eps": eps, "statistics": statistics}
    return {
        "raw cosine": VariantSpec(),
        "+ centring per side": VariantSpec((make_step("center", statistics=statistics),)),
        "+ scaling": VariantSpec((make_step("scale-dims", **both),)),
        "+ rotation (full whitening)": VariantSpec((make_step("zca", **both),)),
        "+ shrinkage (ReAlign)": VariantSpec((make_step("realign", beta=beta, **both),)),
    }


def _check_rows(spec: VariantSpec, data: FitData) -> None:
    """Refuse rows that another model made: a step within the model changes the rows before anything is fitted."""
    if str(spec.inside) != data.inside:
        raise VariantError(
            "this variant changes the model, and these rows were not made by that one",
            got=f"rows of {data.inside!r}",
            allowed=f"rows of {str(spec.inside)!r}",
            todo="ask for it where rows are made: evaluate, compare, the pages of one query",
        )


def _check_concepts(spec: VariantSpec, data: FitData) -> None:
    """Refuse concepts that the dictionary does not have, and edits without codes."""
    wanted = [k for k, _ in spec.edits] + list(spec.removed)
    if spec.needs_concepts:
        c = len(data.concept_rows())
        unknown = [k for k in wanted if k >= c]
        if unknown:
            raise VariantError("no such concept", got=unknown[0], allowed=f"0 to {c - 1}")
    if spec.needs_codes and (data.query_codes is None or data.candidate_codes is None):
        raise VariantError("set(...) needs the codes of both sides", got="none", todo="choose a run with an SAE")


def _before(spec: VariantSpec) -> tuple[Step, ...]:
    """The steps that come before every affine step."""
    return spec.of_stage("edit") + spec.of_stage("removal")


def _fit_removal(spec: VariantSpec, data: FitData) -> Removal:
    """All removal steps as one subspace; empty where there is none."""
    fitted = [
        step.kind.fit_removal(data, spec.edits, tuple(k for k, _ in step.concepts), dict(step.options))
        for step in spec.of_stage("removal")
    ]
    if not fitted:
        return Removal(np.zeros((0, data.queries.shape[1])))
    concepts = tuple(dict.fromkeys(k for removal in fitted for k in removal.concepts))
    basis = join_bases(*(removal.basis for removal in fitted))
    notes = tuple(note for removal in fitted for note in removal.notes)
    return Removal(basis, concepts, (f"removed {len(basis)} of {basis.shape[1]} dimensions", *notes))


def _extended(side: SideTransform, record: AffineRecord) -> SideTransform:
    """The side with one more affine step, all of them composed into one map; per modality where it has one map each."""
    if side.by_modality:
        return _extended_by_modality(side, {modality: record for modality, _ in side.by_modality})
    records = (*side.records, record)
    mean, matrix = compose(records)
    return replace(side, mean=mean, matrix=matrix, n_samples=record.n_samples, records=records)


def _extended_by_modality(side: SideTransform, records: Mapping[str, AffineRecord]) -> SideTransform:
    """The side with one more affine step, of each modality its own."""
    parts = tuple((modality, _extended(_part(side, modality), record)) for modality, record in records.items())
    start = SideTransform(edits=side.edits, removed_basis=side.removed_basis)
    return replace(start, by_modality=parts)


def _part(side: SideTransform, modality: str) -> SideTransform:
    return side.of(modality) if side.by_modality else side


def _pooled_note(step: Step, moments: Mapping[str, ModalityMoments]) -> str:
    """Which modalities have no statistics of their own."""
    few = [f"{name} ({'one row' if f.own_rows else 'no row'})" for name, f in moments.items() if f.pooled]
    return f"{step.name}: too few rows to fit on, so the statistics of all modalities together: {', '.join(few)}"


def _with_code_means(
    spec: VariantSpec, data: FitData, query: SideTransform, candidate: SideTransform
) -> tuple[SideTransform, SideTransform]:
    """Attach the mean of a z over the statistics set of the first step that centres, where codes are at hand
    (docs/study.md section 4)."""
    steps = [step for step in spec.of_stage("affine") if step.kind.centres]
    if not steps or data.query_codes is None or data.candidate_codes is None or data.dictionary is None:
        return query, candidate
    statistics, before = str(dict(steps[0].options)["statistics"]), VariantSpec(_before(spec))
    if statistics == PER_MODALITY:
        if any(data.rows(which)[1] is None for which in data.modality_sets()):
            return query, candidate
        means = modality_mean_codes(before, data, query, candidate)
        return _with_means(query, means, data.dictionary), _with_means(candidate, means, data.dictionary)
    if statistics == "support" and data.support_query_codes is None:
        return query, candidate
    of_query, of_candidate = mean_codes(statistics, before, data, query, candidate)
    return _with_means(query, dict.fromkeys(MODALITIES, of_query), data.dictionary), _with_means(
        candidate, dict.fromkeys(MODALITIES, of_candidate), data.dictionary
    )


def _with_means(side: SideTransform, means: Mapping[str, np.ndarray], dictionary: np.ndarray) -> SideTransform:
    """The side with the mean code of its statistics, per modality where it has a map per modality."""
    if side.by_modality:
        parts = tuple(
            (modality, replace(part, code_mean=(mean := means[modality]), code_mean_row=decoded_mean(mean, dictionary)))
            for modality, part in side.by_modality
        )
        return replace(side, by_modality=parts)
    mean = next(iter(means.values()))
    return replace(side, code_mean=mean, code_mean_row=decoded_mean(mean, dictionary))


def _notes(steps: tuple[Step, ...], query: SideTransform, candidate: SideTransform, data: FitData) -> tuple[str, ...]:
    """Where the statistics come from, then what the fits warn of, each side by name."""
    notes = []
    parts = dict(query.by_modality)
    records = {m: part.records for m, part in parts.items()} or {"": query.records}
    other = next(iter(dict(candidate.by_modality).values()), candidate).records
    for i, (step, of_query, of_candidate) in enumerate(zip(steps, next(iter(records.values())), other, strict=True)):
        statistics = str(dict(step.options)["statistics"])
        if statistics == PER_MODALITY:
            notes += _modality_notes(step, {m: chain[i] for m, chain in records.items()}, data)
            continue
        rows = f"{of_query.n_samples} query-side and {of_candidate.n_samples} candidate-side rows"
        notes.append(f"{step.name}: {statistics} statistics, {rows} ({STATISTICS[statistics]})")
        if step.name == "auto":
            notes.append(f"auto: shrinkage {of_query.beta:.3g} for queries, {of_candidate.beta:.3g} for candidates")
        notes += [f"queries, {step.name}: {warning}" for warning in of_query.warnings]
        notes += [f"candidates, {step.name}: {warning}" for warning in of_candidate.warnings]
    return tuple(notes)


def _modality_notes(step: Step, records: Mapping[str, AffineRecord], data: FitData) -> list[str]:
    """How many rows of which modality a step per modality was fitted on, and what its fits warn of."""
    places = {
        "support": "the support split",
        "support candidates": "the support split",
        "candidates": "the pool",
        "queries": "the test queries, without labels (transductive)",
    }
    where = " and ".join(dict.fromkeys(places[which] for which in data.modality_sets()))
    rows = ", ".join(f"{name} {record.n_samples}" for name, record in records.items())
    notes = [f"{step.name}: {PER_MODALITY} statistics, rows of {rows} ({STATISTICS[PER_MODALITY]}; from {where})"]
    if step.name == "auto":
        notes.append("auto: shrinkage " + ", ".join(f"{record.beta:.3g} for {m}" for m, record in records.items()))
    return notes + [
        f"{name}, {step.name}: {warning}" for name, record in records.items() for warning in record.warnings
    ]
