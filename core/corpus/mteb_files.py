"""What mteb has written for a task, as own embeddings of that task's items.

In: a folder (`path` in [corpus]) with one of
- an embedding cache (`CachedEmbeddingWrapper`): TASK/query and TASK/document (or `experiments/NAME/...` below TASK),
  each with `vectors.npy` (bare float32, without numpy's head) or `vectors.faiss`, and `index.json`: hash of an item to
  its row;
- predictions (`prediction_folder`): TASK_predictions.json, subset -> split -> query -> candidate -> score.
Out: a folder of the cache as `embeddings.py` reads it, with the ids, texts and pairs of the task.

Predictions hold scores and no vectors. So every candidate becomes an axis of its own, and a query's vector has at each
candidate the place that its score has among the query's scores: cosines then rank as the file does, ties included, and
say nothing else. Items that a cache does not hold have no vector and are bad rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from core.artefact import origins_of
from core.config import CorpusSpec
from core.corpus import embeddings, parquet, vectors
from core.corpus.files import fingerprint, given_path
from core.corpus.rows import Source
from core.errors import CorpusError
from core.json_text import NotJson, read_json_object
from core.machine import check_memory, free_memory
from core.paths import is_file
from core.store import Draft, Folder, Store

Role = Literal["query", "document"]
ROLES: dict[Role, tuple[str, str]] = {"query": ("queries", "query"), "document": ("candidates", "corpus")}
"""Folder of mteb's cache -> part here, and table of the task."""
INDEX = "index.json"


def with_vectors(spec: CorpusSpec, task: Folder, store: Store) -> tuple[Source, Folder]:
    """The task's items with the vectors at the spec's path, and the folder of the cache that holds them.

    Raises:
        CorpusError: nothing of this task is there, or it is of other items. TooLarge: predictions for too many
            candidates.
    """
    root = given_path(spec.path or "").resolve()
    name = task.facts["benchmark"]["task"]
    predictions = root if is_file(root) else root / f"{name}_predictions.json"
    if is_file(predictions):
        files, fill = [predictions], lambda draft: _predicted(predictions, task, draft)
    else:
        folders = _cache_folders(root, name)
        files = [path for folder in folders.values() for path in (folder / INDEX, _vectors_of(folder))]

        def fill(draft: Draft) -> None:
            for role, folder in folders.items():
                _cached(role, folder, task, draft)

    def write(draft: Draft) -> None:
        _describe(task, draft)
        fill(draft)

    mark = fingerprint(root.parent, (str(path.relative_to(root.parent)) for path in files), ())
    made = store.build(
        task.stage, f"{name}-vectors", {"vectors": mark["files"]}, (task.key,), write, origins=origins_of((task,))
    )
    own = CorpusSpec(source="embeddings", path=str(made.path), task=spec.task, limit=spec.limit)
    return embeddings.read(own), made


def holds_predictions(spec: CorpusSpec) -> bool:
    """Whether the vectors at the spec's path are made of scores."""
    if not spec.path:
        return False
    root = given_path(spec.path)
    return is_file(root) or is_file(root / f"{spec.mteb_task}_predictions.json")


def _cache_folders(root: Path, task: str) -> dict[Role, Path]:
    """Folder of either side of mteb's embedding cache: below TASK, below an experiment there, or in `root` itself."""
    bases = [root / task, *sorted((root / task / "experiments").glob("*")), root]
    whole = [base for base in bases if all(is_file(base / role / INDEX) for role in ROLES)]
    if not whole:
        allowed = f"{task}_predictions.json, or {task}/query and {task}/document of mteb's embedding cache"
        raise CorpusError(f"mteb has written nothing of {task} here", got=root, allowed=allowed)
    if len(whole) > 1:
        names = ", ".join(base.relative_to(root).as_posix() for base in whole)
        raise CorpusError(f"mteb has several caches of {task} here", got=names, todo="set path to one of them")
    return {role: whole[0] / role for role in ROLES}


def _vectors_of(folder: Path) -> Path:
    paths = [folder / "vectors.npy", folder / "vectors.faiss"]
    found = next((path for path in paths if is_file(path)), None)
    if found is None:
        raise CorpusError("an embedding cache without vectors", got=folder, allowed="vectors.npy or vectors.faiss")
    return found


