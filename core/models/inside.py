"""A model whose token states are changed on their way: at some layer, at some tokens, and then the pass goes on.

In: an adapter and `Intervention`s. Out: a second adapter around the same weights and the same locks, whose embeddings,
token states, next words and answers are those of the changed model.

1. Hooks are set for the length of one pass, or of one answer, while its caller holds the model's lock. They stand
   before those that read states, so what is read is what was changed.
2. `process` makes the inputs of every pass, in whatever thread. Where not all tokens are changed, it notes which token
   has which role, under the token ids themselves; a pass looks up the roles of its own ids.
3. At its place a hook replaces h by h + shift(h), at the chosen tokens alone. The shift of something that changes
   nothing is 0, and h + 0 is h, bit by bit.

An answer is generated under the change too: the tokens of the request by their roles; the model's own new tokens only
where all tokens are changed, since they have no role.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from core.errors import NotAvailable
from core.models.decoder import DecoderAdapter, _request
from core.models.image_tokens import without_placeholders
from core.models.states import StateReader
from core.models.tokens import label
from core.models.turns import Frame, Prompt
from core.records import Item, StatePlace

if TYPE_CHECKING:
    from torch import Tensor

    from core.models.base import Adapter

MARK = "\u2042"
"""Stands for a user's words where a template is measured; no template writes an asterism."""
NOTED = 64
"""Batches whose roles are remembered: more than are made ahead of the model."""
_REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""What is asked of the items while inputs of an answer are made."""


@dataclass(frozen=True, eq=False)
class Intervention:
    """One change: where, of which tokens, and what is added."""

    place: StatePlace
    tokens: str
    """"all", or a role of `records.TokenRole`."""
    shift: Callable[[Tensor], Tensor]
    """States (n, d) float32 -> what is added to them, (n, d) float32 on the same device."""


def intervened(adapter: Adapter, interventions: Sequence[Intervention], key: str) -> Adapter:
    """The same weights with these changes, in the order given where several meet at one layer.

    Args:
        key: what the changed model's embeddings are known by in the cache; takes the place of `facts.key`.

    Raises:
        NotAvailable: not a decoder that pools token states, or a token limit, which moves tokens.
    """
    if not isinstance(adapter, DecoderAdapter):
        raise NotAvailable(
            f"{adapter.facts.name} has no states that could be changed on their way",
            got=f"kind {adapter.facts.kind}",
            allowed="a chat or plain model, whose token states are pooled",
            todo="edit the pooled rows: set(12=0)",
        )
    if adapter.cut is not None:
        raise NotAvailable("a model with a token limit cannot be changed inside", got=str(adapter.cut))
    kind = type(adapter)
    other: Any = copy.copy(adapter)
    other.__class__ = type(f"Changed{kind.__name__}", (_Changed, kind), {})
    other.facts, other._ahead = replace(adapter.facts, key=key), {}
    other.roles = _Roles({one.tokens for one in interventions} - {"all"})
    other._reader = _ChangedReader(adapter.model, tuple(interventions), other.roles)
    other.model = _Speaking(adapter.model, other._reader)
    return other


class _Roles:
    """Which tokens of the last batches have a role, by their token ids."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self._lock, self._noted = Lock(), OrderedDict[bytes, dict[str, Any]]()

    def note(self, ids: Tensor, masks: dict[str, Tensor]) -> None:
        """Keep the masks (b, t) of a batch."""
        with self._lock:
            self._noted[_name(ids)] = masks
            while len(self._noted) > NOTED:
                self._noted.popitem(last=False)

    def of(self, ids: Tensor | None) -> dict[str, Tensor]:
        """The masks of a batch; none for tokens that the model made itself."""
        with self._lock:
            return {} if ids is None else self._noted.get(_name(ids), {})


def _name(ids: Tensor) -> bytes:
    array = ids.cpu().numpy()
    return repr(array.shape).encode() + array.tobytes()


class _Changed(DecoderAdapter):
    """What a changed model does beside what its kind does: it says which tokens have which role."""

    roles: _Roles

    def generate_all(self, items: Sequence[Item], prompt: str, max_new_tokens: int = 64) -> list[str]:
        token = _REQUEST.set(prompt)
        try:
            return super().generate_all(items, prompt, max_new_tokens)
        finally:
            _REQUEST.reset(token)

    def process(self, items: Sequence[Item], rendered: list[str]) -> Any:
        inputs = super().process(items, rendered)
        if self.roles.wanted:
            self.roles.note(inputs["input_ids"], self._masks(inputs, items, rendered))
        return inputs

    def _masks(self, inputs: Any, items: Sequence[Item], rendered: list[str]) -> dict[str, Tensor]:
        """Role -> (b, t) bool of a batch; padding has none, whatever side it stands on."""
        import torch

        attended = inputs["attention_mask"].bool()
        masks = {role: torch.zeros_like(attended) for role in self.roles.wanted}
        plain, tail = self.plain(rendered), self._tail_of(rendered[0])
        for row, item in enumerate(items):
            columns = attended[row].nonzero()[:, 0]
            ids = inputs["input_ids"][row, columns].tolist()
            given = plain["input_ids"][row], plain["offset_mapping"][row], rendered[row]
            labels = label(ids, *given, self._prompt_of(item), self._image_ids, tail)
            for role, mask in masks.items():
                mask[row, columns] = torch.tensor([one == role for one in labels.roles], dtype=torch.bool)
        return masks

    def _prompt_of(self, item: Item) -> Prompt:
        if (request := _REQUEST.get()) is not None:
            return _request(item, request)
        return self.style.prompt(without_placeholders(item, self.processor))

    def _tail_of(self, rendered: str) -> int:
        """Characters behind the user's words: those of the template, and of the answer header where one was opened."""
        frame = Frame() if _REQUEST.get() is not None else self.style.frame
        for answer in (True, False):
            turn = Prompt((MARK,), MARK, "", frame=frame)
            behind = self.render(Item("", "text", MARK), turn, answer).rpartition(MARK)[2]
            if behind and rendered.endswith(behind):
                return len(behind)
        return self.tail()


