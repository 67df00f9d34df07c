"""Records that cross a stage. Plain frozen data; they know no models and no screens."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Modality = Literal["text", "image", "image,text"]
Side = Literal["query", "candidate"]
Part = Literal["queries", "candidates", "support_queries", "support_candidates"]
Split = Literal["test", "support"]
TokenRole = Literal["image", "text", "prompt", "template"]

PARTS: tuple[Part, ...] = ("queries", "candidates", "support_queries", "support_candidates")
MODALITIES: tuple[Modality, ...] = ("text", "image", "image,text")
SIDE_OF_PART: dict[Part, Side] = {
    "queries": "query",
    "candidates": "candidate",
    "support_queries": "query",
    "support_candidates": "candidate",
}


@dataclass(frozen=True)
class Item:
    """What a model encodes: a text, an image (RGB, upright), or both.

    `task` and `side` choose the study's prompt for items that hold both (docs/study.md section 2).
    """

    id: str
    modality: Modality
    text: str | None = None
    image: Image.Image | None = None
    task: int = 4
    side: Side = "query"

    @property
    def picture(self) -> Image.Image:
        """The image of an item whose modality has one."""
        assert self.image is not None, f"item {self.id!r} of modality {self.modality} came without its image"
        return self.image


@dataclass(frozen=True)
class Qrels:
    """Relevant pairs as row numbers of queries and candidates; only scores > 0.

    `unknown` counts the pairs whose query or candidate id is in no table. `scores` are their grades, None for 1 each.
    `absent` are query row and grade of pairs whose candidate is in no table.
    """

    query_rows: np.ndarray
    candidate_rows: np.ndarray
    unknown: int = 0
    scores: np.ndarray | None = None
    absent: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.query_rows)

    @property
    def pairs(self) -> np.ndarray:
        """(n_pairs, 2) int64: query row, candidate row."""
        return np.column_stack([self.query_rows, self.candidate_rows])

    @property
    def grades(self) -> np.ndarray:
        """(n_pairs,) int64, above 0."""
        return np.ones(len(self), dtype=np.int64) if self.scores is None else self.scores

    def relevant(self, query_row: int) -> np.ndarray:
        """Candidate rows relevant to one query."""
        return self.candidate_rows[self.query_rows == query_row]


@dataclass(frozen=True)
class BadRow:
    """A row of the source that was left out."""

    where: str
    reason: str


@dataclass(frozen=True)
class CorpusReport:
    """What is in a corpus."""

    items: int
    queries: int
    candidates: int
    by_modality: dict[str, int]
    bad: tuple[BadRow, ...]
    usable: bool
    why_not: str = ""
    """Empty, or the reason it cannot be used, with what to do next."""


@dataclass(frozen=True, order=True)
class StatePlace:
    """Where in the decoder a hidden state is read.

    Attributes:
        layer: index into transformers' `hidden_states`; -1 is the last.
        norm: "after" or "before" the final norm. Only the last layer's output passes it, so elsewhere it says nothing.
        sublayer: "block": the layer's output; "attention": the sum of its input and its attention output, which its
            MLP reads; "projected": the last layer's output put through what makes an embedding of a pooled state,
            token by token.
    """

    layer: int = -1
    norm: str = "after"
    sublayer: str = "block"

    def __str__(self) -> str:
        """`-1`, `-1-before`, `3-attention`: the default of the two choices is left out, as older names do."""
        choices = ((self.norm, "after"), (self.sublayer, "block"))
        return "-".join([str(self.layer), *(value for value, default in choices if value != default)])

    @property
    def words(self) -> str:
        """The place, to be read: `the last layer`, `layer 3 between attention and MLP`."""
        layer = "the last layer" if self.layer == -1 else f"layer {self.layer}"
        if self.sublayer == "attention":
            return f"{layer} between attention and MLP"
        return f"{layer} before the final norm" if self.norm == "before" else layer


LAST_STATE = StatePlace()
"""The last layer, after the final norm."""


@dataclass(frozen=True, order=True)
class EmbeddingView:
    """One way of making an embedding from hidden states; `norm` and `sublayer` as in `StatePlace`."""

    layer: int = -1
    pooling: str = "mean"
    mask: str = "all"
    norm: str = "after"
    sublayer: str = "block"

    def __str__(self) -> str:
        return f"layer{StatePlace(self.layer, self.norm, self.sublayer)}-{self.pooling}-{self.mask}"

    @property
    def place(self) -> StatePlace:
        """Where its states are read; of final vectors, what stands for them token by token."""
        return StatePlace(self.layer, self.norm, "projected" if self.pooling == "projected" else self.sublayer)

    @property
    def words(self) -> str:
        """How it was made, to be read: `mean over all tokens of the last layer`."""
        if self.pooling == "projected":
            return "the model's own projected embeddings"
        tokens = {"text": "text tokens", "all": "all tokens"}.get(
            self.mask, f"all but {self.mask.removeprefix('no-')} tokens"
        )
        tokens = tokens.replace("outliers tokens", "outlier tokens")
        if self.pooling == "answer":
            return f"where the model's answer begins, at {self.place.words}"
        return f"{'last of' if self.pooling == 'last' else self.pooling + ' over'} {tokens} of {self.place.words}"


VIEW_FIELDS = tuple(one.name for one in fields(EmbeddingView))
"""The choices that make a view."""


@dataclass(frozen=True)
class TokenStates:
    """Hidden states of the tokens of several items at one place, padding left out.

    Attributes:
        states: (n_tokens, d) float32.
        item: (n_tokens,) row of the item within the call.
        text: the token as it is written; "" for image tokens.
        role: "image", "text" (the item's own words), "prompt" (the study's instruction) or "template".
        grids: per item, (rows, columns) of its image tokens, or None.
    """

    states: np.ndarray
    item: np.ndarray
    text: list[str]
    role: list[TokenRole]
    grids: list[tuple[int, int] | None]


@dataclass(frozen=True)
class SaeRecord:
    """A dictionary as every analysis sees it.

    Attributes:
        dictionary: (c, d) float32, rows of unit L2 norm.
        k: active concepts per item, on average over a batch where a threshold decides; 0 where the architecture fixes
            none.
        input: "raw" or "normalised" (docs/study.md section 3).
        source: where it came from, in words.
        trained_on: what it learned from, in words; "unknown" where it does not say.
        fidelity: named figures (see `core.sae.fidelity`), empty before codes exist.
    """

    dictionary: np.ndarray
    k: int
    input: str
    source: str
    trained_on: str
    fidelity: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Number of concepts c."""
        return self.dictionary.shape[0]