def _cached(role: Role, folder: Path, task: Folder, draft: Draft) -> None:
    """The vectors of one side, looked up by the hash of each item."""
    part, table = ROLES[role]
    index = {name: int(row) for name, row in _json(folder / INDEX).items()}
    path = _vectors_of(folder)
    stored = vectors.load(path) if path.suffix == ".faiss" else _bare(path, folder)
    rows = np.array([index.get(name, -1) for name in item_hashes(task, table)], dtype=np.int64)
    if not (rows >= 0).any() or rows.max() >= len(stored):
        got = f"{len(index)} vectors, for none of the {len(rows)} items"
        raise CorpusError(f"this cache is of other items than the {part}", got=got if rows.max() < 0 else path)
    out = np.full((len(rows), stored.shape[1]), np.nan, np.float32)
    out[rows >= 0] = stored[rows[rows >= 0]]
    draft.save(part, out)


def _bare(path: Path, folder: Path) -> np.ndarray:
    """mteb's own `vectors.npy`: float32 and nothing else; its width is in the file `dimension` beside it."""
    try:
        width = int((folder / "dimension").read_text(encoding="utf-8"))
        return np.memmap(path, np.float32, "r", shape=(path.stat().st_size // (4 * width), width))
    except (OSError, ValueError, ZeroDivisionError) as error:
        raise CorpusError("a cache of mteb that cannot be read", got=f"{folder}: {error}") from error


def item_hashes(task: Folder, table: str) -> Iterator[str]:
    """mteb's hash of every row of a table (`query` or `corpus`): of its text, and of the picture as `datasets` decodes
    it."""
    from datasets import Image
    from mteb._content_hashes import hash_item

    decode: Callable[[dict[str, Any]], Any] = Image().decode_example
    for _, row in parquet.rows(task.file(f"{table}.parquet"), ("text", "image")):
        item = {"text": row["text"]} if row["text"] is not None else {}
        yield hash_item(item | ({"image": decode(row["image"])} if row["image"] is not None else {}))


def _predicted(path: Path, task: Folder, draft: Draft) -> None:
    """Vectors that rank as the scores of a file of predictions do."""
    facts = task.facts["benchmark"]
    by_query = _json(path).get(facts["subset"], {}).get(facts["split"])
    if not isinstance(by_query, dict):
        got = f"{path.name} without {facts['subset']}/{facts['split']}"
        raise CorpusError(f"these predictions are not of this part of {facts['task']}", got=got)
    queries, candidates = (_ids(task, table) for table in ("query", "corpus"))
    columns = {name: column for column, name in enumerate(candidates)}
    needs = 4 * len(candidates) * (len(queries) + len(candidates))
    check_memory(f"an axis for each of {len(candidates):,} candidates", needs, free_memory(), "read embeddings instead")
    out = np.zeros((len(queries), len(candidates)), np.float32)
    for row, query in enumerate(queries):
        scores = {columns[name]: float(score) for name, score in by_query.get(query, {}).items() if name in columns}
        # Places instead of scores: scores may be negative, and may lie closer than float32 tells apart once scaled.
        _, places = np.unique(np.array(list(scores.values())), return_inverse=True)
        out[row, list(scores)] = (places + 1) / max(len(scores), 1)
    if not out.any():
        raise CorpusError("these predictions are of other items", got=path, todo="check the task, split and language")
    draft.save("queries", out)
    draft.save("candidates", np.eye(len(candidates), dtype=np.float32))


def _ids(task: Folder, table: str) -> list[str]:
    return pq.read_table(task.file(f"{table}.parquet"), columns=["id"]).column(0).to_pylist()


def _describe(task: Folder, draft: Draft) -> None:
    """Ids, modalities and texts, and the pairs, as `embeddings.py` looks for them beside the vectors."""
    for part, table in ROLES.values():
        columns = pq.read_table(task.file(f"{table}.parquet"), columns=["id", "modality", "text"])
        pq.write_table(columns, draft.path / f"{part}.parquet")
    pq.write_table(pq.read_table(task.file("qrels.parquet")), draft.path / "qrels.parquet")


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except (NotJson, OSError) as error:
        raise CorpusError("a file of mteb that cannot be read", got=f"{path}: {error}") from error
