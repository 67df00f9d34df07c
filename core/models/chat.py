"""Chat models: anything `AutoProcessor` and `AutoModelForImageTextToText` load that has a chat template.

Covers demo-mllm, the LLaVA family, Qwen2-VL and its successors, SmolVLM, Idefics3, Gemma 3, InternVL and Llama-Vision: one image per
item, one user turn, no generation prompt while embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from core.models.decoder import DecoderAdapter
from core.models.prompts import Prompt
from core.records import Item


class ChatAdapter(DecoderAdapter):
    """One user turn through the model's own chat template."""

    def render(self, item: Item, prompt: Prompt, answer: bool = False) -> str:
        content = [{"type": "image"} if part is None else {"type": "text", "text": part} for part in prompt.parts]
        return self._template(content, answer)

    def process(self, items: Sequence[Item], rendered: list[str]) -> Any:
        images = [[item.image] for item in items] if items[0].image is not None and items[0].modality != "text" else None
        return self.processor(
            images=images, text=list(rendered), padding=True, return_tensors="pt", add_special_tokens=self.adds_special(rendered)
        )

    def tail(self) -> int:
        return self._tail

    @cached_property
    def _tail(self) -> int:
        mark = "\u2042"
        return len(self._template([{"type": "text", "text": mark}], False).rpartition(mark)[2])

    def _template(self, content: list[dict[str, str]], answer: bool) -> str:
        turn = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=answer)
