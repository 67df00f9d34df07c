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

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core import disk
from core.batches import Batch, Items, ahead, batch_limit, prepared_batches
from core.config import EmbeddingSpec, Place
from core.fingerprint import canonical, hash_bytes
from core.models.answer import LARGEST, WORD, WORD_VIEWS
from core.models.base import Adapter, ModelFacts, Prepares
from core.models.memory import embed_halving
from core.models.outliers import NO_OUTLIERS, OUTLIER_RATIO, measured
from core.models.stopwatch import Stopwatch
from core.progress import Progress, Task
from core.records import EmbeddingView, StatePlace
from core.store import Draft, Folder, Store

WINDOW = 1024
"""Rows between two points an interrupted run can go on from."""

_JOURNAL = ".windows.json"
"""Hidden: it helps an interrupted run to go on and is no part of the result."""


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
        draft.facts |= {
            "model": facts.name,
            "compute": facts.dtype,
            "preset": facts.preset,
            "hidden_size": facts.hidden_size,
        }

    spec = encoding_spec(table.content, facts.key, views, words)
    values = sum(map(facts.width, views)) * np.dtype(np.float32).itemsize + len(words) * LARGEST * WORD.itemsize
    return store.build("encode", facts.name, spec, (), write, needs=len(table) * (values + 8))


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
class _Journal:
    """What an interrupted run has finished."""

    windows: dict[str, str] = field(default_factory=dict)
    """First row of a finished window -> checksum of its rows in all arrays."""
    seconds: float = 0.0
    tokens: int = 0
    padded: int = 0
    outliers: dict[str, list[float]] = field(default_factory=dict)
    """Per place (`str(StatePlace)`): items with outliers, outlier tokens, largest norm ratio."""

    def note_outliers(self, place: StatePlace, figures: np.ndarray) -> None:
        """Add a batch; `figures` (b, 2): largest norm ratio and number of outliers of each item."""
        items, tokens, largest = self.outliers.get(str(place), [0, 0, 0.0])
        counts = figures[:, 1]
        self.outliers[str(place)] = [
            items + int((counts > 0).sum()),
            tokens + int(counts.sum()),
            max(largest, float(figures[:, 0].max())),
        ]

    @classmethod
    def read(cls, path: Path) -> _Journal:
        """The journal of an interrupted run; an empty one where there is none that can be read."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(**content["journal"]) if content["sum"] == _sum_of_journal(content["journal"]) else cls()
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return cls()

    def write(self, path: Path) -> None:
        # One rename: a process killed while writing leaves the old journal, never half of one.
        content = json.loads(json.dumps(asdict(self)))
        disk.write_text(path, json.dumps({"journal": content, "sum": _sum_of_journal(content)}))


def _sum_of_journal(content: dict[str, Any]) -> str:
    return hash_bytes(canonical(content).encode())


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
        path, rows = self.draft.path / _JOURNAL, len(self.table)
        (self.draft.path / "windows.json").unlink(missing_ok=True)  # the journal of earlier releases
        journal, arrays, counts = self._resumed(path, rows)
        windows = [range(start, min(start + WINDOW, rows)) for start in range(0, rows, WINDOW)]
        left = [window for window in windows if str(window.start) not in journal.windows]
        # Token norms are views like any other here, so that one forward pass gives embeddings and norms.
        views = (*self.views, *self.spoken, *(measured(place) for place in self.places))
        made = prepared_batches(self.table, self.adapter, left, self.batch_tokens, views, self._watch)
        with (
            self.progress.task(f"encode with {self.adapter.facts.name}", rows) as bar,
            closing(ahead(made)) as prepared,
        ):
            bar.advance(rows - sum(map(len, left)))
            for window in left:
                self._window(window, prepared, views, arrays, counts, journal, bar)
                # Rows first, journal second: a window that the journal calls finished is on disk.
                for array in (*arrays.values(), counts):
                    array.flush()
                journal.windows[str(window.start)] = _sum_of(window, (*arrays.values(), counts))
                journal.write(path)
        self.draft.facts |= _facts(rows, self.views, journal)
        if note := _outlier_note(journal):
            self.progress.say(note)

    def _resumed(self, path: Path, rows: int) -> tuple[_Journal, dict[str, np.memmap], np.memmap]:
        """The journal and the arrays of an interrupted run as far as they can be believed, else new ones.

        Figures of the journal (tokens, outliers) are of all its windows, so that it is believed whole or not at all.
        """
        shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {
            str(view): ((rows, self._width(view)), np.dtype(np.float32)) for view in self.views
        }
        shapes |= {"norm_ratio": ((rows,), np.dtype(np.float32))} if self.places else {}
        for view in self.spoken:
            shapes[str(view)] = ((rows, min(LARGEST, self.adapter.vocabulary)), WORD)
            self.draft.facts["vocabulary"] = self.adapter.vocabulary
        shapes["n_tokens"] = ((rows,), np.dtype(np.int32))
        opened = {name: self._open(name, *form) for name, form in shapes.items()}
        arrays = {name: array for name, (array, _) in opened.items()}
        journal = _Journal.read(path)
        windows = {str(start): range(start, min(start + WINDOW, rows)) for start in range(0, rows, WINDOW)}
        intact = all(there for _, there in opened.values()) and all(
            start in windows and _sum_of(windows[start], tuple(arrays.values())) == checksum
            for start, checksum in journal.windows.items()
        )
        counts = arrays.pop("n_tokens")
        return journal if intact else _Journal(), arrays, counts

    @property
    def places(self) -> list[StatePlace]:
        """Places to measure, that of the first view first; none for a dual encoder and for final vectors, which pool no
        token states."""
        return [] if self.adapter.facts.kind == "dual" else _places(self.views)

    def _width(self, view: EmbeddingView) -> int:
        """Columns of a view's rows."""
        facts = self.adapter.facts
        return self.adapter.hidden_size if view.pooling == "projected" else facts.state_size or self.adapter.hidden_size

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

    def _window(
        self,
        window: range,
        prepared: Iterator[Batch],
        views: tuple[EmbeddingView, ...],
        arrays: dict[str, np.memmap],
        counts: np.memmap,
        journal: _Journal,
        bar: Task,
    ) -> None:
        """Take the batches of one window, which come one after another, and write their rows."""
        measures = {measured(place): place for place in self.places}
        left = len(window)
        while left:
            started = time.perf_counter()
            with self._watch.step("waiting"):
                batch = next(prepared)
            embedded = embed_halving(self.adapter, batch.items, views, self.progress, batch.embed)
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


