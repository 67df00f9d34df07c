"""Score corrections against hubs: candidates that are near to every query are pushed back. Fit, record, rescore
(docs/study.md section 7).

With s the cosine of a query q and a candidate c, and a bank B of other queries:

    csls              2 s(q, c) - r(q) - r(c)      r(c), r(q): mean cosine to the k nearest in bank, candidates
    inverted-softmax  s(q, c) - t log sum_B exp(s(b, c) / t)    orders like exp(s / t) / sum_B exp(s(b, c) / t)
    qb-norm           inverted-softmax for queries whose best candidate is among the k best of a bank query, else s

Conneau et al. 2018 (CSLS, k = 10), Smith et al. 2017, Bogolin et al. 2022 (dynamic inverted softmax; k = 1, t = 1/20).
Every one is gain s(q, c) - on(q) p(c), up to a term of the query alone: one penalty per candidate. So ranking needs no
matrix of all scores: rows [gain q, on(q)] and [c, -p(c)] have these dot products, and ranking.py does the rest. A
correction is no map of rows, so contributions of concepts do not explain it. Knows nothing of variants; rows may be any
variant's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from core.analysis.arrays import row_blocks
from core.analysis.engine import engine, to_numpy
from core.analysis.retrieval.ranking import Ranked, TopK, rank_relevant, rank_top_k
from core.analysis.variants.options import StepOption, Value, named_values, option_words, read_options
from core.errors import ShapeMismatch, UserError, VariantError, nearest
from core.waiting import checkpoint

BankSource = Literal["support", "test"]
NEIGHBOURS = StepOption("k", 10, low=1, integer=True)
BEST = StepOption("k", 1, low=1, integer=True)
TEMPERATURE = StepOption("temperature", 0.05, low=1e-3)
_SOURCES: Mapping[BankSource, str] = {
    "support": "queries of the support split",
    "test": "test queries themselves, without labels (transductive)",
}


@dataclass(frozen=True)
class CorrectionKind:
    """One entry of the registry."""

    name: str
    about: str
    options: tuple[StepOption, ...]


CORRECTIONS: Mapping[str, CorrectionKind] = {
    kind.name: kind
    for kind in (
        CorrectionKind("csls", "subtract how near candidate and query are to their neighbours", (NEIGHBOURS,)),
        CorrectionKind(
            "inverted-softmax", "normalise over the bank's queries instead of over candidates", (TEMPERATURE,)
        ),
        CorrectionKind(
            "qb-norm", "inverted softmax, for queries whose best candidate is a hub of the bank", (TEMPERATURE, BEST)
        ),
    )
}
"""Every correction by name."""


@dataclass(frozen=True)
class CorrectionSpec:
    """A correction with every option filled in; hashable."""

    name: str
    options: tuple[tuple[str, Value], ...]
    """(name, value) in the order of the registry, defaults included."""

    def __str__(self) -> str:
        return self.text(defaults=False)

    def explicit(self) -> str:
        """The text form with every option written out, for cache keys."""
        return self.text(defaults=True)

    def text(self, defaults: bool) -> str:
        """`csls(k=5)`; parses to the same spec."""
        words = option_words(CORRECTIONS[self.name].options, dict(self.options), defaults)
        return f"{self.name}({','.join(words)})" if words else self.name


@dataclass(frozen=True, eq=False)
class CorrectionRecord:
    """A fitted correction. It knows the candidates it was fitted on, and can rescore any query against them."""

    spec: CorrectionSpec
    penalty: Float[np.ndarray, " m"]
    """p(c) of every candidate, float64."""
    gain: float
    """What the cosine is multiplied with: 2 for csls, else 1."""
    activated: Bool[np.ndarray, " m"]
    """Candidates that switch the correction on for a query that ranks them first: all of them, except for qb-norm."""
    neighbours: int | None
    """Candidates over which r(q) is taken; None without such a term."""
    notes: tuple[str, ...]
    """Where the bank came from, one sentence each."""

    def rescore(self, scores: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        """Corrected scores of queries (any block of them) against all candidates, float64. To be compared within a
        query only."""
        if scores.shape[1] != len(self.penalty):
            raise ShapeMismatch(
                "scores do not fit", got=f"{scores.shape[1]} candidates", allowed=f"{len(self.penalty)}"
            )
        s = np.asarray(scores, dtype=np.float64)
        if not len(s):
            return s
        on = self.activated[s.argmax(axis=1)]
        corrected = self.gain * s - np.where(on[:, None], self.penalty, 0.0)
        if self.neighbours is None:
            return corrected
        return corrected - np.partition(s, -self.neighbours, axis=1)[:, -self.neighbours :].mean(axis=1, keepdims=True)


def parse_correction(text: str) -> CorrectionSpec:
    """The spec that `text` names, as `csls(k=5)`. One-line VariantError, with the nearest known name, where it names
    none."""
    match = re.fullmatch(r"([a-z-]+)(?:\(([^()]*)\))?", re.sub(r"\s+", "", text))
    name = match[1] if match else text
    if match is None or name not in CORRECTIONS:
        raise VariantError("unknown correction", got=repr(text), allowed=nearest(name, CORRECTIONS))
    options = CORRECTIONS[name].options
    given = named_values(name, [argument for argument in (match[2] or "").split(",") if argument])
    return CorrectionSpec(name, read_options(name, options, given))


def fit_correction(
    spec: CorrectionSpec | str,
    bank: Float[np.ndarray, "b d"],
    candidates: Float[np.ndarray, "m d"],
    *,
    source: BankSource,
) -> CorrectionRecord:
    """Fit on unit rows of a bank of queries and of the candidates, both under the variant whose scores are to be
    corrected.

    `source` says whose queries the bank holds; no labels are looked at. k beyond the rows there are takes all of them,
    and is noted.
    """
    spec = parse_correction(spec) if isinstance(spec, str) else spec
    if not len(bank) or not len(candidates):
        raise UserError(
            "cannot fit a correction",
            got=f"{len(bank)} bank queries, {len(candidates)} candidates",
            allowed="at least 1 each",
        )
    options = dict(spec.options)
    notes: tuple[str, ...] = (f"{spec.name}: bank of {len(bank)} {_SOURCES[source]}",)
    every = np.ones(len(candidates), dtype=bool)
    if spec.name == "csls":
        k = int(options["k"])
        notes += _clipped(k, len(bank), "bank queries") + _clipped(k, len(candidates), "candidates")
        near = rank_top_k(candidates, bank, k).scores.mean(axis=1, dtype=np.float64)
        return CorrectionRecord(spec, near, 2.0, every, min(k, len(candidates)), notes)
    penalty = _log_mean(candidates, bank, float(options["temperature"]))
    if spec.name == "qb-norm":
        every = np.zeros(len(candidates), dtype=bool)
        every[np.unique(rank_top_k(bank, candidates, int(options["k"])).candidates)] = True
        notes += (
            (
                f"qb-norm: {np.count_nonzero(every)} of {len(every)} candidates are among the {options['k']} best of a"
                " bank query"
            ),
        )
    return CorrectionRecord(spec, penalty, 1.0, every, None, notes)


def rank_relevant_corrected(
    record: CorrectionRecord,
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    pairs: Int[np.ndarray, "p 2"],
    gains: Float[np.ndarray, " p"] | None = None,
) -> Ranked:
    """`ranking.rank_relevant` of the corrected scores: exact, blocked. The candidates are those of the fit, in their
    order."""
    return rank_relevant(*corrected_rows(record, queries, candidates), pairs, gains)


def rank_top_k_corrected(
    record: CorrectionRecord, queries: Float[np.ndarray, "n d"], candidates: Float[np.ndarray, "m d"], k: int = 10
) -> TopK:
    """`ranking.rank_top_k` of the corrected scores; the term of the query alone, r(q) of csls, is left out."""
    return rank_top_k(*corrected_rows(record, queries, candidates), k)


def corrected_rows(
    record: CorrectionRecord, queries: Float[np.ndarray, "n d"], candidates: Float[np.ndarray, "m d"]
) -> tuple[Float[np.ndarray, "n d1"], Float[np.ndarray, "m d1"]]:
    """Rows of one more dimension whose dot products are the corrected scores, but for terms of the query alone.
    Precision of the input."""
    if len(candidates) != len(record.penalty):
        raise ShapeMismatch(
            "not the candidates of the fit", got=f"{len(candidates)} rows", allowed=f"{len(record.penalty)}"
        )
    on = np.ones(len(queries))
    if not record.activated.all() and len(queries):
        on = record.activated[rank_top_k(queries, candidates, 1).candidates[:, 0]].astype(np.float64)
    left = np.hstack([record.gain * queries, on[:, None]]).astype(queries.dtype)
    return left, np.hstack([candidates, -record.penalty[:, None]]).astype(candidates.dtype)


def _log_mean(candidates: np.ndarray, bank: np.ndarray, temperature: float) -> Float[np.ndarray, " m"]:
    """t log mean_b exp(s(b, c) / t) of every candidate: the sum of the definition over b, less t log b, which is the
    same for all."""
    out = np.empty(len(candidates))
    place = engine(2.0 * len(candidates) * bank.shape[0] * bank.shape[1])
    xp, right = place.xp, place.put(bank, "float64").T
    for block in row_blocks(len(candidates), max(len(bank), candidates.shape[1])):
        checkpoint()
        scores = place.put(candidates[block], "float64") @ right / temperature
        largest = xp.max(scores, axis=1)  # or the exponentials would overflow
        sums = xp.sum(xp.exp(scores - largest[:, None]), axis=1)
        out[block] = temperature * to_numpy(largest + xp.log(sums / len(bank)))
    return out


def _clipped(k: int, rows: int, what: str) -> tuple[str, ...]:
    return () if k <= rows else (f"csls: k = {k}, but there are {rows} {what}: all of them are neighbours",)
