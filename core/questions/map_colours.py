"""What the points of a map can be coloured by: a kind or a number for every point, in the order of `map.points`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from core.analysis.retrieval.geometry import hubness
from core.analysis.retrieval.ranking import rank_top_k
from core.analysis.variants import VariantSpec
from core.errors import UserError
from core.questions import map as item_map
from core.questions.answers import answer, transformed, variant_of
from core.questions.concepts import check_concept
from core.questions.labels import has_truth, test_codes
from core.questions.retrieval import evaluate
from core.records import Part
from core.run import Run
from core.store import Draft

By = Literal["modality", "side", "group", "background", "failure", "rank", "hubness", "concept"]
LISTS = 10
"""Length of the lists in which hubness counts candidates (N_10)."""
RANKS = (1, 5, 10, 100)
"""Upper ends of the bands of ranks."""
NOT_A_QUERY, NOTHING, NOT_A_CANDIDATE = "a candidate", "nothing to find", "a query"
SIDES: dict[Part, str] = {"queries": "query", "candidates": "candidate"}


@dataclass(frozen=True, eq=False)
class Colours:
    """Kinds or numbers of all points.

    Attributes:
        by: what they are.
        kinds: (n,) of text, "" where unknown; or None.
        numbers: (n,) float64, NaN where there is none, 0 where nothing is; or None.
        order: the kinds that have an order, in it; () where the most frequent comes first.
        missing: what NaN means, in words.
    """

    by: By
    kinds: np.ndarray | None = None
    numbers: np.ndarray | None = None
    order: tuple[str, ...] = ()
    missing: str = ""


def choices(run: Run) -> list[By]:
    """What there is to colour by."""
    has_pairs = "candidates" in run.parts and len(run.qrels("test")) > 0
    absent: set[str] = set() if has_truth(run) else {"group", "background"}
    absent |= set() if has_pairs else {"failure", "rank"}
    absent |= set() if "candidates" in run.parts else {"hubness", "side"}
    absent |= set() if run.sae is not None else {"concept"}
    return [one for one in get_args(By) if one not in absent]


def colours(run: Run, variant: str | VariantSpec = "none", by: By = "modality", concept: int | None = None) -> Colours:
    """The colours of a variant's map.

    failure: whether a query's first candidate is irrelevant. rank: of the first relevant candidate, in bands. hubness:
    in how many queries' ten best a candidate stands. concept: activation of `concept`, in embedding units.

    Raises:
        UserError: no such choice, or no such concept.
    """
    if by not in choices(run):
        raise UserError("the map cannot be coloured by that", got=by, allowed=", ".join(choices(run)))
    spec = variant_of(run, variant)
    if by == "hubness":
        return Colours(by, numbers=_hubness(run, spec), missing=NOT_A_CANDIDATE)
    if by == "concept":
        return Colours(by, numbers=_activation(run, concept))
    if by == "failure":
        return Colours(by, _of_ranks(run, spec, _found), order=("found first", "fails", NOTHING, NOT_A_QUERY))
    if by == "rank":
        return Colours(by, _of_ranks(run, spec, _bands), order=(*band_names(), NOTHING, NOT_A_QUERY))
    return Colours(by, _plain(run, spec, by))


def _plain(run: Run, spec: VariantSpec, by: By) -> np.ndarray:
    """Kinds that the corpus knows."""
    if by == "modality":
        return item_map.kinds(run)
    if by == "side":
        return np.concatenate([np.full(len(item_map.shown_rows(run)[part]), name) for part, name in SIDES.items()])
    return item_map.points(run, spec)[by].to_numpy(dtype=str)


def _of_ranks(run: Run, spec: VariantSpec, named: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Kinds of queries by the rank of their first relevant candidate; candidates have none."""
    rows = item_map.shown_rows(run)
    ranks = evaluate(run, spec).ranks[rows["queries"]]
    return np.concatenate([named(ranks), np.full(len(rows["candidates"]), NOT_A_QUERY)])


def _hubness(run: Run, spec: VariantSpec) -> np.ndarray:
    rows = item_map.shown_rows(run)
    return np.concatenate([np.full(len(rows["queries"]), np.nan), occurrences(run, spec)[rows["candidates"]]])


def _activation(run: Run, concept: int | None) -> np.ndarray:
    if concept is None:
        raise UserError("which concept?", got="none", todo="name one")
    check_concept(run, concept)
    return test_codes(run)[:, [concept]].toarray()[item_map.places(run), 0].astype(np.float64)


def occurrences(run: Run, variant: str | VariantSpec = "none") -> np.ndarray:
    """(candidates,) int64: in how many queries' ten best each stands."""
    spec = variant_of(run, variant)

    def write(draft: Draft) -> None:
        candidates = transformed(run, spec, "candidates")
        top = rank_top_k(transformed(run, spec, "queries"), candidates, LISTS)
        draft.save("occurrences", hubness(top.candidates, len(candidates)).occurrences)

    folder = answer(run, "occurrences", {"variant": spec.explicit(), "k": LISTS}, write)
    return np.asarray(folder.array("occurrences"))


def band_names() -> list[str]:
    """`1`, `2 to 5`, ..., `beyond 100`."""
    lows = [high + 1 for high in RANKS[:-1]]
    return [str(RANKS[0]), *(f"{a} to {b}" for a, b in zip(lows, RANKS[1:], strict=True)), f"beyond {RANKS[-1]}"]


def _bands(ranks: np.ndarray) -> np.ndarray:
    names = np.array(band_names())
    return np.where(ranks == 0, NOTHING, names[np.searchsorted(RANKS, ranks)])


def _found(ranks: np.ndarray) -> np.ndarray:
    return np.where(ranks == 0, NOTHING, np.where(ranks == 1, "found first", "fails"))
