"""A model's own words on pictures, and the items they make: every picture replaced by what the model says of it.

In: the item table of one part, a model, a request. Out: a folder of stage "captions" with `captions.parquet`, one row
per item that holds a picture (`row` of the table, `caption`), and facts: pictures, seconds, how many answers were cut
off at the longest length.

Decoding is greedy, so there is nothing to seed. Steps: (1) pictures go by in windows; (2) batches are filled up to
`batch_tokens` padded tokens, the answer's included; (3) a finished window is a file of its own, so that an interrupted
run goes on with the next one; (4) at the end the windows become one table. Batches change an answer only where rounding
decides between two words, so their size is not in the key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from core import disk
from core.batches import batch_limit
from core.fingerprint import canonical, hash_bytes
from core.models.base import Adapter
from core.models.memory import in_pieces
from core.progress import Progress
from core.records import Item
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from core.corpus import ItemTable

Request = Literal["caption", "questions"]
REQUESTS: tuple[Request, ...] = get_args(Request)
CAPTION_REQUEST = "Describe the image."
WORDS: dict[Request, str] = {
    "caption": CAPTION_REQUEST,
    "questions": "Write questions that this image answers.",
}
"""What is asked of a picture. `questions`: PreMIR (arXiv 2508.17079) lets the model write questions on every document
before retrieval; here all questions on a picture are one text with one embedding, where it keeps one for each."""
LONGEST = 64
"""New tokens of an answer, at most."""
WINDOW = 256
"""Pictures between two points an interrupted run can go on from."""


def captions_spec(table: ItemTable, model_key: str, request: Request) -> dict[str, Any]:
    """What the key of a part's captions is made of."""
    return {"content": table.content, "model": model_key, "request": WORDS[request], "longest": LONGEST}


def caption_part(
    table: ItemTable,
    adapter: Callable[[], Adapter],
    model_key: str,
    request: Request,
    store: Store,
    progress: Progress,
    batch_tokens: int,
) -> Folder:
    """Captions of every picture of a table; found in the cache or generated.

    Args:
        adapter: called only where something must be generated.

    Raises:
        NotAvailable: the model does not generate. ModelError: one picture alone does not fit into memory.
    """

    def write(draft: Draft) -> None:
        import pandas as pd

        model, rows = adapter(), picture_rows(table)
        limit = batch_limit(batch_tokens, model.facts, model.facts.layers, progress)  # the cache holds every layer
        finished: list[dict[str, Any]] = []
        with progress.task(f"{request} by {model.facts.name}", len(rows)) as bar:
            for start in range(0, len(rows), WINDOW):
                window = rows[start : start + WINDOW]
                path = draft.path / f".window-{start}.json"  # hidden: no part of the result
                made = _finished(path, len(window))
                if made is None:
                    made = _generate(table, model, window, request, limit, progress)
                    disk.write_text(path, json.dumps({"window": made, "sum": _sum_of(made)}))
                finished.append(made)
                bar.advance(len(window))
        captions = [caption for one in finished for caption in one["captions"]]
        pd.DataFrame({"row": rows, "caption": captions}).astype({"caption": "string"}).to_parquet(
            draft.path / "captions.parquet", index=False
        )
        for path in draft.path.glob("window-*"):  # of a build that an earlier release began
            path.unlink()
        draft.facts |= {
            "model": model.facts.name,
            "request": WORDS[request],
            "pictures": len(rows),
            "seconds": round(sum(one["seconds"] for one in finished), 3),
        }

    return store.build("captions", f"{request}-by-{model_key}", captions_spec(table, model_key, request), (), write)


def picture_rows(table: ItemTable) -> np.ndarray:
    """(m,) rows of the items that hold a picture, alone or with a text."""
    return np.flatnonzero(table.modality != "text")


def _generate(
    table: ItemTable, adapter: Adapter, rows: np.ndarray, request: Request, limit: int, progress: Progress
) -> dict[str, Any]:
    """{"captions", "seconds"} of some rows, in their order."""
    started, captions = time.perf_counter(), []
    for items in _batches(table, adapter, rows, limit):
        ask = partial(adapter.generate_all, prompt=WORDS[request], max_new_tokens=LONGEST)
        captions += [caption for piece in in_pieces(adapter, items, ask, progress) for caption in piece]
    return {"captions": captions, "seconds": time.perf_counter() - started}


def _batches(table: ItemTable, adapter: Adapter, rows: np.ndarray, limit: int) -> Iterator[list[Item]]:
    """Pictures without their texts; a batch's longest item, with its answer, times its size stays within `limit`."""
    items: list[Item] = []
    longest = 0
    for row in rows:
        whole = table.item(int(row))
        item = Item(whole.id, "image", None, whole.image, whole.task, whole.side)
        length = adapter.lengths([item])[0] + LONGEST
        if items and max(longest, length) * (len(items) + 1) > limit:
            yield items
            items, longest = [], 0
        items.append(item)
        longest = max(longest, length)
    if items:
        yield items


def _finished(path: Path, number: int) -> dict[str, Any] | None:
    """What an interrupted build wrote for a window of so many pictures; None where that cannot be believed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        window = content["window"]
        whole = content["sum"] == _sum_of(window) and len(window["captions"]) == number
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return window if whole else None


def _sum_of(window: dict[str, Any]) -> str:
    return hash_bytes(canonical(window).encode())


@dataclass(frozen=True, eq=False)
class Captioned:
    """The pictures of a part as texts: each is what the model said of it, before the item's own text where it has
    one. Rows are those of `rows`."""

    table: ItemTable
    folder: Folder

    @cached_property
    def rows(self) -> np.ndarray:
        """(m,) rows of the part."""
        return self._read["row"].to_numpy()

    @cached_property
    def texts(self) -> list[str | None]:
        """Captions, each followed by the item's own text."""
        own = self.table.texts
        return [f"{said} {own[row] or ''}".strip() for row, said in zip(self.rows, self._read["caption"], strict=True)]

    @cached_property
    def modality(self) -> np.ndarray:
        """All texts."""
        return np.full(len(self.rows), "text", dtype="<U10")

    @cached_property
    def content(self) -> str:
        """Hash of the texts in order."""
        return hash_bytes(b"captioned", *(str(text).encode() for text in self.texts))

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, row: int) -> Item:
        """A text in the role of the item it stands for."""
        name = self.table.ids[int(self.rows[row])]
        return Item(name, "text", self.texts[row], None, self.table.task, self.table.side)

    @cached_property
    def _read(self) -> Any:
        import pandas as pd

        return pd.read_parquet(self.folder.file("captions.parquet"))