class _Speaking:
    """The model, which computes and answers with the changes in force."""

    def __init__(self, model: Any, reader: _ChangedReader) -> None:
        self._model, self._reader = model, reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, **inputs: Any) -> Any:
        with self._reader.changes():
            return self._model(**inputs)

    def generate(self, **inputs: Any) -> Any:
        with self._reader.changes():
            return self._model.generate(**inputs)


class _ChangedReader(StateReader):
    """Reads states of the changed model; who calls it holds the model's lock."""

    def __init__(self, model: Any, interventions: tuple[Intervention, ...], roles: _Roles) -> None:
        super().__init__(model)
        self.interventions, self.roles = interventions, roles
        self._masks: dict[str, Tensor] = {}
        self._has_image = False

    @contextmanager
    def recording(self, places: Sequence[StatePlace], has_image: bool) -> Iterator[dict[StatePlace, Tensor]]:
        with self.changes(), super().recording(places, has_image) as states:
            yield states

    @contextmanager
    def changes(self) -> Iterator[None]:
        """The changes, in force inside. A place that is passed over without an image is changed where it is
        computed."""
        self._masks, self._has_image = {}, False
        with ExitStack() as hooks:
            hooks.callback(self.inner.register_forward_pre_hook(self._begin, with_kwargs=True).remove)
            for one in self.interventions:
                sources = {flag: self._source(one.place, flag) for flag in (False, True)}
                for source in set(sources.values()):
                    flags = frozenset(flag for flag, mine in sources.items() if mine == source)
                    hooks.callback(self._changing(source, flags, one).remove)
            yield

    def _begin(self, _inner: Any, args: Any, inputs: Any) -> None:
        """What a pass is about: whether it has an image (a step of an answer: whether the answer had one), and
        roles."""
        ids = args[0] if args else inputs.get("input_ids")
        goes_on = ids is not None and ids.shape[1] == 1 and inputs.get("past_key_values") is not None
        self._has_image = inputs.get("pixel_values") is not None or (self._has_image and goes_on)
        self._masks = self.roles.of(ids) if self.roles.wanted else {}

    def _changing(self, source: Any, flags: frozenset[bool], one: Intervention) -> Any:
        """A hook that changes a state when the model comes by."""

        def before(_module: Any, args: Any, kwargs: Any) -> Any:
            if self._has_image not in flags:
                return None
            if args:
                return (self._changed(args[0], one), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": self._changed(kwargs["hidden_states"], one)}

        def after(_module: Any, _args: Any, output: Any) -> Any:
            if self._has_image not in flags:
                return None
            if isinstance(output, tuple):
                return (self._changed(output[0], one), *output[1:])
            return self._changed(output, one)

        def final(_module: Any, _args: Any, output: Any) -> Any:
            if self._has_image in flags:
                output["last_hidden_state"] = self._changed(output.last_hidden_state, one)
            return output

        if source.kind == "normed":
            return self.inner.register_forward_hook(final)
        if source.entry == 0:
            return self.layers[0].register_forward_pre_hook(before, with_kwargs=True)
        if source.kind == "attention":
            raise NotAvailable("states between attention and MLP cannot be changed", got=str(one.place))
        return self.layers[source.entry - 1].register_forward_hook(after)

    def _changed(self, states: Tensor, one: Intervention) -> Tensor:
        """States (b, t, d) with the change at its tokens; the others as they were, bit by bit."""
        flat = states.reshape(-1, states.shape[-1])
        if one.tokens == "all":
            return (flat.float() + one.shift(flat.float())).to(states.dtype).reshape(states.shape)
        keep = self._masks.get(one.tokens)
        if keep is None or keep.shape != states.shape[:2]:  # tokens of the model's own answer: they have no role
            return states
        rows = keep.reshape(-1).nonzero()[:, 0].to(states.device)
        if not len(rows):
            return states
        changed, chosen = flat.clone(), flat[rows].float()
        changed[rows] = (chosen + one.shift(chosen)).to(states.dtype)
        return changed.reshape(states.shape)
