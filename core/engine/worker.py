"""A worker that encodes: one process of the actor pool, with one model, to which windows come.

Made by Ray Data, which hands it one window after the other and starts it again where it dies. It never raises: what
went wrong stands in its answer, so that Ray neither retries what cannot succeed nor prints.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core import disk
from core.batches import batch_limit
from core.config import ModelSpec, Place
from core.encode import encode_rows
from core.engine.flow import Row
from core.engine.shipping import Shipped
from core.engine.sparing import SparingAdapter, reason_of
from core.errors import UserError
from core.models.base import Adapter
from core.progress import NoProgress, Task
from core.records import EmbeddingView


@dataclass(frozen=True)
class LoadModel:
    """Loads the model of a spec; `trusted`: the repository whose code may run."""

    spec: ModelSpec
    trusted: str | None = None

    def __call__(self) -> Adapter:
        from core.models import load_model
        from core.models.options import trusting

        with trusting(self.trusted):
            return load_model(self.spec)


@dataclass(frozen=True)
class Job:
    """What all workers do.

    Attributes:
        threads: of linear algebra; 0: as Ray sets it.
        shared: folder in which the arrays of each window are left; None: they travel in the answer.
    """

    load: Callable[[], Adapter]
    task: int
    views: tuple[EmbeddingView, ...]
    words: tuple[Place, ...]
    batch_tokens: int
    threads: int
    shared: Path | None = None


class Encoder:
    """One worker. Its answer to a window: see `answer`."""

    def __init__(self, job: Job, ledger: Any) -> None:
        self._job, self._ledger = job, ledger
        self._said: list[str] = []
        self._limit = 0
        self.name = f"{socket.gethostname()}/{os.getpid()}"
        self._adapter = ready(job.load, job.threads, ledger)
        if not isinstance(self._adapter, UserError):
            self._limit = batch_limit(
                job.batch_tokens, self._adapter.facts, len({view.place for view in job.views}), self
            )

    def __call__(self, row: Row) -> Row:
        """The arrays of a window, and what is to be known of them."""
        window = {"part": row["part"], "first": int(row["first"])}
        try:
            if isinstance(self._adapter, UserError):
                raise self._adapter
            return self._encoded(window, row["items"], self._adapter)
        except Exception as error:
            what = f"a worker cannot encode {row['part'].replace('_', ' ')} from row {row['first']} on"
            known = error if isinstance(error, UserError) else UserError(what, got=reason_of(error))
            return answer(window, self.name, error=known)

    def _encoded(self, window: Row, items: bytes, adapter: Adapter) -> Row:
        import ray

        job, name = self._job, f"{window['part']}-{window['first']}"
        ray.get(self._ledger.begin.remote(name))
        table = Shipped(items, job.task, window["part"])

        def deaths(ids: tuple[str, ...]) -> int:
            return ray.get(self._ledger.batch.remote(name, ids))

        sparing: Any = SparingAdapter(adapter, table.bad, deaths)
        arrays, journal = encode_rows(table, sparing, job.views, self._limit, self, job.words)
        arrays = {name: _placed(array, table) for name, array in arrays.items()}
        bad = {str(table.all_ids.index(name)): [name, reason] for name, reason in table.bad.items()}
        data, file = bytes_of(arrays), ""
        if job.shared is not None:
            file = str(job.shared / f"{name}.npz")
            _leave(Path(file), data)
            data = b""
        ray.get(self._ledger.done.remote(name))
        said, self._said = self._said, []
        facts = {"journal": asdict(journal), "bad": bad, "said": said, "vocabulary": adapter.vocabulary}
        return answer(window, self.name, data, file, facts)

    def say(self, text: str) -> None:
        """Progress: what is said travels with the next answer."""
        self._said.append(text)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """Progress: no bar."""
        with NoProgress().task(name, total) as bar:
            yield bar


def ready(load: Callable[[], Adapter], threads: int, ledger: Any) -> Adapter | UserError:
    """The model, or why there is none. A worker that dies while it loads is started again by Ray; that ends here."""
    import ray

    from core.engine.cluster import quieten

    quieten()
    if not ray.get(ledger.load.remote()):
        return UserError("workers die while they load the model", todo="fewer --workers, or a larger machine")
    try:
        adapter = load()
    except Exception as error:
        known = error if isinstance(error, UserError) else UserError("a worker has no model", got=reason_of(error))
        adapter = None
    if threads and (torch := sys.modules.get("torch")) is not None:  # a model that has loaded it computes with it
        torch.set_num_threads(threads)
    ray.get(ledger.loaded.remote())
    return known if adapter is None else adapter


def answer(
    piece: Row,
    worker: str,
    data: bytes = b"",
    file: str = "",
    facts: dict[str, Any] | None = None,
    error: UserError | None = None,
) -> Row:
    """What travels back with the name of the piece: `data` or `file` (arrays as .npz), `facts` and `error` as JSON."""
    parts = (
        None
        if error is None
        else [error.what, *(None if p is None else str(p) for p in (error.got, error.allowed, error.todo))]
    )
    return piece | {
        "worker": worker,
        "data": data,
        "file": file,
        "facts": json.dumps(facts or {}),
        "error": json.dumps(parts),
    }


def _placed(array: np.ndarray, table: Shipped) -> np.ndarray:
    """Rows at their places in the window; zeros for items that could not be encoded."""
    whole = np.zeros((len(table.all_ids), *array.shape[1:]), array.dtype)
    good = [at for at, name in enumerate(table.ids) if name not in table.bad]
    whole[[table.rows[at] for at in good]] = array[good]
    return whole


def bytes_of(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays as an answer carries them."""
    buffer = io.BytesIO()
    names = list(arrays)  # names of views are no names of files: "layer -1" and the like
    np.savez(buffer, *arrays.values(), names=np.array(names))
    return buffer.getvalue()


def arrays_of(data: bytes | Path) -> dict[str, np.ndarray]:
    """Arrays back from an answer, by name."""
    with np.load(io.BytesIO(data) if isinstance(data, bytes) else data, allow_pickle=False) as stored:
        return {str(name): stored[f"arr_{at}"] for at, name in enumerate(stored["names"])}


def _leave(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    temporary = disk.aside(path)
    temporary.write_bytes(data)
    disk.put(temporary, path)


def checked(row: Row) -> Row:
    """The answer, its facts read.

    Raises:
        UserError: what the worker says.
    """
    if parts := json.loads(row["error"]):
        raise UserError(parts[0], got=parts[1], allowed=parts[2], todo=parts[3])
    return row | {"facts": json.loads(row["facts"])}
