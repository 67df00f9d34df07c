"""Items x model -> pooled embeddings: one pass for all views, batched by length, resumable, bounded in memory.

In: the item table of one part, a model, views. Out: a folder of stage "encode" with one (n, d) float32 array per view,
named `str(view)`, rows in the order of the table, not normalised; next-word distributions where they are asked for
(`core/models/answer.py`), (n, 256) of (id, weight); `n_tokens` (n,) int32; and, of a model with token
states, `norm_ratio` (n,) float32: the largest token norm of each item over its median token norm, where the first view
reads.

Steps: (1) rows go by in windows; (2) inside a window texts and images go apart and are sorted by length, longest first;
(3) batches are filled up to `batch_tokens` padded tokens (`core/batches.py`); while the model computes one, a thread
reads the images of the next two and gives them to the processor; (4) a finished window is flushed and noted, so an
interrupted run goes on with the next one; (5) the facts say how many tokens are outliers at each place
(`core/models/outliers.py`). The batch size changes no embedding beyond rounding, so it is not in the key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.batches import Batch, Items, ahead, batch_limit, prepared_batches
from core.config import EmbeddingSpec, Place
from core.models.answer import LARGEST, WORD, WORD_VIEWS, is_words
from core.models.base import Adapter, ModelFacts, Prepares
from core.models.memory import embed_halving
from core.models.outliers import MEASURE, NO_OUTLIERS, OUTLIER_RATIO, measured
from core.models.stopwatch import Stopwatch
from core.progress import NoProgress, Progress, Task
from core.records import EmbeddingView, StatePlace
from core.store import Draft, Folder, Store
from core.windows import JOURNAL, Journal, encoding_facts, outlier_note, places_of, sum_of

WINDOW = 1024
"""Rows between two points an interrupted run can go on from."""


def encode_part(
    table: Items,
    facts: ModelFacts,
    adapter: Callable[[], Adapter],
    views: Sequence[EmbeddingView],
    store: Store,
    progress: Progress,
    batch_tokens: int = EmbeddingSpec().batch_tokens,
    words: Sequence[Place] = (),
) -> Folder:
    """Embeddings of every item of a table in every view, from the cache or computed.

    Args:
        adapter: called only where something must be computed.
        words: where next-word distributions are read, in the same pass.

    Raises:
        ModelError: the model cannot be loaded. NotAvailable: a mask leaves no token of some item.
    """

    def write(draft: Draft) -> None:
        model = adapter()  # loaded first: what is free then is for its batches
        limit = batch_limit(batch_tokens, facts, len({view.place for view in views}), progress)
        spoken = tuple(WORD_VIEWS[place] for place in words)
        _Encoding(table, model, tuple(views), draft, progress, limit, spoken).run()
        draft.facts |= model_facts(facts)

    spec = encoding_spec(table.content, facts.key, views, words)
    return store.build("encode", facts.name, spec, (), write, needs=bytes_needed(len(table), facts, views, words))


def encoding_spec(
    content: str, model_key: str, views: Sequence[EmbeddingView], words: Sequence[Place] = ()
) -> dict[str, Any]:
    """What the key of a part's embeddings is made of: everything that changes a number."""
    spec: dict[str, Any] = {
        "content": content,
        "model": model_key,
        "views": [str(view) for view in views],
        "dtype": "float32",
    }
    spec |= {"outlier_ratio": OUTLIER_RATIO} if any(view.mask == NO_OUTLIERS for view in views) else {}
    return spec | ({"words": list(words)} if words else {})


