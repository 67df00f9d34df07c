"""Windows of rows that are encoded: what an interrupted encoding has finished, and what its figures say at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core import disk
from core.fingerprint import canonical, hash_bytes
from core.models.base import ModelFacts
from core.models.outliers import NO_OUTLIERS, OUTLIER_RATIO
from core.records import EmbeddingView, StatePlace

JOURNAL = ".windows.json"
"""Hidden: it helps an interrupted run to go on and is no part of the result."""


@dataclass
class Journal:
    """What an interrupted run has finished."""

    windows: dict[str, str] = field(default_factory=dict)
    """First row of a finished window -> checksum of its rows in all arrays."""
    seconds: float = 0.0
    tokens: int = 0
    padded: int = 0
    outliers: dict[str, list[float]] = field(default_factory=dict)
    """Per place (`str(StatePlace)`): items with outliers, outlier tokens, largest norm ratio."""
    vocabulary: int = 0
    """Words that next-word distributions range over; 0 where nobody has said yet."""
    makers: dict[str, str] = field(default_factory=dict)
    """First row of a window -> who encoded it, where that was a worker of the engine (`core/engine`)."""

    def note_outliers(self, place: StatePlace, figures: np.ndarray) -> None:
        """Add a batch; `figures` (b, 2): largest norm ratio and number of outliers of each item."""
        counts = figures[:, 1]
        self._add(str(place), int((counts > 0).sum()), int(counts.sum()), float(figures[:, 0].max()))

    def add(self, other: Journal) -> None:
        """Take in the figures of rows that were encoded elsewhere; their windows are noted by the caller."""
        self.seconds += other.seconds
        self.tokens += other.tokens
        self.padded += other.padded
        for place, (items, tokens, largest) in other.outliers.items():
            self._add(place, int(items), int(tokens), largest)

    def _add(self, place: str, items: int, tokens: int, largest: float) -> None:
        before = self.outliers.get(place, [0, 0, 0.0])
        self.outliers[place] = [before[0] + items, before[1] + tokens, max(before[2], largest)]

    @classmethod
    def read(cls, path: Path) -> Journal:
        """The journal of an interrupted run; an empty one where there is none that can be read."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(**content["journal"]) if content["sum"] == _sum_of_journal(content["journal"]) else cls()
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return cls()

    @classmethod
    def believed(cls, path: Path, windows: Mapping[str, range], arrays: tuple[np.ndarray, ...]) -> Journal:
        """The journal, where the rows of all its windows are as it says; else an empty one.

        Its figures (tokens, outliers) are of all its windows, so that it is believed whole or not at all.
        """
        journal = cls.read(path)
        intact = all(
            start in windows and sum_of(windows[start], arrays) == checksum
            for start, checksum in journal.windows.items()
        )
        return journal if intact else cls()

    def write(self, path: Path) -> None:
        # One rename: a process killed while writing leaves the old journal, never half of one.
        content = json.loads(json.dumps(asdict(self)))
        disk.write_text(path, json.dumps({"journal": content, "sum": _sum_of_journal(content)}))


def _sum_of_journal(content: dict[str, Any]) -> str:
    return hash_bytes(canonical(content).encode())


def sum_of(window: range, arrays: tuple[np.ndarray, ...]) -> str:
    """Checksum of the rows of a window in all arrays."""
    return hash_bytes(*(np.ascontiguousarray(array[window.start : window.stop]).tobytes() for array in arrays))


def outlier_note(journal: Journal) -> str:
    """A sentence on tokens that are outliers; "" where there are none."""
    layers_with_some = {layer: figures for layer, figures in journal.outliers.items() if figures[1]}
    where = "; ".join(
        f"layer {layer}: {tokens} in {items} items, up to {most:,.0f} times"
        for layer, (items, tokens, most) in layers_with_some.items()
    )
    sentence = f"tokens with more than {OUTLIER_RATIO:.0f} times the median norm of their item ({where})"
    return f'{sentence}; masks = ["{NO_OUTLIERS}"] leaves them out' if layers_with_some else ""


def places_of(facts: ModelFacts, views: Sequence[EmbeddingView]) -> list[StatePlace]:
    """Places whose outliers are measured, that of the first view first; none for a dual encoder and for final vectors,
    which pool no token states."""
    return [] if facts.kind == "dual" else _read_at(views)


def _read_at(views: Sequence[EmbeddingView]) -> list[StatePlace]:
    """Where the views that pool token states read, each once."""
    return list(dict.fromkeys(view.place for view in views if view.pooling != "projected"))


def encoding_facts(rows: int, views: Sequence[EmbeddingView], journal: Journal) -> dict[str, object]:
    """Facts of the finished folder."""
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
            for place in _read_at(views)
            if (figures := journal.outliers.get(str(place)))
        ],
    }
