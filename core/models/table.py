"""The known models: one row each. Adding a model of a known kind is adding a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.models.base import Kind

WEIGHTS = Path(__file__).resolve().parent.parent / "demo" / "weights"
"""Where the weights trained on the demo world are shipped."""


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A row of `retrieval-lens models`."""

    name: str
    hub_id: str
    """Repository on the Hugging Face hub; "" where the weights are shipped with the package."""
    kind: Kind
    hidden_size: int
    """Columns of an embedding."""
    dtype: str
    """Type of the published weights; what is computed in is `[model] dtype`."""
    memory_gib: float
    """Weights in that type plus about a fifth for activations, in GiB."""
    prompts: str
    """Style of the `study` preset."""
    special: str
    """What differs from the other models of its kind."""
    revision: str | None = None
    """Pinned commit; None where none is known."""

    @property
    def folder(self) -> Path | None:
        """Local folder of shipped weights."""
        return None if self.hub_id else WEIGHTS / self.name


_ROWS = (
    KnownModel(
        name="demo-mllm", hub_id="", kind="chat", hidden_size=256, dtype="float32", memory_gib=0.1, prompts="study",
        special="trained on the demo world only, generatively; 64 x 64 pixels, LLaVA class",
    ),
    KnownModel(
        name="demo-clip", hub_id="", kind="dual", hidden_size=128, dtype="float32", memory_gib=0.1, prompts="none",
        special="trained on the demo world only, contrastively; 64 x 64 pixels, CLIP class",
    ),
    KnownModel(
        name="qwen2-vl-7b", hub_id="Qwen/Qwen2-VL-7B-Instruct", kind="chat", hidden_size=3584, dtype="bfloat16",
        memory_gib=19, prompts="study", special="image tokens grow with the image; the template adds a system turn",
    ),
    KnownModel(
        name="qwen3-vl-8b", hub_id="Qwen/Qwen3-VL-8B-Instruct", kind="chat", hidden_size=4096, dtype="bfloat16",
        memory_gib=20, prompts="study", special="image tokens grow with the image; visual features enter early layers too",
    ),
    KnownModel(
        name="paligemma2-3b", hub_id="google/paligemma2-3b-mix-224", kind="plain", hidden_size=2304, dtype="bfloat16",
        memory_gib=7, prompts="study", special="gated; 256 image tokens; a text is fed with one black 112 x 112 image",
    ),
    KnownModel(
        name="chameleon-7b", hub_id="facebook/chameleon-7b", kind="plain", hidden_size=4096, dtype="bfloat16",
        memory_gib=17, prompts="study", special="gated; images resized to 224 x 224; the assembled text is stripped",
    ),
    KnownModel(
        name="clip-vit-b32", hub_id="openai/clip-vit-base-patch32", kind="dual", hidden_size=512, dtype="float32",
        memory_gib=1, prompts="none", special="texts end at 77 tokens; image+text is the sum of both unit embeddings",
    ),
    KnownModel(
        name="siglip2-b16-512", hub_id="google/siglip2-base-patch16-512", kind="dual", hidden_size=768, dtype="float32",
        memory_gib=2, prompts="none", special="texts padded to 64 tokens; image+text is the sum of both unit embeddings",
    ),
    KnownModel(
        name="gme-qwen2-vl-2b", hub_id="Alibaba-NLP/gme-Qwen2-VL-2B-Instruct", kind="chat", hidden_size=1536,
        dtype="bfloat16", memory_gib=6, prompts="study",
        special="fine-tuned retriever (Table 4); pooled at the last token: poolings = [\"last\"]",
    ),
    KnownModel(
        name="gme-qwen2-vl-7b", hub_id="Alibaba-NLP/gme-Qwen2-VL-7B-Instruct", kind="chat", hidden_size=3584,
        dtype="bfloat16", memory_gib=19, prompts="study",
        special="fine-tuned retriever (Table 4); pooled at the last token: poolings = [\"last\"]",
    ),
    KnownModel(
        name="vlm2vec-qwen2-vl-7b", hub_id="TIGER-Lab/VLM2Vec-Qwen2VL-7B", kind="chat", hidden_size=3584,
        dtype="bfloat16", memory_gib=19, prompts="study",
        special="fine-tuned retriever (Table 4); pooled at the last token: poolings = [\"last\"]",
    ),
    KnownModel(
        name="e5-v", hub_id="royokong/e5-v", kind="chat", hidden_size=4096, dtype="float16", memory_gib=20, prompts="study",
        special="fine-tuned retriever (Table 4), LLaVA-NeXT on Llama 3; pooled at the last token: poolings = [\"last\"]",
    ),
    KnownModel(
        name="lamra-ret", hub_id="code-kunkun/LamRA-Ret", kind="chat", hidden_size=3584, dtype="bfloat16", memory_gib=19,
        prompts="study", special="fine-tuned retriever (Table 4) on Qwen2-VL; pooled at the last token: poolings = [\"last\"]",
    ),
)  # fmt: skip

KNOWN: dict[str, KnownModel] = {row.name: row for row in _ROWS}
"""Every row by name."""


def find(name: str) -> KnownModel | None:
    """The row of that name or hub id; None where there is none."""
    return KNOWN.get(name) or next((row for row in _ROWS if row.hub_id and row.hub_id == name), None)


def known_models() -> list[dict[str, object]]:
    """Every row as a plain mapping, for tables and JSON."""
    from dataclasses import asdict

    return [asdict(row) for row in _ROWS]