@dataclass
class _Encoding:
    table: Items
    adapter: Adapter
    views: tuple[EmbeddingView, ...]
    draft: Draft
    progress: Progress
    batch_tokens: int
    spoken: tuple[EmbeddingView, ...] = ()
    """Next-word distributions."""

    def run(self) -> None:
        """All windows that are not finished yet; then the facts."""
        path, rows = self.draft.path / JOURNAL, len(self.table)
        (self.draft.path / "windows.json").unlink(missing_ok=True)  # the journal of earlier releases
        journal, arrays, counts = self._resumed(path, rows)
        journal.vocabulary = self.adapter.vocabulary if self.spoken else 0
        left = [window for start, window in windows_of(rows).items() if start not in journal.windows]
        with (
            self.progress.task(f"encode with {self.adapter.facts.name}", rows) as bar,
            closing(self.batches(left)) as prepared,
        ):
            bar.advance(rows - sum(map(len, left)))
            for window in left:
                self.window(window, prepared, arrays, counts, journal, bar)
                # Rows first, journal second: a window that the journal calls finished is on disk.
                for array in (*arrays.values(), counts):
                    array.flush()
                journal.windows[str(window.start)] = sum_of(window, (*arrays.values(), counts))
                journal.write(path)
        self.draft.facts |= encoding_facts(rows, self.views, journal)
        if note := outlier_note(journal):
            self.progress.say(note)

    def _resumed(self, path: Path, rows: int) -> tuple[Journal, dict[str, np.memmap], np.memmap]:
        """The journal and the arrays of an interrupted run as far as they can be believed, else new ones.

        Figures of the journal (tokens, outliers) are of all its windows, so that it is believed whole or not at all.
        """
        shapes = self.shapes(rows)
        if self.spoken:
            self.draft.facts["vocabulary"] = self.adapter.vocabulary
        opened = {name: self._open(name, *form) for name, form in shapes.items()}
        arrays = {name: array for name, (array, _) in opened.items()}
        there = all(found for _, found in opened.values())
        journal = Journal.believed(path, windows_of(rows), tuple(arrays.values())) if there else Journal()
        return journal, arrays, arrays.pop("n_tokens")

    def shapes(self, rows: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Name -> shape and type of every array of so many rows, in the order in which checksums take them."""
        shapes = {str(view): row_form(self.adapter, view, rows) for view in self.views}
        shapes |= {"norm_ratio": ((rows,), np.dtype(np.float32))} if self.places else {}
        shapes |= {str(view): row_form(self.adapter, view, rows) for view in self.spoken}
        return shapes | {"n_tokens": ((rows,), np.dtype(np.int32))}

    @property
    def places(self) -> list[StatePlace]:
        """Places to measure, that of the first view first; none for a dual encoder and for final vectors, which pool no
        token states."""
        return places_of(self.adapter.facts, self.views)

    def _open(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.memmap, bool]:
        """The array of an interrupted run, or a new one; and whether it was there."""
        if shape[0] == 0:
            # An empty file cannot be mapped. Nothing is written to the stand-in: there are no rows.
            self.draft.save(name, np.empty(shape, dtype))
            return np.memmap(self.draft.path / f"{name}.npy", dtype, "r+", shape=(1,)), True
        return self.draft.map(name, shape, dtype)

    @property
    def _watch(self) -> Stopwatch:
        """The adapter's own, so that whoever has the adapter can read what the steps took."""
        return self.adapter.watch if isinstance(self.adapter, Prepares) else Stopwatch()

    @property
    def computed(self) -> tuple[EmbeddingView, ...]:
        """Views, next words, and token norms, views like any other here: one forward pass gives them all."""
        return (*self.views, *self.spoken, *(measured(place) for place in self.places))

    def batches(self, windows: Sequence[range]) -> Generator[Batch, None, None]:
        """The batches of some windows, one after another, made ahead."""
        made = prepared_batches(self.table, self.adapter, windows, self.batch_tokens, self.computed, self._watch)
        return ahead(made)

    def window(
        self,
        window: range,
        prepared: Iterator[Batch],
        arrays: Mapping[str, np.ndarray],
        counts: np.ndarray,
        journal: Journal,
        bar: Task,
    ) -> None:
        """Take the batches of one window, which come one after another, and write their rows."""
        measures = {measured(place): place for place in self.places}
        left = len(window)
        while left:
            started = time.perf_counter()
            with self._watch.step("waiting"):
                batch = next(prepared)
            embedded = embed_halving(self.adapter, batch.items, self.computed, self.progress, batch.embed)
            for view, values in embedded.items():
                if view in measures:
                    journal.note_outliers(measures[view], values)
                else:
                    arrays[str(view)][batch.rows] = values
                if self.places and measures.get(view) == self.places[0]:
                    arrays["norm_ratio"][batch.rows] = values[:, 0]
            counts[batch.rows] = batch.lengths
            journal.seconds += time.perf_counter() - started
            journal.tokens += sum(batch.lengths)
            journal.padded += max(batch.lengths) * len(batch.lengths)
            bar.advance(len(batch.rows))
            bar.note(f"{journal.tokens / max(journal.seconds, 1e-9):,.0f} tokens/s")
            left -= len(batch.rows)


def model_facts(facts: ModelFacts) -> dict[str, Any]:
    """Facts of a part's folder that say which model made it."""
    return {
        "model": facts.name,
        "compute": facts.dtype,
        "preset": facts.preset,
        "hidden_size": facts.hidden_size,
    }


def windows_of(rows: int) -> dict[str, range]:
    """First row, as a journal writes it -> rows of every window of a table."""
    return {str(start): range(start, min(start + WINDOW, rows)) for start in range(0, rows, WINDOW)}


def row_form(adapter: Adapter, view: EmbeddingView, rows: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of so many rows of a view: an embedding, next words, or the two figures of outliers."""
    if is_words(view):
        return (rows, min(LARGEST, adapter.vocabulary)), WORD
    if view.pooling == MEASURE:
        return (rows, 2), np.dtype(np.float32)
    pooled = adapter.facts.state_size or adapter.hidden_size
    return (rows, adapter.hidden_size if view.pooling == "projected" else pooled), np.dtype(np.float32)


def array_names(facts: ModelFacts, views: Sequence[EmbeddingView], words: Sequence[Place]) -> list[str]:
    """Names of the arrays of a part, in the order in which checksums take them; known without the model."""
    ratio = ["norm_ratio"] if places_of(facts, views) else []
    return [*map(str, views), *ratio, *(str(WORD_VIEWS[place]) for place in words), "n_tokens"]


def bytes_needed(rows: int, facts: ModelFacts, views: Sequence[EmbeddingView], words: Sequence[Place]) -> int:
    """Bytes of all arrays of a part."""
    values = sum(map(facts.width, views)) * np.dtype(np.float32).itemsize + len(words) * LARGEST * WORD.itemsize
    return rows * (values + 8)


def encode_rows(
    table: Items,
    adapter: Adapter,
    views: Sequence[EmbeddingView],
    batch_tokens: int,
    progress: Progress,
    words: Sequence[Place] = (),
) -> tuple[dict[str, np.ndarray], Journal]:
    """Every array of a table of one window, in memory, from the batches that `encode_part` makes of such a window.

    Args:
        batch_tokens: as `batch_limit` allows.
    """
    spoken = tuple(WORD_VIEWS[place] for place in words)
    encoding = _Encoding(table, adapter, tuple(views), Draft(Path(), {}), progress, batch_tokens, spoken)
    arrays = {name: np.zeros(*form) for name, form in encoding.shapes(len(table)).items()}
    journal = Journal()
    window = range(len(table))
    with NoProgress().task("") as bar, closing(encoding.batches([window])) as prepared:
        encoding.window(window, prepared, arrays, arrays["n_tokens"], journal, bar)
    return arrays, journal