def _sum_of(window: range, arrays: tuple[np.ndarray, ...]) -> str:
    """Checksum of the rows of a window in all arrays."""
    return hash_bytes(*(np.ascontiguousarray(array[window.start : window.stop]).tobytes() for array in arrays))


def _outlier_note(journal: _Journal) -> str:
    layers_with_some = {layer: figures for layer, figures in journal.outliers.items() if figures[1]}
    where = "; ".join(
        f"layer {layer}: {tokens} in {items} items, up to {most:,.0f} times"
        for layer, (items, tokens, most) in layers_with_some.items()
    )
    sentence = f"tokens with more than {OUTLIER_RATIO:.0f} times the median norm of their item ({where})"
    return f'{sentence}; masks = ["{NO_OUTLIERS}"] leaves them out' if layers_with_some else ""


def _places(views: Sequence[EmbeddingView]) -> list[StatePlace]:
    """Where the views that pool token states read, each once."""
    return list(dict.fromkeys(view.place for view in views if view.pooling != "projected"))


def _facts(rows: int, views: Sequence[EmbeddingView], journal: _Journal) -> dict[str, object]:
    return {
        "items": rows,
        "views": [str(view) for view in views],
        "tokens": journal.tokens,
        "padded_tokens": journal.padded,
        "seconds": round(journal.seconds, 3),
        "items_per_second": round(rows / journal.seconds, 2) if journal.seconds else 0.0,
        "outlier_threshold": OUTLIER_RATIO,
        "outliers": [
            {
                "layer": place.layer,
                "outlier_items": int(figures[0]),
                "outlier_tokens": int(figures[1]),
                "largest_norm_ratio": round(figures[2], 2),
            }
            # `layer` alone names the place where there was no choice of one.
            | ({} if place == StatePlace(place.layer) else {"place": str(place)})
            for place in _places(views)
            if (figures := journal.outliers.get(str(place)))
        ],
    }
