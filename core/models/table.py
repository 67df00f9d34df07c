"""The known models: one row each. Adding a model of a known kind is adding a row."""

from __future__ import annotations

from core.config import Family
from core.models.known import TWO_TOWERS, KnownModel
from core.models.retriever_rows import RETRIEVER_ROWS

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
        special=f"texts end at 77 tokens; {TWO_TOWERS}",
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
        special=f"texts padded to 64 tokens; {TWO_TOWERS}",
    ),
    *RETRIEVER_ROWS,
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
