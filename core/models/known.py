"""What a row of the table of models says (`table.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.config import Family
from core.models.base import Kind
from core.models.memory import memory_gib
from core.models.prompts import STYLES

WEIGHTS = Path(__file__).resolve().parent.parent / "demo" / "weights"
"""Where the weights trained on the demo world are shipped."""


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A row of `retrieval-lens models`."""

    name: str
    hub_id: str
    """Repository on the Hugging Face hub; "" where the weights are shipped with the package."""
    kind: Kind
    family: Family
    """How it was trained: to generate, to match (contrastive), or from a generative model to retrieve (tuned)."""
    hidden_size: int
    """Columns of an embedding."""
    dtype: Literal["float32", "bfloat16", "float16"]
    """Type of the published weights; what is computed in is `[model] dtype`."""
    parameters: float
    """Number of parameters, in billions, as published (or from the size of the published files)."""
    prompts: str
    """Style of `[model] preset = "own"` and "auto"; "none" for a dual encoder, and for a model that
    brings its own."""
    special: str
    """What differs from the other models of its kind."""
    revision: str | None = None
    """Pinned commit: one whose files were seen listed on the hub, or that mteb's registry of models names; None where
    none is known for certain."""
    task: str | None = None
    """Word that a model with adapters for several tasks is given; see `[model] task`."""

    @property
    def folder(self) -> Path | None:
        """Local folder of shipped weights."""
        return None if self.hub_id else WEIGHTS / self.name

    @property
    def pooling(self) -> str:
        """What `[embedding] poolings` is where the user names none."""
        return "projected" if self.kind in {"dual", "sentence-transformers"} else STYLES[self.prompts].pooling

    def memory(self, dtype: str, quantisation: str = "none") -> float:
        """GiB of memory needed in that type."""
        return memory_gib(self.parameters, dtype, quantisation)


TWO_TOWERS = "image+text is the sum of both unit embeddings"
TUNED = "fine-tuned retriever"
