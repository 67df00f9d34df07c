"""The sample, embedded by the run's own model under any conditions; each forward pass is made once.

Without a model (own embeddings, or one that cannot be loaded here) the stored rows stand for the run's own conditions,
and conditions that need a forward pass are not available.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from core.config import OWN_MODEL
from core.errors import ModelError, NotAvailable
from core.models import Adapter
from core.models.answer import ANSWER
from core.models.asking import Asking, asked
from core.models.memory import embed_halving
from core.progress import Progress
from core.questions.check.conditions import Conditions
from core.questions.check.given import Sample
from core.questions.check.wording import put, style_under
from core.records import EmbeddingView, Item, Part
from core.run import Run
from core.waiting import checkpoint

BATCH = 8
"""Items of a forward pass: all layers of them are in memory at once."""


class SampleEncoder:
    """Rows of a sample under conditions."""

    def __init__(
        self,
        run: Run,
        sample: Sample,
        strings: Mapping[str, Mapping[tuple[Part, int], str]],
        progress: Progress,
    ) -> None:
        self.run, self.sample, self._strings, self._progress = run, sample, strings, progress
        self.why_no_model = ""
        """Empty, or why nothing but stored rows can be had."""
        self._passes: dict[tuple[Conditions, bytes], dict[EmbeddingView, np.ndarray]] = {}
        self._adapters: dict[str, Adapter] = {}
        self.adapter = self._load()

    @cached_property
    def items(self) -> list[Item]:
        """Items of the sample, images read."""
        return [self.run.corpus.items(part).item(row) for part, row in self.sample.places()]

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the sample; no image is read."""
        return [str(self.run.corpus.items(part).ids[row]) for part, row in self.sample.places()]

    @cached_property
    def modalities(self) -> list[str]:
        """Modalities of the sample; no image is read."""
        return [str(self.run.corpus.items(part).modality[row]) for part, row in self.sample.places()]

    @cached_property
    def texts(self) -> list[str]:
        """Texts of the sample, "" for images; no image is read."""
        return [self.run.corpus.items(part).texts[row] or "" for part, row in self.sample.places()]

    @cached_property
    def compute(self) -> str:
        """Compute type the run's embeddings were made in; float32 for own embeddings."""
        return str(self.run.encode_folder(self.run.parts[0]).facts.get("compute", "float32"))

    @property
    def base(self) -> Conditions:
        """The run's own conditions."""
        return Conditions.of(self.run.view, self.compute)

    def stored(self) -> np.ndarray:
        """(n, d) float64: the run's own rows of the sample."""
        out = np.empty((len(self.sample), self.run.embeddings(self.sample.parts[0]).shape[1]))
        for part in dict.fromkeys(self.sample.parts):
            entries = self.sample.of(part)
            out[entries] = self.run.embeddings(part)[self.sample.rows[entries]]
        return out

    def rows(self, conditions: Conditions, entries: np.ndarray, views: Sequence[EmbeddingView] = ()) -> np.ndarray:
        """(n, d) float64 of some entries of the sample in `conditions.view`.

        Args:
            views: further views of the same pass that will be asked for.

        Raises:
            NotAvailable: the model has no such setting. ModelError: it cannot be loaded so.
        """
        key = (conditions.asked, entries.tobytes())
        made = self._passes.get(key, {})
        if conditions.view not in made:
            if self.adapter is None:
                if conditions.asked != self.base.asked or conditions.view != self.base.view:
                    raise NotAvailable("this needs a forward pass", got=self.why_no_model)
                return self.stored()[entries]
            self._passes[key] = made = self._pass_of_views(
                conditions, entries, tuple(dict.fromkeys((conditions.view, *made, *views)))
            )
        return made[conditions.view].astype(np.float64)

    def lengths(self) -> np.ndarray:
        """(n,) tokens of each item; needs the model."""
        assert self.adapter is not None
        return np.array(self.adapter.lengths(self.items))

    def end_token(self) -> str | None:
        """The tokenizer's end of sequence."""
        return getattr(getattr(self.adapter, "tokenizer", None), "eos_token", None)

    def tokenizer(self) -> Any:
        """The model's tokenizer with offsets, where it has one."""
        found = getattr(self.adapter, "tokenizer", None)
        return found if getattr(found, "is_fast", False) else None

    def _load(self) -> Adapter | None:
        """The run's model in the type its embeddings were made in; None, and why, where it cannot be had."""
        if self.run.model_name == OWN_MODEL:
            self.why_no_model = "its vectors are its own embeddings, without a model"
            return None
        try:
            return self._loaded(self.compute)
        except ModelError as error:
            self.why_no_model = f"its model cannot be loaded here: {error.what}"
            return None

    def _loaded(self, dtype: str) -> Adapter:
        from core.models import load_model
        from core.models.device import resolve_dtype

        if dtype not in self._adapters:
            checkpoint()
            own = dtype == self.compute == resolve_dtype(self.run.spec.model.dtype)
            self._adapters[dtype] = (
                self.run.adapter() if own else load_model(replace(self.run.spec.model, dtype=_spec_type(dtype)))
            )
        return self._adapters[dtype]

    def _pass_of_views(
        self, conditions: Conditions, entries: np.ndarray, views: Sequence[EmbeddingView]
    ) -> dict[EmbeddingView, np.ndarray]:
        """One pass for all views; without those behind an answer header where these conditions leave none."""
        try:
            return self._pass(conditions, entries, views)
        except NotAvailable:
            others = [view for view in views if view.pooling != ANSWER or view == conditions.view]
            return self._pass(conditions, entries, others)

    def _pass(
        self, conditions: Conditions, entries: np.ndarray, views: Sequence[EmbeddingView]
    ) -> dict[EmbeddingView, np.ndarray]:
        """Forward passes over some entries, in batches of `BATCH`."""
        adapter = self._asked(conditions)
        items = [self._put(entry, conditions) for entry in entries]
        parts = []
        for start in range(0, len(items), BATCH):
            checkpoint()
            parts.append(embed_halving(adapter, items[start : start + BATCH], views, self._progress))
        return {view: np.concatenate([part[view] for part in parts]) for view in views}

    def _asked(self, conditions: Conditions) -> Adapter:
        """The model, asked as the conditions say."""
        adapter = self._loaded(conditions.dtype)
        style = getattr(adapter, "style", None)
        changed = None
        if style is not None and (conditions.frame or conditions.turn or conditions.image):
            changed = style_under(conditions, style, self.end_token())
        size = conditions.size
        pixels = (size.least, size.side) if size is not None and size.kind == "area" else None
        return asked(adapter, Asking(changed, conditions.cut, pixels))

    def _put(self, entry: int, conditions: Conditions) -> Item:
        """An item of the sample as it would reach the model."""
        key = self.sample.places()[entry]
        sent = {name: by_item[key] for name, by_item in self._strings.items() if key in by_item}
        item = put(self.items[entry], conditions, sent)
        if conditions.words is not None and item.text:
            encoded = self.tokenizer()(item.text, add_special_tokens=False, return_offsets_mapping=True)
            if len(offsets := encoded["offset_mapping"]) > conditions.words:
                item = replace(item, text=item.text[: offsets[conditions.words - 1][1]])
        return item


def _spec_type(dtype: str) -> Any:
    """A compute type as `[model] dtype` names it."""
    assert dtype in ("float32", "bfloat16", "float16"), dtype
    return dtype
