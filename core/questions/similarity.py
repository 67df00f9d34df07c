"""Why two items are similar: contributions that sum to the score, margins, and how far concepts may be named as the
reason. By the run's own SAE, or by another dictionary at hand (`alternates.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.analysis.explanations import contributions as science
from core.analysis.explanations.trust import Trust
from core.analysis.variants import VariantSpec
from core.questions.alternates import OWN, fitted_with, held
from core.questions.answers import cached_table, fitted, side_of, variant_of
from core.questions.concepts import table
from core.questions.inside import check_unchanged, under
from core.questions.labels import RULE, label_codes
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
    is_margin: ClassVar[bool] = False

    @property
    def trust(self) -> Trust:
        """Concepts, SAE errors and offset, and whether the concepts may be named as the reason."""
        return Trust(
            concepts=float(self.table["contribution"].sum()) + self.rest,
            query_error=self.query_error,
            candidate_error=self.candidate_error,
            offset=self.offset,
            total=self.similarity,
            is_margin=self.is_margin,
        )


@dataclass(frozen=True, eq=False)
class MarginExplanation(Explanation):
    """The same of a margin: every term is a difference, and so is `similarity`."""

    is_margin: ClassVar[bool] = True


def pair(
    run: Run,
    query_row: int,
    candidate_row: int,
    variant: str | VariantSpec = "none",
    top: int = 12,
    dictionary: str = OWN,
) -> Explanation:
    """The cosine of a query and a candidate under a variant, concept by concept (docs/study.md section 4; exact).

    `dictionary`: whose concepts, by its name in `alternates.names`.
    """
    spec = variant_of(run, variant)
    query = stored_state(run, "queries", query_row, spec, dictionary)
    return explained(run, query, candidate_row, spec, top, dictionary)


def explained(
    run: Run,
    query: science.SideState,
    candidate_row: int,
    variant: str | VariantSpec = "none",
    top: int = 12,
    dictionary: str = OWN,
) -> Explanation:
    """The same for any query, stored or not."""
    spec = variant_of(run, variant)
    candidate = stored_state(run, "candidates", candidate_row, spec, dictionary)
    parts = science.contributions(query, candidate, _directions(run, dictionary))
    terms = (parts.offset, parts.query_error, parts.candidate_error)
    return _explain(
        Explanation,
        _names(run, dictionary),
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
    run: Run,
    query_row: int,
    candidate_row: int,
    rival_row: int,
    variant: str | VariantSpec = "none",
    top: int = 12,
    dictionary: str = OWN,
) -> MarginExplanation:
    """similarity(candidate) - similarity(rival), term by term: positive terms speak for the candidate."""
    spec = variant_of(run, variant)
    query = stored_state(run, "queries", query_row, spec, dictionary)
    first, second = (stored_state(run, "candidates", row, spec, dictionary) for row in (candidate_row, rival_row))
    parts = science.margin(query, first, second, _directions(run, dictionary))
    terms = (parts.offset, parts.query_error, parts.candidate_error)
    return _explain(
        MarginExplanation,
        _names(run, dictionary),
        spec,
        parts.margin,
        parts.concepts,
        parts.values,
        terms,
        (query, first),
        top,
        parts.first.centred_codes,
    )


def stored_state(
    run: Run, part: Part, row: int, variant: str | VariantSpec, dictionary: str = OWN
) -> science.SideState:
    """One item of the run as one side of a comparison."""
    variant = variant_of(run, variant)
    rows = under(run, variant)
    if dictionary == OWN:
        codes, offset = sp.csr_array(rows.codes(part))[[row]], rows.offset(part)
        transform = side_of(fitted(run, variant), part)
    else:
        check_unchanged(variant, "other dictionaries")
        other = held(run, dictionary)
        codes, offset = other.codes[part][[row]], other.offsets[part]
        transform = side_of(fitted_with(run, dictionary, variant), part)
    return science.SideState(
        h=np.asarray(rows.embeddings(part)[row], dtype=np.float64),
        concepts=codes.indices.astype(np.int64),
        activations=codes.data.astype(np.float64),
        transform=transform.of(str(run.corpus.items(part).modality[row])),
        offset=np.asarray(offset[row if len(offset) > 1 else 0], dtype=np.float64),
    )


def _directions(run: Run, dictionary: str) -> np.ndarray:
    return run.need_sae().dictionary if dictionary == OWN else held(run, dictionary).dictionary


def _names(run: Run, dictionary: str) -> pd.DataFrame:
    """DataFrame[label, modality_score] of every concept of a dictionary."""
    if dictionary == OWN:
        return table(run)
    other = held(run, dictionary)

    def compute() -> pd.DataFrame:
        labels = label_codes(run, other.codes).table["label"]
        return pd.DataFrame({"label": labels, "modality_score": other.measures(run)["modality_score"]})

    return cached_table(run, "dictionary-labels", {"dictionary": dict(other.identity), "labels": RULE}, compute)


_Kind = TypeVar("_Kind", bound=Explanation)


def _explain(
    kind: type[_Kind],
    frame: pd.DataFrame,
    spec: VariantSpec,
    total: float,
    concepts: np.ndarray,
    values: np.ndarray,
    terms: tuple[float, float, float],
    states: tuple[science.SideState, science.SideState],
    top: int,
    centred: bool,
) -> _Kind:
    order = np.argsort(-np.abs(values), kind="stable")[:top]
    strongest = concepts[order]
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
    return kind(str(spec), total, listed, rest, rest_count, *terms, residual, centred)
