"""What chat and plain models share: a transformers image-text-to-text model whose decoder states are pooled.

Steps of `embed`: (1) items with and without an image go apart, since a processor call has images for all its texts or
for none; (2) the processor tokenises and pads on the right; (3) the inner model runs without its vocabulary head; hooks
keep the layers asked for and no others; (4) each view is pooled in float32 over its tokens. Layers are counted as in
transformers' `hidden_states`: 0 is the decoder's input, i the output of layer i, the last one (-1) is taken after the
final norm. A layer that is passed over (Llama-Vision's cross-attention, where there is no image) gives out what went
in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ModelError, NotAvailable
from core.models.base import ModelFacts
from core.models.image_tokens import ImageCounts, cross_attention_layers, grid, image_ids, placeholders
from core.models.outliers import MEASURE, NO_OUTLIERS, ordinary
from core.models.pooling import MASKED_ROLES, POOLINGS
from core.models.prompts import Prompt, prompt_of
from core.models.tokens import Labels, label
from core.records import EmbeddingView, Item, TokenStates

if TYPE_CHECKING:
    from torch import Tensor


class DecoderAdapter:
    """Embeddings, token states, logit lens and generation of one loaded model."""

    has_token_states = True
    can_generate = True

    def __init__(self, facts: ModelFacts, model: Any, processor: Any) -> None:
        self.facts, self.model, self.processor = facts, model, processor
        self.tokenizer = processor.tokenizer
        if not getattr(self.tokenizer, "is_fast", True):
            raise ModelError(
                "the tokenizer gives no character offsets",
                got=type(self.tokenizer).__name__,
                allowed="a fast tokenizer",
            )
        # Right padding: tokens of an item then begin at column 0, and `states[row, :length]` are its own.
        self.tokenizer.padding_side = "right"
        # One model, many browser sessions: hooks of two passes at once would record into each other.
        self.lock = threading.RLock()
        self._image_ids = image_ids(processor, model.config)
        self._count_image = ImageCounts(processor, self._measured_image)
        self._crossing = cross_attention_layers(model.config)
        self._inner = model.base_model  # without the vocabulary head: logits of every token would take gigabytes
        self._layers = _decoder_layers(model)

    @property
    def hidden_size(self) -> int:
        return self.facts.hidden_size

    # What a kind decides
    # -------------------------------------------------------------------------------------------------

    def render(self, item: Item, prompt: Prompt, answer: bool = False) -> str:
        """The string the tokenizer sees, with one placeholder for the image; `answer` opens the model's turn."""
        raise NotImplementedError

    def process(self, items: Sequence[Item], rendered: list[str]) -> Any:
        """Model inputs of items that all have, or all lack, an image; padded on the right."""
        raise NotImplementedError

    def image_tokens(self, item: Item) -> int:
        """Tokens that replace the item's placeholder."""
        return self._count_image(item.picture.size)

    def plain(self, rendered: list[str]) -> Any:
        """The rendered strings tokenised as they stand, with offsets."""
        return self.tokenizer(rendered, add_special_tokens=self.adds_special(rendered), return_offsets_mapping=True)

    def adds_special(self, rendered: list[str]) -> bool:
        """Whether the tokenizer should add its own special tokens; not where the template wrote them already."""
        bos = self.tokenizer.bos_token
        return not (bos and rendered[0].startswith(bos))

    def tail(self) -> int:
        """Characters that follow the user's words in a rendered string."""
        return 0

    # The adapter protocol
    # ------------------------------------------------------------------------------------------------

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        """See `Adapter.embed`."""
        import torch

        width = {MEASURE: 2}
        rows = {view: np.empty((len(items), width.get(view.pooling, self.hidden_size)), np.float32) for view in views}
        with self.lock, torch.inference_mode():
            for members in self._groups(items):
                pooled = self._embed_group([items[i] for i in members], views)
                for view, values in pooled.items():
                    rows[view][members] = values
        return rows

    def lengths(self, items: Sequence[Item]) -> list[int]:
        """See `Adapter.lengths`; no pixel is read."""
        rendered, _ = self._turns(items)
        marks = getattr(
            self.processor, "full_image_sequence", None
        )  # Gemma 3: line breaks around it can join those of the text
        if marks:
            rendered = [r.replace(self.processor.image_token, marks) for r in rendered]
        counts = [len(ids) for ids in self.plain(rendered)["input_ids"]] if rendered else []
        return [
            n + (self.image_tokens(i) - 1 if self.feeds_image(i) and not marks else 0)
            for n, i in zip(counts, items, strict=True)
        ]

    def token_states(self, items: Sequence[Item], layer: int = -1) -> TokenStates:
        """See `Adapter.token_states`."""
        import torch

        by_item: dict[int, tuple[np.ndarray, Labels, tuple[int, int] | None]] = {}
        with self.lock, torch.inference_mode():
            for members in self._groups(items):
                group = [items[i] for i in members]
                inputs, labels = self._labelled(group)
                states = self._states(inputs, [layer])[layer].float().cpu().numpy()
                lengths = inputs["attention_mask"].sum(1).tolist()
                grids = self._grids(inputs, group)
                for at, member in enumerate(members):
                    by_item[member] = (states[at, : lengths[at]], labels[at], grids[at])
        return _token_states([by_item[i] for i in range(len(items))], self.hidden_size)

    def top_tokens(self, directions: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        """See `Adapter.top_tokens`. Nothing but the unembedding is applied: no final norm, no soft cap, no bias."""
        import torch

        head = self.model.get_output_embeddings()  # called, not read: its weights may lie elsewhere until then
        with self.lock, torch.inference_mode():
            rows = torch.as_tensor(np.array(directions)).to(computed_on(head, head.weight.device), head.weight.dtype)
            # head(0) is the bias: the same for every direction, it would fill the list with frequent tokens.
            scores = head(rows) if head.bias is None else head(rows) - head(torch.zeros_like(rows))
            best = scores.float().topk(k, dim=1)
        decode = self.tokenizer.decode
        return [
            [(decode([i]), v) for i, v in zip(ids, values, strict=True)]
            for ids, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def generate(self, item: Item, prompt: str, max_new_tokens: int = 64) -> str:
        """See `Adapter.generate`."""
        import torch

        own = prompt_of(item, "chat")
        request = Prompt((*own.parts, prompt), own.text, prompt)
        with self.lock, torch.inference_mode():
            inputs = self._on_device(self.process([item], [self.render(item, request, answer=True)]))
            ids = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, use_cache=True)
        return self.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()

    # Steps
    # ---------------------------------------------------------------------------------------------------------------

    def feeds_image(self, item: Item) -> bool:
        """Whether the model is given an image for this item."""
        return item.modality != "text"

    def _groups(self, items: Sequence[Item]) -> list[list[int]]:
        # A processor call takes images for all of its texts or for none.
        apart = {flag: [i for i, item in enumerate(items) if self.feeds_image(item) == flag] for flag in (False, True)}
        return [members for members in apart.values() if members]

    def _embed_group(self, items: list[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        # Outliers show in the states themselves; the other masks need the role of every token, which costs a second
        # tokenisation, so roles are found only where a view asks for them.
        masks = {view.mask for view in views} - {NO_OUTLIERS}
        inputs, labels = self._labelled(items) if masks - {"all"} else (self._inputs(items)[0], [])
        states = self._states(inputs, sorted({view.layer for view in views}))
        attended = inputs["attention_mask"].bool()
        by_role = {mask: self._keep(mask, attended, labels, items) for mask in masks}
        pooled = {}
        for view in views:
            own = states[view.layer]  # where layers are spread, each layer's states lie on a device of their own
            keep = by_role[view.mask].to(own.device) if view.mask in masks else ordinary(own, attended.to(own.device))
            pooled[view] = POOLINGS[view.pooling](own, keep).cpu().numpy()
        return pooled

    def _inputs(self, items: list[Item]) -> tuple[Any, list[str], list[Prompt]]:
        rendered, prompts = self._turns(items)
        return self._on_device(self.process(items, rendered)), rendered, prompts

    def _turns(self, items: Sequence[Item]) -> tuple[list[str], list[Prompt]]:
        prompts = [prompt_of(self._harmless(item), self.facts.preset) for item in items]
        return [self.render(item, prompt) for item, prompt in zip(items, prompts, strict=True)], prompts

    def _labelled(self, items: list[Item]) -> tuple[Any, list[Labels]]:
        inputs, rendered, prompts = self._inputs(items)
        plain, tail = self.plain(rendered), self.tail()
        lengths = inputs["attention_mask"].sum(1).tolist()
        labels = [
            label(
                inputs["input_ids"][i, : lengths[i]].tolist(),
                plain["input_ids"][i],
                plain["offset_mapping"][i],
                rendered[i],
                prompts[i],
                self._image_ids,
                tail,
            )
            for i in range(len(items))
        ]
        return inputs, labels

    def _keep(self, mask: str, attended: Tensor, labels: list[Labels], items: list[Item]) -> Tensor:
        import torch

        if mask == "all":
            return attended
        keep = torch.zeros_like(attended)
        for row, one in enumerate(labels):
            counted = [role in MASKED_ROLES[mask] for role in one.roles]
            if not any(counted):
                raise NotAvailable(
                    f"mask {mask!r} leaves no token of item {items[row].id!r}",
                    got=f"an item of modality {items[row].modality}",
                    todo="leave this mask out of [embedding] masks, or these items out of the corpus",
                )
            keep[row, : len(counted)] = torch.tensor(counted, device=keep.device)
        return keep

    def _states(self, inputs: Any, layers: Sequence[int]) -> dict[int, Tensor]:
        # `output_hidden_states=True` would keep every layer of the batch; hooks keep those that are asked for.
        wanted = {layer: self._reached(layer % (len(self._layers) + 1), "pixel_values" in inputs) for layer in layers}
        with self._recording({at for at in wanted.values() if at < len(self._layers)}) as recorded:
            output = self._inner(**inputs, use_cache=False, return_dict=True)
        recorded[len(self._layers)] = output.last_hidden_state  # after the final norm, which no layer's hook sees
        return {layer: recorded[at] for layer, at in wanted.items()}

    def _reached(self, at: int, has_image: bool) -> int:
        """The layer whose output stands at that place: layers that read an image are passed over without one."""
        while at < len(self._layers) and not has_image and at - 1 in self._crossing:
            at -= 1
        return at

    @contextmanager
    def _recording(self, wanted: set[int]) -> Iterator[dict[int, Any]]:
        recorded: dict[int, Any] = {}

        def before(_module: Any, args: Any, kwargs: Any) -> None:
            recorded[0] = args[0] if args else kwargs["hidden_states"]

        def after(at: int) -> Any:
            def hook(_module: Any, _args: Any, output: Any) -> None:
                recorded[at] = output[0] if isinstance(output, tuple) else output

            return hook

        handles = [self._layers[at - 1].register_forward_hook(after(at)) for at in wanted if at]
        if 0 in wanted:
            handles.append(self._layers[0].register_forward_pre_hook(before, with_kwargs=True))
        try:
            yield recorded
        finally:  # also after a failure: a hook left behind would record, and hold memory, for ever
            for handle in handles:
                handle.remove()

    def _on_device(self, inputs: Any) -> Any:
        import torch

        dtype, device = self.model.dtype, input_device(self.model)
        # Labels, where a processor adds them, are for training.
        named = {k: v for k, v in inputs.items() if k != "labels" and v is not None}
        return {
            k: (
                v.to(device, dtype)
                if torch.is_tensor(v) and v.is_floating_point()
                else v.to(device)
                if torch.is_tensor(v)
                else v
            )
            for k, v in named.items()
        }

    def _harmless(self, item: Item) -> Item:
        """The item with a broken-up image placeholder where its own text spells one: it would count as an image."""
        from dataclasses import replace

        text = item.text or ""
        for token in placeholders(self.processor):
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return replace(item, text=text) if text != (item.text or "") else item

    def _measured_image(self, size: tuple[int, int]) -> int:
        """Tokens a blank picture of that size takes, for processors that do not say."""
        from PIL import Image

        rendered, _ = self._turns([blank := Item("", "image", None, Image.new("RGB", size))])
        whole = self.process([blank], rendered)["input_ids"].shape[1]
        return whole - len(self.plain(rendered)["input_ids"][0]) + 1

    def _grids(self, inputs: Any, items: list[Item]) -> list[tuple[int, int] | None]:
        ids = inputs["input_ids"].tolist()
        return [
            None if i.modality == "text" else grid(self.processor, inputs, n, ids[n], self._image_ids)
            for n, i in enumerate(items)
        ]


def input_device(model: Any) -> Any:
    """Where inputs go: the model's device, or that of its embedding table where accelerate has spread the layers.

    Layers moved out of the GPU have no device of their own ("meta"): what counts is where they are computed.
    """
    return computed_on(model.get_input_embeddings(), model.device)


def computed_on(module: Any, otherwise: Any) -> Any:
    """The device accelerate computes a module on; `otherwise` where it is not accelerate's."""
    return getattr(getattr(module, "_hf_hook", None), "execution_device", None) or otherwise


def _decoder_layers(model: Any) -> Any:
    decoder = model.get_decoder()
    if model.config.is_encoder_decoder:
        raise ModelError(
            "the model reads its input with an encoder", got=model.config.model_type, allowed="a decoder-only model"
        )
    if not hasattr(decoder, "layers"):
        raise ModelError(
            "the decoder's layers were not found", got=type(decoder).__name__, allowed="a decoder with `.layers`"
        )
    return decoder.layers


def _token_states(parts: list[tuple[np.ndarray, Labels, tuple[int, int] | None]], width: int) -> TokenStates:
    counts = [len(states) for states, _, _ in parts]
    return TokenStates(
        states=np.concatenate([np.empty((0, width), np.float32), *(states for states, _, _ in parts)]),
        item=np.repeat(np.arange(len(parts)), counts),
        text=[t for _, labels, _ in parts for t in labels.texts],
        role=[r for _, labels, _ in parts for r in labels.roles],
        grids=[grid for _, _, grid in parts],
    )
