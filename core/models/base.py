"""What every kind of model offers, and what is known of a model before its weights are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from core.models.stopwatch import Stopwatch
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["chat", "plain", "dual", "sentence-transformers"]

PROJECTED = EmbeddingView(layer=-1, pooling="projected", mask="all")
"""The embedding a model's training objective compared: the only view of a dual encoder, the first of a
sentence-transformers model."""


@dataclass(frozen=True)
class ModelFacts:
    """A model as it will be run, without its weights.

    Attributes:
        name: row of the table, else name of the folder or hub id.
        kind: "chat" (chat template), "plain" (prompt string with an image placeholder), "dual" (one tower per
            modality), "sentence-transformers" (what that library saved: its own modules, pooling and prompts).
        key: hash of all that changes an embedding: weights and processor files (or hub id and commit), kind, prompts,
            dtype, adapter version, and attention kernel and quantisation where they are not the default. Not of where
            the layers lie (`device_map`).
        source: local folder or hub id.
        revision: hub commit; "" for a folder.
        model_type: transformers' name of the architecture.
        hidden_size: d, columns of an embedding.
        layers: layers whose token states can be read; `hidden_states` has one more entry. 0 for a dual encoder.
        dtype: compute type.
        preset: style of the prompts as resolved, a key of `prompts.STYLES`; "" for a dual encoder, which has no
            prompts, and for a sentence-transformers model, which brings its own.
        pooling: what those prompts are made for; the one taken where `[embedding] poolings` names none.
    """

    name: str
    kind: Kind
    key: str
    source: str
    revision: str
    model_type: str
    hidden_size: int
    layers: int
    dtype: str
    preset: str
    pooling: str = "mean"
    state_size: int = 0
    """Columns of a token state where they differ from an embedding's; 0: the same."""

    @property
    def projects(self) -> bool:
        """Whether its embeddings are final vectors, which pool no token states as they are."""
        return self.kind in {"dual", "sentence-transformers"}

    def width(self, view: EmbeddingView) -> int:
        """Columns of the rows of a view, as far as they are known before the weights are read."""
        return self.hidden_size if view.pooling == PROJECTED.pooling else self.state_size or self.hidden_size


class Adapter(Protocol):
    """A loaded model. Calls from several threads are served one after the other."""

    facts: ModelFacts
    has_token_states: bool
    can_generate: bool

    @property
    def vocabulary(self) -> int:
        """Words a next-word distribution ranges over; 0 for a model that predicts none."""

    @property
    def hidden_size(self) -> int:
        """d, columns of an embedding."""

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        """Pooled embeddings (n, d) float32 per view, rows in the order of `items`, not normalised; for a view of next
        words (n, k) of `answer.WORD`.

        Raises:
            NotAvailable: a mask leaves no token of an item (there is never a NaN row and no silent other mask), or an
                answer is to be read of a model without an answer header.
        """

    def lengths(self, items: Sequence[Item]) -> list[int]:
        """Tokens of each item as the model sees it, image tokens included."""

    def token_states(self, items: Sequence[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        """Hidden states of every token (padding left out) at one place.

        Raises:
            NotAvailable: a place the model does not have.
        """

    def top_tokens(self, directions: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        """Tokens whose output-head rows have the largest inner product with each row of `directions` (n, d)."""

    def generate(self, item: Item, prompt: str, max_new_tokens: int = 64) -> str:
        """The model's greedy answer to the item followed by `prompt`."""

    def generate_all(self, items: Sequence[Item], prompt: str, max_new_tokens: int = 64) -> list[str]:
        """`generate` for several items in one batch, in their order.

        Raises:
            NotAvailable: the model does not generate.
        """


@runtime_checkable
class Prepares(Protocol):
    """An adapter that can read a batch's pictures and words apart from its model."""

    watch: Stopwatch

    def prepare(
        self, items: Sequence[Item], views: Sequence[EmbeddingView]
    ) -> Callable[[], dict[EmbeddingView, np.ndarray]]:
        """`embed` in two halves: what the CPU does now (in any thread), and the call that runs the model.

        Raises:
            NotAvailable: see `Adapter.embed`.
        """


def prepared(
    adapter: Adapter, items: Sequence[Item], views: Sequence[EmbeddingView]
) -> Callable[[], dict[EmbeddingView, np.ndarray]]:
    """`Prepares.prepare`; for an adapter without it, a call of `embed`."""
    return adapter.prepare(items, views) if isinstance(adapter, Prepares) else lambda: adapter.embed(items, views)
