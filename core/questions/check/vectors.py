"""Vectors that lie in a folder: `queries` and `candidates`, either of which may be missing.

Per part, the first of:
- `PART.npy`: (n, d) numbers.
- `PART.parquet`: a column of lists called `embedding`, `vector` or `embeddings`; else all columns of numbers.
- `PART.csv` or `PART.tsv`: all columns of numbers but `id`, in their order, or one column `embedding` of JSON lists.
Ids, the first of: a column `id` of that table, `PART_ids.txt` (one a line), `PART_ids.json` (a list), `PART_ids.npy`.
With ids, any rows in any order will do; without, rows must be those of the run, in its order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.corpus.vectors import load
from core.errors import CorpusError
from core.json_text import NotJson, json_value
from core.machine import check_memory, free_memory
from core.paths import is_file, kind
from core.questions.check.given import CHECKED_PARTS, OTHER, Given, GivenPart
from core.records import Part
from core.run import Run

VECTOR_COLUMNS = ("embedding", "vector", "embeddings")
TABLES = (".parquet", ".csv", ".tsv")
FILES = f"queries.npy or candidates.npy, or a table ({', '.join(TABLES)}) with id and vector columns"
COPIES = 4
"""Of a table, in memory at once: as read, as a frame, as numbers, in one array."""


def read_vectors(run: Run, folder: Path) -> Given:
    """The vectors of a folder, each row told by its id or by the run's order.

    Raises:
        CorpusError: no such folder, no vectors in it, too few rows, ids that the run does not know.
    """
    if kind(folder) != "folder":
        raise CorpusError("no such folder of vectors", got=folder, allowed=FILES)
    found = {part: one for part in CHECKED_PARTS if (one := _read_part(folder, part)) is not None}
    if not found:
        raise CorpusError("the folder holds no vectors", got=folder, allowed=FILES)
    sizes: dict[Part, int] = {part: len(run.embeddings(part)) for part in found}
    notes: list[str] = []
    parts = {part: _placed(run, part, *one, sizes, found, notes) for part, one in found.items()}
    coarsest = max((_type_name(one.vectors) for one in parts.values()), key=_coarseness)
    return Given(parts, str(folder), "vectors", coarsest, notes=tuple(notes))


def _read_part(folder: Path, part: Part) -> tuple[np.ndarray, list[str] | None] | None:
    """(n, d) vectors of a part and their ids, None without ids; None where the folder has no such part."""
    path = folder / f"{part}.npy"
    if is_file(path):
        return load(path), _ids_beside(folder, part)
    table = next((path for suffix in TABLES if is_file(path := folder / f"{part}{suffix}")), None)
    if table is None:
        return None
    frame = _frame(table)
    ids = [str(one) for one in frame.pop("id")] if "id" in frame else _ids_beside(folder, part)
    return _numbers(table, frame), ids


def _frame(path: Path) -> pd.DataFrame:
    """A table, column names in lower case.

    Raises:
        CorpusError: it cannot be read.
    """
    check_memory(
        path.name, COPIES * path.stat().st_size, free_memory(), "save the vectors as .npy, read piece by piece"
    )
    try:
        if path.suffix == ".parquet":
            frame = pq.read_table(path).to_pandas()
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype={"id": str})
    except (OSError, ValueError, pa.ArrowException) as error:  # pandas' own errors are ValueErrors
        raise CorpusError(f"{path.name} cannot be read", got=error, allowed="a table with id and vectors") from error
    return frame.rename(columns=lambda name: str(name).strip().lower())


def _numbers(path: Path, frame: pd.DataFrame) -> np.ndarray:
    """(n, d) from a column of lists, or from all columns of numbers.

    Raises:
        CorpusError: no numbers, or lists of several lengths.
    """
    column = next((name for name in VECTOR_COLUMNS if name in frame), None)
    allowed = "a column 'embedding' of lists of one length, or columns of numbers"
    if column is None:
        numbers = frame.select_dtypes("number")
        if not numbers.shape[1]:
            raise CorpusError(
                f"{path.name} holds no vectors", got=", ".join(frame.columns) or "no columns", allowed=allowed
            )
        return numbers.to_numpy()
    try:
        rows = [np.asarray(json.loads(one) if isinstance(one, str) else one, dtype=np.float64) for one in frame[column]]
        stacked = np.stack(rows)
        if stacked.ndim != 2:
            raise ValueError(f"shape {stacked.shape}")
    except (ValueError, TypeError) as error:
        raise CorpusError(f"{path.name} holds no vectors", got=error, allowed=allowed) from error
    # Arrow's float32 lists come back as float32: the type says how the numbers were rounded.
    kinds = {one.dtype for one in frame[column] if isinstance(one, np.ndarray)}
    return stacked.astype(kinds.pop()) if len(kinds) == 1 else stacked


def _ids_beside(folder: Path, part: Part) -> list[str] | None:
    """Ids from a file of their own; None where there is none.

    Raises:
        CorpusError: the file cannot be read as what it is called.
    """
    readers: dict[str, Callable[[Path], list[str]]] = {
        ".txt": lambda path: path.read_text(encoding="utf-8-sig").splitlines(),
        ".json": lambda path: [str(one) for one in _list(json_value(path.read_bytes()))],
        ".npy": lambda path: [str(one) for one in np.load(path, allow_pickle=False).ravel().tolist()],
    }
    for suffix, read in readers.items():
        path = folder / f"{part}_ids{suffix}"
        if is_file(path):
            try:
                return [one.strip() for one in read(path)]
            except (OSError, ValueError, NotJson, TypeError) as error:
                raise CorpusError(f"{path.name} cannot be read", got=error, allowed="one id per vector") from error
    return None


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"a {type(value).__name__} in place of a list")
    return value


def _placed(
    run: Run,
    part: Part,
    vectors: np.ndarray,
    ids: list[str] | None,
    sizes: dict[Part, int],
    found: dict[Part, tuple[np.ndarray, list[str] | None]],
    notes: list[str],
) -> GivenPart:
    """Which row of the run each vector stands for.

    Raises:
        CorpusError: ids that are not as many as the vectors, unknown, or twice; without ids not as many vectors as
            the run has rows.
    """
    if ids is None:
        # Files that were taken for each other have each other's number of rows: told apart later, not refused here.
        crossed = len(found) == len(OTHER) and all(len(found[OTHER[one]][0]) == sizes[one] for one in sizes)
        if len(vectors) != sizes[part] and not crossed:
            fewer = "too few" if len(vectors) < sizes[part] else "too many"
            raise CorpusError(
                f"{fewer} rows of {part}, and no ids beside them",
                got=f"{len(vectors):,} rows",
                allowed=f"{sizes[part]:,}, in the run's order, or ids",
                todo=f"write {part}_ids.txt, one id per row",
            )
        count = min(len(vectors), sizes[part])
        return GivenPart(part, np.arange(count, dtype=np.int64), vectors, by_order=True)
    if len(ids) != len(vectors):
        raise CorpusError(f"ids and vectors of {part} differ in number", got=f"{len(ids)} ids", allowed=len(vectors))
    if len(set(ids)) != len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise CorpusError(f"an id of {part} stands twice", got=repr(twice), allowed="each id once")
    known = {str(name): row for row, name in enumerate(run.corpus.items(part).ids)}
    rows = np.array([known.get(one, -1) for one in ids], dtype=np.int64)
    if not (rows >= 0).any():
        raise CorpusError(
            f"the run knows none of the ids of {part}",
            got=", ".join(map(repr, ids[:3])),
            allowed=f"ids such as {next(iter(known))!r}",
        )
    if unknown := int((rows < 0).sum()):
        notes.append(f"{unknown:,} of {len(rows):,} {part} have ids that the run does not know; they are left out")
        vectors = np.asarray(vectors)[rows >= 0]
    return GivenPart(part, rows[rows >= 0], vectors, by_order=False)


def _type_name(vectors: np.ndarray) -> str:
    """Name of the type the numbers came in, of those `agreement.EPSILON` knows."""
    return str(vectors.dtype) if str(vectors.dtype) in ("float16", "float32") else "float64"


def _coarseness(name: str) -> int:
    return ("float64", "float32", "float16").index(name)
