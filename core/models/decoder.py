"""What chat and plain models share: a transformers image-text-to-text model whose decoder states are pooled.

Steps of `embed`: (1) items with and without an image go apart, since a processor call has images for all its texts or
for none; (2) the processor tokenises and pads on the right; (3) the inner model runs without its vocabulary head; hooks
keep the layers asked for and no others; (4) each view is pooled in float32 over its tokens. Where an answer is to be
read (`answer.py`), the same pass goes on over the answer header, whose tokens no other view sees.

Layers are counted as in transformers' `hidden_states`: 0 is the decoder's input, i the output of layer i, the last one
(-1) is taken after the final norm. A layer that is passed over (Llama-Vision's cross-attention, where there is no
image) gives out what went in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ModelError, NotAvailable
from core.models.answer import (
    ANSWER,
    BARE_TEMPLATE,
    BEHIND_HEADER,
    LARGEST,
    WORD,
    check_answers,
    is_words,
    next_words,
    no_header,
)
from core.models.base import ModelFacts
from core.models.image_tokens import ImageCounts, cross_attention_layers, grid, image_ids, placeholders
from core.models.outliers import MEASURE, NO_OUTLIERS, ordinary
from core.models.pooling import MASKED_ROLES, POOLINGS, last
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
        self._heard: dict[bool, bool] = {}

    @property
    def hidden_size(self) -> int:
        return self.facts.hidden_size

    @property
    def vocabulary(self) -> int:
        """Words the output head tells apart."""
        return int(self.model.config.get_text_config().vocab_size)

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

        rows = {view: self._room(view, len(items)) for view in views}
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
                inputs, rendered, prompts = self._inputs(group)
                labels = self._labels(inputs, rendered, prompts)
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

    def _room(self, view: EmbeddingView, rows: int) -> np.ndarray:
        if is_words(view):
            return np.empty((rows, min(LARGEST, self.vocabulary)), WORD)
        return np.empty((rows, 2 if view.pooling == MEASURE else self.hidden_size), np.float32)

    def _embed_group(self, items: list[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        behind = [view for view in views if view.pooling in BEHIND_HEADER]
        before = [view for view in views if view not in behind]
        if not behind:
            return self._pooled(items, views, [0] * len(items))
        header = self._header(items)
        if before and (header is None or self._hears_ahead(items[0])):
            return self._pooled(items, before, [0] * len(items)) | self._pooled(items, behind, None)
        return self._pooled(items, views, header)

    def _pooled(
        self, items: list[Item], views: Sequence[EmbeddingView], header: list[int] | None
    ) -> dict[EmbeddingView, np.ndarray]:
        """One pass over a group.

        Args:
            header: tokens of each item's answer header, all 0 for none; None: there is one, of unknown length, and
                every view lies behind it.
        """
        opened = header is None or any(header)
        inputs, rendered, prompts = self._inputs(items, opened)
        whole = inputs["attention_mask"].bool()
        attended = whole if header is None else _without_last(whole, header)
        # Outliers show in the states themselves; the other masks need the role of every token, which costs a second
        # tokenisation, so roles are found only where a view asks for them.
        masks = {view.mask for view in views} - {NO_OUTLIERS}
        if masks - {"all"}:
            labels = self._labels(inputs, self._turns(items)[0] if opened else rendered, prompts, attended)
        else:
            labels = []
        ends = {ANSWER: whole, "words": whole, "words-last": attended}
        spoken = [view for view in views if is_words(view)]
        at = [ends[view.pooling].sum(1) - 1 for view in spoken]
        layers = sorted({view.layer for view in views if view not in spoken})
        states, logits = self._states_and_logits(inputs, layers, at) if spoken else (self._states(inputs, layers), [])
        by_role = {mask: self._keep(mask, attended, labels, items) for mask in masks}
        pooled = {
            view: next_words(one, min(LARGEST, self.vocabulary)) for view, one in zip(spoken, logits, strict=True)
        }
        for view in [view for view in views if view not in spoken]:
            own = states[view.layer]  # where layers are spread, each layer's states lie on a device of their own
            if view.pooling == ANSWER:
                pooled[view] = last(own, whole.to(own.device)).cpu().numpy()
                continue
            keep = by_role[view.mask].to(own.device) if view.mask in masks else ordinary(own, attended.to(own.device))
            pooled[view] = POOLINGS[view.pooling](own, keep).cpu().numpy()
        return pooled

    def _header(self, items: list[Item]) -> list[int] | None:
        """Tokens each item's answer header adds; None where it does not only add (a merge with the token before it).

        Raises:
            NotAvailable: the model has no answer header.
        """
        check_answers(self.facts, [ANSWER])
        closed, opened = self._turns(items)[0], self._turns(items, answer=True)[0]
        if any(a == b for a, b in zip(closed, opened, strict=True)):
            raise no_header(self.facts, *BARE_TEMPLATE)
        tokens = [self.plain(rendered)["input_ids"] for rendered in (closed, opened)]
        adds = all(b[: len(a)] == a for a, b in zip(*tokens, strict=True))
        return [len(b) - len(a) for a, b in zip(*tokens, strict=True)] if adds else None

    def _hears_ahead(self, item: Item) -> bool:
        """Whether tokens behind a turn change its states, beyond rounding: measured once with and once without image.

        No decoder known here does with a chat template; a model that attends to its prompt in both directions would.
        """
        import torch

        kind = self.feeds_image(item)
        if kind not in self._heard:
            closed, opened = (self._states(self._inputs([item], flag)[0], [-1])[-1].float() for flag in (False, True))
            change = (opened[:, : closed.shape[1]] - closed).norm() / closed.norm()
            self._heard[kind] = float(change) > torch.finfo(self.model.dtype).eps ** 0.5
        return self._heard[kind]

    def _inputs(self, items: list[Item], answer: bool = False) -> tuple[Any, list[str], list[Prompt]]:
        rendered, prompts = self._turns(items, answer)
        return self._on_device(self.process(items, rendered)), rendered, prompts

    def _turns(self, items: Sequence[Item], answer: bool = False) -> tuple[list[str], list[Prompt]]:
        prompts = [prompt_of(self._harmless(item), self.facts.preset) for item in items]
        return [self.render(item, prompt, answer) for item, prompt in zip(items, prompts, strict=True)], prompts

    def _labels(
        self, inputs: Any, rendered: list[str], prompts: list[Prompt], attended: Tensor | None = None
    ) -> list[Labels]:
        """Roles of each item's tokens; `attended` (b, t) leaves out those of an answer header, as `rendered` does."""
        plain, tail = self.plain(rendered), self.tail()
        lengths = (inputs["attention_mask"] if attended is None else attended).sum(1).tolist()
        return [
            label(
                inputs["input_ids"][i, : lengths[i]].tolist(),
                plain["input_ids"][i],
                plain["offset_mapping"][i],
                rendered[i],
                prompts[i],
                self._image_ids,
                tail,
            )
            for i in range(len(rendered))
        ]

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
        with self._recording(layers, "pixel_values" in inputs) as states:
            self._inner(**inputs, use_cache=False, return_dict=True)
        return states

    def _states_and_logits(
        self, inputs: Any, layers: Sequence[int], at: list[Tensor]
    ) -> tuple[dict[int, Tensor], list[Tensor]]:
        """States, and next-word logits (b, v) at each of the positions (b,) of `at`.

        The model's own forward pass makes them, scaling and soft caps included; a hook hands its output head the
        states at these positions only, since (b, t, v) may not fit into memory.
        """
        import torch

        def here(_head: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            rows = torch.arange(len(args[0]), device=args[0].device)[:, None]
            return (args[0][rows, torch.stack(at, 1).to(args[0].device)], *args[1:])

        handle = self.model.get_output_embeddings().register_forward_pre_hook(here)
        try:
            with self._recording(layers, "pixel_values" in inputs) as states:
                logits = self.model(**inputs, use_cache=False, return_dict=True).logits
        finally:
            handle.remove()
        return states, list(logits.unbind(1))

    def _reached(self, at: int, has_image: bool) -> int:
        """The layer whose output stands at that place: layers that read an image are passed over without one."""
        while at < len(self._layers) and not has_image and at - 1 in self._crossing:
            at -= 1
        return at

    @contextmanager
    def _recording(self, layers: Sequence[int], has_image: bool) -> Iterator[dict[int, Tensor]]:
        """Gives a dictionary that holds the states (b, t, d) of these layers once the inner model has run inside."""
        # `output_hidden_states=True` would keep every layer of the batch; hooks keep those that are asked for.
        wanted = {layer: self._reached(layer % (len(self._layers) + 1), has_image) for layer in layers}
        recorded: dict[int, Tensor] = {}

        def before(_module: Any, args: Any, kwargs: Any) -> None:
            recorded[0] = args[0] if args else kwargs["hidden_states"]

        def after(at: int) -> Any:
            def hook(_module: Any, _args: Any, output: Any) -> None:
                recorded[at] = output[0] if isinstance(output, tuple) else output

            return hook

        def final(_module: Any, _args: Any, output: Any) -> None:
            # after the final norm, which no layer's hook sees
            recorded[len(self._layers)] = output.last_hidden_state

        inside = set(wanted.values()) - {len(self._layers)}
        handles = [self._layers[at - 1].register_forward_hook(after(at)) for at in inside if at]
        handles.append(self._inner.register_forward_hook(final))
        if 0 in inside:
            handles.append(self._layers[0].register_forward_pre_hook(before, with_kwargs=True))
        states: dict[int, Tensor] = {}
        try:
            yield states
            states |= {layer: recorded[at] for layer, at in wanted.items()}
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


def _without_last(attended: Tensor, counts: list[int]) -> Tensor:
    """(b, t) bool: `attended`, padded on the right, without the last `counts` tokens of each row."""
    import torch

    ends = attended.sum(1) - torch.tensor(counts, device=attended.device)
    return torch.arange(attended.shape[1], device=attended.device) < ends[:, None]


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
