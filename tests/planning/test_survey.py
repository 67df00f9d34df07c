"""A folder looked at: which layout it has, how many items, what is bad, and what is not read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.corpus import guess_source, inspect_corpus
from core.errors import CorpusError
from core.planning.plan import survey_lines
from core.planning.survey import survey


def folder(root: Path, pictures: int = 3, **files: str) -> Path:
    """Plain pictures, with the text files given by name (`__` for a dot)."""
    for n in range(pictures):
        Image.new("RGB", (12, 9), (n * 60, 90, 120)).save(root / f"p{n}.png")
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return root


def embeddings(root: Path) -> Path:
    for part in ("queries", "candidates"):
        np.save(root / f"{part}.npy", np.eye(4, dtype=np.float32))
    (root / "qrels.csv").write_text("query-id,corpus-id,score\n0,0,1\n1,1,1\n")
    return root


def parquet(root: Path) -> Path:
    picture = root / "p.png"
    Image.new("RGB", (8, 8)).save(picture)
    rows = [{"image": {"bytes": picture.read_bytes(), "path": None}, "caption": ["one", "two"]}] * 3
    pq.write_table(pa.Table.from_pylist(rows), root / "val-0.parquet")
    picture.unlink()
    return root


def mbeir(root: Path) -> Path:
    for name, kind in (("query", "text"), ("corpus", "text")):
        pq.write_table(
            pa.table({"id": ["a", "b"], "modality": [kind] * 2, "text": ["x", "y"]}), root / f"{name}-0.parquet"
        )
    pq.write_table(pa.table({"query-id": ["a"], "corpus-id": ["a"], "score": [1]}), root / "qrels-0.parquet")
    return root


def beir(root: Path) -> Path:
    for name in ("queries", "corpus"):
        lines = (json.dumps({"_id": f"{name}{n}", "text": f"text {n}"}) for n in range(2))
        (root / f"{name}.jsonl").write_text("\n".join(lines))
    (root / "qrels").mkdir()
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nqueries0\tcorpus0\t1\n")
    return root


def mixed(root: Path) -> Path:
    folder(root, 1)
    (root / "queries.jsonl").write_text(json.dumps({"query_id": "q", "text": "a picture"}))
    pool = ({"corpus_id": "t", "text": "a text"}, {"corpus_id": "i", "image": "p0.png"})
    (root / "mixed_corpus.jsonl").write_text("\n".join(map(json.dumps, pool)))
    (root / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\ti\t1\n")
    return root


LISTING = "file,caption\np0.png,one\np0.png,two\np1.png,three\n"
LAYOUTS = {
    "captions.csv": (lambda at: folder(at, captions__csv=LISTING), "folder", 4, 2, 3, "captions.csv"),
    "metadata.jsonl": (
        lambda at: folder(at, metadata__jsonl='{"file_name": "p0.png", "text": "a"}\n'), "folder", 4, 1, 1, "metadata",
    ),
    "texts beside": (lambda at: folder(at, 2, p0__txt="a\nb", p1__txt="c"), "folder", 4, 2, 3, ".txt of its name"),
    "composed": (
        lambda at: folder(at, queries__csv="query_image,query_text,target_image\np0.png,redder,p1.png\n"),
        "folder", 7, 1, 3, "queries.csv",
    ),
    "images alone": (folder, "folder", 4, 3, 0, "nothing to retrieve"),
    "own embeddings": (embeddings, "embeddings", 4, 4, 4, "queries.npy"),
    "captions in parquet": (parquet, "coco-caption", 4, 3, 6, "val-0.parquet"),
    "BEIR": (beir, "beir", 2, 1, 2, "corpus.jsonl"),
    "a pool of several modalities": (mixed, "mixed", 0, 1, 2, "mixed_corpus.jsonl"),
    "M-BEIR": (mbeir, "mbeir", 2, 2, 2, "task 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_found_counted_and_named(name: str, tmp_path: Path) -> None:
    make, source, task, queries, candidates, said = LAYOUTS[name]
    seen = survey(str(make(tmp_path)))
    assert (seen.spec.source, seen.spec.task) == (source, task)
    counts = {part: sum(by.values()) for part, by in seen.counts.items()}
    assert (counts["queries"], counts.get("candidates", 0)) == (queries, candidates)
    assert said in seen.found.words
    # By another way: the reader that decodes everything counts the same.
    report = inspect_corpus(seen.spec)
    assert (report.queries, report.candidates) == (queries, candidates)
    assert guess_source(str(tmp_path)).source == source


def test_what_is_not_read_is_named_with_the_reason(tmp_path: Path) -> None:
    root = folder(tmp_path, captions__csv=LISTING, captions__tsv="file\tcaption\np0.png\tx\n", p0__txt="beside")
    (root / "notes.pdf").write_bytes(b"%PDF")
    (root / ".hidden").write_text("x")
    groups = {group.why: (group.number, group.examples) for group in survey(str(root)).ignored}
    assert groups == {
        "pictures that captions.csv does not name": (1, ("p2.png",)),
        "listings: captions.csv is read": (1, ("captions.tsv",)),
        "text files: the captions stand in captions.csv": (1, ("p0.txt",)),
        ".pdf: neither pictures nor captions": (1, ("notes.pdf",)),
    }


def test_another_corpus_in_the_same_folder_is_named(tmp_path: Path) -> None:
    folder(embeddings(tmp_path), captions__csv=LISTING)
    seen = survey(str(tmp_path))
    assert seen.spec.source == "embeddings"
    assert "also there, not taken: images with captions in captions.csv" in survey_lines(seen)


def test_a_picture_that_is_not_there_is_bad_and_its_captions_go_with_it(tmp_path: Path) -> None:
    root = folder(tmp_path, captions__jsonl="\n".join(
        json.dumps(row) for row in ({"file": "p0.png", "caption": "a"}, {"file": "gone.png", "caption": "b"})
    ))  # fmt: skip
    seen = survey(str(root))
    assert [row.reason for row in seen.bad] == ["no such file"]
    assert {part: sum(by.values()) for part, by in seen.counts.items()} == {"queries": 1, "candidates": 1}


def test_a_limit_counts_queries(tmp_path: Path) -> None:
    seen = survey(str(folder(tmp_path, captions__csv=LISTING)), limit=1)
    assert {part: sum(by.values()) for part, by in seen.counts.items()} == {"queries": 1, "candidates": 2}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: at / "gone", "no such corpus"),
        (lambda at: at, "no file in it"),
        (lambda at: folder(at, 0, notes__pdf="x", letter__docx="y"), "1 .docx"),
        (lambda at: folder(at, 0, captions__csv="file,caption\ngone.png,a\n"), "no such file"),
    ],
    ids=["nothing", "empty", "documents", "no picture there"],
)
def test_a_folder_that_is_no_corpus_says_what_would_be(make, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CorpusError) as caught:
        survey(str(make(tmp_path)))
    error = caught.value
    assert said in str(error) and error.got and error.todo
