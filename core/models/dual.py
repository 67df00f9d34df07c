"""Dual encoders (CLIP and SigLIP classes): one tower per modality, compared by their projected embeddings.

An item with image and text is the sum of its two L2-normalised embeddings (UniIR's score fusion; the study does not
state how it fused them). Patch and token states are an approximation: such a model projects one pooled state only. Each
state goes through the same final norm and projection on its own (for SigLIP's attention pooling: through its head as if
it were the only patch). SigLIP 2 comes in two classes: of a fixed image size (the SigLIP class), and of any shape
("naflex": patches padded and masked).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import NotAvailable
from core.models.base import PROJECTED, ModelFacts
from core.models.stopwatch import Stopwatch
from core.models.tokens import written_form
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenRole, TokenStates

if TYPE_CHECKING:
    from torch import Tensor

FUSION = "sum of the two L2-normalised embeddings"


class DualAdapter:
    """Projected embeddings of one loaded dual encoder."""

    has_token_states = True
    can_generate = False
    vocabulary = 0

    def __init__(self, facts: ModelFacts, model: Any, processor: Any) -> None:
        self.facts, self.model, self.processor = facts, model, processor
        self.tokenizer = processor.tokenizer
        self.lock = threading.RLock()
        # The processor is shared as well: a call changes its padding. Whoever takes both locks takes this one first.
        self.preparing = threading.RLock()
        self.watch = Stopwatch()
        self._siglip = facts.model_type.startswith("siglip")
        # SigLIP attends to its padding: on which side it stands belongs to the model, and is left as it is.
        if not self._siglip:
            self.tokenizer.padding_side = "right"
        self.text_length = model.config.text_config.max_position_embeddings
        """Tokens a text is cut off at."""

    @property
    def hidden_size(self) -> int:
        return self.facts.hidden_size

    def embed(
        self, items: Sequence[Item], views: Sequence[EmbeddingView] = (PROJECTED,)
    ) -> dict[EmbeddingView, np.ndarray]:
        """See `Adapter.embed`; the only view of a dual encoder is `PROJECTED`."""
        return self.prepare(items, views)()

    def prepare(
        self, items: Sequence[Item], views: Sequence[EmbeddingView]
    ) -> Callable[[], dict[EmbeddingView, np.ndarray]]:
        """See `Prepares.prepare`."""
        import torch

        if any(view != PROJECTED for view in views):
            raise NotAvailable(
                f"{self.facts.name} has only its projected embedding", got=", ".join(map(str, views)), allowed=PROJECTED
            )
        by_modality = {
            modality: [i for i, item in enumerate(items) if modality in item.modality.split(",")]
            for modality in ("text", "image")
        }
        both = np.array([item.modality == "image,text" for item in items], bool)
        with self.preparing, torch.inference_mode(), self.watch.step("processor"):
            inputs = {
                modality: (self._words if modality == "text" else self._pixels)([items[i] for i in members])
                for modality, members in by_modality.items()
                if members
            }

        def embed() -> dict[EmbeddingView, np.ndarray]:
            rows = np.zeros((len(items), self.hidden_size), np.float32)
            with self.lock, torch.inference_mode():
                for modality, made in inputs.items():
                    members = by_modality[modality]
                    vectors = self._features(modality, made)
                    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                    rows[members] += np.where(both[members, None], unit, vectors)  # `FUSION`
            return dict.fromkeys(views, rows)

        return embed

    def lengths(self, items: Sequence[Item]) -> list[int]:
        """See `Adapter.lengths`: text tokens plus patches."""
        texts = [item.text or "" if item.modality != "image" else "" for item in items]
        with self.preparing:
            counts = [len(ids) for ids in self._tokenize(texts)["input_ids"]] if items else []
        return [
            (0 if item.modality == "image" else count) + (0 if item.modality == "text" else self._patches(item))
            for item, count in zip(items, counts, strict=True)
        ]

    def token_states(self, items: Sequence[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        """See `Adapter.token_states`; projected states (module docstring), of the last layer only."""
        import torch

        if place not in {LAST_STATE, PROJECTED.place}:
            raise NotAvailable(f"{self.facts.name} projects its last layer only", got=f"layer {place}", allowed=-1)
        with self.preparing, self.lock, torch.inference_mode():
            parts = [self._item_states(item) for item in items]
        counts = [len(states) for states, _, _ in parts]
        return TokenStates(
            states=np.concatenate([np.empty((0, self.hidden_size), np.float32), *(states for states, _, _ in parts)]),
            item=np.repeat(np.arange(len(parts)), counts),
            text=[text for _, texts, _ in parts for text in texts],
            role=[role for _, _, roles in parts for role in roles],
            grids=[self._grid(item) if item.modality != "text" else None for item in items],
        )

    def top_tokens(self, directions: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        """A dual encoder has no output head."""
        raise NotAvailable(
            f"{self.facts.name} has no output head", got=f"kind {self.facts.kind}", allowed="chat and plain models"
        )

    def generate(self, item: Item, prompt: str, max_new_tokens: int = 64) -> str:
        """A dual encoder does not generate."""
        raise NotAvailable(
            f"{self.facts.name} does not generate", got=f"kind {self.facts.kind}", allowed="chat and plain models"
        )

    def generate_all(self, items: Sequence[Item], prompt: str, max_new_tokens: int = 64) -> list[str]:
        """A dual encoder does not generate."""
        return [self.generate(item, prompt, max_new_tokens) for item in items]

    # Steps
    # ---------------------------------------------------------------------------------------------------------------

    def _grid(self, item: Item) -> tuple[int, int]:
        """(rows, columns) of an item's patches; no pixel is read."""
        config, pictures = self.model.config.vision_config, self.processor.image_processor
        if not hasattr(pictures, "max_num_patches"):
            side = config.image_size // config.patch_size
            return side, side
        from transformers.models.siglip2.image_processing_siglip2 import get_image_size_for_max_num_patches

        width, height = item.picture.size
        patch = pictures.patch_size
        rows, columns = get_image_size_for_max_num_patches(height, width, patch, pictures.max_num_patches)
        return rows // patch, columns // patch

    def _patches(self, item: Item) -> int:
        rows, columns = self._grid(item)
        return rows * columns + (0 if self._siglip else 1)

    def _features(self, modality: str, inputs: dict[str, Tensor]) -> np.ndarray:
        """(n, d) float32: one modality as projected."""
        with self.watch.step("transfer"):
            inputs = self._moved(inputs)
        with self.watch.step("model"):
            tower = self.model.get_text_features if modality == "text" else self.model.get_image_features
            return tower(**inputs).pooler_output.float().cpu().numpy()

    def _moved(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: values.to(self.model.device) for name, values in inputs.items()}

    def _ready(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs on the CPU in the model's type, in memory a GPU can copy from."""
        typed = {
            name: values.to(self.model.dtype) if values.is_floating_point() else values
            for name, values in inputs.items()
        }
        return {name: v.pin_memory() for name, v in typed.items()} if self.model.device.type == "cuda" else typed

    def _pixels(self, items: list[Item]) -> dict[str, Tensor]:
        """Pixels; for images of any shape also which patches are padding, and the shapes."""
        return self._ready(dict(self.processor.image_processor([item.image for item in items], return_tensors="pt")))

    def _tokenize(self, texts: list[str], **more: Any) -> Any:
        return self.tokenizer(texts, truncation=True, max_length=self.text_length, **more)

    def _words(self, items: list[Item]) -> dict[str, Tensor]:
        padding = "max_length" if self._siglip else True
        tokens = self._tokenize([item.text or "" for item in items], padding=padding, return_tensors="pt")
        # SigLIP was trained attending to its padding, so it gets no mask.
        names = ("input_ids",) if self._siglip else ("input_ids", "attention_mask")
        return self._ready({name: tokens[name] for name in names})

    def _item_states(self, item: Item) -> tuple[np.ndarray, list[str], list[TokenRole]]:
        """States (t, d), written forms and roles of one item: its patches, then its words."""
        states: list[np.ndarray] = []
        texts: list[str] = []
        roles: list[TokenRole] = []
        if item.modality != "text":
            patches = self._patch_states(item).float().cpu().numpy()
            states, texts, roles = [patches], [""] * len(patches), ["image"] * len(patches)
        if item.modality != "image":
            words, written = self._word_states(item)
            states.append(words.float().cpu().numpy())
            texts += written
            roles += ["text" if text else "template" for text in written]
        return np.concatenate(states), texts, roles

    def _patch_states(self, item: Item) -> Tensor:
        """Projected states (t, d) of the patches of an image, without the class token."""
        tower = self.model.vision_model
        hidden = tower(**self._moved(self._pixels([item]))).last_hidden_state[0]
        if self._siglip:
            return tower.head(hidden[: self._patches(item), None])
        return self.model.visual_projection(tower.post_layernorm(hidden[1:]))  # without the class token

    def _word_states(self, item: Item) -> tuple[Tensor, list[str]]:
        """Projected states (t, d) of the words of a text, and the stretch of text each stands for."""
        tower = self.model.text_model
        inputs = self._moved(self._words([item]))
        text = item.text or ""
        plain = self._tokenize([text], return_offsets_mapping=True)
        written = written_form(plain["offset_mapping"][0], text)
        hidden = tower(**inputs).last_hidden_state[0, : len(written)]
        return (tower.head if self._siglip else self.model.text_projection)(hidden), written
