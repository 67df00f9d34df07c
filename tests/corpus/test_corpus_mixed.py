"""Pools of several modalities, as published: MixBench's folder, M-BEIR's union pool, mixed parquet, own vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture
from test_corpus_parquet import item, write_items, write_qrels

from core.config import CorpusSpec
from core.corpus import build_corpus, guess_source, inspect_corpus
from core.errors import CorpusError
from core.store import Store


def lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def mixed(root: Path, **more) -> CorpusSpec:
    return CorpusSpec(source="mixed", path=str(root), task=0, **more)


QUERIES = [{"query_id": f"q{n}", "text": f"what is {n}", "image": ""} for n in range(3)]
POOL = [
    {"corpus_id": "a", "text": "a text", "image": None},
    {"corpus_id": "b", "text": "", "image": "p1.png"},
    {"corpus_id": "c", "text": "both", "image": "p2.png"},
]


@pytest.fixture
def folder(photos: Callable[..., Path]) -> Path:
    """A folder as MixBench has it: every query's answer is of another modality."""
    root = photos(4)
    lines(root / "queries.jsonl", QUERIES)
    lines(root / "mixed_corpus.jsonl", POOL)
    lines(root / "corpus.jsonl", POOL[:1])  # the unmixed pool beside it is not taken
    (root / "qrels").mkdir()
    (root / "qrels" / "qrels.tsv").write_text("query_id\tcorpus_id\tscore\nq0\ta\t1\nq1\tb\t1\nq2\tc\t1\n")
    return root


def test_a_folder_as_mixbench_has_it(folder: Path, store: Store) -> None:
    assert guess_source(str(folder)) == mixed(folder)
    corpus = build_corpus(mixed(folder), store)
    pool = corpus.items("candidates")
    assert pool.modality.tolist() == ["text", "image", "image,text"] and corpus.task == 0
    assert pool.texts == ["a text", None, "both"] and corpus.items("queries").by_modality == {"text": 3}
    assert corpus.qrels().pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    np.testing.assert_array_equal(np.asarray(pool.item(2).image), np.asarray(picture(2)))
    assert not corpus.has("support_queries")


def test_texts_alone_are_no_mixed_pool(folder: Path) -> None:
    """The same files without `mixed_corpus` and without an image are a BEIR folder; with an image they are mixed."""
    (folder / "mixed_corpus.jsonl").unlink()
    (folder / "qrels" / "qrels.tsv").rename(folder / "qrels" / "test.tsv")
    assert guess_source(str(folder)).source == "beir"
    lines(folder / "corpus.jsonl", POOL)
    assert guess_source(str(folder)) == mixed(folder)


def test_a_limit_cuts_queries_and_keeps_the_pool(folder: Path, store: Store) -> None:
    corpus = build_corpus(mixed(folder, limit=2), store)
    assert len(corpus.items("queries")) == 2 and len(corpus.items("candidates")) == 3 and len(corpus.qrels()) == 2


def test_a_support_split_takes_the_pool_of_the_folder(folder: Path, store: Store) -> None:
    lines(folder / "support" / "queries.jsonl", [{"query_id": "s", "text": "asks"}])
    (folder / "support" / "qrels.tsv").write_text("query_id\tcorpus_id\tscore\ns\tc\t1\n")
    corpus = build_corpus(mixed(folder), store)
    assert corpus.items("support_candidates").ids == ["c"] and corpus.qrels("support").pairs.tolist() == [[0, 0]]


