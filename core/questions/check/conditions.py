"""The settings that are tried, and the conditions under which a model embeds: what a served vector may differ in.

`Conditions` holds one value for every setting; its defaults are the run's own. A `Change` is one setting at another
value. Changes of two settings can be made together unless they write the same field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from core.models.cutting import TokenCut
from core.records import EmbeddingView

Setting = Literal[
    "template",
    "instruction",
    "image missing",
    "image sent as text",
    "resolution",
    "token limit",
    "pooling",
    "layer",
    "norm",
    "normalisation",
    "dtype",
    "truncated dimensions",
    "query and document swapped",
    "rows shuffled",
]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
"""Every setting, by the name it has in answers, in the order in which equally good explanations win."""
WITHOUT_MODEL: frozenset[Setting] = frozenset(
    {"normalisation", "dtype", "truncated dimensions", "query and document swapped", "rows shuffled"}
)
"""Settings that can be tried on stored vectors: for runs whose vectors are their own, or whose model is not here."""

Filter = Literal["bicubic", "bilinear", "lanczos", "nearest", "box"]
FILTERS: tuple[Filter, ...] = get_args(Filter)

NO_IMAGE, EMPTY_TEXT, BLACK_IMAGE = "no image in the prompt", "an empty text", "a black image"
AS_TEXT = "text: "
"""How the values of "image sent as text" begin; what follows names the string."""


@dataclass(frozen=True)
class PictureSize:
    """How pictures are resized before the model's own processor sees them, or what that processor is limited to.

    Attributes:
        kind: "longest" (longest side, shape kept), "square" (both sides), "area" (limits of the processor, in pixels).
        side: pixels a side; for "area" the largest area.
        least: smallest area, for "area".
    """

    kind: Literal["longest", "square", "area"]
    side: int
    least: int = 0
    filter: Filter = "bicubic"

    def __str__(self) -> str:
        if self.kind == "area":
            return f"{self.least:,} to {self.side:,} pixels"
        size = f"longest side {self.side}" if self.kind == "longest" else f"{self.side} x {self.side}"
        return f"{size} pixels, {self.filter}"


@dataclass(frozen=True)
class Conditions:
    """How vectors are made. Defaults: as the run makes them; the fields without one are always the run's to begin
    with."""

    dtype: str
    """Compute type of the model."""
    layer: int
    pooling: str
    mask: str
    norm: str
    """"before" or "after" the final norm; the last layer only."""
    sublayer: str
    """"block", or "attention" for the state before a layer's MLP."""
    frame: str = ""
    """Key of `wording.frames`: what stands around a turn."""
    turn: str = ""
    """Key of `wording.turns`: how an item becomes a turn."""
    image: str = ""
    """`NO_IMAGE`, `EMPTY_TEXT`, `BLACK_IMAGE`, or `AS_TEXT` and the name of a string."""
    size: PictureSize | None = None
    cut: TokenCut | None = None
    words: int | None = None
    """Tokens of an item's own text that are left."""
    other_side: bool = False
    """Queries are put as documents, documents as queries."""
    other_file: bool = False
    """The two files of vectors are taken for each other."""
    rounded: str = ""
    """Type the vectors were stored in."""
    dimensions: int | None = None
    """First dimensions that are kept."""
    scaled: bool = False
    """Rows are compared whatever their length."""
    shuffled: bool = False
    """Rows are compared in whatever order fits best."""

    @classmethod
    def of(cls, view: EmbeddingView, dtype: str) -> Conditions:
        """A run's own conditions."""
        return cls(dtype, view.layer, view.pooling, view.mask, view.norm, view.sublayer)

    @property
    def view(self) -> EmbeddingView:
        """What is made of the states of a forward pass."""
        return EmbeddingView(self.layer, self.pooling, self.mask, self.norm, self.sublayer)

    @property
    def asked(self) -> Conditions:
        """What decides the forward pass: equal for conditions that differ in the view, or after it, only."""
        plain = Conditions.of(EmbeddingView(), self.dtype)
        return replace(plain, **{name: getattr(self, name) for name in _OF_A_PASS})


_OF_A_PASS = ("frame", "turn", "image", "size", "cut", "words", "other_side")


@dataclass(frozen=True)
class Change:
    """One setting at another value: `was` and `to` in words, `fields` of `Conditions` it writes."""

    setting: Setting
    was: str
    to: str
    fields: tuple[tuple[str, Any], ...]

    def applied(self, conditions: Conditions) -> Conditions:
        """The conditions with this change."""
        return replace(conditions, **dict(self.fields))

    def goes_with(self, other: Change) -> bool:
        """Whether the two write different fields and are of different settings."""
        mine, theirs = ({name for name, _ in one.fields} for one in (self, other))
        return self.setting != other.setting and not mine & theirs

    def to_json(self) -> dict[str, str]:
        """An entry of "explained_by"."""
        return {"setting": self.setting, "from": self.was, "to": self.to}
