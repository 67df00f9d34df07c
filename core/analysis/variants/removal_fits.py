"""How each removal step finds its subspace: FitData and options -> a frozen `Removal`.

Concepts listed, ranked or drawn at random; random directions; principal directions. Edits come first: concepts are
ranked, and principal directions computed, on edited rows. The linear algebra is in subspaces.py. Knows nothing of the
text form.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.analysis.concepts.measures import attribution, bridge_diagonal, energy, frequency, top_share
from core.analysis.subspaces import random_concepts, random_directions, removal_basis
from core.analysis.variants.fitdata import FitData
from core.analysis.variants.moments import Moments, merge_moments
from core.analysis.variants.options import Value
from core.analysis.variants.statistics import row_moments
from core.analysis.variants.transform import SideTransform, edited_codes
from core.errors import VariantError

Edits = tuple[tuple[int, float], ...]
Options = Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Removal:
    """A fitted removal: the subspace, the concepts that span it (none for directions), and what to say about it."""

    basis: Float[np.ndarray, "r d"]
    concepts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def remove_listed(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Options) -> Removal:
    """The span of the given concepts."""
    return _of_concepts(data, concepts, options, ())


def remove_top(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Options) -> Removal:
    """The span of the top share of all concepts by a measure over matching pairs."""
    scores, source = concept_scores(data, str(options["by"]), edits)
    top = tuple(int(k) for k in top_share(scores, float(options["share"])))
    note = f"concepts ranked by {options['by']} on {source} pairs"
    warning = () if source == "support" else ("no support pairs: the removed concepts were chosen on the test pairs",)
    return _of_concepts(data, top, options, (note, *warning))


def remove_random(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Options) -> Removal:
    """The span of random concepts. `count` auto: the share of all concepts, and at least as many as `rank` asks
    directions.

    Of those that fire (pool active), where enough of them do, else of all.
    """
    width = len(data.concept_rows())
    at_least = _rank(options) or 1
    count = (
        max(at_least, round(float(options["share"]) * width)) if options["count"] == "auto" else int(options["count"])
    )
    pool = np.arange(width)
    if options["pool"] == "active":
        pairs = data.pair_codes()
        pool = np.flatnonzero(frequency(pairs.query_codes, pairs.candidate_codes) > 0)
    enough = len(pool) >= count
    note = (
        f"{count} random concepts of {len(pool)}"
        if enough
        else f"{count} random concepts of all {width}: {len(pool)} fire"
    )
    drawn = random_concepts(pool if enough else np.arange(width), count, int(options["seed"]))
    return _of_concepts(data, tuple(int(k) for k in drawn), options, (note,))


def remove_directions(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Options) -> Removal:
    """Random directions, uniform over the sphere."""
    return Removal(random_directions(data.queries.shape[1], int(options["rank"]), int(options["seed"])))


def remove_pca(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Options) -> Removal:
    """The top principal directions of all rows of both sides: eigenvectors of the covariance of their unit rows.

    Around the mean, so that the mean itself is no direction; yet the rows are projected and not centred, as in the
    removal of concepts.
    """
    both: Moments = data.memo.get(("unit rows", edits), lambda: _both_sides(data, edits))
    d, rank = len(both.mean), int(options["rank"])
    if rank > d:
        raise VariantError("cannot remove so many directions", got=f"rank={rank}", allowed=f"1 to {d}")
    note = (
        f"principal directions of the covariance of {both.n_samples} unit rows of both sides, without labels; rows are"
        " not centred"
    )
    return Removal(both.spectrum.vectors[:, :rank].T.copy(), notes=(note,))


def concept_scores(data: FitData, by: str, edits: Edits) -> tuple[Float[np.ndarray, " c"], str]:
    """Scores of all concepts over the pairs that removal is fitted on, and the source of the pairs (support or
    test)."""
    pairs = data.pair_codes()
    dictionary = data.concept_rows()

    def compute() -> np.ndarray:
        q, c = edited_codes(pairs.query_codes, edits), edited_codes(pairs.candidate_codes, edits)
        if by == "energy":
            return energy(q, c)
        measure = attribution if by == "attribution" else bridge_diagonal
        return measure(q, c, pairs.pairs, dictionary)

    return data.memo.get(("scores", by, edits), compute), pairs.source


def _of_concepts(data: FitData, concepts: tuple[int, ...], options: Options, notes: tuple[str, ...]) -> Removal:
    rank = _rank(options)
    basis = removal_basis(data.concept_rows()[list(concepts)], rank=rank)
    short = (
        ()
        if rank is None or len(basis) == rank
        else (f"rank {rank} was asked for; these {len(concepts)} concepts span {len(basis)}",)
    )
    return Removal(basis, concepts, notes + short)


def _both_sides(data: FitData, edits: Edits) -> Moments:
    """Moments of both sides together, after the edits."""
    side = SideTransform(edits=edits)
    return merge_moments(row_moments("queries", data, side), row_moments("candidates", data, side))


def _rank(options: Options) -> int | None:
    """The rank that was set; None for `auto`."""
    return None if options["rank"] == "auto" else int(options["rank"])
