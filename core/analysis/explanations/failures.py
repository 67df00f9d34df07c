"""Which concepts make queries fail: the terms of every margin between the right and the wrong candidate, summed up over
failures.

A failing query is one whose first candidate is irrelevant; right is its best relevant candidate, wrong the first one,
so the margin similarity(q, right) - similarity(q, wrong) is not positive. By docs/study.md section 4 it is exactly the
sum of one term per concept, an offset term and the two error terms: what `attribution.margin` gives for one query, here
for blocks of them.

1. For each side of a block: g = a z' D P W (less its mean where codes are centred), err = a e P W, o = y - g - err.
2. concept k: [ a_q z'_qk D_k . P W_q (g_r / n_r - g_w / n_w)
                + (a_r z'_rk / n_r - a_w z'_wk / n_w) D_k . P W_c g_q ] / 2
3. A concept **decides** a failure if without its term the margin would be >= 0: the wrong candidate would no longer
   win.

Two products of a block with D per block of failures; nothing of size failures x concepts is kept but what decides.
float64. Knows nothing of labels nor of which split the queries are from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array, vstack

from core.analysis.arrays import Codes, row_blocks
from core.analysis.retrieval.ranking import rank_top_k
from core.analysis.subspaces import project_out
from core.analysis.variants.fitdata import Modalities
from core.analysis.variants.transform import SideTransform, affine, edited_codes
from core.errors import UserError


@dataclass(frozen=True, eq=False)
class SideRows:
    """All items of one side, with the fitted variant of that side."""

    rows: Float[np.ndarray, "n d"]
    """Raw pooled embeddings."""
    codes: Codes
    """(n, c), embedding units, before any edit."""
    transform: SideTransform
    offset: Float[np.ndarray, "n_or_1 d"] | Float[np.ndarray, " d"] | None = None
    """u in h = z D + u + e, a row per item or one for all; None: zero."""
    modality: Modalities | None = None
    """Of every item; needed where the variant has statistics per modality."""

    def parts(self, rows: Int[np.ndarray, " f"]) -> list[tuple[str | None, Bool[np.ndarray, " f"]]]:
        """(modality, which of `rows` are of it); all of them at once where the variant treats them alike."""
        if not self.transform.by_modality or self.modality is None:
            return [(None, np.ones(len(rows), dtype=bool))]
        named = np.asarray(self.modality)[rows]
        return [(one, named == one) for one in dict.fromkeys(named.tolist())]

    def of(self, modality: str | None) -> "SideRows":
        """The side as its items of that modality are transformed."""
        return self if not self.transform.by_modality else replace(self, transform=self.transform.of(modality))

    @property
    def has_mean(self) -> bool:
        """Whether its codes can be centred."""
        parts = [part for _, part in self.transform.by_modality] or [self.transform]
        return all(part.code_mean is not None for part in parts)


@dataclass(frozen=True, eq=False)
class MarginTerms:
    """Margins of f failures, term by term: concepts.sum(axis=1) + offset + query_error + candidate_error = margin."""

    concepts: Float[np.ndarray, "f c"]
    """Negative: the concept speaks for the wrong candidate."""
    offset: Float[np.ndarray, " f"]
    query_error: Float[np.ndarray, " f"]
    candidate_error: Float[np.ndarray, " f"]
    margin: Float[np.ndarray, " f"]


@dataclass(frozen=True, eq=False)
class FailureSummary:
    """What decides the failures of a run under one variant; f failures, c concepts."""

    failures: Int[np.ndarray, "f 3"]
    """(query row, right candidate, wrong candidate)."""
    margin: Float[np.ndarray, " f"]
    concept_sum: Float[np.ndarray, " f"]
    """Sum of the terms of all concepts."""
    offset: Float[np.ndarray, " f"]
    query_error: Float[np.ndarray, " f"]
    candidate_error: Float[np.ndarray, " f"]
    worst: Int[np.ndarray, " f"]
    """The concept with the most negative term; -1 where none is negative."""
    worst_term: Float[np.ndarray, " f"]
    """Its term; 0 where none is negative."""
    deciding: csr_array
    """(f, c): the terms of the concepts that decide a failure."""
    decided: Int[np.ndarray, " c"]
    """Number of failures that concept k decides. One failure may be decided by several concepts, or by none."""
    largest: Int[np.ndarray, " c"]
    """Number of failures in which concept k has the most negative term."""
    term_sum: Float[np.ndarray, " c"]
    """Sum of its terms over all failures; negative: it speaks for the wrong candidates."""
    centred_codes: bool
    group_sums: Float[np.ndarray, "f g"]
    """Sum of the terms of the concepts of each group asked for."""

    @property
    def term_mean(self) -> Float[np.ndarray, " c"]:
        """Mean term over all failures; NaN without failures."""
        return self.term_sum / (len(self.failures) or np.nan)

    def decided_by(self, concept: int) -> Int[np.ndarray, " m"]:
        """Rows of `failures` that `concept` decides, its most negative term first."""
        column = self.deciding[:, [concept]].tocoo()
        rows, values = column.coords[0], column.data
        return rows[np.argsort(values, kind="stable")]


def failing(
    queries: Float[np.ndarray, "n d"], candidates: Float[np.ndarray, "m d"], pairs: Int[np.ndarray, "p 2"]
) -> Int[np.ndarray, "f 3"]:
    """(query, right, wrong) of every failing query, ascending, from unit rows. Queries without a relevant candidate are
    left out."""
    first = rank_top_k(queries, candidates, 1)
    scores = np.einsum("pd,pd->p", queries[pairs[:, 0]], candidates[pairs[:, 1]], dtype=np.float64)
    order = np.lexsort((pairs[:, 1], -scores, pairs[:, 0]))
    rows, best = np.unique(pairs[order, 0], return_index=True)
    wrong = first.candidates[rows, 0]
    relevant = set(map(tuple, pairs.tolist()))
    fails = np.array([(q, c) not in relevant for q, c in zip(rows.tolist(), wrong.tolist(), strict=True)], dtype=bool)
    return np.column_stack([rows, pairs[order, 1][best], wrong])[fails]


def margin_terms(
    query: SideRows,
    candidate: SideRows,
    failures: Int[np.ndarray, "f 3"],
    dictionary: Float[np.ndarray, "c d"],
    centred: bool | None = None,
) -> MarginTerms:
    """The terms of a few failures, dense. `centred`: None = centred codes where both sides have a code mean, as in
    `attribution`."""
    centred = _centred(query, candidate, centred)
    weights = np.asarray(dictionary, dtype=np.float64)
    if not query.transform.by_modality and not candidate.transform.by_modality:
        return _terms((query, candidate, candidate), failures, weights, centred)
    whole = MarginTerms(np.zeros((len(failures), len(weights))), *(np.zeros(len(failures)) for _ in range(4)))
    groups = product(*(side.parts(failures[:, i]) for i, side in enumerate((query, candidate, candidate))))
    for (q, of_q), (right, of_right), (wrong, of_wrong) in groups:
        if (rows := of_q & of_right & of_wrong).any():
            sides = query.of(q), candidate.of(right), candidate.of(wrong)
            part = _terms(sides, failures[rows], weights, centred)
            for field in fields(MarginTerms):
                getattr(whole, field.name)[rows] = getattr(part, field.name)
    return whole


def _terms(
    sides: tuple[SideRows, SideRows, SideRows], failures: np.ndarray, weights: np.ndarray, centred: bool
) -> MarginTerms:
    """The terms of failures whose queries, right and wrong candidates are each transformed alike."""
    q, right, wrong = (_parts(side, failures[:, i], weights, centred) for i, side in enumerate(sides))
    n_r, n_w = _inverse_norms(q, right), _inverse_norms(q, wrong)
    of_query, of_right, of_wrong = (side.transform for side in sides)
    towards_candidates = _back(right.g * n_r - wrong.g * n_w, of_query) @ weights.T
    towards_query = _back(q.g, of_right) @ weights.T
    if of_wrong is of_right:
        candidates = (right.codes * n_r - wrong.codes * n_w) * towards_query
    else:  # each candidate is seen through the map of its own modality
        candidates = right.codes * n_r * towards_query - wrong.codes * n_w * (_back(q.g, of_wrong) @ weights.T)
    terms = (q.codes * towards_candidates + candidates) / 2
    sums = [_rest(q, part, n) for part, n in ((right, n_r), (wrong, n_w))]
    offset, query_error, candidate_error, margin = (a - b for a, b in zip(*sums, strict=True))
    return MarginTerms(terms, offset, query_error, candidate_error, margin)


def summarise_failures(
    query: SideRows,
    candidate: SideRows,
    failures: Int[np.ndarray, "f 3"],
    dictionary: Float[np.ndarray, "c d"],
    centred: bool | None = None,
    groups: Sequence[np.ndarray] = (),
) -> FailureSummary:
    """All failures, block by block. `groups`: concepts whose terms are summed up for every failure."""
    centred = _centred(query, candidate, centred)
    c, weights = len(dictionary), np.asarray(dictionary, dtype=np.float64)
    rest, worst, worst_term, deciding = (
        [np.zeros((5, 0))],
        [np.zeros(0, dtype=np.int64)],
        [np.zeros(0)],
        [csr_array((0, c))],
    )
    term_sum, group_sums = np.zeros(c), [np.zeros((0, len(groups)))]
    for block in row_blocks(len(failures), c):  # the terms of all failures at once would be failures x concepts
        part = margin_terms(query, candidate, failures[block], weights, centred)
        terms = part.concepts
        rest.append(np.stack([part.margin, terms.sum(axis=1), part.offset, part.query_error, part.candidate_error]))
        lowest = terms.argmin(axis=1)
        values = np.minimum(terms.min(axis=1), 0.0)
        worst.append(np.where(values < 0, lowest, -1))
        worst_term.append(values)
        deciding.append(csr_array(np.where((terms < 0) & (terms <= part.margin[:, None]), terms, 0.0)))
        term_sum += terms.sum(axis=0)
        group_sums.append(np.array([terms[:, k].sum(axis=1) for k in groups]).reshape(len(groups), len(terms)).T)
    all_worst, decides = np.concatenate(worst), csr_array(vstack(deciding, format="csr"))
    margin, concept_sum, offset, query_error, candidate_error = np.hstack(rest)
    return FailureSummary(
        failures,
        margin,
        concept_sum,
        offset,
        query_error,
        candidate_error,
        all_worst,
        np.concatenate(worst_term),
        decides,
        decided=np.bincount(decides.indices, minlength=c),
        largest=np.bincount(all_worst[all_worst >= 0], minlength=c),
        term_sum=term_sum,
        centred_codes=centred,
        group_sums=np.concatenate(group_sums),
    )


@dataclass(frozen=True, eq=False)
class _Parts:
    """A block of items in the space of the variant: y = g + offset + error; `codes` are a z', less its mean where
    centred."""

    codes: np.ndarray
    y: np.ndarray
    g: np.ndarray
    offset: np.ndarray
    error: np.ndarray


def _centred(query: SideRows, candidate: SideRows, centred: bool | None) -> bool:
    """Whether codes are centred: as asked, or wherever both sides have a mean code."""
    has_means = query.has_mean and candidate.has_mean
    if centred and not has_means:
        raise UserError(
            "no mean code to centre with",
            got="a variant without centring, or fitted without codes",
            allowed="centred=False",
        )
    return has_means if centred is None else centred


def _parts(side: SideRows, rows: np.ndarray, dictionary: np.ndarray, centred: bool) -> _Parts:
    """Some items of one side, split into what the concepts hold, the offset and the error (`_Parts`)."""
    t, z = side.transform, csr_array(side.codes[rows])
    u = np.zeros(1) if side.offset is None else np.asarray(side.offset, dtype=np.float64)
    if u.ndim == 2 and len(u) > 1:  # an offset of each item's own; else one for all
        u = u[rows]
    h = np.asarray(side.rows[rows], dtype=np.float64)
    error = h - z @ dictionary - u
    edited = edited_codes(z, t.edits)
    if t.edits:
        h = h + (edited - z) @ dictionary
    h = h if t.removed_basis is None else project_out(h, t.removed_basis)
    y = affine(h, t)
    norms = np.linalg.norm(h, axis=1, keepdims=True)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0) if t.normalises else np.ones_like(norms)
    codes = edited.toarray() * scale - (t.code_mean if centred else 0.0)
    live = y.any(axis=1, keepdims=True)
    codes, error = np.where(live, codes, 0.0), np.where(live, error * scale, 0.0)
    g, error = _linear(codes @ dictionary, t), _linear(error, t)
    return _Parts(codes, y, g, y - g - error, error)


def _rest(q: _Parts, c: _Parts, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(offset, query error, candidate error, cosine) of pairs, row by row, as in `attribution.contributions`."""
    q_hat, c_hat, n = q.y - q.error, c.y - c.error, inverse[:, 0]
    offset = (_dots(q.offset, c_hat) + _dots(c.offset, q_hat) - _dots(q.offset, c.offset)) * n
    return offset, _dots(q.error, c.y + c_hat) * n / 2, _dots(c.error, q.y + q_hat) * n / 2, _dots(q.y, c.y) * n


def _inverse_norms(q: _Parts, c: _Parts) -> np.ndarray:
    """(n, 1): 1 / (|q| |c|) of pairs, row by row; 0 for zero rows."""
    norms = (np.linalg.norm(q.y, axis=1) * np.linalg.norm(c.y, axis=1))[:, None]
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def _linear(v: np.ndarray, side: SideTransform) -> np.ndarray:
    """v P W for rows v."""
    projected = v if side.removed_basis is None else project_out(v, side.removed_basis)
    return projected if side.matrix is None else projected @ side.matrix


def _back(g: np.ndarray, side: SideTransform) -> np.ndarray:
    """P W g for rows g."""
    pulled = g if side.matrix is None else g @ side.matrix.T
    return pulled if side.removed_basis is None else project_out(pulled, side.removed_basis)


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products of paired rows."""
    return np.einsum("nd,nd->n", a, b)
