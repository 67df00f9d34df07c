"""Own embeddings: forms of vectors and ids, order after bad rows, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.config import CorpusSpec
from core.corpus import build_corpus, guess_source, inspect_corpus
from core.errors import CorpusError
from core.store import Store


def vectors(seed: int, number: int, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, width)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Query q<n> asks for candidate number n."""
    root = tmp_path / "vectors"
    root.mkdir()
    np.save(root / "queries.npy", vectors(0, 8))
    np.save(root / "candidates.npy", vectors(1, 10))
    (root / "queries_ids.txt").write_text("".join(f"q{n}\n" for n in range(8)))
    (root / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\t{n}\t1\n" for n in range(8)))
    return root


def spec(root: Path, **rest) -> CorpusSpec:
    return CorpusSpec(source="embeddings", path=str(root), **rest)


def test_vectors_ids_and_pairs(folder: Path, store: Store) -> None:
    assert guess_source(str(folder)).source == "embeddings"
    corpus = build_corpus(spec(folder), store)
    assert corpus.items("queries").ids[7] == "q7" and corpus.items("candidates").ids[7] == "7"
    assert np.array_equal(corpus.own_embeddings("queries"), vectors(0, 8))
    assert np.array_equal(corpus.qrels().pairs, np.column_stack([range(8), range(8)]))
    item = corpus.items("queries").item(0)
    assert (item.modality, item.text, item.image) == ("image", None, None)
    assert corpus.items("queries").thumbnail(0) is None


def test_rows_stay_aligned_when_bad_ones_are_left_out(folder: Path, store: Store) -> None:
    raw = vectors(0, 8)
    raw[2, 3], raw[5] = np.nan, 0
    np.save(folder / "queries.npy", raw)
    corpus = build_corpus(spec(folder, max_bad_share=0.3), store)
    assert np.array_equal(corpus.own_embeddings("queries"), raw[[0, 1, 3, 4, 6, 7]])
    assert corpus.items("queries").ids == ["q0", "q1", "q3", "q4", "q6", "q7"]
    assert corpus.qrels().pairs[:, 1].tolist() == [0, 1, 3, 4, 6, 7]
    assert {b.where: b.reason for b in corpus.report.bad} == {
        "queries.npy row 2": "NaN or infinity in it",
        "queries.npy row 5": "all zero",
    }


def test_parquet_with_texts_and_vectors(folder: Path, store: Store) -> None:
    table = {
        "id": ["a", "b"],
        "modality": ["text", "image"],
        "text": ["hello", None],
        "embedding": vectors(3, 2).tolist(),
    }
    (folder / "queries.npy").unlink()
    pq.write_table(pa.table(table), folder / "queries.parquet")
    (folder / "qrels.tsv").write_text("a\t3\t1\n")
    corpus = build_corpus(spec(folder), store)
    assert corpus.items("queries").texts == ["hello", None] and corpus.report.by_modality == {"text": 11, "image": 1}
    assert np.allclose(corpus.own_embeddings("queries"), vectors(3, 2))


def test_content_follows_the_vectors(folder: Path, store: Store) -> None:
    before = build_corpus(spec(folder), store).items("queries").content
    np.save(folder / "queries.npy", vectors(5, 8))
    assert build_corpus(spec(folder), store).items("queries").content != before


def test_a_limit(folder: Path, store: Store) -> None:
    corpus = build_corpus(spec(folder, limit=3), store)
    assert corpus.own_embeddings("queries").shape == (3, 6) and len(corpus.qrels()) == 3 and not corpus.report.bad


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("queries.npy", vectors(0, 8, 5), "differ in width"),
        ("queries.npy", vectors(0, 7), "does not fit the queries; got 8 rows; allowed: 7 embeddings"),
        ("queries.npy", np.zeros(4), "holds no embeddings"),
        ("queries.npy", np.array([["a"]]), "holds no embeddings"),
        ("queries.npy", np.array([[{}]], dtype=object), "holds no embeddings"),
    ],
)
def test_refusals(name: str, array: np.ndarray, message: str, folder: Path) -> None:
    np.save(folder / name, array)
    with pytest.raises(CorpusError, match=message):
        inspect_corpus(spec(folder))


def test_corpora_with_content_have_no_vectors_of_their_own(store: Store) -> None:
    assert build_corpus(CorpusSpec(source="demo", limit=2), store).own_embeddings("queries") is None
