"""Everything a variant may be fitted on, as one frozen container of arrays. Knows nothing of variants.

Arrays may be read-only memmaps. Codes are in embedding units. Pairs are row numbers (query row, candidate row) with
score > 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from core.analysis.arrays import Codes
from core.errors import NotAvailable, ShapeMismatch, UserError
from core.memo import Memo

RowSet = Literal["queries", "candidates", "support", "support candidates"]
Modalities = Sequence[str] | np.ndarray
"""Per row "text", "image" or "image,text"."""
SHARED_FITS = 8
"""Moments, means and scores cached per FitData; many variants share them."""


def _shared_fits() -> Memo:
    return Memo(SHARED_FITS)


@dataclass(frozen=True, eq=False)
class PairCodes:
    """Matching pairs with the codes of both sides, and where they come from."""

    query_codes: Codes
    candidate_codes: Codes
    pairs: Int[np.ndarray, "p 2"]
    source: Literal["support", "test"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FitData:
    """The rows of a run. What is None is not available, and a variant that needs it is refused with the reason."""

    queries: Float[np.ndarray, "nq d"]
    """Raw pooled embeddings, not normalised."""
    candidates: Float[np.ndarray, "nc d"]
    pairs: Int[np.ndarray, "p 2"] | None = None
    query_codes: Codes | None = None
    candidate_codes: Codes | None = None
    dictionary: Float[np.ndarray, "c d"] | None = None
    support_queries: Float[np.ndarray, "sq d"] | None = None
    """Query-side rows of the support split: query statistics for statistics=support."""
    support_candidates: Float[np.ndarray, "sc d"] | None = None
    support_query_codes: Codes | None = None
    support_candidate_codes: Codes | None = None
    support_pairs: Int[np.ndarray, "sp 2"] | None = None
    """(row of support_queries, row of support_candidates)."""
    query_modality: Modalities | None = None
    """Of every query; needed by statistics=per-modality alone, as are the three that follow."""
    candidate_modality: Modalities | None = None
    support_query_modality: Modalities | None = None
    support_candidate_modality: Modalities | None = None
    inside: str = "none"
    """What was changed within the model when these rows were made: the `VariantSpec.inside` of the variants that may be
    fitted on them, as text."""
    memo: Memo = field(default_factory=_shared_fits, repr=False)

    def __post_init__(self) -> None:
        for name, rows, codes, modality in self._sides():
            if modality is not None and rows is not None and len(modality) != len(rows):
                raise ShapeMismatch(
                    f"modalities of the {name} do not fit", got=f"{len(modality)} rows", allowed=f"{len(rows)}"
                )
            if codes is not None and (rows is None or codes.shape[0] != len(rows)):
                n_rows = None if rows is None else len(rows)
                raise ShapeMismatch(
                    f"codes of the {name} do not fit", got=f"{codes.shape[0]} rows", allowed=f"{n_rows}"
                )
            if rows is not None and rows.shape[1] != self.queries.shape[1]:
                raise ShapeMismatch(
                    f"{name} do not fit", got=f"width {rows.shape[1]}", allowed=f"{self.queries.shape[1]}"
                )
            if codes is not None and self.dictionary is not None and codes.shape[1] != len(self.dictionary):
                allowed = f"{len(self.dictionary)} (rows of the dictionary)"
                raise ShapeMismatch(
                    f"codes of the {name} do not fit", got=f"{codes.shape[1]} concepts", allowed=allowed
                )

    def rows(self, which: RowSet) -> tuple[Float[np.ndarray, "n d"], Codes | None]:
        """Embeddings and codes of one set of rows."""
        if which == "queries":
            return self.queries, self.query_codes
        if which == "candidates":
            return self.candidates, self.candidate_codes
        if which == "support candidates":
            assert self.support_candidates is not None  # asked for only where there are any
            return self.support_candidates, self.support_candidate_codes
        if self.support_queries is None:
            todo = "use statistics=per-side or give a corpus with a support split"
            raise NotAvailable("statistics=support needs a support split", got="none in this run", todo=todo)
        return self.support_queries, self.support_query_codes

    def modality(self, which: RowSet) -> np.ndarray:
        """(n,) modality of every row of one set. NotAvailable where it is not known."""
        known = {
            "queries": self.query_modality,
            "candidates": self.candidate_modality,
            "support": self.support_query_modality,
            "support candidates": self.support_candidate_modality,
        }[which]
        if known is None:
            raise NotAvailable(
                "statistics=per-modality needs the modality of every row",
                got=f"none of the {which}",
                todo="give FitData the modalities, or use statistics=per-side",
            )
        return np.asarray(known)

    def modality_sets(self) -> tuple[RowSet, ...]:
        """The rows that statistics=per-modality is fitted on: the support split, with the pool in place of support
        candidates where it has none; without a support split queries and pool."""
        if self.support_queries is None:
            return "queries", "candidates"
        return "support", "candidates" if self.support_candidates is None else "support candidates"

    def concept_rows(self) -> Float[np.ndarray, "c d"]:
        """The dictionary, or the reason why there is none."""
        if self.dictionary is None:
            raise NotAvailable(
                "this variant works on concepts", got="a run without an SAE", todo="choose a run with an SAE"
            )
        return self.dictionary

    def pair_codes(self) -> PairCodes:
        """Support pairs where there are any, else test pairs."""
        q, c, pairs = self.support_query_codes, self.support_candidate_codes, self.support_pairs
        if q is not None and c is not None and pairs is not None and len(pairs):
            return PairCodes(q, c, pairs, "support")
        if self.query_codes is None or self.candidate_codes is None or self.pairs is None or not len(self.pairs):
            raise NotAvailable(
                "attribution needs codes and matching pairs",
                got="none in this run",
                todo="choose a run with an SAE and qrels",
            )
        return PairCodes(self.query_codes, self.candidate_codes, self.pairs, "test")

    def _sides(self) -> tuple[tuple[str, np.ndarray | None, Codes | None, Modalities | None], ...]:
        """Name, rows, codes and modalities of every part, to be checked against each other."""
        return (
            ("queries", self.queries, self.query_codes, self.query_modality),
            ("candidates", self.candidates, self.candidate_codes, self.candidate_modality),
            ("support queries", self.support_queries, self.support_query_codes, self.support_query_modality),
            (
                "support candidates",
                self.support_candidates,
                self.support_candidate_codes,
                self.support_candidate_modality,
            ),
        )


def support_sample(data: FitData, size: int, seed: int = 0) -> FitData:
    """The same data with `size` of its support queries, with their codes and pairs, and a memo of its own.

    The first of a seeded shuffle, so that larger sizes hold the smaller ones of the same seed.
    """
    rows, codes = data.rows("support")
    if not 1 <= size <= len(rows):
        raise UserError("cannot draw so many support queries", got=size, allowed=f"1 to {len(rows)}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:size])
    pairs = data.support_pairs
    if pairs is not None:
        drawn = pairs[np.isin(pairs[:, 0], chosen)]
        pairs = np.column_stack([np.searchsorted(chosen, drawn[:, 0]), drawn[:, 1]])
    part = None if codes is None else codes[chosen]
    known = data.support_query_modality
    return replace(
        data,
        support_queries=rows[chosen],
        support_query_codes=part,
        support_pairs=pairs,
        support_query_modality=None if known is None else np.asarray(known)[chosen],
        memo=_shared_fits(),
    )


def without_support(data: FitData) -> FitData:
    """The same data without its support split, and a memo of its own: statistics then come from queries and pool."""
    return replace(
        data,
        support_queries=None,
        support_candidates=None,
        support_query_codes=None,
        support_candidate_codes=None,
        support_pairs=None,
        support_query_modality=None,
        support_candidate_modality=None,
        memo=_shared_fits(),
    )
