"""Variants as one import: expression (text <-> spec), fit (spec + data -> fitted chain), transform. Holds no code of
its own.

expression.py   the text form of a variant: parse, canonical order, print
options.py      named options: what they may be, how they are read
steps.py        the registry: every step a variant may have, its options and how it is fitted
fitdata.py      all that a variant may be fitted on
statistics.py   whose rows a step is fitted on
moments.py      mean, covariance and fourth moment of a stream of rows
whiten.py       moments -> frozen affine record (center, pca, zca, realign, auto, scale) -> apply
projections.py  the same for all-but-the-top, closing the modality gap, removing its direction
removal_fits.py how each removal step finds its subspace
fit.py          spec + data -> fitted variant
transform.py    what a variant does to one side: edits, removal, L2 norm, affine map, L2 norm
"""

from core.analysis.variants.expression import Step, VariantSpec, make_step, parse_variant
from core.analysis.variants.fit import FittedVariant, Transformed, apply_variant, fit_variant, gain_split
from core.analysis.variants.fitdata import FitData, PairCodes
from core.analysis.variants.steps import STEPS, StepKind
from core.analysis.variants.transform import SideTransform, transform

__all__ = [
    "STEPS",
    "FitData",
    "FittedVariant",
    "PairCodes",
    "SideTransform",
    "Step",
    "StepKind",
    "Transformed",
    "VariantSpec",
    "apply_variant",
    "fit_variant",
    "gain_split",
    "make_step",
    "parse_variant",
    "transform",
]
