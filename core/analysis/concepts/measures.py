"""The four measures of concepts (Eqs 3-7) on sparse codes, and the table of all of them.

In: codes z (n, c) as scipy CSR in embedding units, dictionary D (c, d) with unit rows, pairs (p, 2) of row numbers
(query side, candidate side). Out: one value per concept, float64. Nothing of size n x c or c x c is ever dense; M z is
computed as D (D^T z). Steps: energy (Eq 3), modality score (Eq 4), bridge score (from Eq 5), attribution (Eq 6), top
shares and their overlaps (Eq 7). Knows nothing of where codes come from; fidelity.py says how good they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.sparse import csc_array, csr_array, issparse, vstack

from core.analysis.arrays import Codes, row_blocks
from core.errors import UserError
from core.waiting import checkpoint

Labels = Sequence[str] | np.ndarray
Ids = Sequence[int] | np.ndarray
CONCEPT_BLOCK = 512
"""Concepts per block of `attribution` and `bridge_max_offdiagonal`."""


def energy(*codes: Codes) -> Float[np.ndarray, " c"]:
    """E_k = mean over all samples of z_k (Eq 3). Pass queries and candidates: every item once.

    Embedding units, >= 0; higher = more of the embeddings' length lies along the concept. NaN without any item.
    """
    return _column_sums(*codes) / (sum(part.shape[0] for part in codes) or np.nan)


def frequency(*codes: Codes) -> Float[np.ndarray, " c"]:
    """Share of items on which concept k fires (z_k > 0), 0-1. NaN without any item."""
    fired = [csr_array((part.data > 0, part.indices, part.indptr), shape=part.shape) for part in map(csr_array, codes)]
    return _column_sums(*fired) / (sum(part.shape[0] for part in codes) or np.nan)


def modality_score(image_codes: Codes, text_codes: Codes) -> Float[np.ndarray, " c"]:
    """MS_k = mean_text z_k / (mean_image z_k + mean_text z_k) (Eq 4), 0 = image, 1 = text.

    The codes of pure images and of pure texts; items that hold both belong in neither. NaN where k fires on neither,
    and everywhere when one of the two has no item.
    """
    image, text = energy(image_codes), energy(text_codes)
    both = image + text
    return np.divide(text, both, out=np.full_like(both, np.nan), where=both > 0)


def bridge_diagonal(
    query_codes: Codes, candidate_codes: Codes, pairs: Int[np.ndarray, "p 2"], dictionary: Float[np.ndarray, "c d"]
) -> Float[np.ndarray, " c"]:
    """B_k = B_kk = mean over pairs of z_qk z_ck ||D_k||^2 (diagonal of Eq 5): concepts that fire on both sides of a
    pair.

    The paper defines no per-concept score; this is our default (docs/study.md section 4). Embedding units squared, >=
    0. NaN without pairs.
    """
    q, c = _pair_rows(query_codes, candidate_codes, pairs)
    return (
        _column_sums(q.multiply(c))
        / (len(pairs) or np.nan)
        * np.einsum("cd,cd->c", dictionary, dictionary, dtype=np.float64)
    )


def bridge_max_offdiagonal(
    query_codes: Codes, candidate_codes: Codes, pairs: Int[np.ndarray, "p 2"], dictionary: Float[np.ndarray, "c d"]
) -> Float[np.ndarray, " c"]:
    """max over l != k of (B_kl + B_lk) / 2, B_kl = mean over pairs of z_qk z_cl D_k . D_l (Eq 5): the optional bridge
    score.

    Concepts that fire in no pair have 0, as has k where no other concept bridges to it positively. One block of active
    concepts at a time: memory CONCEPT_BLOCK x active concepts. NaN without pairs, and for c = 1.
    """
    q, c = _pair_rows(query_codes, candidate_codes, pairs)
    n_concepts = q.shape[1]
    if not len(pairs) or n_concepts < 2:
        return np.full(n_concepts, np.nan)
    active = np.flatnonzero(_column_sums(q) + _column_sums(c))
    q, c, rows = q[:, active], c[:, active], np.asarray(dictionary[active], dtype=np.float64)
    scores = np.zeros(n_concepts)
    for start in range(0, len(active), CONCEPT_BLOCK):
        block = slice(start, start + CONCEPT_BLOCK)
        cross = (q[:, block].T @ c + c[:, block].T @ q).toarray() / (2 * len(pairs))
        bridged = cross * (rows[block] @ rows.T)
        # A concept is no bridge to itself: the diagonal must never be the largest.
        bridged[np.arange(len(bridged)), np.arange(start, start + len(bridged))] = -np.inf
        best = bridged.max(axis=1)
        # Where some concept never fires, a bridge of 0 to it is always there.
        scores[active[block]] = best if len(active) == n_concepts else np.maximum(best, 0.0)
    return scores


def attribution(
    query_codes: Codes, candidate_codes: Codes, pairs: Int[np.ndarray, "p 2"], dictionary: Float[np.ndarray, "c d"]
) -> Float[np.ndarray, " c"]:
    """A = mean over pairs of z_q * (M z_c) + z_c * (M z_q), elementwise, M = D D^T (Eq 6). Pairs weigh equally.

    Embedding units squared, any sign; higher = contributes more to the dot products of matching pairs.
    sum_k A_k = 2 mean (z_q D) . (z_c D). NaN without pairs. Computed as rowsum(D * (Z_q^T (Z_c D))), float64, a block
    of pairs (`row_blocks`) and CONCEPT_BLOCK concepts at a time: memory is a few blocks, whatever c and d.
    """
    total = np.zeros(query_codes.shape[1])
    for block in row_blocks(len(pairs), dictionary.shape[1]):
        checkpoint()
        q, c = map(csc_array, _pair_rows(query_codes, candidate_codes, pairs[block]))
        # Concepts that fire in no pair of the block add nothing: their dictionary rows need not be read.
        active = np.union1d(np.flatnonzero(np.diff(q.indptr)), np.flatnonzero(np.diff(c.indptr)))
        parts = [active[i : i + CONCEPT_BLOCK] for i in range(0, len(active), CONCEPT_BLOCK)]
        of_query, of_candidate = np.zeros((2, q.shape[0], dictionary.shape[1]))
        for part in parts:
            rows = np.asarray(dictionary[part], dtype=np.float64)
            of_query += q[:, part] @ rows
            of_candidate += c[:, part] @ rows
        for part in parts:
            rows = np.asarray(dictionary[part], dtype=np.float64)
            total[part] += np.einsum("kd,kd->k", rows, q[:, part].T @ of_candidate + c[:, part].T @ of_query)
    return total / (len(pairs) or np.nan)


def top_share(values: Float[np.ndarray, " c"], share: float) -> Int[np.ndarray, " top"]:
    """The max(1, round(share c)) concepts of all c with the highest values, best first; ties by index, NaN last."""
    if not 0 <= share <= 1:
        raise UserError("share out of range", got=share, allowed="0 to 1")
    count = max(1, round(share * len(values)))
    return np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:count]


def jaccard(a: Ids, b: Ids) -> float:
    """|A n B| / |A u B|, 0-1. NaN for two empty sets."""
    return _overlap(set(map(int, a)), set(map(int, b)))


def triple_overlap(e: Ids, n: Ids, a: Ids) -> float:
    """|E n N n A| / |E u N u A| (Eq 7), 0-1. NaN for three empty sets."""
    return _overlap(set(map(int, e)), set(map(int, n)), set(map(int, a)))


def cumulative_energy(values: Float[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
    """Share of the total energy held by the 1, 2, ... c concepts of highest energy (Fig 3), rising to 1. NaN for zero
    energy."""
    cumulative = np.cumsum(np.sort(values)[::-1])
    return cumulative / (cumulative[-1] or np.nan) if len(values) else cumulative


def concepts_for_energy(values: Float[np.ndarray, " c"], share: float = 0.99) -> int:
    """Fewest concepts that hold `share` of the total energy. 0 for zero energy."""
    cumulative = cumulative_energy(values)
    if not len(cumulative) or np.isnan(cumulative[-1]):
        return 0
    return int(np.searchsorted(cumulative, share * (1 - 1e-12))) + 1


@dataclass(frozen=True, eq=False)
class CoFiring:
    """Concepts that fire on the same items as a given one, most frequent first."""

    concepts: Int[np.ndarray, " top"]
    items: Int[np.ndarray, " top"]
    """Items on which both fire."""
    share: Float[np.ndarray, " top"]
    """Of the items on which the given concept fires, 0-1."""
    jaccard: Float[np.ndarray, " top"]
    """Items with both over items with either, 0-1."""


def co_firing(codes: Codes | Sequence[Codes], concept: int, top: int = 10) -> CoFiring:
    """The `top` concepts that fire most often together with `concept`; ties by index. Empty where it never fires.

    Several parts count as one; none of them is copied.
    """
    parts: list[Codes] = [codes] if issparse(codes) else list(codes)
    n_with_k, counts, both = 0, np.zeros(parts[0].shape[1]), np.zeros(parts[0].shape[1])
    for part in parts:
        z = csr_array(part)
        rows, values = column(z, concept)
        with_k = z[rows[values > 0]]
        n_with_k += with_k.shape[0]
        counts += np.bincount(z.indices, weights=z.data > 0, minlength=z.shape[1])
        both += np.bincount(with_k.indices, weights=with_k.data > 0, minlength=z.shape[1])
    both[concept] = 0
    best = np.argsort(-both, kind="stable")[:top]
    best = best[both[best] > 0]
    together = both[best].astype(np.int64)
    return CoFiring(best, together, together / max(1, n_with_k), together / (counts[best] + n_with_k - together))


def column(codes: Codes, concept: int) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Rows and values of one concept's stored codes, by row; one pass over the column numbers, and no copy."""
    at = np.flatnonzero(codes.indices == concept)
    return np.searchsorted(codes.indptr, at, side="right") - 1, np.asarray(codes.data[at])


