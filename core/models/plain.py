"""Models without a chat template: PaliGemma and Chameleon, with the released code's quirks (docs/study.md section 2).

PaliGemma: `<image>` + text, and one black 112 x 112 image where the item has none. Chameleon: images resized to 224 x
224 (Lanczos), `<image>` + text, the assembled text stripped, so its prompt has no trailing space.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from core.models.decoder import DecoderAdapter
from core.models.prompts import Prompt
from core.records import Item

DUMMY_SIDE = 112
CHAMELEON_SIDE = 224


class PaliGemmaAdapter(DecoderAdapter):
    """`<image><bos>text\\n`.

    The model was trained to attend to such a prefix in both directions, which `token_type_ids` turn on. The released
    code does not pass them, so the `study` preset attends causally; the `chat` preset and `generate` do what the model
    was trained for.
    """

    def render(self, item: Item, prompt: Prompt, answer: bool = False) -> str:
        words = "".join(part for part in prompt.parts if part is not None)
        return f"{self.processor.image_token}{self.tokenizer.bos_token}{words}\n"

    def process(self, items: Sequence[Item], rendered: list[str]) -> Any:
        opening = f"{self.processor.image_token}{self.tokenizer.bos_token}"
        # The processor adds <bos> and \n itself.
        texts = [self.processor.image_token + r[len(opening) : -1] for r in rendered]
        images = [[item.image if item.modality != "text" else self._dummy] for item in items]
        return self.processor(images=images, text=texts, padding=True, return_tensors="pt")

    def processed(self, items: list[Item], answer: bool = False) -> tuple[Any, list[str], list[Prompt]]:
        inputs, rendered, prompts = super().processed(items, answer)
        if self.facts.preset == "study":
            inputs.pop("token_type_ids", None)
        return inputs, rendered, prompts

    def adds_special(self, rendered: list[str]) -> bool:
        return False

    def feeds_image(self, item: Item) -> bool:
        return True

    def image_tokens(self, item: Item) -> int:
        return int(self.processor.image_seq_length)

    def tail(self) -> int:
        return 1

    @cached_property
    def _dummy(self) -> Any:
        """The black image that stands for none."""
        from PIL import Image

        return Image.new("RGB", (DUMMY_SIDE, DUMMY_SIDE))


class ChameleonAdapter(DecoderAdapter):
    """`<image>text<sep>`, stripped."""

    def render(self, item: Item, prompt: Prompt, answer: bool = False) -> str:
        parts = (self.processor.image_token if part is None else part for part in prompt.parts)
        return "".join(parts).strip() + (self.tokenizer.sep_token or "")

    def process(self, items: Sequence[Item], rendered: list[str]) -> Any:
        from PIL import Image

        end = -self.tail() or None
        texts = [r[:end] for r in rendered]  # the processor adds the separator itself
        side = (CHAMELEON_SIDE, CHAMELEON_SIDE)
        images = [
            [item.picture.convert("RGB").resize(side, Image.Resampling.LANCZOS)]
            for item in items
            if item.modality != "text"
        ]
        return self.processor(images=images or None, text=texts, padding=True, return_tensors="pt")

    def image_tokens(self, item: Item) -> int:
        return int(self.processor.image_seq_length) + 2

    def tail(self) -> int:
        return len(self.tokenizer.sep_token or "")


PLAIN = {"paligemma": PaliGemmaAdapter, "chameleon": ChameleonAdapter}
"""Adapter by transformers' `model_type`."""
