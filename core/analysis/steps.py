"""The registry of steps a variant may chain: name, stage, options, fit. A new step is one entry of `STEPS`.

Stages, in the order they apply: `edit` (scale concepts), `removal` (project a subspace out), [L2 norm], `affine` (centre, whiten).
An affine fit sees the moments of its own and of the other side; a removal fit sees the FitData. Both return frozen records.
Knows nothing of the text form nor of how steps are chained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from core.analysis import whiten
from core.analysis.concepts import attribution, bridge_diagonal, energy, frequency, top_share
from core.analysis.fitdata import FitData
from core.analysis.moments import Moments
from core.analysis.removal import random_concepts, random_directions, removal_basis
from core.analysis.transform import edited_codes
from core.analysis.whiten import AffineRecord
from core.errors import VariantError, nearest

Value = float | int | str
Stage = Literal["edit", "removal", "affine"]
Edits = tuple[tuple[int, float], ...]
STATISTICS = ("per-side", "support", "shared")


@dataclass(frozen=True)
class Option:
    """One named option of a step: its default, and what else it may be."""

    name: str
    default: Value
    choices: tuple[str, ...] = ()
    """The words it may be."""
    low: float | None = None
    """Smallest number; None where it takes no number."""
    high: float = np.inf
    integer: bool = False

    def read(self, text: str) -> Value:
        """The value of `text`, or a VariantError that says what is allowed."""
        if text in self.choices:
            return text
        try:
            number = (int if self.integer else float)(text)
        except ValueError:
            number = np.nan
        if self.low is None or not self.low <= number <= self.high or np.isinf(number):
            raise VariantError(f"bad value of {self.name}", got=repr(text), allowed=self.allowed)
        return number

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        words = [repr(choice) for choice in self.choices]
        if self.low is not None:
            number = "a whole number" if self.integer else "a number"
            words.append(f"{number} {f'>= {self.low:g}' if np.isinf(self.high) else f'from {self.low:g} to {self.high:g}'}")
        return " or ".join(words)


@dataclass(frozen=True, eq=False)
class SideMoments:
    """What an affine fit may look at: moments of unit rows, after edits, removal and the affine steps before."""

    own: Moments
    other: Moments
    """Of the other side; the same as `own` for statistics=shared."""


@dataclass(frozen=True, eq=False)
class Removal:
    """A fitted removal: the subspace, the concepts that span it (none for directions), and what to say about it."""

    basis: Float[np.ndarray, "r d"]
    concepts: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


AffineFit = Callable[[SideMoments, Mapping[str, Value]], AffineRecord]
RemovalFit = Callable[[FitData, Edits, tuple[int, ...], Mapping[str, Value]], Removal]


@dataclass(frozen=True, eq=False)
class StepKind:
    """One entry of the registry."""

    name: str
    stage: Stage
    about: str
    options: tuple[Option, ...] = ()
    affine: AffineFit | None = None
    removal: RemovalFit | None = None
    concepts: Literal["none", "ids", "factors"] = "none"
    """Whether its arguments are concept ids, `12,55`, or ids with factors, `12=0,40=2`."""

    def option(self, name: str) -> Option:
        """The option called `name`, or a VariantError naming the nearest."""
        found = [option for option in self.options if option.name == name]
        if not found:
            allowed = nearest(name, [option.name for option in self.options]) or "no options"
            raise VariantError(f"unknown option of {self.name}", got=repr(name), allowed=allowed)
        return found[0]


def _statistics(*choices: str) -> Option:
    return Option("statistics", choices[0], choices=choices)


EPS = Option("eps", 1e-5, low=0.0)
BETA = Option("beta", 0.1, low=0.0, high=1.0)
SHARE = Option("share", 0.01, low=0.0, high=1.0)
RANK = Option("rank", "auto", choices=("auto",), low=1, integer=True)
SEED = Option("seed", 0, low=0, integer=True)
PER_SIDE = _statistics(*STATISTICS)


def _components(options: Mapping[str, Value]) -> int | None:
    return None if options["components"] == "all" else int(options["components"])


def _rank(options: Mapping[str, Value]) -> int | None:
    return None if options["rank"] == "auto" else int(options["rank"])


def _remove_listed(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Mapping[str, Value]) -> Removal:
    return Removal(removal_basis(data.concept_rows()[list(concepts)], rank=_rank(options)), concepts)


def concept_scores(data: FitData, by: str, edits: Edits) -> tuple[Float[np.ndarray, " c"], str]:
    """Scores of all concepts over the pairs that removal is fitted on, and the source of the pairs (support or test)."""
    pairs = data.pair_codes()
    dictionary = data.concept_rows()

    def compute() -> np.ndarray:
        q, c = edited_codes(pairs.query_codes, edits), edited_codes(pairs.candidate_codes, edits)
        if by == "energy":
            return energy(q, c)
        measure = attribution if by == "attribution" else bridge_diagonal
        return measure(q, c, pairs.pairs, dictionary)

    return data.memo.get(("scores", by, edits), compute), pairs.source


def _remove_top(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Mapping[str, Value]) -> Removal:
    scores, source = concept_scores(data, str(options["by"]), edits)
    top = top_share(scores, float(options["share"]))
    basis = removal_basis(data.concept_rows()[top], rank=_rank(options))
    note = f"concepts ranked by {options['by']} on {source} pairs"
    warning = () if source == "support" else ("no support pairs: the removed concepts were chosen on the test pairs",)
    return Removal(basis, tuple(int(k) for k in top), (note, *warning))


def _remove_random(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Mapping[str, Value]) -> Removal:
    rows = data.concept_rows()
    count = max(1, round(float(options["share"]) * len(rows))) if options["count"] == "auto" else int(options["count"])
    pool = np.arange(len(rows))
    if options["pool"] == "active":
        pairs = data.pair_codes()
        pool = np.flatnonzero(frequency(pairs.query_codes, pairs.candidate_codes) > 0)
    drawn = random_concepts(pool, count, int(options["seed"]))
    note = f"{count} random concepts of {len(pool)}"
    return Removal(removal_basis(rows[drawn], rank=_rank(options)), tuple(int(k) for k in drawn), (note,))


def _remove_directions(data: FitData, edits: Edits, concepts: tuple[int, ...], options: Mapping[str, Value]) -> Removal:
    return Removal(random_directions(data.queries.shape[1], int(options["rank"]), int(options["seed"])))


_KINDS = (
    StepKind("set", "edit", "scale single concepts: 0 switches one off", concepts="factors"),
    StepKind("remove", "removal", "project out the span of these concepts", (RANK,), removal=_remove_listed, concepts="ids"),
    StepKind(
        "remove-top", "removal", "project out the span of the concepts that contribute most (Eqs 8-10)",
        (SHARE, RANK, Option("by", "attribution", choices=("attribution", "bridge", "energy"))), removal=_remove_top,
    ),
    StepKind(
        "remove-random", "removal", "control: project out the span of as many random concepts",
        (Option("count", "auto", choices=("auto",), low=1, integer=True), SHARE, RANK, SEED,
         Option("pool", "active", choices=("active", "all"))), removal=_remove_random,
    ),
    StepKind(
        "remove-directions", "removal", "control: project out random directions",
        (Option("rank", 1, low=1, integer=True), SEED), removal=_remove_directions,
    ),
    StepKind("center", "affine", "subtract the mean", (PER_SIDE,), lambda m, o: whiten.fit_center(m.own)),
    StepKind(
        "scale-dims", "affine", "centre and divide each dimension by its standard deviation",
        (EPS, PER_SIDE), lambda m, o: whiten.fit_scale(m.own, o["eps"]),
    ),
    StepKind(
        "pca", "affine", "PCA whitening; shared statistics only, else the two sides have different axes",
        (EPS, Option("components", "all", choices=("all",), low=1, integer=True), _statistics("shared")),
        lambda m, o: whiten.fit_pca(m.own, o["eps"], _components(o)),
    ),
    StepKind("zca", "affine", "ZCA whitening", (EPS, PER_SIDE), lambda m, o: whiten.fit_zca(m.own, o["eps"])),
    StepKind(
        "realign", "affine", "shrinkage ZCA whitening (Eqs 11-12)",
        (BETA, EPS, PER_SIDE), lambda m, o: whiten.fit_realign(m.own, o["beta"], o["eps"]),
    ),
    StepKind(
        "auto", "affine", "ReAlign with the shrinkage chosen from the data",
        (Option("method", "ledoit-wolf", choices=("ledoit-wolf", "oas")), EPS, PER_SIDE),
        lambda m, o: whiten.fit_auto(m.own, o["method"], o["eps"]),
    ),
)  # fmt: skip

STEPS: Mapping[str, StepKind] = {kind.name: kind for kind in _KINDS}
"""Every step by name."""