def concept_table(
    query_codes: Codes,
    candidate_codes: Codes,
    query_modality: Labels,
    candidate_modality: Labels,
    pairs: Int[np.ndarray, "p 2"],
    dictionary: Float[np.ndarray, "c d"],
) -> pd.DataFrame:
    """One row per concept, all c of them: every measure above. Modalities are "text", "image" or "image,text".

    energy_image and energy_text are the modality means of Eq 4 (NaN where the run lacks the modality); attribution is
    over `pairs`.
    """
    image = _of_modality("image", query_codes, candidate_codes, query_modality, candidate_modality)
    text = _of_modality("text", query_codes, candidate_codes, query_modality, candidate_modality)
    return pd.DataFrame({
        "concept": np.arange(query_codes.shape[1]),
        "energy": energy(query_codes, candidate_codes),
        "energy_image": energy(image),
        "energy_text": energy(text),
        "modality_score": modality_score(image, text),
        "bridge": bridge_diagonal(query_codes, candidate_codes, pairs, dictionary),
        "attribution": attribution(query_codes, candidate_codes, pairs, dictionary),
        "frequency": frequency(query_codes, candidate_codes),
    })  # fmt: skip


def _of_modality(name: str, q: Codes, c: Codes, of_q: Labels, of_c: Labels) -> csr_array:
    return vstack([csr_array(q)[_is(name, of_q)], csr_array(c)[_is(name, of_c)]], format="csr")


def _is(name: str, modalities: Labels) -> Bool[np.ndarray, " n"]:
    return np.array([modality == name for modality in modalities], dtype=bool)


def _pair_rows(q: Codes, c: Codes, pairs: Int[np.ndarray, "p 2"]) -> tuple[csr_array, csr_array]:
    """float64 codes of both sides of the pairs, row for row."""
    left, right = csr_array(q)[pairs[:, 0]], csr_array(c)[pairs[:, 1]]
    return left.astype(np.float64), right.astype(np.float64)


def _column_sums(*codes: Codes) -> Float[np.ndarray, " c"]:
    """Sums of the columns over all parts, in float64, without a copy of the codes in float64."""
    total = np.zeros(codes[0].shape[1])
    for part in codes:
        sparse = csr_array(part)
        total += np.bincount(sparse.indices, weights=sparse.data, minlength=len(total))
    return total


def _overlap(*sets: set[int]) -> float:
    union = set.union(*sets)
    return len(set.intersection(*sets)) / len(union) if union else float("nan")
