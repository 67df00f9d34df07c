"""`[embedding]`: how token states become one row per item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.config.checks import Between, check_fields
from core.config.choices import Mask, Norm, Place, Pooling, Sublayer
from core.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec:
    layers: Annotated[tuple[int, ...], Between(-1000, 1000)] = (-1,)
    """Indices into the model's `hidden_states`; -1 is the last, after the final norm."""
    poolings: tuple[Pooling, ...] = ()
    """How token states become one row; none named: the pooling the model's prompts are made for
    (`ModelFacts.pooling`). `answer`: the state behind the answer header, whatever the mask
    (`core/models/answer.py`)."""
    masks: tuple[Mask, ...] = ("all",)
    """Which tokens are pooled; `no-outliers`: all but those whose norm dwarfs the rest (`core/models/outliers.py`)."""
    cross: bool = True
    """Every layer x pooling x mask x norm x sublayer; false: each value after the first alone, with the first of the
    others."""
    batch_tokens: Annotated[int, Between(1, 2**24)] = 16384
    """Padded tokens per batch at most. Free memory lowers it, by an estimate before the first batch and by halving a
    batch that does not fit all the same; on a CPU no batch has more than 1,024."""
    words: tuple[Place, ...] = ()
    """Where the model's next-word distribution is stored beside the embeddings; () stores none."""

    norms: tuple[Norm, ...] = ("after",)
    """Whether the last layer is read after the final norm, or before it. Other layers never pass that norm."""
    sublayers: tuple[Sublayer, ...] = ("block",)
    """`block`: the layer's output; `attention`: its input plus its attention output, before its MLP (FreeRet reads the
    last layer so, arXiv 2509.24621)."""

    def __post_init__(self) -> None:
        check_fields("embedding", self)
        for name in ("layers", "masks", "norms", "sublayers"):
            if not getattr(self, name):
                raise SpecError(f"embedding.{name} is empty", allowed="at least one")
