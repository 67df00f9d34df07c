"""The registry of steps a variant may chain: name, stage, options, fit. A new step is one entry of `STEPS`.

Stages, in the order they apply: `inside` (change concepts within the model: the rows themselves are others), `edit`
(scale concepts), `removal` (project a subspace out), [L2 norm], `affine` (centre, whiten). Nothing is fitted of an
`inside` step: whoever brings the rows has them computed through the model (`core/questions/inside.py`). An affine fit
sees the moments of its own and of the other side; a removal fit sees the FitData. Both return frozen records. Knows
nothing of the text form nor of how steps are chained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from core.analysis.variants import projections, removal_fits, whiten
from core.analysis.variants.fitdata import FitData
from core.analysis.variants.options import (
    ANY_SIDE,
    BETA,
    EPS,
    LAYER,
    ONE_RANK,
    OWN_SIDE,
    RANK,
    SEED,
    SHARE,
    TOKENS,
    StepOption,
    Value,
    find_option,
    statistics_option,
)
from core.analysis.variants.removal_fits import Edits, Removal
from core.analysis.variants.statistics import SideMoments
from core.analysis.variants.whiten import AffineRecord, AutoMethod

Stage = Literal["inside", "edit", "removal", "affine"]
AffineFit = Callable[[SideMoments, Mapping[str, Value]], AffineRecord]
RemovalFit = Callable[[FitData, Edits, tuple[int, ...], Mapping[str, Value]], Removal]


@dataclass(frozen=True, eq=False)
class StepKind:
    """One entry of the registry."""

    name: str
    stage: Stage
    about: str
    options: tuple[StepOption, ...] = ()
    affine: AffineFit | None = None
    """Of every step of stage "affine", and of no other."""
    removal: RemovalFit | None = None
    """Of every step of stage "removal", and of no other."""
    concepts: Literal["none", "ids", "factors", "changes"] = "none"
    """Whether its arguments are concept ids, `12,55`; ids with factors, `12=0,40=2`; or factors and values,
    `12=0,40=@0.8` (factor 0, value 0.8)."""
    needs_dictionary: bool = False
    centres: bool = False
    """Whether it subtracts the mean of its statistics: contributions are then computed from centred codes."""

    def fit_affine(self, moments: SideMoments, options: Mapping[str, Value]) -> AffineRecord:
        """Fit an affine step on the moments of its own and of the other side."""
        assert self.affine is not None, f"{self.name} is no affine step"
        return self.affine(moments, options)

    def fit_removal(
        self, data: FitData, edits: Edits, concepts: tuple[int, ...], options: Mapping[str, Value]
    ) -> Removal:
        """Find the subspace that a removal projects out of the edited rows."""
        assert self.removal is not None, f"{self.name} is no removal"
        return self.removal(data, edits, concepts, options)

    def option(self, name: str) -> StepOption:
        """The option called `name`, or a VariantError naming the nearest."""
        return find_option(self.name, self.options, name)


def _components(options: Mapping[str, Value]) -> int | None:
    return None if options["components"] in ("all", "auto") else int(options["components"])


_KINDS = (
    StepKind(
        "inside",
        "inside",
        "change concepts within the model, at a layer with an SAE: 12=0 off, 12=2 twice, 12=@0.8 set to 0.8",
        (LAYER, TOKENS),
        concepts="changes",
    ),
    StepKind("set", "edit", "scale single concepts: 0 switches one off", concepts="factors", needs_dictionary=True),
    StepKind(
        "remove",
        "removal",
        "project out the span of these concepts",
        (RANK,),
        removal=removal_fits.remove_listed,
        concepts="ids",
        needs_dictionary=True,
    ),
    StepKind(
        "remove-top",
        "removal",
        "project out the span of the concepts that contribute most (Eqs 8-10)",
        (SHARE, RANK, StepOption("by", "attribution", choices=("attribution", "bridge", "energy"))),
        removal=removal_fits.remove_top,
        needs_dictionary=True,
    ),
    StepKind(
        "remove-random",
        "removal",
        "control: project out the span of as many random concepts",
        (
            StepOption("count", "auto", choices=("auto",), low=1, integer=True),
            SHARE,
            RANK,
            SEED,
            StepOption("pool", "active", choices=("active", "all")),
        ),
        removal=removal_fits.remove_random,
        needs_dictionary=True,
    ),
    StepKind(
        "remove-directions",
        "removal",
        "control: project out random directions",
        (ONE_RANK, SEED),
        removal=removal_fits.remove_directions,
    ),
    StepKind(
        "remove-pca",
        "removal",
        "control: project out the top principal directions of all rows, without centring",
        (ONE_RANK,),
        removal=removal_fits.remove_pca,
    ),
    StepKind("center", "affine", "subtract the mean", (ANY_SIDE,), lambda m, o: whiten.fit_center(m.own), centres=True),
    StepKind(
        "close-gap",
        "affine",
        "move both sides so that their means coincide halfway",
        (OWN_SIDE,),
        lambda m, o: projections.fit_close_gap(m.own, m.other),
    ),
    StepKind(
        "remove-mean-direction",
        "affine",
        "project out the direction between the means of the two sides, without centring",
        (OWN_SIDE,),
        lambda m, o: projections.fit_mean_direction(m.own, m.other),
    ),
    StepKind(
        "all-but-top",
        "affine",
        "centre and project out the top principal directions",
        (StepOption("components", "auto", choices=("auto",), low=1, integer=True), ANY_SIDE),
        lambda m, o: projections.fit_all_but_top(m.own, _components(o)),
        centres=True,
    ),
    StepKind(
        "scale-dims",
        "affine",
        "centre and divide each dimension by its standard deviation",
        (EPS, ANY_SIDE),
        lambda m, o: whiten.fit_scale(m.own, float(o["eps"])),
        centres=True,
    ),
    StepKind(
        "pca",
        "affine",
        "PCA whitening; the same statistics for both sides, else they have different axes",
        (
            EPS,
            StepOption("components", "all", choices=("all",), low=1, integer=True),
            statistics_option("shared", "candidates"),
        ),
        lambda m, o: whiten.fit_pca(m.own, float(o["eps"]), _components(o)),
        centres=True,
    ),
    StepKind(
        "zca",
        "affine",
        "ZCA whitening",
        (EPS, ANY_SIDE),
        lambda m, o: whiten.fit_zca(m.own, float(o["eps"])),
        centres=True,
    ),
    StepKind(
        "realign",
        "affine",
        "shrinkage ZCA whitening (Eqs 11-12)",
        (BETA, EPS, ANY_SIDE),
        lambda m, o: whiten.fit_realign(m.own, float(o["beta"]), float(o["eps"])),
        centres=True,
    ),
    StepKind(
        "auto",
        "affine",
        "ReAlign with the shrinkage chosen from the data",
        (StepOption("method", "ledoit-wolf", choices=("ledoit-wolf", "oas")), EPS, ANY_SIDE),
        lambda m, o: whiten.fit_auto(m.own, cast(AutoMethod, o["method"]), float(o["eps"])),
        centres=True,
    ),
)

STEPS: Mapping[str, StepKind] = {kind.name: kind for kind in _KINDS}
"""Every step by name."""
