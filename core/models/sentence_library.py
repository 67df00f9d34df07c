"""The library sentence-transformers as it is called here: a model loaded, and an item as its input."""

from __future__ import annotations

import logging
from typing import Any

from core.config import ModelSpec
from core.models.base import ModelFacts
from core.models.device import device
from core.records import Item, Side

PROMPT_NAMES: dict[Side, tuple[str, ...]] = {"query": ("query",), "candidate": ("document", "passage", "corpus")}
"""Names under which `encode_query` and `encode_document` look for their prompt, in that order."""
TASKS: dict[Side, str] = {"query": "query", "candidate": "document"}
"""What they tell the modules; a `Router` sends each to modules of its own."""


def load_sentence_transformer(facts: ModelFacts, spec: ModelSpec, options: dict[str, Any], trusted: bool) -> Any:
    """The library's model in evaluation mode, where `options` place it.

    Args:
        options: arguments of `from_pretrained`.
        trusted: whether the repository's code may run.

    Raises:
        OSError, ValueError, ImportError: as the library says.
    """
    from sentence_transformers import SentenceTransformer

    quiet = logging.getLogger("sentence_transformers")
    before = quiet.level
    quiet.setLevel(logging.ERROR)  # it warns of what concerns no embedding
    try:
        model = SentenceTransformer(
            facts.source,
            revision=facts.revision or None,
            device=None if "device_map" in options else device(),
            local_files_only=not facts.revision,
            trust_remote_code=trusted,
            truncate_dim=spec.truncate_dim,
            model_kwargs=dict(options),
        )
    finally:
        quiet.setLevel(before)
    return model.eval()


def own_prompt(model: Any, side: Side) -> str | None:
    """The prompt that `encode_query` or `encode_document` of a loaded model takes."""
    named = (name for name in PROMPT_NAMES[side] if name in model.prompts)
    name = next(named, model.default_prompt_name)
    return None if name is None else model.prompts.get(name)


def as_input(item: Item, modality: str) -> Any:
    """An item as the library takes it. It would read a text that is the address or path of a picture as that picture:
    such a text is named as one."""
    from sentence_transformers.base.modality import infer_modality

    text: Any = item.text or ""
    if modality == "text":
        return text if infer_modality(text) == "text" else {"text": text}
    return item.picture if modality == "image" else {"image": item.picture, "text": text}
