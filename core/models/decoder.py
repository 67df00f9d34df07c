"""What chat and plain models share: a transformers image-text-to-text model whose decoder states are pooled.

Steps of `embed`: (1) items with and without an image go apart, since a processor call has images for all its texts or
for none; (2) the processor tokenises and pads on the right; (3) one forward pass gives the states of the layers that
the views need (`states.py`); (4) each view is pooled in float32 over its tokens. Where an answer is to be read
(`answer.py`), the same pass goes on over the answer header, whose tokens no other view sees. `prepare` does (1) and
(2), so that another thread may do them while the model is at work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from core.models.cutting import TokenCut, cut_tokens
from core.models.image_tokens import ImageCounts, grid, image_ids, without_placeholders
from core.models.outliers import MEASURE, NO_OUTLIERS, ordinary
from core.models.pooling import POOLINGS, last, tokens_in_mask
from core.models.prompts import STYLES, Prompt, prompt_of
from core.models.rendered import RenderedTurns
from core.models.states import StateReader, computed_on, input_device
from core.models.stopwatch import Stopwatch
from core.models.tokens import Labels, label
from core.records import LAST_STATE, EmbeddingView, Item, StatePlace, TokenStates

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class _Pass:
    """One pass of the model, prepared on the CPU.

    Attributes:
        inputs: of items that a processor call takes together.
        views: what is read of it.
        whole: (b, t) bool, False for padding.
        attended: the same without the answer header.
        by_role: (b, t) bool by mask, for the masks that go by roles.
    """

    inputs: dict[str, Any]
    views: list[EmbeddingView]
    whole: Tensor
    attended: Tensor
    by_role: dict[str, Tensor]


class DecoderAdapter:
    """Embeddings, token states, logit lens and generation of one loaded model."""

    has_token_states = True
    can_generate = True

    def __init__(self, facts: ModelFacts, model: Any, processor: Any) -> None:
        self.facts, self.model, self.processor = facts, model, processor
        self.style = STYLES[facts.preset]
        self.cut: TokenCut | None = None
        """How items without an image are cut off; None: not at all. Only `asking.asked` sets one."""
        self.tokenizer = processor.tokenizer
        if not getattr(self.tokenizer, "is_fast", True):
            raise ModelError(
                "the tokenizer gives no character offsets",
                got=type(self.tokenizer).__name__,
                allowed="a fast tokenizer",
            )
        # Padding on the right: the tokens of every item begin at column 0, so `states[row, :length]` are its own.
        self.tokenizer.padding_side = "right"
        # Browser sessions are threads that share one model: two passes at once would record into each other's hooks.
        self.lock = threading.RLock()
        # The processor is shared as well: a call changes its padding. Whoever takes both locks takes this one first.
        # Reentrant, because image tokens of unknown sizes are counted while it is held.
        self.preparing = threading.RLock()
        self.watch = Stopwatch()
        self._turns_made = RenderedTurns(self.render, self.plain)
        self._image_ids = image_ids(processor, model.config)
        self._count_image = ImageCounts(processor, self._measured_image)
        self._reader = StateReader(model)
        self._ahead: dict[bool, bool] = {}
        """Answers of `_attends_ahead`, without and with an image."""

    @property
    def hidden_size(self) -> int:
        return self.facts.hidden_size

    @property
    def vocabulary(self) -> int:
        """Words the output head tells apart."""
        return int(self.model.config.get_text_config().vocab_size)

    # What a kind of model decides
    # ----------------------------------------------------------------------------------------

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

    def processed(self, items: list[Item], answer: bool = False) -> tuple[Any, list[str], list[Prompt]]:
        """Model inputs on the CPU, the rendered strings and the prompts they were made of."""
        rendered, prompts = self._turns(items, answer)
        inputs = self.process(items, rendered)
        if self.cut is not None and not self.feeds_image(items[0]):
            inputs = cut_tokens(inputs, self.cut)
        return inputs, rendered, prompts

    def inputs(self, items: list[Item], answer: bool = False) -> tuple[Any, list[str], list[Prompt]]:
        """The same with the inputs on the model's device."""
        with self.preparing:
            inputs, rendered, prompts = self.processed(items, answer)
        return self._on_device(inputs), rendered, prompts

    # The adapter protocol
    # ------------------------------------------------------------------------------------------------

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        """See `Adapter.embed`."""
        return self.prepare(items, views)()

    def prepare(
        self, items: Sequence[Item], views: Sequence[EmbeddingView]
    ) -> Callable[[], dict[EmbeddingView, np.ndarray]]:
        """See `Prepares.prepare`."""
        import torch

        groups = self._groups(items)
        with self.preparing, torch.inference_mode(), self.watch.step("processor"):
            passes = [self._passes([items[i] for i in members], views) for members in groups]

        def embed() -> dict[EmbeddingView, np.ndarray]:
            rows = {view: self._empty_rows(view, len(items)) for view in views}
            with self.lock, torch.inference_mode():
                for members, of_group in zip(groups, passes, strict=True):
                    for one in of_group:
                        for view, values in self._pooled(one).items():
                            rows[view][members] = values
            return rows

        return embed

    def lengths(self, items: Sequence[Item]) -> list[int]:
        """See `Adapter.lengths`; no pixel is read."""
        with self.preparing:
            return self._lengths(items)

    def _lengths(self, items: Sequence[Item]) -> list[int]:
        rendered, _ = self._turns(items)
        # Gemma 3 puts line breaks around the image, which the tokenizer may join with those of the text: only the whole
        # string can be counted. Elsewhere the image's own tokens are added to those of the text.
        marks = getattr(self.processor, "full_image_sequence", None)
        if marks:
            rendered = [r.replace(self.processor.image_token, marks) for r in rendered]
        counts = [len(plain.ids) for plain in self._turns_made.tokens(rendered)]
        return [
            n + (self.image_tokens(i) - 1 if self.feeds_image(i) and not marks else 0)
            for n, i in zip(counts, items, strict=True)
        ]

    def token_states(self, items: Sequence[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        """See `Adapter.token_states`."""
        import torch

        by_item: dict[int, tuple[np.ndarray, Labels, tuple[int, int] | None]] = {}
        with torch.inference_mode():
            for members in self._groups(items):
                group = [items[i] for i in members]
                with self.preparing:
                    inputs, rendered, prompts = self.processed(group)
                    labels = self._labels(inputs, rendered, prompts)
                    grids = self._grids(inputs, group)
                with self.lock:
                    states = self._reader.states(self._on_device(inputs), [place])[place].float().cpu().numpy()
                lengths = inputs["attention_mask"].sum(1).tolist()
                for at, member in enumerate(members):
                    by_item[member] = (states[at, : lengths[at]], labels[at], grids[at])
        parts = [by_item[i] for i in range(len(items))]
        return TokenStates(
            states=np.concatenate([np.empty((0, self.hidden_size), np.float32), *(states for states, _, _ in parts)]),
            item=np.repeat(np.arange(len(parts)), [len(states) for states, _, _ in parts]),
            text=[text for _, labels, _ in parts for text in labels.texts],
            role=[role for _, labels, _ in parts for role in labels.roles],
            grids=[grid for _, _, grid in parts],
        )

    def top_tokens(self, directions: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        """See `Adapter.top_tokens`. Nothing but the unembedding is applied: no final norm, no soft cap, no bias."""
        import torch

        # The head is called and its weights are not read: where accelerate keeps them elsewhere, a call brings them.
        head = self.model.get_output_embeddings()
        with self.lock, torch.inference_mode():
            rows = torch.as_tensor(np.array(directions)).to(computed_on(head, head.weight.device), head.weight.dtype)
            # head(0) is the bias: the same for every direction, it would fill the list with frequent tokens.
            scores = head(rows) if head.bias is None else head(rows) - head(torch.zeros_like(rows))
            best = scores.float().topk(k, dim=1)
        decode = self.tokenizer.decode
        with self.preparing:
            return [
                [(decode([i]), v) for i, v in zip(ids, values, strict=True)]
                for ids, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ]

    def generate(self, item: Item, prompt: str, max_new_tokens: int = 64) -> str:
        """See `Adapter.generate`."""
        return self.generate_all([item], prompt, max_new_tokens)[0]

    def generate_all(self, items: Sequence[Item], prompt: str, max_new_tokens: int = 64) -> list[str]:
        """See `Adapter.generate_all`."""
        import torch

        answers = [""] * len(items)
        with torch.inference_mode():
            for members in self._groups(items):
                group = [items[i] for i in members]
                with self.preparing:
                    rendered = [self.render(item, _request(item, prompt), answer=True) for item in group]
                    # Padding stands on the left here: the first new token must follow the last one of the request.
                    self.tokenizer.padding_side = "left"
                    try:
                        inputs = self.process(group, rendered)
                    finally:
                        self.tokenizer.padding_side = "right"
                with self.lock:
                    ids = self.model.generate(
                        **self._on_device(inputs),
                        max_new_tokens=max_new_tokens,
                        do_sample=False,
                        num_beams=1,
                        use_cache=True,
                    )
                with self.preparing:
                    for member, row in zip(members, ids[:, inputs["input_ids"].shape[1] :], strict=True):
                        answers[member] = self.tokenizer.decode(row, skip_special_tokens=True).strip()
        return answers

    # Steps
    # ---------------------------------------------------------------------------------------------------------------

    def feeds_image(self, item: Item) -> bool:
        """Whether the model is given an image for this item."""
        return item.modality != "text"

    def _groups(self, items: Sequence[Item]) -> list[list[int]]:
        """Positions of items without an image and of those with one: a processor call takes images for all of its texts
        or for none."""
        apart = {flag: [i for i, item in enumerate(items) if self.feeds_image(item) == flag] for flag in (False, True)}
        return [members for members in apart.values() if members]

    def _empty_rows(self, view: EmbeddingView, rows: int) -> np.ndarray:
        """Where the results of a view go: embeddings (n, d), the two figures of outliers, or next words."""
        if is_words(view):
            return np.empty((rows, min(LARGEST, self.vocabulary)), WORD)
        return np.empty((rows, 2 if view.pooling == MEASURE else self.hidden_size), np.float32)

    def _passes(self, items: list[Item], views: Sequence[EmbeddingView]) -> list[_Pass]:
        """All views of items that a processor call takes together: one pass, or two where the answer header would
        change what stands before it."""
        behind = [view for view in views if view.pooling in BEHIND_HEADER]
        if behind and self.cut is not None:
            raise NotAvailable(f"a token limit leaves no answer header of {self.facts.name}", got=str(self.cut))
        before = [view for view in views if view not in behind]
        if not behind:
            return [self._prepared(items, views, [0] * len(items))]
        header = self._header(items)
        if before and (header is None or self._attends_ahead(items[0])):
            return [self._prepared(items, before, [0] * len(items)), self._prepared(items, behind, None)]
        return [self._prepared(items, views, header)]

    def _prepared(self, items: list[Item], views: Sequence[EmbeddingView], header: list[int] | None) -> _Pass:
        """What one pass over a group needs.

        Args:
            header: tokens of each item's answer header, all 0 for none; None: there is one, of unknown length, and
                every view lies behind it.
        """
        opened = header is None or any(header)
        inputs, rendered, prompts = self.processed(items, opened)
        whole = inputs["attention_mask"].bool()
        attended = whole if header is None else _without_last(whole, header)
        # Outliers show in the states themselves. The other masks need the role of every token: labels are made only
        # where a view needs them.
        masks = {view.mask for view in views} - {NO_OUTLIERS}
        labels: list[Labels] = []
        if masks - {"all"}:
            labels = self._labels(inputs, self._turns(items)[0] if opened else rendered, prompts, attended)
        by_role = {mask: tokens_in_mask(mask, attended, labels, items) for mask in masks}
        return _Pass(self._for_device(inputs), list(views), whole, attended, by_role)

    def _pooled(self, one: _Pass) -> dict[EmbeddingView, np.ndarray]:
        """The views of one pass."""
        with self.watch.step("transfer"):
            inputs = self._on_device(one.inputs)
        with self.watch.step("model"):
            return self._read(inputs, one)

    def _read(self, inputs: dict[str, Any], one: _Pass) -> dict[EmbeddingView, np.ndarray]:
        """The forward pass, then each view of its states."""
        ends = {ANSWER: one.whole, "words": one.whole, "words-last": one.attended}
        words = [view for view in one.views if is_words(view)]
        places = sorted({view.place for view in one.views if view not in words})
        if words:
            at = [ends[view.pooling].sum(1) - 1 for view in words]
            states, logits = self._reader.states_and_logits(inputs, places, at)
        else:
            states, logits = self._reader.states(inputs, places), []
        entries = min(LARGEST, self.vocabulary)
        pooled = {view: next_words(scores, entries) for view, scores in zip(words, logits, strict=True)}
        for view in [view for view in one.views if view not in words]:
            # Where accelerate spreads the layers, the states of each lie on a device of their own.
            own = states[view.place]
            if view.pooling == ANSWER:
                pooled[view] = last(own, one.whole.to(own.device)).cpu().numpy()
                continue
            kept = one.by_role.get(view.mask)
            keep = ordinary(own, one.attended.to(own.device)) if kept is None else kept.to(own.device)
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
        pairs = list(zip(self._turns_made.tokens(closed), self._turns_made.tokens(opened), strict=True))
        adds = all(b.ids[: len(a.ids)] == a.ids for a, b in pairs)
        return [len(b.ids) - len(a.ids) for a, b in pairs] if adds else None

    def _attends_ahead(self, item: Item) -> bool:
        """Whether tokens behind a turn change its states, beyond rounding: measured once with and once without image.

        No decoder known here does so with a chat template. A model that attends to its prompt in both directions would.
        """
        import torch

        has_image = self.feeds_image(item)
        if has_image not in self._ahead:
            with self.lock:
                closed, opened = (
                    self._reader.states(self.inputs([item], answer)[0], [LAST_STATE])[LAST_STATE].float()
                    for answer in (False, True)
                )
            change = (opened[:, : closed.shape[1]] - closed).norm() / closed.norm()
            # Two passes of other lengths round differently: the root of the type's epsilon is far above that, and far
            # below what attention to one more token changes.
            self._ahead[has_image] = float(change) > torch.finfo(self.model.dtype).eps ** 0.5
        return self._ahead[has_image]

    def _turns(self, items: Sequence[Item], answer: bool = False) -> tuple[list[str], list[Prompt]]:
        """What the tokenizer sees of each item, and the prompts it was made of; `answer` opens the model's turn."""
        harmless = [without_placeholders(item, self.processor) for item in items]
        prompts = [self.style.prompt(item) for item in harmless]
        return self._turns_made.strings(items, prompts, answer), prompts

    def _labels(
        self, inputs: Any, rendered: list[str], prompts: list[Prompt], attended: Tensor | None = None
    ) -> list[Labels]:
        """Roles of each item's tokens; `attended` (b, t) leaves out those of an answer header, as `rendered` does."""
        plain, tail = self._turns_made.tokens(rendered), self.tail()
        lengths = (inputs["attention_mask"] if attended is None else attended).sum(1).tolist()
        return [
            label(
                inputs["input_ids"][i, : lengths[i]].tolist(),
                plain[i].ids,
                plain[i].offsets,
                rendered[i],
                prompts[i],
                self._image_ids,
                tail,
            )
            for i in range(len(rendered))
        ]

    def _for_device(self, inputs: Any) -> dict[str, Any]:
        """Model inputs on the CPU as the device wants them: in the model's type, in memory a GPU can copy from."""
        import torch

        dtype, pinned = self.model.dtype, torch.device(input_device(self.model)).type == "cuda"

        def ready(value: Any) -> Any:
            if not torch.is_tensor(value):
                return value
            cast = value.to(dtype) if value.is_floating_point() else value
            return cast.pin_memory() if pinned else cast

        return {k: ready(v) for k, v in inputs.items() if k != "labels" and v is not None}

    def _on_device(self, inputs: Any) -> Any:
        """Model inputs where the model takes them; pixels in the model's own type."""
        import torch

        dtype, device = self.model.dtype, input_device(self.model)

        def moved(value: Any) -> Any:
            if not torch.is_tensor(value):
                return value
            return value.to(device, dtype) if value.is_floating_point() else value.to(device)

        # Labels, where a processor adds them, are for training: with them the model would compute a loss.
        return {k: moved(v) for k, v in inputs.items() if k != "labels" and v is not None}

    def _measured_image(self, size: tuple[int, int]) -> int:
        """Tokens a blank picture of that size takes, for processors that do not say."""
        from PIL import Image

        rendered, _ = self._turns([blank := Item("", "image", None, Image.new("RGB", size))])
        whole = self.process([blank], rendered)["input_ids"].shape[1]
        return whole - len(self.plain(rendered)["input_ids"][0]) + 1

    def _grids(self, inputs: Any, items: list[Item]) -> list[tuple[int, int] | None]:
        """Rows and columns in which the image tokens of each item lie; None where they lie in no single grid."""
        ids = inputs["input_ids"].tolist()
        return [
            None if i.modality == "text" else grid(self.processor, inputs, n, ids[n], self._image_ids)
            for n, i in enumerate(items)
        ]


def _request(item: Item, prompt: str) -> Prompt:
    """The bare item, then what is asked of it."""
    own = prompt_of(item, "chat")
    return Prompt((*own.parts, prompt), own.text, prompt)


def _without_last(attended: Tensor, counts: list[int]) -> Tensor:
    """(b, t) bool: `attended`, padded on the right, without the last `counts` tokens of each row."""
    import torch

    ends = attended.sum(1) - torch.tensor(counts, device=attended.device)
    return torch.arange(attended.shape[1], device=attended.device) < ends[:, None]
