"""`[sae]`: which dictionary, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.config.checks import Between, check_fields, check_number
from core.config.choices import SaeArchitecture, SaeBias, SaeData, SaeInput, SaePreset
from core.errors import SpecError

STEPS_IN_KEYS = 4000
"""What the key of a run holds where `[sae] steps` is left out, as it was before steps followed from the data: the key
of the SAE, which the run's key contains, holds the steps that were trained."""
SAE_WORDS = ("train", "none", "shipped")
"""Values of `source` that are no path and no address."""
SAE_SOURCES = (
    *map(repr, SAE_WORDS),
    "'shipped:NAME'",
    "a folder",
    "a .pt file",
    "'hf:owner/name/file'",
    "'sae-lens:RELEASE/SAE_ID'",
)
"""All that `source` may be, in words."""
WIDTHS = Between(2, 2**22)
KS = Between(1, 2**22)


@dataclass(frozen=True, kw_only=True)
class SaeSpec:
    """One dictionary, or several: every width (`width` and `widths`) with every K (`k` and `ks`) is trained in one pass
    over the items.

    The run uses `width` with `k`; the others are stored in the cache beside it. Left out, they are the first of
    `widths` and of `ks`. Keys after `data` say how `train` trains.
    """

    source: str = "train"
    """`train` (on the run's own items), `none`, `shipped` (the one that comes with a demo model), `shipped:NAME`
    (another of these), a folder, a .pt file, `hf:owner/name/file` or `sae-lens:RELEASE/SAE_ID`."""
    width: Annotated[int | None, WIDTHS] = None
    """Number of concepts; left out: the first of `widths`, else 32768 (preset `study` on a dual encoder: 7168)."""
    k: Annotated[int, KS] = None  # type: ignore[assignment]  # a number once it is made
    """Active concepts per item, with `batchtopk` and `matryoshka` on average over a batch; left out: the first of `ks`,
    else 50. At most the smallest width."""
    widths: Annotated[tuple[int, ...], WIDTHS] = ()
    """Widths to be trained beside it."""
    ks: Annotated[tuple[int, ...], KS] = ()
    """Ks to be trained beside it."""
    input: SaeInput = "raw"
    """What is encoded: the pooled embedding as it is, or L2-normalised."""
    data: SaeData = "tokens"
    """What `train` learns from: token states (the study), pooled embeddings, or both in equal parts; dual encoders:
    always pooled."""
    preset: SaePreset = "sae-lens"
    """Loss and decoder: sae-lens's own (summed squared error, a loss for dead concepts), or the study's (docs/study.md
    section 3)."""
    architecture: SaeArchitecture = "topk"
    """Which concepts are active: the K largest per item, the largest of a batch, or these with nested
    reconstructions."""
    bias: SaeBias = "none"
    """What stands in the decoder's place where no concept fires: nothing (the study), or the mean of the training rows,
    which the encoder takes away first."""
    steps: Annotated[int | None, Between(1, 10**8)] = None
    """Training steps of `batch` rows; left out: as many as give 10 passes over the states, from 500 to 4,000
    (`core/sae/trained.py`)."""
    batch: Annotated[int, Between(2, 2**20)] = 4096
    """Rows per training step."""
    learning_rate: Annotated[float, Between(0, 1, above=True)] = 8e-4
    """Of Adam (betas 0.9 and 0.999, eps 1e-8, gradient norm clipped at 1)."""
    decay: Annotated[float, Between(0, 1)] = 0.0
    """Last share of the steps over which the learning rate falls to 0."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Of the initial weights and the shuffling."""

    def __post_init__(self) -> None:
        if self.width is None and self.widths:
            object.__setattr__(self, "width", self.widths[0])
        if self.k is None:
            object.__setattr__(self, "k", self.ks[0] if self.ks else 50)
        check_fields("sae", self)
        if self.preset == "study" and self.architecture != "topk":
            raise SpecError(
                "the study's SAEs are Top-K",
                got=f"architecture = {self.architecture!r}",
                todo='leave preset = "study" out',
            )
        if self.preset == "study" and self.bias != "none":
            raise SpecError(
                "the study's SAEs have no decoder bias", got=f"bias = {self.bias!r}", todo='leave preset = "study" out'
            )
        if self.source != "train" and self.steps == STEPS_IN_KEYS:
            object.__setattr__(self, "steps", None)  # as keys hold it: nothing is trained
        if self.source != "train" and (self.widths or self.ks):
            raise SpecError(
                "[sae] widths and ks are for training", got=f"source = {self.source!r}", todo="leave them out"
            )
        # Which kind of model the spec meets is not known here, so K must fit both presets' widths.
        most = min(self.width_for(dual=False), self.width_for(dual=True), *self.widths, KS.high)
        for k in (self.k, *self.ks):
            check_number("sae.k", k, Between(KS.low, most))

    def width_for(self, *, dual: bool) -> int:
        """`width`, or the preset's for that kind of model."""
        if self.width is not None:
            return self.width
        return 7168 if dual and self.preset == "study" else 32768
