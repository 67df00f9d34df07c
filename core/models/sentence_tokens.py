"""Tokens of a sentence-transformers model: how many an item has, and which of them is what.

The library tokenises inside `preprocess`. The string its tokenizer sees is written here once more, by the same
formatter and chat template, and aligned with the ids as `tokens.py` does.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.models.image_tokens import grid, image_ids
from core.models.tokens import Labels, label
from core.models.turns import Prompt
from core.records import Item

if TYPE_CHECKING:
    from torch import Tensor

MARK = "\u2042"  # an asterism: no template writes one


class SentenceTokens:
    """Tokens of one `Transformer` module."""

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._images: dict[tuple[int, int], int] = {}

    @cached_property
    def image_ids(self) -> frozenset[int]:
        """Ids that stand for image content; none for a model of texts."""
        processor = self._transformer.processor
        return (
            image_ids(processor, self._transformer.model.config)
            if hasattr(processor, "image_processor")
            else frozenset()
        )

    def length(self, item: Item, prompt: str | None) -> int:
        """Tokens of an item as the model sees it; a picture is measured once per size, on a blank one."""
        words = len(self._ids(self._rendered(Item("", "text", item.text or ""), prompt)))
        longest = self._transformer.max_seq_length
        words = min(words, longest) if longest else words
        if item.modality == "text":
            return words
        return max(1, words + self._of_image(item.picture.size))

    def labels(self, item: Item, prompt: str | None, ids: list[int]) -> Labels:
        """Roles and written forms of the tokens of one item.

        Args:
            ids: what the model gets, padding left out.
        """
        rendered = self._rendered(item, prompt)
        plain = self._transformer.tokenizer(
            rendered, return_offsets_mapping=True, add_special_tokens=not self._speaks, truncation=not self._speaks
        )
        words = Prompt((), "" if item.modality == "image" else item.text or "", "", prompt or "")
        tail = len(self._rendered(Item("", "text", MARK), prompt).rpartition(MARK)[2])
        return label(ids, plain["input_ids"], plain["offset_mapping"], rendered, words, self.image_ids, tail)

    def labels_in(self, items: list[Item], prompt: str | None, features: Any) -> list[Labels]:
        """`labels` of every item of a batch, from what `preprocess` and the modules gave for it."""
        ids, attended = features.get("input_ids"), attended_in(features)
        if ids is None:  # pictures of a model whose patches have no ids
            return [Labels(["image"] * int(row.sum()), [""] * int(row.sum())) for row in attended]
        return [self.labels(item, prompt, ids[row][attended[row]].tolist()) for row, item in enumerate(items)]

    def grids(self, items: list[Item], features: Any) -> list[tuple[int, int] | None]:
        """Rows and columns in which the image tokens of each item lie; None where they lie in no single grid."""
        if items[0].modality == "text" or "input_ids" not in features:
            return [None] * len(items)
        ids, processor = features["input_ids"].tolist(), self._transformer.processor
        return [grid(processor, features, row, ids[row], self.image_ids) for row in range(len(items))]

    @property
    def _speaks(self) -> bool:
        """Whether inputs go through a chat template, which writes the special tokens itself."""
        return "message" in self._transformer.modality_config

    def _ids(self, rendered: str) -> list[int]:
        return self._transformer.tokenizer(rendered, add_special_tokens=not self._speaks)["input_ids"]

    def _of_image(self, size: tuple[int, int]) -> int:
        """Tokens a picture of that size adds to an empty text."""
        from PIL import Image

        if size not in self._images:
            counts = [self._transformer.preprocess([one]).get("input_ids") for one in (Image.new("RGB", size), "")]
            found = [0 if ids is None else ids.shape[1] for ids in counts]
            self._images[size] = found[0] - found[1]
        return self._images[size]

    def _rendered(self, item: Item, prompt: str | None) -> str:
        """The string the tokenizer sees, with one placeholder for a picture."""
        if not self._speaks:
            return (prompt or "") + (item.text or "")
        formatter = self._transformer.input_formatter
        content: dict[str, Any] = {"image": item.image} if item.modality != "text" else {}
        content |= {"text": item.text or ""} if item.modality != "image" else {}
        messages = [formatter.to_message(content)]
        if prompt:
            messages = formatter.prepend_prompt_to_messages(messages, prompt)
        more = self._transformer.processing_kwargs.get("chat_template", {})
        return self._transformer.processor.apply_chat_template(messages[0], tokenize=False, **more)


def attended_in(features: Any) -> Tensor:
    """(b, t) bool: tokens of a batch that are no padding."""
    import torch

    states = features["token_embeddings"]
    mask = features.get("attention_mask")
    fits = mask is not None and mask.shape[1] == states.shape[1]
    return mask.bool() if fits else torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
