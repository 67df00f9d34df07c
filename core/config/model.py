"""`[model]`: which model, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.config.checks import Between, check_fields
from core.config.choices import Attention, DeviceMap, Dtype, Family, Preset, Quantisation

OWN_MODEL = "own-embeddings"
"""Model name of a run on own embeddings: there is none to load."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    name: str
    """A row of `retrieval-lens models`, a hub id or a local folder."""
    revision: str | None = None
    """Hub revision; left out: the table's pinned one, else `main`."""
    dtype: Dtype = "auto"
    """Compute type; auto: bfloat16 on a GPU, float32 on a CPU."""
    preset: Preset = "auto"
    """Prompts: `study`, `chat` (the bare item), `own` (the table's for this row) or a retriever's by name
    (`models.prompts.STYLES`); auto: a fine-tuned retriever's own, the study's for every other model."""
    attention: Attention = "auto"
    """Kernel of the attention layers; auto: transformers' choice. Kernels differ in rounding, so another choice is
    another model key."""
    device_map: DeviceMap = "none"
    """One device, or how accelerate spreads the layers over GPUs and CPU. Changes no embedding beyond rounding: not in
    the model key."""
    quantisation: Quantisation = "none"
    """Weights of linear layers in 4 or 8 bits (bitsandbytes, needs a CUDA GPU). Changes embeddings, so it is in the
    model key."""
    truncate_dim: Annotated[int | None, Between(1, 2**20)] = None
    """Columns kept of each embedding of a sentence-transformers model (Matryoshka); left out: as the model says, or
    all."""
    query_prompt: str | None = None
    """Words a sentence-transformers model is given before a query, in place of its own; "" for none."""
    candidate_prompt: str | None = None
    """The same before a candidate."""
    task: str | None = None
    """Word that a sentence-transformers model with adapters for several tasks is given (jina-embeddings: retrieval);
    left out: the table's, else `query` and `document` by side."""
    family: Family = "unknown"
    """What kind of model made the vectors, for own embeddings and models that `models` does not list. It changes no
    number: not in a key."""

    def __post_init__(self) -> None:
        check_fields("model", self)