def test_a_changed_picture_is_another_corpus(folder: Path, store: Store) -> None:
    first = build_corpus(mixed(folder), store).key
    (folder / "p2.png").write_bytes(encoded(picture(9)))
    assert build_corpus(mixed(folder), store).key != first


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "no name"}, "no id"),
        ({"corpus_id": "x"}, "neither text nor image"),
        ({"corpus_id": "x", "image": "https://there/p.png"}, "its image is an address"),
        ({"corpus_id": "x", "image": {"bytes": 3}}, "its image is no path"),
        ({"corpus_id": "x", "text": "t", "modality": "audio"}, "unknown modality 'audio'"),
        ({"corpus_id": "x", "text": "t", "modality": "image"}, "no image"),
        ({"corpus_id": "x", "image": "gone.png"}, "gone.png"),
        ({"corpus_id": "x", "image": "../outside.png"}, "outside"),
        ({"corpus_id": "a", "text": "again"}, "duplicate id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_row_is_left_out_with_its_reason(folder: Path, row: dict, reason: str) -> None:
    (folder.parent / "outside.png").write_bytes(encoded(picture(1)))
    lines(folder / "mixed_corpus.jsonl", [*POOL, row])
    report = inspect_corpus(mixed(folder, max_bad_share=1.0))
    assert len(report.bad) == 1 and report.candidates == 3 and report.usable
    told = f"{report.bad[0].where} {report.bad[0].reason}"
    assert reason in told or reason == "gone.png", told


def test_what_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no task of M-BEIR; got 4.*task = 0"):
        inspect_corpus(CorpusSpec(source="mixed", path=str(folder), task=4))
    assert CorpusSpec(source="mixed", path=str(folder)).task == 0
    (folder / "qrels" / "qrels.tsv").unlink()
    with pytest.raises(CorpusError, match="no qrels in the folder"):
        inspect_corpus(mixed(folder))
    for name in ("dev.tsv", "train.tsv"):
        (folder / "qrels" / name).write_text("q0\ta\t1\n")
    with pytest.raises(CorpusError, match=r"several qrels; got dev\.tsv, train\.tsv"):
        inspect_corpus(mixed(folder))
    (tmp_path / "bare").mkdir()
    with pytest.raises(CorpusError, match="no queries and pool"):
        inspect_corpus(mixed(tmp_path / "bare"))
    with pytest.raises(CorpusError, match="no such corpus"):
        inspect_corpus(mixed(tmp_path / "nowhere"))


def union(root: Path, qrels: bool) -> Path:
    """M-BEIR as first published: queries of one task, the pool of all."""
    for n in range(4):
        (root / "mbeir_images").mkdir(parents=True, exist_ok=True)
        (root / "mbeir_images" / f"{n}.png").write_bytes(encoded(picture(n)))
    for split in ("test", "val"):
        rows = [
            {
                "qid": f"9:{split}{n}", "query_txt": "which", "query_img_path": f"mbeir_images/{n}.png",
                "query_modality": "image,text", "pos_cand_list": [f"9:{n}"] if n else [{"did": "9:0"}],
                "neg_cand_list": [],
            }
            for n in range(2)
        ]  # fmt: skip
        lines(root / "query" / split / f"mbeir_cirr_task7_{split}.jsonl", rows)
        pool = [
            {"did": "9:0", "txt": None, "img_path": "mbeir_images/2.png", "modality": "image", "src_content": None},
            {"did": "9:1", "txt": "told", "img_path": "mbeir_images/3.png", "modality": "text,image"},
            {"did": "1:5", "txt": "of another data set", "img_path": None, "modality": "text"},
        ]
        lines(root / "cand_pool" / "global" / f"mbeir_union_{split}_cand_pool.jsonl", pool)
        if qrels:
            (root / "qrels" / split).mkdir(parents=True)
            text = f"9:{split}0 0 9:0 1 7\n9:{split}1 0 9:1 1 7\n"
            (root / "qrels" / split / f"mbeir_cirr_task7_{split}_qrels.txt").write_text(text)
    return root / "query" / "test" / "mbeir_cirr_task7_test.jsonl"


@pytest.mark.parametrize("qrels", [True, False], ids=["qrels", "positives of the queries"])
def test_the_union_pool_of_mbeir(tmp_path: Path, store: Store, qrels: bool) -> None:
    corpus = build_corpus(mixed(union(tmp_path / "M-BEIR", qrels)), store)
    assert corpus.items("queries").modality.tolist() == ["image,text"] * 2
    assert corpus.items("candidates").by_modality == {"text": 1, "image": 1, "image,text": 1}
    assert corpus.qrels().pairs.tolist() == [[0, 0], [1, 1]] == corpus.qrels("support").pairs.tolist()
    assert corpus.items("support_queries").ids == ["9:val0", "9:val1"]
    assert corpus.items("support_candidates").ids == ["9:0", "9:1"], "those that the pairs name"


def test_queries_without_a_union_pool_are_refused(tmp_path: Path) -> None:
    path = union(tmp_path / "M-BEIR", True)
    for pool in (tmp_path / "M-BEIR" / "cand_pool" / "global").glob("*test*"):
        pool.unlink()
    with pytest.raises(CorpusError, match="no union pool beside these queries"):
        inspect_corpus(mixed(path))


def test_a_mixed_pool_of_parquet_is_task_0(tmp_path: Path, store: Store) -> None:
    """The layout of M-BEIR on the hub, with candidates of all three kinds."""
    root = tmp_path / "data"
    kinds = ("image", "text", "image,text")
    write_items(root / "query-0.parquet", [item(f"q{n}", "text", n) for n in range(3)])
    write_items(root / "corpus-0.parquet", [item(f"c{n}", kind, 50 + n) for n, kind in enumerate(kinds)])
    write_qrels(root / "qrels-0.parquet", [(f"q{n}", f"c{n}", 1) for n in range(3)])
    spec = guess_source(str(root))
    assert (spec.source, spec.task) == ("mbeir", 0)
    assert build_corpus(spec, store).items("candidates").modality.tolist() == list(kinds)


def test_own_vectors_of_a_mixed_pool_name_their_modality(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("queries", "candidates"):
        np.save(tmp_path / f"{part}.npy", rng.standard_normal((3, 4)).astype(np.float32))
    lines(tmp_path / "queries.jsonl", [{"id": f"q{n}", "modality": "text"} for n in range(3)])
    kinds = ["image", "text", None]
    lines(tmp_path / "candidates.jsonl", [{"id": f"c{n}", "modality": m} for n, m in enumerate(kinds)])
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq0\tc0\t1\nq1\tc1\t1\n")
    spec = CorpusSpec(source="embeddings", path=str(tmp_path), task=0, max_bad_share=1.0)
    report = inspect_corpus(spec)
    assert report.by_modality == {"text": 4, "image": 1}
    assert [bad.reason for bad in report.bad] == ["no modality; task 0 implies none"]


def test_the_mixed_pool_of_the_demo(store: Store) -> None:
    """Each scene is one candidate, its modality in turn; the captions that ask are those of task 1."""
    spec = CorpusSpec(source="demo", task=0, limit=24)
    corpus, task1 = build_corpus(spec, store), build_corpus(CorpusSpec(source="demo", task=1, limit=24), store)
    pool = corpus.items("candidates")
    assert pool.modality.tolist() == ["image", "text", "image,text"] * 4
    for part in ("queries", "support_queries"):
        assert corpus.items(part).content == task1.items(part).content, "encoded once for both"
    asked = set(corpus.items("queries").texts)
    assert len(asked) == 24 and not asked & {text for text in pool.texts if text}
    for query, candidate in corpus.qrels().pairs:
        assert corpus.items("queries").truth(query) == pool.truth(candidate)
    assert len(corpus.qrels()) == 24 and len(corpus.qrels("support")) == len(corpus.items("support_candidates"))
