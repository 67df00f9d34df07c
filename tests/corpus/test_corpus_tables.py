"""Corpus folders: what the cache holds, sources that vanish or change, threads, keys, interruptions."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture

from core.config import CorpusSpec
from core.corpus import build_corpus, corpus, inspect_corpus, open_corpus
from core.corpus.rows import ImageRef, RawRow, Source
from core.corpus.tables import PartCounter
from core.errors import CorpusError
from core.progress import NoProgress
from core.records import Item
from core.store import Store

Photos = Callable[..., Path]


def captioned(photos: Photos, number: int = 6) -> CorpusSpec:
    lines = [json.dumps({"file": f"p{n}.png", "captions": [f"text {n}", f"also {n}"]}) for n in range(number)]
    return CorpusSpec(source="folder", path=str(photos(number, captions__jsonl="\n".join(lines))))


def test_built_once_then_found(photos: Photos, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = captioned(photos)
    first = build_corpus(spec, store)
    monkeypatch.setattr(corpus, "ingest", None)  # any second reading would fail
    again = build_corpus(replace(spec, max_bad_share=0.5), store, NoProgress())
    assert again.key == first.key and again.folder.path == first.folder.path
    assert open_corpus(first.folder).report == first.report
    assert first.folder.verify() == []


def test_the_key_follows_the_files(photos: Photos, store: Store) -> None:
    spec = captioned(photos)
    keys = {
        build_corpus(spec, store).key,
        build_corpus(replace(spec, limit=2), store).key,
        build_corpus(replace(spec, task=1), store).key,
    }
    root = Path(spec.path or "")
    (root / "p0.png").write_bytes(encoded(picture(99)))
    os.utime(root / "p0.png", (1, 1))
    keys.add(build_corpus(spec, store).key)
    (root / "captions.jsonl").write_text('{"file": "p0.png", "captions": ["other"]}')
    keys.add(build_corpus(spec, store).key)
    assert len(keys) == 5


def test_touching_a_file_keeps_the_content(photos: Photos, store: Store) -> None:
    spec = captioned(photos)
    before = build_corpus(spec, store)
    os.utime(Path(spec.path or "") / "p0.png", (1, 1))
    after = build_corpus(spec, store)
    assert after.key != before.key
    assert after.items("queries").content == before.items("queries").content


def test_inspection_agrees_with_building_and_writes_nothing(photos: Photos, store: Store) -> None:
    spec = captioned(photos)
    assert inspect_corpus(spec) == build_corpus(spec, Store(store.root / "elsewhere")).report
    assert not (store.root / "corpus").exists()


def test_thumbnails_outlive_the_source_and_images_do_not(photos: Photos, store: Store) -> None:
    spec = captioned(photos)
    table = build_corpus(spec, store).items("queries")
    root = Path(spec.path or "")
    (root / "p1.png").unlink()
    (root / "p2.png").write_bytes(encoded(picture(77)))
    assert np.array_equal(table.thumbnail(1), picture(1)) and np.array_equal(table.thumbnail(2), picture(2))
    with pytest.raises(
        CorpusError, match=r"image of 'p1.png' cannot be read again: no such file; got .*p1.png; next: put it back"
    ):
        table.item(1)
    with pytest.raises(CorpusError, match="has changed since the corpus was read"):
        table.item(2)
    assert np.array_equal(table.item(0).image, picture(0))


def test_rows_ids_and_their_errors(photos: Photos, store: Store) -> None:
    table = build_corpus(captioned(photos), store).items("candidates")
    assert [table.row_of(name) for name in table.ids] == list(range(len(table))) == list(range(12))
    assert table.item(3) == Item("p1.png#1", "text", "also 1", None, 4, "candidate")
    assert table.thumbnail(3) is None and table.truth(3) is None
    assert table.modality.tolist() == ["text"] * 12
    assert [item.id for item in table.items(np.array([5, 2]))] == ["p2.png#1", "p1.png#0"]
    with pytest.raises(CorpusError, match="no item of that id among the candidates; got 'nobody'"):
        table.row_of("nobody")
    for row in (-1, 12):
        with pytest.raises(IndexError):
            table.item(row)


def test_many_threads_see_the_same(photos: Photos, store: Store) -> None:
    made = build_corpus(captioned(photos, 12), store)
    rows = [n % 12 for n in range(240)]

    def look(row: int) -> bool:
        table = made.items("queries")
        same = [np.array_equal(image, picture(row)) for image in (table.thumbnail(row), table.item(row).image)]
        return table.row_of(f"p{row}.png") == row and all(same)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, rows))


def test_pictures_with_the_same_bytes_share_content_whatever_they_are_called(tmp_path: Path, store: Store) -> None:
    contents = set()
    for folder, names in (("a", "xyz"), ("b", "klm")):
        (tmp_path / folder).mkdir()
        for n, name in enumerate(names):
            (tmp_path / folder / f"{name}.png").write_bytes(encoded(picture(n)))
        contents.add(
            build_corpus(CorpusSpec(source="folder", path=str(tmp_path / folder)), store).items("queries").content
        )
    assert len(contents) == 1


def test_content_tells_order_text_and_border_apart() -> None:
    def content(*texts: str) -> str:
        counter = PartCounter("queries", 4)
        for text in texts:
            counter.add(RawRow("", "", "text", text), None, b"")
        return counter.close().content

    assert len({content("a", "b"), content("b", "a"), content("ab"), content("a", "b", ""), content("", "ab")}) == 5


def test_golden_content() -> None:
    """Changes only together with the version of the stage `corpus`: every embedding in every cache hangs on it."""
    counter = PartCounter("queries", 7)
    counter.add(RawRow("", "a", "image,text", "é"), bytes(range(16)), b"thumbnail")
    counter.add(RawRow("", "b", "text", "t "), None, b"")
    assert counter.close().content == "1af32e3a9d295fca5c63c205db3762631aefd28d9cefb7ab4454cde597db637e"


def test_an_interrupted_reading_leaves_nothing_that_counts(
    store: Store, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = captioned(photos)
    whole = inspect_corpus(spec)
    real = corpus.open_source(spec)

    def interrupted() -> Iterable[RawRow]:
        yield RawRow("0", "p0.png", "image", image=ImageRef("file:p0.png"))
        raise KeyboardInterrupt

    broken = Source(real.name, real.root, real.fingerprint, {"queries": interrupted})
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "open_source", lambda *_: broken)
        with pytest.raises(KeyboardInterrupt):
            build_corpus(spec, store)
    assert store.folders("corpus") == []
    made = build_corpus(spec, store)
    assert made.report == whole and made.folder.verify() == []


def test_an_empty_corpus_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    report = inspect_corpus(CorpusSpec(source="folder", path=str(tmp_path), max_bad_share=1.0))
    assert not report.usable and report.why_not == "there is no usable item in it"
