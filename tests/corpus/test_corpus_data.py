"""Real and hostile files: photographs, test images of Pillow and of EXIF, the study's parquet layout.

They lie in the folder that RETRIEVAL_LENS_TEST_DATA names; without it these tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from core.config import CorpusSpec
from core.corpus import BadImage, build_corpus, guess_source, inspect_corpus, load_image
from core.store import Store


def manifest(test_data: Path) -> list[dict]:
    return [json.loads(line) for line in (test_data / "tricky" / "manifest.jsonl").read_text().splitlines()]


def test_every_tricky_file_is_accounted_for(test_data: Path) -> None:
    report = inspect_corpus(guess_source(str(test_data / "tricky"), max_bad_share=0.2))
    expected_bad = {m["file"] for m in manifest(test_data) if m["decode"] != "ok"}
    assert {b.where for b in report.bad} == expected_bad
    assert report.items + len(report.bad) == len(manifest(test_data)) and report.usable
    assert not inspect_corpus(guess_source(str(test_data / "tricky"))).usable


def test_tricky_sizes_are_upright(test_data: Path) -> None:
    for m in manifest(test_data):
        if m["decode"] == "ok":
            width, height = m["size"]
            turned = (m["exif_orientation"] or 0) >= 5
            image = load_image(test_data / "tricky" / m["file"])
            assert (image.mode, image.size) == ("RGB", (height, width) if turned else (width, height)), m["file"]
        else:
            with pytest.raises(BadImage):
                load_image(test_data / "tricky" / m["file"])


@pytest.mark.parametrize("kind", ["Landscape", "Portrait"])
def test_all_exif_examples_show_the_same_scene(kind: str, test_data: Path) -> None:
    first, *others = (
        np.asarray(load_image(test_data / "tricky" / "exif" / f"{kind}_{n}.jpg").resize((60, 60)), dtype=float)
        for n in range(1, 9)
    )
    assert all(np.abs(first - other).mean() < 2 for other in others)  # a wrong turn differs by 36 and more


def test_photographs(test_data: Path, store: Store) -> None:
    corpus = build_corpus(guess_source(str(test_data / "photos")), store)
    lines = [json.loads(line) for line in (test_data / "photos" / "captions.jsonl").read_text().splitlines()]
    assert corpus.items("queries").ids == [line["file"] for line in lines]
    assert corpus.items("candidates").texts == [caption for line in lines for caption in line["captions"]]
    assert not corpus.report.bad and len(corpus.qrels()) == len(corpus.items("candidates"))
    assert max(corpus.items("queries").thumbnail(5).size) == 256


@pytest.mark.parametrize("task", range(1, 9))
def test_study_parquet_row_by_row(task: int, test_data: Path, store: Store) -> None:
    root = test_data / "study_parity" / f"task{task}"
    corpus = build_corpus(CorpusSpec(source="mbeir", path=str(root), task=task), store)
    for part, name in (("queries", "query"), ("candidates", "corpus")):
        rows = pq.read_table(root / f"{name}-00000-of-00001.parquet").to_pylist()
        for row, item in zip(rows, corpus.items(part).items(range(len(rows))), strict=True):
            assert (item.id, item.modality, item.text) == (row["id"], row["modality"], row["text"])
            assert (
                item.image is None
                if row["image"] is None
                else np.array_equal(item.image, load_image(row["image"]["bytes"]))
            )
    assert not corpus.report.bad and len(corpus.qrels()) == 24
