"""How fast a model encodes here: from encodings in the cache, else measured on a few of the items themselves.

The cache comes first: whole runs say more than a few items. A rate is of one modality, since a picture can take a
hundred times as long as a caption. Reading pictures is measured on the items each time, for it is quick and depends on
the files, not on the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from core.batches import batch_limit, batches
from core.config import RunSpec
from core.corpus.images import BadImage, thumbnail
from core.corpus.readers import ImageReader
from core.corpus.rows import RawRow, Source
from core.models.base import ModelFacts
from core.models.memory import embed_halving
from core.progress import Progress
from core.records import PARTS, SIDE_OF_PART, EmbeddingView, Item, Modality
from core.run import list_runs
from core.store import Store

SAMPLE = 16
"""Items of each part that are measured, the first ones."""
ENOUGH_SECONDS = 15.0
"""A measurement ends with the batch in which it has taken this long."""


@dataclass(frozen=True)
class Rate:
    """How fast items of one modality are encoded.

    Attributes:
        per_second: items.
        tokens: of an item, on average; 0 where nobody counted.
        origin: where the rate comes from, in words.
    """

    per_second: float
    tokens: float
    origin: str


@dataclass(frozen=True)
class Sample:
    """The first items of every part, read.

    Attributes:
        seconds_per_picture: to read and decode one, and to make its thumbnail; 0 where there is none.
        thumbnail_bytes: of one, on average.
        unreadable: pictures among the sample that cannot be decoded.
    """

    items: Mapping[Modality, Sequence[Item]]
    seconds_per_picture: float
    thumbnail_bytes: float
    unreadable: int


@dataclass
class _Table:
    """Items of one modality as the encoder's batches take them."""

    members: Sequence[Item]
    content: str = ""
    modality: np.ndarray = field(init=False)
    texts: list[str | None] = field(init=False)

    def __post_init__(self) -> None:
        self.modality = np.array([item.modality for item in self.members], dtype=object)
        self.texts = [item.text for item in self.members]

    def __len__(self) -> int:
        return len(self.members)

    def item(self, row: int) -> Item:
        return self.members[row]


def sampled(source: Source, task: int) -> Sample:
    """Read the first items of every part."""
    reader = ImageReader(source.root, source.allow_outside)
    items: dict[Modality, list[Item]] = {}
    pictures, seconds, size, unreadable = 0, 0.0, 0, 0
    for part, rows in source.rows.items():
        good = (row for row in rows() if isinstance(row, RawRow))
        for row in islice(good, SAMPLE):
            picture = None
            if row.image is not None:
                started = time.perf_counter()
                try:
                    picture = reader.picture(row.image).image
                except BadImage:
                    unreadable += 1
                    continue
                size += len(thumbnail(picture))
                seconds, pictures = seconds + time.perf_counter() - started, pictures + 1
            made = Item(row.id, row.modality, row.text, picture, task, SIDE_OF_PART[part])
            items.setdefault(row.modality, []).append(made)
    return Sample(items, seconds / max(pictures, 1), size / max(pictures, 1), unreadable)


def cached_rates(facts: ModelFacts, store: Store) -> dict[Modality, Rate]:
    """Rates of this very model (weights, prompts, type) in runs of the cache, the newest of each modality."""
    rates: dict[Modality, Rate] = {}
    for run in list_runs(store):  # newest first
        if run.folder.facts.get("model_key") != facts.key:
            continue
        parts = run.corpus.folder.facts["parts"]
        for part in PARTS:
            modalities = parts.get(part, {"by_modality": {}})["by_modality"]
            if part not in run.parts or len(modalities) != 1:
                continue  # of a mixed part nobody knows how long each modality took
            made = run.encode_folder(part).facts
            modality = next(iter(modalities))
            if made.get("seconds") and made.get("items") and modality not in rates:
                origin = f"{made['items']:,} items of run {run.name} on this cache"
                rates[modality] = Rate(made["items"] / made["seconds"], made["tokens"] / made["items"], origin)
    return rates


def measured_rates(
    spec: RunSpec, views: Sequence[EmbeddingView], items: Mapping[Modality, Sequence[Item]], progress: Progress
) -> dict[Modality, Rate]:
    """Load the model and encode some items of each modality, as a run would.

    Raises:
        ModelError: the model cannot be loaded.
    """
    from core.models import load_model

    adapter = load_model(spec.model)
    limit = batch_limit(spec.embedding.batch_tokens, adapter.facts, len({view.layer for view in views}), progress)
    rates: dict[Modality, Rate] = {}
    for modality, members in items.items():
        adapter.embed(members[:1], views)  # the first call of a kind makes what later ones find
        done, tokens, started = 0, 0, time.perf_counter()
        for _, batch, lengths in batches(_Table(members), adapter, range(len(members)), limit):
            embed_halving(adapter, batch, views, progress)
            done, tokens = done + len(batch), tokens + sum(lengths)
            if time.perf_counter() - started > ENOUGH_SECONDS:
                break
        seconds = max(time.perf_counter() - started, 1e-6)
        rates[modality] = Rate(done / seconds, tokens / done, f"{done} of these items, measured now")
    return rates


def rates(
    spec: RunSpec,
    facts: ModelFacts,
    views: Sequence[EmbeddingView],
    wanted: Collection[Modality],
    sample: Callable[[], Sample],
    store: Store,
    progress: Progress,
) -> dict[Modality, Rate]:
    """A rate of each wanted modality: all from the cache, or all measured now; none where nothing could be measured."""
    cached = cached_rates(facts, store)
    if set(wanted) <= cached.keys():
        return {modality: cached[modality] for modality in wanted}
    progress.say(f"measuring {facts.name} on the first {SAMPLE} items of each part")
    items = {modality: members for modality, members in sample().items.items() if modality in wanted}
    return measured_rates(spec, views, items, progress)
