"""M-BEIR and COCO-Caption parquet, in several layouts, row groups and conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import encoded, picture

from core.config import CorpusSpec
from core.corpus import build_corpus, guess_source, inspect_corpus
from core.corpus.mbeir import TASKS
from core.errors import CorpusError
from core.store import Store

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ITEM = pa.schema([("id", pa.string()), ("modality", pa.string()), ("text", pa.string()), ("image", IMAGE)])


def item(name: str, modality: str, seed: int = 0) -> dict[str, Any]:
    image = {"bytes": encoded(picture(seed)), "path": f"{seed}.png"} if "image" in modality else None
    return {"id": name, "modality": modality, "text": f"text {seed}" if "text" in modality else None, "image": image}


def write_items(path: Path, rows: list[dict[str, Any]], group: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=ITEM), path, row_group_size=group)


def write_qrels(path: Path, pairs: list[tuple[str, str, int]]) -> None:
    names = ("query-id", "Q0", "corpus-id", "score")
    pq.write_table(
        pa.table(dict(zip(names, zip(*((q, "0", c, s) for q, c, s in pairs), strict=True), strict=True))), path
    )


def mbeir(root: Path, query: str = "image,text", candidate: str = "image", number: int = 5) -> Path:
    """Query n asks for candidate n; candidates lie in two files."""
    write_items(root / "query-00000-of-00001.parquet", [item(f"q{n}", query, n) for n in range(number)])
    for k in range(2):
        rows = [item(f"c{n}", candidate, 100 + n) for n in range(number) if n % 2 == k]
        write_items(root / f"corpus-0000{k}-of-00002.parquet", rows)
    write_qrels(root / "qrels-00000-of-00001.parquet", [(f"q{n}", f"c{n}", 1) for n in range(number)])
    return root


def spec(root: Path, task: int, **rest) -> CorpusSpec:
    return CorpusSpec(source="mbeir", path=str(root), task=task, **rest)


@pytest.mark.parametrize(("kinds", "task"), TASKS.items(), ids=str)
def test_all_eight_tasks(kinds: tuple[str, str], task: int, tmp_path: Path, store: Store) -> None:
    root = mbeir(tmp_path / "data", *kinds)
    assert guess_source(str(root)) == spec(root, task)
    corpus = build_corpus(spec(root, task), store)
    queries, candidates = corpus.items("queries"), corpus.items("candidates")
    assert [(queries.ids[q], candidates.ids[c]) for q, c in corpus.qrels().pairs] == [
        (f"q{n}", f"c{n}") for n in range(5)
    ]
    for table, prefix, seed in ((queries, "q", 0), (candidates, "c", 100)):
        for n in (4, 0, 3, 1):
            found = table.item(table.row_of(f"{prefix}{n}"))
            assert found.modality == kinds[prefix == "c"] and found.task == task
            assert found.text == (f"text {seed + n}" if "text" in found.modality else None)
            assert found.image is None if found.modality == "text" else np.array_equal(found.image, picture(seed + n))


def test_a_wrong_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="another task; got task = 4; allowed: 7"):
        inspect_corpus(spec(mbeir(tmp_path), 4))


def test_content_depends_on_the_task_only_where_the_prompt_does(tmp_path: Path, store: Store) -> None:
    pure, fused = mbeir(tmp_path / "a", "text", "text"), mbeir(tmp_path / "b", "image,text", "image,text")
    rows = [{**item(f"q{n}", "image,text", n), "id": f"other{n}"} for n in range(5)]
    write_items(tmp_path / "c" / "query-0.parquet", rows)
    write_items(tmp_path / "c" / "corpus-0.parquet", [item("c0", "image", 100)])
    write_qrels(tmp_path / "c" / "qrels-0.parquet", [("other0", "c0", 1)])
    eight, seven = build_corpus(spec(fused, 8), store), build_corpus(spec(tmp_path / "c", 7), store)
    assert eight.items("queries").content != seven.items("queries").content
    assert eight.items("queries").content != eight.items("candidates").content
    two, other = (
        build_corpus(spec(pure, 2), store),
        build_corpus(spec(mbeir(tmp_path / "d", "text", "image"), 1), store),
    )
    assert two.items("queries").content == other.items("queries").content


def test_bad_rows(tmp_path: Path, store: Store) -> None:
    root = mbeir(tmp_path / "data", "image", "text")
    rows = [item(f"q{n}", "image", n) for n in range(7)]
    rows[1]["image"]["bytes"] = b"broken"
    rows[2]["image"] = None
    rows[3]["id"] = "q0"
    rows[4]["modality"] = "sound"
    rows[5]["image"]["bytes"] = b""
    write_items(root / "query-00000-of-00001.parquet", rows)
    pairs = [("q0", "c0", 1), ("q1", "c1", 1), ("q0", "c3", 0), ("q0", "zz", 1), ("zz", "c1", 1)]
    write_qrels(root / "qrels-00000-of-00001.parquet", pairs)
    corpus = build_corpus(spec(root, 4, max_bad_share=0.9), store)
    name = "query-00000-of-00001.parquet row"
    assert {b.where: b.reason for b in corpus.report.bad} == {
        f"{name} 1": "not an image of a known format, or broken from the start",
        f"{name} 2": "no image",
        f"{name} 3": "duplicate id 'q0'",
        f"{name} 4": "unknown modality 'sound'",
        f"{name} 5": "empty file",
        "qrels-00000-of-00001.parquet row 3": "names unknown candidate 'zz'",
        "qrels-00000-of-00001.parquet row 4": "names unknown query 'zz'",
    }
    assert corpus.qrels().pairs.tolist() == [[0, 0]] and corpus.qrels().unknown == 3


def test_a_limit_cuts_queries_and_leaves_the_pool(tmp_path: Path, store: Store) -> None:
    corpus = build_corpus(spec(mbeir(tmp_path / "data"), 7, limit=2), store)
    assert (len(corpus.items("queries")), len(corpus.items("candidates")), len(corpus.qrels())) == (2, 5, 2)
    assert not corpus.report.bad


def test_support_split_from_train(tmp_path: Path, store: Store) -> None:
    root = mbeir(tmp_path / "data", "image", "text")
    write_items(root / "train" / "query-0.parquet", [item(f"t{n}", "image", 50 + n) for n in range(3)])
    write_qrels(root / "train" / "qrels-0.parquet", [("t0", "c4", 1), ("t2", "c1", 1), ("elsewhere", "c0", 1)])
    corpus = build_corpus(spec(root, 4), store)
    assert corpus.items("support_queries").ids == ["t0", "t1", "t2"]
    assert set(corpus.items("support_candidates").ids) == {"c1", "c4"} and len(corpus.qrels("support")) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\tc0\t1\nq1\tc1\t2.0\n"),
        ("qrels.txt", "q0 0 c0 1\nq1 Q0 c1 1\n"),
        ("qrels.csv", "corpus_id,query_id\nc0,q0\nc1,q1\n"),
        ("qrels.jsonl", '{"qid": "q0", "did": "c0"}\n{"qid": "q1", "did": "c1", "score": 1}\n'),
    ],
)
def test_other_forms_of_qrels(name: str, text: str, tmp_path: Path, store: Store) -> None:
    root = mbeir(tmp_path / "data")
    (root / "qrels-00000-of-00001.parquet").unlink()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    corpus = build_corpus(spec(root, 7), store)
    queries, candidates = corpus.items("queries").ids, corpus.items("candidates").ids
    assert [(queries[q], candidates[c]) for q, c in corpus.qrels().pairs] == [("q0", "c0"), ("q1", "c1")]


def test_missing_tables_and_broken_files(tmp_path: Path) -> None:
    root = mbeir(tmp_path)
    (root / "corpus-00000-of-00002.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(CorpusError, match="is not a parquet file"):
        inspect_corpus(spec(root, 7))
    for path in root.glob("corpus-*"):
        path.unlink()
    with pytest.raises(CorpusError, match="no corpus table"):
        inspect_corpus(spec(root, 7))


def test_no_pair_at_all_is_unusable(tmp_path: Path) -> None:
    root = mbeir(tmp_path)
    write_qrels(root / "qrels-00000-of-00001.parquet", [("q0", "c0", 0)])
    report = inspect_corpus(spec(root, 7))
    assert not report.usable and "no query has a relevant candidate" in report.why_not


def coco(root: Path, number: int = 4) -> Path:
    schema = pa.schema([("file_name", pa.string()), ("image", IMAGE), ("answer", pa.list_(pa.string()))])
    for k in range(2):
        rows = [
            {
                "file_name": f"i{n}.jpg",
                "image": {"bytes": encoded(picture(n)), "path": None},
                "answer": [f"{n}a", f"{n}b "],
            }
            for n in range(number)
            if n % 2 == k
        ]
        pq.write_table(
            pa.Table.from_pylist(rows, schema=schema), root / f"val-0000{k}-of-00002.parquet", row_group_size=1
        )
    return root


@pytest.mark.parametrize("task", [4, 1])
def test_coco_captions(task: int, tmp_path: Path, store: Store) -> None:
    root = coco(tmp_path)
    assert guess_source(str(root)).source == "coco-caption"
    corpus = build_corpus(CorpusSpec(source="coco-caption", path=str(root), task=task), store)
    queries, candidates = corpus.items("queries"), corpus.items("candidates")
    images, texts = (queries, candidates) if task == 4 else (candidates, queries)
    assert images.ids == ["i0.jpg", "i2.jpg", "i1.jpg", "i3.jpg"] and texts.texts[:3] == ["0a", "0b ", "2a"]
    assert np.array_equal(images.item(2).image, picture(1))
    for q, c in corpus.qrels().pairs:
        assert {queries.ids[q].partition("#")[0]} == {candidates.ids[c].partition("#")[0]}
    assert len(corpus.qrels()) == 8


def test_coco_limit(tmp_path: Path) -> None:
    coco(tmp_path)
    counts = {}
    for task in (4, 1):
        report = inspect_corpus(CorpusSpec(source="coco-caption", path=str(tmp_path), task=task, limit=3))
        counts[task] = (report.queries, report.candidates)
    assert counts == {4: (3, 6), 1: (3, 2)}


@pytest.mark.parametrize(
    "pattern", ["{}/test-00000-of-00001.parquet", "data/{}-00000.parquet", "{}.parquet", "test-{}-0.parquet"]
)
def test_other_layouts(pattern: str, tmp_path: Path, store: Store) -> None:
    root = tmp_path / "data"
    for name, modality in (("query", "image"), ("corpus", "text")):
        write_items(root / pattern.format(name), [item(f"{name}{n}", modality, n) for n in range(3)])
    path = root / pattern.format("qrels")
    path.parent.mkdir(exist_ok=True)
    write_qrels(path if "data/" not in pattern else root / "qrels-0.parquet", [("query1", "corpus2", 1)])
    corpus = build_corpus(guess_source(str(root)), store)
    assert corpus.task == 4 and corpus.qrels().pairs.tolist() == [[1, 2]]
    assert np.array_equal(corpus.items("queries").item(2).image, picture(2))


def test_the_layout_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Store) -> None:
    """Configurations `query` and `qrels` with splits, `corpus` with a split of its own name, in shards."""
    for split in ("test", "train"):
        write_items(
            tmp_path / "query" / f"{split}-00000-of-00001.parquet", [item(f"{split}{n}", "image", n) for n in range(3)]
        )
        (tmp_path / "qrels").mkdir(exist_ok=True)
        write_qrels(
            tmp_path / "qrels" / f"{split}-00000-of-00001.parquet", [(f"{split}{n}", f"c{n}", 1) for n in range(3)]
        )
    for shard in range(2):
        rows = [item(f"c{n}", "text", n) for n in range(3 * shard, 3 * shard + 3)]
        write_items(tmp_path / "corpus" / f"corpus-{shard:05d}-of-00002.parquet", rows)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    corpus = build_corpus(CorpusSpec(source="mbeir", path="mbeir:mscoco_task4"), store)
    assert corpus.name == "mscoco_task4" and corpus.items("candidates").ids == [f"c{n}" for n in range(6)]
    assert corpus.items("queries").ids == ["test0", "test1", "test2"]
    assert corpus.items("support_queries").ids == ["train0", "train1", "train2"]
    assert corpus.items("support_candidates").ids == ["c0", "c1", "c2"]


def test_images_named_by_path_lie_beside_the_table(tmp_path: Path, store: Store) -> None:
    root = mbeir(tmp_path / "data", "image", "text")
    (root / "images").mkdir()
    rows = [item(f"q{n}", "image", n) for n in range(5)]
    for n, row in enumerate(rows):
        (root / "images" / f"{n}.png").write_bytes(row["image"]["bytes"])
        row["image"] = {"bytes": None, "path": f"images/{n}.png"}
    write_items(root / "query-00000-of-00001.parquet", rows)
    assert np.array_equal(build_corpus(spec(root, 4), store).items("queries").item(3).image, picture(3))


def test_a_vanished_table_is_one_clear_line(tmp_path: Path, store: Store) -> None:
    root = mbeir(tmp_path / "data")
    table = build_corpus(spec(root, 7), store).items("queries")
    (root / "query-00000-of-00001.parquet").unlink()
    with pytest.raises(CorpusError, match="image of 'q0' cannot be read again: no such file"):
        table.item(0)
    assert np.array_equal(table.thumbnail(0), picture(0))
