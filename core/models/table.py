"""The known models: one row each. Adding a model of a known kind is adding a row."""

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
    """Style of `[model] preset = "own"` and "auto"; "none" for a dual encoder."""
    special: str
    """What differs from the other models of its kind."""
    revision: str | None = None
    """Pinned commit, one whose files were seen listed on the hub; None where none is known for certain."""

    @property
    def folder(self) -> Path | None:
        """Local folder of shipped weights."""
        return None if self.hub_id else WEIGHTS / self.name

    @property
    def pooling(self) -> str:
        """What `[embedding] poolings` is where the user names none."""
        return "projected" if self.kind == "dual" else STYLES[self.prompts].pooling

    def memory(self, dtype: str, quantisation: str = "none") -> float:
        """GiB of memory needed in that type."""
        return memory_gib(self.parameters, dtype, quantisation)


_TWO_TOWERS = "image+text is the sum of both unit embeddings"
_TUNED = "fine-tuned retriever"

_ROWS = (
    KnownModel(
        name="demo-mllm",
        hub_id="",
        kind="chat",
        family="generative",
        hidden_size=256,
        dtype="float32",
        parameters=0.0081,
        prompts="study",
        special="trained on the demo world only, to generate, never with the study's prompts; 64 x 64 pixels, LLaVA "
        "class; the template adds a system turn and has an answer header",
    ),
    KnownModel(
        name="demo-mllm-captioner",
        hub_id="",
        kind="chat",
        family="generative",
        hidden_size=256,
        dtype="float32",
        parameters=0.0081,
        prompts="study",
        special="demo-mllm with another last stage: captions and questions, never asked for one word",
    ),
    KnownModel(
        name="demo-clip",
        hub_id="",
        kind="dual",
        family="contrastive",
        hidden_size=128,
        dtype="float32",
        parameters=0.0044,
        prompts="none",
        special="trained on the demo world only, contrastively; 64 x 64 pixels, CLIP class",
    ),
    KnownModel(
        name="qwen2-vl-7b",
        hub_id="Qwen/Qwen2-VL-7B-Instruct",
        kind="chat",
        family="generative",
        hidden_size=3584,
        dtype="bfloat16",
        parameters=8.29,
        prompts="study",
        revision="a7a06a1cc11b4514ce9edcde0e3ca1d16e5ff2fc",
        special="image tokens grow with the image; the template adds a system turn",
    ),
    KnownModel(
        name="qwen3-vl-8b",
        hub_id="Qwen/Qwen3-VL-8B-Instruct",
        kind="chat",
        family="generative",
        hidden_size=4096,
        dtype="bfloat16",
        parameters=8.77,
        prompts="study",
        special="image tokens grow with the image; visual features enter early layers too",
    ),
    KnownModel(
        name="paligemma2-3b",
        hub_id="google/paligemma2-3b-mix-224",
        kind="plain",
        family="generative",
        hidden_size=2304,
        dtype="bfloat16",
        parameters=3.03,
        prompts="study",
        special="gated; 256 image tokens; a text is fed with one black 112 x 112 image",
    ),
    KnownModel(
        name="chameleon-7b",
        hub_id="facebook/chameleon-7b",
        kind="plain",
        family="generative",
        hidden_size=4096,
        dtype="bfloat16",
        parameters=7.04,
        prompts="study",
        special="gated; images resized to 224 x 224; the assembled text is stripped",
    ),
    KnownModel(
        name="clip-vit-b32",
        hub_id="openai/clip-vit-base-patch32",
        kind="dual",
        family="contrastive",
        hidden_size=512,
        dtype="float32",
        parameters=0.151,
        prompts="none",
        special=f"texts end at 77 tokens; {_TWO_TOWERS}",
    ),
    KnownModel(
        name="siglip2-b16-512",
        hub_id="google/siglip2-base-patch16-512",
        kind="dual",
        family="contrastive",
        hidden_size=768,
        dtype="float32",
        parameters=0.375,
        prompts="none",
        special=f"texts padded to 64 tokens; {_TWO_TOWERS}",
    ),
    KnownModel(
        name="gme-qwen2-vl-2b",
        hub_id="Alibaba-NLP/gme-Qwen2-VL-2B-Instruct",
        kind="chat",
        family="tuned",
        hidden_size=1536,
        dtype="float32",
        parameters=2.21,
        prompts="gme",
        revision="cfeb66885b598de483cc04eb08c7d9da534d7afe",
        special=f"{_TUNED}: state of <|endoftext|>; 256 to 1280 image tokens; pinned to a commit of the plain Qwen2-VL "
        f"class, "
        "later ones bring code of their own; its cut at 1800 tokens is not applied",
    ),
    KnownModel(
        name="gme-qwen2-vl-7b",
        hub_id="Alibaba-NLP/gme-Qwen2-VL-7B-Instruct",
        kind="chat",
        family="tuned",
        hidden_size=3584,
        dtype="float32",
        parameters=8.29,
        prompts="gme",
        revision="477027a6480f8630363be77751f169cc3434b673",
        special=f"{_TUNED} (Table 4): as gme-qwen2-vl-2b",
    ),
    KnownModel(
        name="vlm2vec-qwen2-vl-7b",
        hub_id="TIGER-Lab/VLM2Vec-Qwen2VL-7B",
        kind="chat",
        family="tuned",
        hidden_size=3584,
        dtype="bfloat16",
        parameters=8.29,
        prompts="vlm2vec",
        special=f"{_TUNED} (Table 4): last token of a turn without template; the hub held only "
        f".bin files when last seen, "
        f""
        f""
        'which are refused: save them once as safetensors, name that folder, preset = "vlm2vec"; its own evaluation '
        "fixes the image resolution, here the processor decides",
    ),
    KnownModel(
        name="e5-v",
        hub_id="royokong/e5-v",
        kind="chat",
        family="tuned",
        hidden_size=4096,
        dtype="float16",
        parameters=8.36,
        prompts="e5-v",
        revision="f9a1119d21a0b3b68c86f01a641a541989caa7a4",
        special=f"{_TUNED}: LLaVA-NeXT on Llama 3, last token of its written Llama 3 turn (the repository has no chat "
        f"template); the "
        "prompt of image+text outside task 7 is not documented and ours",
    ),
    KnownModel(
        name="lamra-ret",
        hub_id="code-kunkun/LamRA-Ret",
        kind="chat",
        family="tuned",
        hidden_size=3584,
        dtype="bfloat16",
        parameters=8.29,
        prompts="lamra",
        revision="f86e40fba363563866ba8feec831773ec6af84f9",
        special=f"{_TUNED}: Qwen2-VL, the state before <emb>, which is the last of an opened answer; M-BEIR's query "
        f"instructions are "
        "not put in",
    ),
)

KNOWN: dict[str, KnownModel] = {row.name: row for row in _ROWS}
"""Every row by name."""


def find(name: str) -> KnownModel | None:
    """The row of that name or hub id; None where there is none."""
    return KNOWN.get(name) or next((row for row in _ROWS if row.hub_id and row.hub_id == name), None)


def family_of(model: str) -> Family:
    """The family of a row's name or hub id; "unknown" for a model the table does not know."""
    row = find(model)
    return row.family if row else "unknown"


def known_models() -> list[dict[str, object]]:
    """Every row as a plain mapping, for tables and JSON; `memory_gib` by compute type, see `memory.memory_gib`."""
    from dataclasses import asdict

    needs = {
        "float32": ("float32", "none"),
        "bfloat16": ("bfloat16", "none"),
        "8bit": ("bfloat16", "8bit"),
        "4bit": ("bfloat16", "4bit"),
    }
    return [
        asdict(row)
        | {
            "pooling": row.pooling,
            "memory_gib": {name: round(row.memory(*setting), 1) for name, setting in needs.items()},
        }
        for row in _ROWS
    ]
