"""How an item is sent to a `/v1/embeddings` endpoint: three dialects, by what each documents.

The client's share of the run's prompts is sent: the item's words with the instruction, and a system turn where the
prompts have one. The chat template is the server's share and is not sent.

- `openai`: `{"model", "input": [texts], "encoding_format": "float"}` (API reference of OpenAI, "Create embeddings").
  Text only: `input` is a string or tokens. Items with an image are left out.
- `vllm`: `{"model", "messages": [...], "encoding_format": "float"}`, one item per request; an image is a content part
  `{"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}` (vLLM's documentation, example
  `openai_chat_embedding_client_for_multimodal.py`). The server renders the messages by its chat template.
- `infinity`: `{"model", "input": [...], "modality": "text" | "image", "encoding_format": "float"}`, one modality per
  request; an image is its data URI (README of github.com/michaelfeil/infinity). An item with image and text cannot be
  sent and is left out, and an image goes without an instruction.

Pictures are sent as PNG, which loses nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.models.prompts import STYLES, Prompt
from core.records import Item

Dialect = Literal["openai", "vllm", "infinity"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
INPUTS = 16
"""Texts or images of one request."""


@dataclass(frozen=True, eq=False)
class Request:
    """One request: its body, and which items it asks for, in order."""

    body: dict[str, Any]
    items: tuple[int, ...]


def sendable(modality: str, dialect: Dialect) -> bool:
    """Whether a dialect has a way to send items of a modality."""
    return {"openai": modality == "text", "vllm": True, "infinity": modality != "image,text"}[dialect]


def requests(items: Sequence[Item], dialect: Dialect, model: str, preset: str) -> Iterator[Request]:
    """The requests for some items, all of which can be sent.

    Args:
        model: what the endpoint calls its model.
        preset: style of the run's prompts; "" for a model without prompts.
    """
    prompts = [_prompt(item, preset) for item in items]
    if dialect == "vllm":
        for at, (item, prompt) in enumerate(zip(items, prompts, strict=True)):
            yield Request({"model": model, "messages": _messages(item, prompt), "encoding_format": "float"}, (at,))
        return
    for modality in ("text", "image"):
        members = [at for at, item in enumerate(items) if item.modality == modality]
        for start in range(0, len(members), INPUTS):
            some = members[start : start + INPUTS]
            sent = [data_url(items[at]) if modality == "image" else _words(prompts[at]) for at in some]
            body: dict[str, Any] = {"model": model, "input": sent, "encoding_format": "float"}
            yield Request(body | ({"modality": modality} if dialect == "infinity" else {}), tuple(some))


def data_url(item: Item) -> str:
    """The item's picture as a data URL."""
    stream = io.BytesIO()
    item.picture.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _prompt(item: Item, preset: str) -> Prompt:
    return STYLES[preset or "chat"].prompt(item)


def _words(prompt: Prompt) -> str:
    """The words of a turn, its instruction with them."""
    return "".join(part for part in prompt.parts if part is not None)


def _messages(item: Item, prompt: Prompt) -> list[dict[str, Any]]:
    """A system turn where the prompts have one, and the user's turn."""
    parts = [
        {"type": "image_url", "image_url": {"url": data_url(item)}} if part is None else {"type": "text", "text": part}
        for part in prompt.parts
    ]
    system = prompt.frame.system
    opening = [{"role": "system", "content": [{"type": "text", "text": system}]}] if system is not None else []
    return [*opening, {"role": "user", "content": parts}]
