"""Chat models: anything `AutoProcessor` and `AutoModelForImageTextToText` load that has a chat template.

Covers demo-mllm, the LLaVA family, Qwen2-VL and its successors, SmolVLM, Idefics3, Gemma 3, InternVL and Llama-Vision:
one image per item, one user turn, no generation prompt while embedding. SmolVLM, Idefics3, InternVL, LLaVA-NeXT and
LLaVA-OneVision cut an image into tiles: their image tokens have no single grid. Llama-Vision reads the image by
cross-attention: it has no image tokens at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from typing import Any

from core.errors import NotAvailable
from core.models.decoder import DecoderAdapter
from core.models.prompts import Prompt
from core.records import Item

DAY = date(2024, 7, 26)
"""Stands for today in templates that write a date (Llama-Vision's, into its system turn), so that embeddings do not
change overnight."""


class ChatAdapter(DecoderAdapter):
    """One user turn through the model's own chat template, or through the frame its prompts are written in."""

    def render(self, item: Item, prompt: Prompt, answer: bool = False) -> str:
        frame = prompt.frame
        if frame.written is not None:
            before, after = frame.written
            return (
                before + "".join(self.processor.image_token if part is None else part for part in prompt.parts) + after
            )
        content = [{"type": "image"} if part is None else {"type": "text", "text": part} for part in prompt.parts]
        turns = (
            [{"role": "system", "content": [{"type": "text", "text": frame.system}]}]
            if frame.system is not None
            else []
        )
        rendered = self._template([*turns, {"role": "user", "content": content}], answer or frame.answer)
        return rendered if answer else rendered + frame.ending

    def process(self, items: Sequence[Item], rendered: list[str]) -> Any:
        images = (
            [[item.image] for item in items] if items[0].image is not None and items[0].modality != "text" else None
        )
        return self.processor(
            images=images,
            text=list(rendered),
            padding=True,
            return_tensors="pt",
            add_special_tokens=self.adds_special(rendered),
        )

    def tail(self) -> int:
        return self._tail

    @cached_property
    def _tail(self) -> int:
        """Characters of the template behind the user's words: what follows a mark that stands for them."""
        mark = "\u2042"  # an asterism: no template writes one
        frame = self.style.frame
        return len(self.render(Item("", "text", mark), Prompt((mark,), mark, "", frame=frame)).rpartition(mark)[2])

    def _template(self, turns: list[dict[str, Any]], answer: bool) -> str:
        """Turns in the words of the chat template; `answer` opens the model's own turn."""
        if not self.processor.chat_template:
            raise NotAvailable(f"{self.facts.name} has no chat template", todo="ask a model that has one")
        return self.processor.apply_chat_template(turns, self._dated, tokenize=False, add_generation_prompt=answer)

    @cached_property
    def _dated(self) -> str | None:
        """The template with `DAY` where it writes today's date; None leaves the choice among several templates to the
        processor."""
        template = self.processor.chat_template
        if not isinstance(template, str):
            return None
        return re.sub(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)", lambda call: repr(DAY.strftime(call[2])), template)
