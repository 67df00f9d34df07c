"""Variants: a spec and data in, a fitted chain of transforms out, one contract for all. The one currency of comparison.

1. `parse_variant("remove-top(share=0.01)+realign(beta=0.5)")` -> VariantSpec (spec.py says how the text works).
2. `fit_variant(spec, data)` -> FittedVariant: one SideTransform per side. Edits and removal come first and are the same for both sides;
   every affine step is fitted on the rows as they arrive at it: after edits, removal, L2 norm and the affine steps before it.
3. `transform(x, fitted.query, codes, dictionary)` -> unit rows, whose dot products are the variant's similarities.

Statistics (docs/study.md section 6): `per-side` each side's own rows; `support` queries from the support split, candidates from the pool;
`shared` one mean and covariance over both sides. Fits that many variants share (moments, eigenvectors, scores) are kept in `data.memo`.
Knows nothing of runs, files or screens; `steps.py` holds what each step does.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import row_blocks, unit_rows
from core.analysis.fitdata import FitData, PairCodes, RowSet
from core.analysis.moments import CovarianceAccumulator, Moments, merge_moments
from core.analysis.removal import join_bases
from core.analysis.spec import Step, VariantSpec, make_step, parse_variant
from core.analysis.steps import STEPS, Removal, SideMoments, StepKind
from core.analysis.transform import SideTransform, affine, compose, edited_codes, prepare, transform
from core.errors import VariantError

__all__ = [
    "STEPS", "FitData", "FittedVariant", "PairCodes", "SideTransform", "Step", "StepKind", "Transformed", "VariantSpec",
    "apply_variant", "fit_variant", "gain_split", "make_step", "parse_variant", "transform",
]  # fmt: skip

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
    _check_concepts(spec, data)
    removal = _fit_removal(spec, data)
    start = SideTransform(edits=spec.edits, removed_basis=removal.basis if len(removal.basis) else None)
    query, candidate = start, start
    steps = spec.of_stage("affine")
    for i, step in enumerate(steps):
        query, candidate = _fit_affine(step, VariantSpec(_before(spec) + steps[:i]), data, query, candidate)
    query, candidate = _with_code_means(spec, data, query, candidate)
    notes = removal.notes + _notes(steps, query, candidate)
    return FittedVariant(spec, query, candidate, removal.concepts, notes)


def apply_variant(fitted: FittedVariant, data: FitData) -> Transformed:
    """Both sides of `data` transformed."""
    return Transformed(
        transform(data.queries, fitted.query, data.query_codes, data.dictionary),
        transform(data.candidates, fitted.candidate, data.candidate_codes, data.dictionary),
    )


def gain_split(beta: float = 0.1, eps: float = 1e-5, statistics: str = "per-side") -> tuple[VariantSpec, ...]:
    """The variants that show where whitening's gain comes from, each adding one thing to the one before.

    none -> center (centring) -> scale-dims (scaling) -> zca (rotation: correlations) -> realign (shrinkage).
    """
    both = {"eps": eps, "statistics": statistics}
    chain = (
        make_step("center", statistics=statistics), make_step("scale-dims", **both), make_step("zca", **both),
        make_step("realign", beta=beta, **both),
    )  # fmt: skip
    return (VariantSpec(), *(VariantSpec((step,)) for step in chain))


def _check_concepts(spec: VariantSpec, data: FitData) -> None:
    wanted = [k for k, _ in spec.edits] + list(spec.removed)
    if spec.needs_concepts:
        c = len(data.concept_rows())
        unknown = [k for k in wanted if k >= c]
        if unknown:
            raise VariantError("no such concept", got=unknown[0], allowed=f"0 to {c - 1}")
    if spec.needs_codes and (data.query_codes is None or data.candidate_codes is None):
        raise VariantError("set(...) needs the codes of both sides", got="none", todo="choose a run with an SAE")


def _before(spec: VariantSpec) -> tuple[Step, ...]:
    return spec.of_stage("edit") + spec.of_stage("removal")


def _fit_removal(spec: VariantSpec, data: FitData) -> Removal:
    fitted = [
        step.kind.removal(data, spec.edits, tuple(k for k, _ in step.concepts), dict(step.options)) for step in spec.of_stage("removal")
    ]
    if not fitted:
        return Removal(np.zeros((0, data.queries.shape[1])))
    concepts = tuple(dict.fromkeys(k for removal in fitted for k in removal.concepts))
    basis = join_bases(*(removal.basis for removal in fitted))
    notes = tuple(note for removal in fitted for note in removal.notes)
    return Removal(basis, concepts, (f"removed {len(basis)} of {basis.shape[1]} dimensions", *notes))


def _fit_affine(
    step: Step, before: VariantSpec, data: FitData, query: SideTransform, candidate: SideTransform
) -> tuple[SideTransform, SideTransform]:
    options = dict(step.options)
    of_query, of_candidate = _side_moments(str(options["statistics"]), before, data, query, candidate)
    return (
        _extended(query, step.kind.affine(SideMoments(of_query, of_candidate), options)),
        _extended(candidate, step.kind.affine(SideMoments(of_candidate, of_query), options)),
    )


def _extended(side: SideTransform, record) -> SideTransform:
    records = (*side.records, record)
    mean, matrix = compose(records)
    return replace(side, mean=mean, matrix=matrix, n_samples=record.n_samples, records=records)


def _side_moments(
    statistics: str, before: VariantSpec, data: FitData, query: SideTransform, candidate: SideTransform
) -> tuple[Moments, Moments]:
    """Moments for the query side and for the candidate side, of the rows as they arrive after the steps `before`."""
    query_set: RowSet = "support" if statistics == "support" else "queries"
    of_query = data.memo.get((before, query_set), lambda: _moments(query_set, data, query))
    of_candidate = data.memo.get((before, "candidates"), lambda: _moments("candidates", data, candidate))
    if statistics != "shared":
        return of_query, of_candidate
    both = data.memo.get((before, "shared"), lambda: merge_moments(of_query, of_candidate))
    return both, both


def _moments(which: RowSet, data: FitData, side: SideTransform) -> Moments:
    x, codes = data.rows(which)
    accumulator = CovarianceAccumulator(x.shape[1] if side.matrix is None else side.matrix.shape[1])
    for block in row_blocks(*x.shape):
        h = prepare(x[block], side, None if codes is None else codes[block], data.dictionary)
        accumulator.add_batch(affine(h, side) if side.normalises else unit_rows(h))
    return accumulator.compute()


def _with_code_means(
    spec: VariantSpec, data: FitData, query: SideTransform, candidate: SideTransform
) -> tuple[SideTransform, SideTransform]:
    """Attach the mean of a z over the statistics set of the first affine step, where codes are at hand (docs/study.md section 4)."""
    steps = spec.of_stage("affine")
    if not steps or data.query_codes is None or data.candidate_codes is None or data.dictionary is None:
        return query, candidate
    statistics = dict(steps[0].options)["statistics"]
    if statistics == "support" and data.support_query_codes is None:
        return query, candidate
    before, query_set = VariantSpec(_before(spec)), "support" if statistics == "support" else "queries"
    n_q, sum_q = data.memo.get((before, "codes", query_set), lambda: _code_sum(query_set, data, query))
    n_c, sum_c = data.memo.get((before, "codes", "candidates"), lambda: _code_sum("candidates", data, candidate))
    if statistics == "shared":
        n_q, sum_q = n_c, sum_c = n_q + n_c, sum_q + sum_c
    return replace(query, code_mean=sum_q / n_q), replace(candidate, code_mean=sum_c / n_c)


def _code_sum(which: RowSet, data: FitData, side: SideTransform) -> tuple[int, Float[np.ndarray, " c"]]:
    """(n, sum over rows of z' / ||h''||); rows that edits and removal leave without length add nothing."""
    x, codes = data.rows(which)
    total = np.zeros(codes.shape[1])
    for block in row_blocks(*x.shape):
        norms = np.linalg.norm(prepare(x[block], side, codes[block], data.dictionary), axis=1)
        scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        total += scales @ edited_codes(codes[block], side.edits)
    return len(x), total


def _notes(steps: tuple[Step, ...], query: SideTransform, candidate: SideTransform) -> tuple[str, ...]:
    """Where the statistics come from, then what the fits warn of, each side by name."""
    notes = []
    for step, of_query, of_candidate in zip(steps, query.records, candidate.records, strict=True):
        statistics = dict(step.options)["statistics"]
        notes.append(
            f"{step.name}: {statistics} statistics, {of_query.n_samples} query-side and {of_candidate.n_samples} candidate-side rows"
        )
        if step.name == "auto":
            notes.append(f"auto: shrinkage {of_query.beta:.3g} for queries, {of_candidate.beta:.3g} for candidates")
        notes += [f"queries, {step.name}: {warning}" for warning in of_query.warnings]
        notes += [f"candidates, {step.name}: {warning}" for warning in of_candidate.warnings]
    return tuple(notes)
