"""Vectors as other tools write them: numpy, Arrow, faiss, exports of Qdrant, LanceDB and pgvector."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from core.config import CorpusSpec
from core.corpus import build_corpus, guess_source, inspect_corpus, vectors
from core.errors import CorpusError
from core.store import Store

N, D = 7, 5
Written = Callable[[Path, np.ndarray], Any]


def rows(seed: int, number: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, D)).astype(np.float32)


def lists(array: np.ndarray) -> pa.Array:
    return pa.array(array.tolist(), type=pa.list_(pa.float32()))


def feather(path: Path, array: np.ndarray) -> None:
    pyarrow.feather.write_feather(pa.table({"embedding": lists(array)}), path.with_suffix(".feather"))


def arrow_stream(path: Path, array: np.ndarray) -> None:
    """As `datasets` keeps its tables."""
    table = pa.table({"embeddings": lists(array)})
    with pa.OSFile(str(path.with_suffix(".arrow")), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def lancedb(path: Path, array: np.ndarray) -> None:
    """`table.to_arrow()`: a list of fixed size."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), D)
    pq.write_table(pa.table({"vector": column, "item": ["x"] * len(array)}), path.with_suffix(".parquet"))


def pgvector(path: Path, array: np.ndarray) -> None:
    """`COPY ... TO`, read by pandas: the type vector has no other form than text."""
    texts = ["[" + ",".join(repr(float(x)) for x in row) + "]" for row in array]
    pd.DataFrame({"id": range(len(array)), "embedding": texts}).to_parquet(path.with_suffix(".parquet"))


def qdrant(path: Path, array: np.ndarray) -> None:
    """Points of `scroll` as pandas writes them: a payload beside the vector."""
    points = [{"id": 100 + n, "vector": row, "payload": {"text": f"t{n}"}} for n, row in enumerate(array.tolist())]
    pd.DataFrame(points).to_parquet(path.with_suffix(".parquet"))


def qdrant_named(path: Path, array: np.ndarray) -> None:
    """A collection with a named vector, the payload as JSON."""
    points = [
        {"id": 100 + n, "vector": {"image": row}, "payload": json.dumps({"text": f"t{n}"})}
        for n, row in enumerate(array.tolist())
    ]
    pd.DataFrame(points).to_parquet(path.with_suffix(".parquet"))


def half_precision(path: Path, array: np.ndarray) -> None:
    pq.write_table(pa.table({"features": pa.array(list(array.astype(np.float16)))}), path.with_suffix(".parquet"))


WRITERS = [feather, arrow_stream, lancedb, pgvector, qdrant, qdrant_named, half_precision]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "vectors"
    root.mkdir()
    np.save(root / "candidates.npy", rows(1))
    return root


def spec(root: Path) -> CorpusSpec:
    return CorpusSpec(source="embeddings", path=str(root), task=2)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_each_form_gives_the_vectors_in_order(write: Written, folder: Path, store: Store) -> None:
    write(folder / "queries", rows(0))
    names = [100 + n if write in (qdrant, qdrant_named) else n for n in range(N)]
    (folder / "qrels.tsv").write_text("".join(f"{name}\t{n}\t1\n" for n, name in enumerate(names)))
    assert guess_source(str(folder)).source == "embeddings"
    corpus = build_corpus(spec(folder), store)
    tolerance = 1e-3 if write is half_precision else 0
    np.testing.assert_allclose(corpus.own_embeddings("queries"), rows(0), rtol=tolerance)
    assert corpus.items("queries").ids == [str(name) for name in names]
    assert len(corpus.qrels()) == N
    if write in (qdrant, qdrant_named):
        assert corpus.items("queries").texts == [f"t{n}" for n in range(N)]


@pytest.mark.parametrize("kind", ["flat", "ids", "ivf", "ivf with ids", "hnsw"])
def test_a_faiss_index(kind: str, folder: Path, store: Store) -> None:
    import faiss

    index: Any = {
        "flat": lambda: faiss.IndexFlatIP(D),
        "ids": lambda: faiss.IndexIDMap2(faiss.IndexFlatL2(D)),
        "ivf": lambda: faiss.index_factory(D, "IVF2,Flat"),
        "ivf with ids": lambda: faiss.index_factory(D, "IVF2,Flat"),
        "hnsw": lambda: faiss.IndexHNSWFlat(D, 4),
    }[kind]()
    index.train(rows(0))
    if "ids" in kind:
        index.add_with_ids(rows(0), np.arange(N) * 10)
    else:
        index.add(rows(0))
    faiss.write_index(index, str(folder / "queries.faiss"))
    names = [str(n * 10 if "ids" in kind else n) for n in range(N)]
    (folder / "qrels.tsv").write_text("".join(f"{name}\t{n}\t1\n" for n, name in enumerate(names)))
    corpus = build_corpus(spec(folder), store)
    assert np.array_equal(corpus.own_embeddings("queries"), rows(0)) and corpus.items("queries").ids == names


def test_an_index_of_codes_is_refused(folder: Path) -> None:
    import faiss

    index = faiss.index_factory(D, "PQ1x4")
    index.train(rows(0, 64))
    faiss.write_index(index, str(folder / "queries.index"))
    with pytest.raises(CorpusError, match="holds no whole vectors; got IndexPQ; allowed: Flat"):
        vectors.load(folder / "queries.index")


def test_without_faiss_one_line_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "queries.faiss").write_bytes(b"IxFI")
    monkeypatch.setitem(sys.modules, "faiss", None)  # as where it is not installed
    with pytest.raises(CorpusError, match=r"needs the package faiss to be read; next: pip install faiss-cpu"):
        inspect_corpus(spec(folder))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"embedding": ["[0.1,0.2]", "{1:0.5}/5"]}, r"row 1: '\{1:0.5\}/5'; allowed: texts such as"),
        ({"embedding": ["[0.1,0.2]", "[0.1]"]}, "row 0: 2 numbers, row 1: 1"),
        ({"vector": [{"text": [0.1], "image": [0.2]}]}, r"several columns of vectors; got vector\.text, vector\.image"),
        ({"a": [[0.1]], "b": [[0.2]]}, "several columns of vectors; got a, b; allowed: one of them, called embedding"),
    ],
)
def test_what_cannot_be_meant_is_refused(columns: dict[str, list], message: str, folder: Path) -> None:
    pq.write_table(pa.table(columns), folder / "queries.parquet")
    with pytest.raises(CorpusError, match=message):
        inspect_corpus(spec(folder))


@pytest.mark.parametrize("name", ["queries.arrow", "queries.faiss"])
def test_files_that_are_none_are_refused(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"no such thing")
    with pytest.raises(CorpusError, match=name) as caught:
        inspect_corpus(spec(folder))
    assert "\n" not in str(caught.value)


def test_a_missing_vector_is_a_bad_row(folder: Path) -> None:
    texts = ["[1,2,3,4,5]", None, *["[5,4,3,2,1]"] * 30]
    pd.DataFrame({"embedding": texts}).to_parquet(folder / "queries.parquet")
    (folder / "qrels.tsv").write_text("0\t0\t1\n")
    report = inspect_corpus(spec(folder))
    assert [(bad.where, bad.reason) for bad in report.bad] == [("queries.parquet row 1", "NaN or infinity in it")]
