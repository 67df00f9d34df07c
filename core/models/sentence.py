"""Models that sentence-transformers saved: any text, image or two-modality embedding model `SentenceTransformer` loads.

Final vectors are the library's own: its modules, pooling, prompts (`encode_query` for queries, `encode_document` for
candidates) and truncation. The steps of one batch are those of `SentenceTransformer.encode`: `preprocess`, the modules
one after the other, truncation. Items are grouped by modality first; what a model takes no input of is refused, and an
item with image and text, where a model takes each alone, is the sum of its two unit vectors (`dual.FUSION`).

Where the first module is a transformers model that gives token states, they can be pooled in other ways and read at
other layers, in the same pass. States that stand for a final vector, token by token, go through the modules behind the
pooling on their own, as if each were a pooled state. A two-tower model inside (CLIP, SigLIP) projects its states as
`dual.py` does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ModelError, NotAvailable
from core.models.base import PROJECTED, ModelFacts
from core.models.dual import DualAdapter
from core.models.facts import DUAL_TYPES
from core.models.outliers import MEASURE, NO_OUTLIERS, ordinary
from core.models.pooling import POOLINGS, tokens_in_mask
from core.models.sentence_library import TASKS, as_input, own_prompt
from core.models.sentence_tokens import SentenceTokens, attended_in
from core.models.states import StateReader
from core.models.stopwatch import Stopwatch
from core.models.table import find
from core.models.tokens import Labels
from core.records import LAST_STATE, EmbeddingView, Item, Side, StatePlace, TokenStates

if TYPE_CHECKING:
    from torch import Tensor

    from core.config import ModelSpec


class SentenceAdapter:
    """Final vectors and token states of one loaded sentence-transformers model."""

    can_generate = False
    vocabulary = 0

    def __init__(self, facts: ModelFacts, model: Any, spec: ModelSpec) -> None:
        """
        Args:
            model: a `SentenceTransformer` in evaluation mode, on its device.
            spec: for prompts and truncation that replace the model's own.
        """
        self.facts, self.model = facts, model
        self.lock = threading.RLock()
        # Whoever takes both locks takes the model's first: labels are made of what the model's modules give out.
        self.preparing = threading.RLock()
        self.watch = Stopwatch()
        given = {"query": spec.query_prompt, "candidate": spec.candidate_prompt}
        self.prompts: dict[Side, str | None] = {
            side: own_prompt(model, side) if given[side] is None else given[side] for side in TASKS
        }
        row = find(spec.name)
        self.task = spec.task or (row.task if row else None)
        self.truncate_dim = spec.truncate_dim or model.truncate_dim
        self._transformer = self._first_transformer()
        self._tokens = SentenceTokens(self._transformer)
        # Made here: it decides on which side texts are padded, which must not change between two calls.
        self._towers = self._two_towers()
        self.has_token_states = self._pooled_by_tokens or self._towers is not None

    @property
    def hidden_size(self) -> int:
        """d of a final vector."""
        width = int(self.model.get_embedding_dimension() or self.facts.hidden_size)
        return min(width, self.truncate_dim) if self.truncate_dim else width

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> dict[EmbeddingView, np.ndarray]:
        """See `Adapter.embed`."""
        return self.prepare(items, views)()

    def prepare(
        self, items: Sequence[Item], views: Sequence[EmbeddingView]
    ) -> Callable[[], dict[EmbeddingView, np.ndarray]]:
        """See `Prepares.prepare`."""
        import torch

        self._check_views(views)
        groups = [(members, [items[i] for i in members]) for members in self._groups(items)]
        with self.preparing, torch.inference_mode(), self.watch.step("processor"):
            inputs = [[self._inputs(group, part) for part in self._parts(group, views)] for _, group in groups]

        def embed() -> dict[EmbeddingView, np.ndarray]:
            rows = {view: np.empty((len(items), self._width(view)), np.float32) for view in views}
            with self.lock, torch.inference_mode():
                for (members, group), parts in zip(groups, inputs, strict=True):
                    for view, values in self._embed_group(group, views, parts).items():
                        rows[view][members] = values
            return rows

        return embed

    def lengths(self, items: Sequence[Item]) -> list[int]:
        """See `Adapter.lengths`; no pixel is read. 1 for an item of a model without tokens."""
        if self._towers is not None:
            with self.preparing:
                return self._towers.lengths(items)
        if self._transformer is None:
            return [max(1, len((item.text or "").split())) for item in items]
        with self.preparing:
            return [self._tokens.length(item, self._prompt(item)) for item in items]

    def token_states(self, items: Sequence[Item], place: StatePlace = LAST_STATE) -> TokenStates:
        """See `Adapter.token_states`."""
        import torch

        if self._towers is not None and place in {LAST_STATE, PROJECTED.place}:
            with self.lock, self.preparing:
                found = self._towers.token_states(items)
            with torch.inference_mode():
                return TokenStates(self._finished(found.states), found.item, found.text, found.role, found.grids)
        if not self._pooled_by_tokens:
            raise NotAvailable(
                f"{self.facts.name} gives no token states", got=self._names, allowed="a Transformer with Pooling"
            )
        by_item: dict[int, tuple[np.ndarray, Labels, tuple[int, int] | None]] = {}
        at = LAST_STATE if place == PROJECTED.place else place
        with self.lock, torch.inference_mode():
            for members in self._groups(items):
                group = [items[i] for i in members]
                with self.preparing:
                    inputs = self._inputs(group)
                features, states = self._pass(group, inputs, [at])
                attended = attended_in(features)
                with self.preparing:
                    labels, grids = (
                        self._tokens.labels_in(group, self._prompt(group[0]), features),
                        self._tokens.grids(group, features),
                    )
                for row, member in enumerate(members):
                    own = states[at][row][attended[row]].float().cpu().numpy()
                    own = self._finished(own) if place == PROJECTED.place else own
                    by_item[member] = (own, labels[row], grids[row])
        parts = [by_item[i] for i in range(len(items))]
        width = self.hidden_size if place == PROJECTED.place else self._state_size
        return TokenStates(
            states=np.concatenate([np.empty((0, width), np.float32), *(states for states, _, _ in parts)]),
            item=np.repeat(np.arange(len(parts)), [len(states) for states, _, _ in parts]),
            text=[text for _, labels, _ in parts for text in labels.texts],
            role=[role for _, labels, _ in parts for role in labels.roles],
            grids=[grid for _, _, grid in parts],
        )

    def top_tokens(self, directions: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
        """An embedding model has no output head."""
        raise self._no_head()

    def generate(self, item: Item, prompt: str, max_new_tokens: int = 64) -> str:
        """An embedding model does not generate."""
        raise self._no_head()

    def generate_all(self, items: Sequence[Item], prompt: str, max_new_tokens: int = 64) -> list[str]:
        """An embedding model does not generate."""
        raise self._no_head()

    # Steps
    # ---------------------------------------------------------------------------------------------------------------

    def _no_head(self) -> NotAvailable:
        return NotAvailable(
            f"{self.facts.name} has no output head", got=f"kind {self.facts.kind}", allowed="chat and plain models"
        )

    def _prompt(self, item: Item) -> str | None:
        return self.prompts[item.side]

    def _first_transformer(self) -> Any:
        """The first module where it is a transformers model; None for a router, words in a table and the like."""
        from sentence_transformers.base.modules.transformer import Transformer

        first = self.model[0]
        if not isinstance(first, Transformer):
            return None
        first.unpad_inputs = False  # rows laid end to end would have no batch axis; numbers stay the same
        return first

    @cached_property
    def _pooled_by_tokens(self) -> bool:
        return self._transformer is not None and self._transformer.module_output_name == "token_embeddings"

    def _two_towers(self) -> DualAdapter | None:
        """The two-tower model inside, where its projected vectors leave the first module."""
        first = self._transformer
        if first is None or self._pooled_by_tokens or first.model.config.model_type not in DUAL_TYPES:
            return None
        return DualAdapter(self.facts, first.model, first.processor)

    @cached_property
    def _reader(self) -> StateReader:
        return StateReader(self._transformer.model)

    @property
    def _names(self) -> str:
        return ", ".join(type(module).__name__ for module in self.model)

    @property
    def _state_size(self) -> int:
        return int(self._transformer.get_embedding_dimension())

    def _width(self, view: EmbeddingView) -> int:
        if view == PROJECTED:
            return self.hidden_size
        return 2 if view.pooling == MEASURE else self._state_size

    def _check_views(self, views: Sequence[EmbeddingView]) -> None:
        """NotAvailable for token states of a model that gives none, and for final vectors of another place."""
        known = {view for view in views if self._pooled_by_tokens and view.pooling in POOLINGS} | {PROJECTED}
        if other := [view for view in views if view not in known]:
            raise NotAvailable(
                f"{self.facts.name} gives no token states to pool so",
                got=", ".join(map(str, other)),
                allowed=PROJECTED,
                todo='leave all but "projected" out of [embedding] poolings',
            )

    def _groups(self, items: Sequence[Item]) -> list[list[int]]:
        """Positions of items of one modality and one side, which have one prompt and go through the same modules."""
        by_kind: dict[tuple[str, str], list[int]] = {}
        for row, item in enumerate(items):
            by_kind.setdefault((item.modality, item.side), []).append(row)
        return list(by_kind.values())

    def _takes(self, modality: str) -> bool:
        """Whether an item of that modality is one input of the model, as its first module says."""
        return bool(self.model.supports(("image", "text") if modality == "image,text" else modality))

    def _parts(self, items: list[Item], views: Sequence[EmbeddingView]) -> list[str]:
        """Modalities that items of one kind are given to the model as: their own, or each half alone.

        Raises:
            NotAvailable: the model takes no such item.
        """
        modality = items[0].modality
        if self._takes(modality):
            return [modality]
        if modality == "image,text" and self._takes("text") and self._takes("image") and set(views) == {PROJECTED}:
            return ["text", "image"]
        raise NotAvailable(
            f"{self.facts.name} takes no item of modality {modality}",
            got=f"item {items[0].id!r}",
            allowed=", ".join(str(one) for one in self.model.modalities),
            todo="leave these items out of the corpus, or choose a model that takes them",
        )

    def _embed_group(
        self, items: list[Item], views: Sequence[EmbeddingView], parts: list[dict[str, Any]]
    ) -> dict[EmbeddingView, np.ndarray]:
        """All views of items of one kind, from the inputs of their parts."""
        if len(parts) == 1:
            return self._pooled(items, views, parts[0])
        sides = [self._pooled(items, views, part)[PROJECTED] for part in parts]
        return {PROJECTED: sum(rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in sides)}

    def _pooled(
        self, items: list[Item], views: Sequence[EmbeddingView], inputs: dict[str, Any]
    ) -> dict[EmbeddingView, np.ndarray]:
        """One pass over a group."""
        places = sorted({view.place for view in views if view != PROJECTED})
        features, states = self._pass(items, inputs, places)
        pooled: dict[EmbeddingView, np.ndarray] = {}
        if PROJECTED in views:
            pooled[PROJECTED] = features["sentence_embedding"][:, : self.truncate_dim].float().cpu().numpy()
            if (columns := pooled[PROJECTED].shape[1]) != self.hidden_size:
                allowed = f"its files say {self.hidden_size}"
                raise ModelError(f"{self.facts.name} gives {columns} columns", got=self._names, allowed=allowed)
        tokens = [view for view in views if view != PROJECTED]
        if not tokens:
            return pooled
        attended = attended_in(features)
        masks = {view.mask for view in tokens} - {NO_OUTLIERS}
        with self.preparing:
            labels = self._tokens.labels_in(items, self._prompt(items[0]), features) if masks - {"all"} else []
        by_role = {mask: tokens_in_mask(mask, attended, labels, items) for mask in masks}
        for view in tokens:
            own = states[view.place]
            keep = by_role[view.mask] if view.mask in masks else ordinary(own, attended)
            pooled[view] = POOLINGS[view.pooling](own, keep.to(own.device)).cpu().numpy()
        return pooled

    def _inputs(self, items: list[Item], modality: str | None = None) -> dict[str, Any]:
        """What the first module takes, on the CPU; `modality` takes one half of items with both."""
        return self.model.preprocess(
            [as_input(item, modality or item.modality) for item in items],
            prompt=self._prompt(items[0]),
            task=self.task or TASKS[items[0].side],
        )

    def _pass(
        self, items: list[Item], inputs: dict[str, Any], places: Sequence[StatePlace]
    ) -> tuple[dict[str, Any], dict[StatePlace, Tensor]]:
        """What the modules give for a group, as `SentenceTransformer.encode` calls them, and states by place."""
        from sentence_transformers.util import batch_to_device

        task = self.task or TASKS[items[0].side]
        with self.watch.step("transfer"):
            features = batch_to_device(inputs, self.model.device)
        # The library calls the model inside by its method, so that no hook on its output would fire.
        last = {LAST_STATE, StatePlace(self.facts.layers)}
        with self.watch.step("model"), self._recording([p for p in places if p not in last], features) as states:
            features = self.model(features, task=task)
        states |= {place: features["token_embeddings"] for place in places if place in last}
        return features, states

    @contextmanager
    def _recording(self, places: Sequence[StatePlace], features: Any) -> Iterator[dict[StatePlace, Tensor]]:
        """Hooks for the places asked for; none where there are none, since not every model has a stack of layers."""
        if not places:
            yield {}
            return
        try:
            reader = self._reader
        except ModelError as error:
            todo = "leave layers, norms and sublayers out of [embedding]"
            raise NotAvailable(f"{self.facts.name} gives its last states only", got=error.got, todo=todo) from error
        with reader.recording(places, "pixel_values" in features) as states:
            yield states

    def _finished(self, states: np.ndarray) -> np.ndarray:
        """(t, d) float32 of states each of which goes through the modules behind the pooling, as a final vector
        does."""
        import torch

        modules, names = list(self.model), [type(module).__name__ for module in self.model]
        behind = names.index("Pooling") + 1 if "Pooling" in names else 1
        features = {"sentence_embedding": torch.as_tensor(states, dtype=self.model.dtype, device=self.model.device)}
        for module in modules[behind:]:
            features = module(features)
        return features["sentence_embedding"][:, : self.truncate_dim].float().cpu().numpy()
