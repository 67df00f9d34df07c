"""Why two items are similar: contributions that sum to the score, margins, and what removal of the top contributors
does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.analysis.explanations import contributions as science
from core.analysis.variants import VariantSpec
from core.questions.answers import fitted, side_of, variant_of
from core.questions.concepts import table
from core.questions.inside import under
from core.records import Part
from core.run import Run


@dataclass(frozen=True, eq=False)
class Explanation:
    """A similarity (or a difference of two) as a sum: table contributions + rest + offset + errors = similarity.

    `table`: DataFrame[concept, label, contribution, query_activation, candidate_activation, modality_score], largest
    |contribution| first. `rest` sums the `rest_count` other concepts; `residual` = similarity - sum of all parts,
    rounding only. For a margin, candidate_activation is that of the first candidate.
    """

    variant: str
    similarity: float
    table: pd.DataFrame
    rest: float
    rest_count: int
    offset: float
    query_error: float
    candidate_error: float
    residual: float
    centred_codes: bool


def pair(
    run: Run, query_row: int, candidate_row: int, variant: str | VariantSpec = "none", top: int = 12
) -> Explanation:
    """The cosine of a query and a candidate under a variant, concept by concept (docs/study.md section 4; exact)."""
    spec = variant_of(run, variant)
    return explained(run, stored_state(run, "queries", query_row, spec), candidate_row, spec, top)


def explained(
    run: Run, query: science.SideState, candidate_row: int, variant: str | VariantSpec = "none", top: int = 12
) -> Explanation:
    """The same for any query, stored or not."""
    spec = variant_of(run, variant)
    candidate = stored_state(run, "candidates", candidate_row, spec)
    parts = science.contributions(query, candidate, run.need_sae().dictionary)
    terms = (parts.offset, parts.query_error, parts.candidate_error)
    return _explain(
        run,
        spec,
        parts.similarity,
        parts.concepts,
        parts.values,
        terms,
        (query, candidate),
        top,
        parts.centred_codes,
    )


def margin(
    run: Run, query_row: int, candidate_row: int, rival_row: int, variant: str | VariantSpec = "none", top: int = 12
) -> Explanation:
    """similarity(candidate) - similarity(rival), term by term: positive terms speak for the candidate."""
    spec = variant_of(run, variant)
    query = stored_state(run, "queries", query_row, spec)
    first, second = (stored_state(run, "candidates", row, spec) for row in (candidate_row, rival_row))
    parts = science.margin(query, first, second, run.need_sae().dictionary)
    terms = (parts.offset, parts.query_error, parts.candidate_error)
    return _explain(
        run, spec, parts.margin, parts.concepts, parts.values, terms, (query, first), top, parts.first.centred_codes
    )


def stored_state(run: Run, part: Part, row: int, variant: VariantSpec) -> science.SideState:
    """One item of the run as one side of a comparison."""
    rows = under(run, variant)
    codes = sp.csr_array(rows.codes(part))[[row]]
    offset = rows.offset(part)
    return science.SideState(
        h=np.asarray(rows.embeddings(part)[row], dtype=np.float64),
        concepts=codes.indices.astype(np.int64),
        activations=codes.data.astype(np.float64),
        transform=side_of(fitted(run, variant), part).of(str(run.corpus.items(part).modality[row])),
        offset=np.asarray(offset[row if len(offset) > 1 else 0], dtype=np.float64),
    )


def _explain(
    run: Run,
    spec: VariantSpec,
    total: float,
    concepts: np.ndarray,
    values: np.ndarray,
    terms: tuple[float, float, float],
    states: tuple[science.SideState, science.SideState],
    top: int,
    centred: bool,
) -> Explanation:
    order = np.argsort(-np.abs(values), kind="stable")[:top]
    strongest, frame = concepts[order], table(run)
    activations = [dict(zip(s.concepts.tolist(), s.activations.tolist(), strict=True)) for s in states]
    listed = pd.DataFrame(
        {
            "concept": strongest,
            "label": frame["label"].to_numpy()[strongest],
            "contribution": values[order],
            "query_activation": [activations[0].get(int(k), 0.0) for k in strongest],
            "candidate_activation": [activations[1].get(int(k), 0.0) for k in strongest],
            "modality_score": frame["modality_score"].to_numpy()[strongest],
        }
    )
    rest = float(values.sum() - values[order].sum())
    residual = total - float(values.sum()) - sum(terms)
    rest_count = int(np.count_nonzero(values)) - int(np.count_nonzero(values[order]))
    return Explanation(str(spec), total, listed, rest, rest_count, *terms, residual, centred)
