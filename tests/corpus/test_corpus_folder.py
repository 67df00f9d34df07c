"""Folders of images: every form of captions, every kind of bad row, limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture

from core.config import CorpusSpec
from core.corpus import build_corpus, guess_source, inspect_corpus
from core.corpus.corpus import Corpus
from core.errors import CorpusError
from core.records import BadRow, CorpusReport
from core.store import Store

Photos = Callable[..., Path]


def spec(root: Path, task: int = 4, **rest) -> CorpusSpec:
    return CorpusSpec(source="folder", path=str(root), task=task, **rest)


def relevant(corpus: Corpus) -> set[tuple[str, str]]:
    """Pairs of query id and candidate id."""
    queries, candidates = corpus.items("queries").ids, corpus.items("candidates").ids
    return {(queries[q], candidates[c]) for q, c in corpus.qrels().pairs}


def bad(report: CorpusReport) -> dict[str, str]:
    return {b.where: b.reason for b in report.bad}


FORMS = {
    "captions__jsonl": '{"file": "p0.png", "captions": ["a", "b"]}\n\n{"file": "p1.png", "captions": ["c, d"]}\n',
    "captions__csv": 'Image,Caption\np0.png,a\np1.png,"c, d"\np0.png,b\n',
    "captions__tsv": "filename\ttext\np0.png\ta\np0.png\tb\np1.png\tc, d\n",
    "metadata__jsonl": (
        '{"file_name": "p0.png", "text": "a"}\n{"file_name": "p1.png", "text": "c, d"}\n'
        '{"file_name": "p0.png", "text": "b"}'
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_listing_gives_the_same_corpus(name: str, photos: Photos, store: Store) -> None:
    corpus = build_corpus(spec(photos(2, **{name: FORMS[name]})), store)
    assert corpus.items("candidates").texts == ["a", "b", "c, d"]
    assert relevant(corpus) == {("p0.png", "p0.png#0"), ("p0.png", "p0.png#1"), ("p1.png", "p1.png#0")}
    assert corpus.report == CorpusReport(5, 2, 3, {"image": 2, "text": 3}, (), True)
    assert np.array_equal(corpus.items("queries").item(1).image, picture(1))


def test_text_files_beside_the_images(photos: Photos, store: Store) -> None:
    corpus = build_corpus(spec(photos(2, p0__txt="a\n\nb\n", p1__txt="c")), store)
    assert corpus.items("candidates").texts == ["a", "b", "c"] and len(corpus.qrels()) == 3


def test_byte_order_mark_and_windows_lines(photos: Photos, store: Store) -> None:
    corpus = build_corpus(spec(photos(1, captions__csv="\ufefffile,caption\r\np0.png,é\r\n")), store)
    assert corpus.items("candidates").texts == ["é"]


def test_the_listing_itself_may_be_the_path(photos: Photos) -> None:
    root = photos(1, mine__csv="file,caption\np0.png,a\n")
    assert inspect_corpus(guess_source(str(root / "mine.csv"))).items == 2


def test_task_1_is_task_4_the_other_way_round(photos: Photos, store: Store) -> None:
    root = photos(2, **{"captions__jsonl": FORMS["captions__jsonl"]})
    four, one = (build_corpus(spec(root, task), store) for task in (4, 1))
    assert {(c, q) for q, c in relevant(one)} == relevant(four)
    assert one.items("candidates").content == four.items("queries").content
    assert one.items("queries").content == four.items("candidates").content
    assert one.key != four.key


def test_images_without_captions_are_a_corpus_without_a_task(photos: Photos, store: Store) -> None:
    corpus = build_corpus(spec(photos(3)), store)
    assert corpus.report == CorpusReport(3, 3, 0, {"image": 3}, (), True)
    assert not corpus.has("candidates") and len(corpus.qrels()) == 0
    with pytest.raises(CorpusError, match="has no candidates"):
        corpus.items("candidates")


def test_bad_rows_have_a_place_and_a_reason(photos: Photos) -> None:
    lines = [
        {"file": "p0.png", "captions": ["good", "  "]},
        {"file": "gone.png", "captions": ["lost with its image"]},
        {"file": "empty.png", "captions": ["lost too"]},
        {"file": "p0.png", "captions": ["again"]},
        {"file": "p1.png", "captions": []},
        {"id": "p0.png", "file": "p2.png", "captions": ["second of that id"]},
        {"captions": ["of nothing"]},
    ]
    root = photos(3, captions__jsonl="\n".join(map(json.dumps, lines)) + "\nnot json\n[1]")
    (root / "empty.png").touch()
    report = inspect_corpus(spec(root, max_bad_share=1.0))
    assert bad(report).pop("captions.jsonl:8").startswith("not JSON")
    assert {w: r for w, r in bad(report).items() if w != "captions.jsonl:8"} == {
        "captions.jsonl:1": "empty text",
        "captions.jsonl:2 (gone.png)": "no such file",
        "captions.jsonl:3 (empty.png)": "empty file",
        "captions.jsonl:4": "duplicate id 'p0.png'",
        "captions.jsonl:5": "empty text",
        "captions.jsonl:7": "names no image",
        "captions.jsonl:9": "not a JSON object",
    }
    assert (report.queries, report.candidates) == (3, 2)


def test_a_repeated_id_never_lends_its_captions_to_the_first(photos: Photos, store: Store) -> None:
    lines = [
        {"id": "x", "file": "p0.png", "captions": ["of p0"]},
        {"id": "x", "file": "p1.png", "captions": ["of p1", "of p1 too"]},
    ]
    root = photos(2, captions__jsonl="\n".join(map(json.dumps, lines)))
    corpus = build_corpus(spec(root, max_bad_share=1.0), store)
    assert corpus.report.bad == (BadRow("captions.jsonl:2", "duplicate id 'x'"),)
    assert corpus.items("candidates").texts == ["of p0"]


def test_unpaired_surrogates_are_bad_not_fatal(photos: Photos, store: Store) -> None:
    root = photos(2, captions__jsonl='{"file": "p0.png", "captions": ["\\ud800", "fine"]}')
    corpus = build_corpus(spec(root, max_bad_share=1.0), store)
    assert corpus.report.bad == (BadRow("captions.jsonl:1", "text that is not valid Unicode"),)


@pytest.mark.parametrize(("images", "broken", "usable"), [(20, 1, True), (19, 1, False)])
def test_the_allowed_share_is_five_percent_of_the_worst_table(
    images: int, broken: int, usable: bool, photos: Photos, store: Store
) -> None:
    lines = [json.dumps({"file": f"p{n}.png", "captions": [f"{n} {k}" for k in range(5)]}) for n in range(images)]
    root = photos(images, captions__jsonl="\n".join(lines))
    for n in range(broken):
        (root / f"p{n}.png").write_bytes(b"no picture")
    assert inspect_corpus(spec(root)).usable is usable
    if not usable:
        with pytest.raises(CorpusError, match=r"1 of 19 rows of its queries are bad, 5.0% allowed.*p0.png"):
            build_corpus(spec(root), store)
        assert len(build_corpus(spec(root, max_bad_share=0.06), store).qrels()) == 90


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"captions__csv": "picture,words\np0.png,a"}, "lacks a column for the image; got picture, words"),
        ({"captions__csv": "file,words\np0.png,a"}, "lacks a column for the captions"),
        ({"captions__csv": ""}, "lacks a column"),
    ],
)
def test_listings_that_cannot_be_understood(files: dict[str, str], message: str, photos: Photos) -> None:
    with pytest.raises(CorpusError, match=message):
        inspect_corpus(spec(photos(1, **files)))


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no image in the folder"):
        inspect_corpus(spec(tmp_path))
    with pytest.raises(CorpusError, match="no such"):
        inspect_corpus(spec(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="1, 4 or 7"):
        inspect_corpus(spec(tmp_path, task=5))


@pytest.mark.parametrize(("task", "counts"), [(4, (2, 4)), (1, (3, 2))])
def test_a_limit_counts_queries(task: int, counts: tuple[int, int], photos: Photos) -> None:
    lines = [json.dumps({"file": f"p{n}.png", "captions": [f"{n}a", f"{n}b"]}) for n in range(5)]
    root = photos(5, captions__jsonl="\n".join(lines))
    report = inspect_corpus(spec(root, task, limit=counts[0]))
    assert (report.queries, report.candidates) == counts and not report.bad


def test_composed_queries(photos: Photos, store: Store) -> None:
    rows = (
        "query_image,query_text,target_image\np0.png,but red,p1.png\np1.png,but"
        " blue,p2.png\np9.png,x,p0.png\np0.png,y,p9.png\n"
    )
    root = photos(3, queries__csv=rows)
    assert guess_source(str(root)).task == 7
    corpus = build_corpus(spec(root, 7, max_bad_share=0.5), store)
    assert relevant(corpus) == {("q0", "p1.png"), ("q1", "p2.png")}
    item = corpus.items("queries").item(0)
    assert (item.modality, item.text, item.task, item.side) == ("image,text", "but red", 7, "query")
    assert np.array_equal(item.image, picture(0))
    assert bad(corpus.report) == {
        "queries.csv:4 (p9.png)": "no such file",
        "queries.csv:5": "names unknown candidate 'p9.png'",
    }


def test_nested_folders_and_hidden_files(photos: Photos) -> None:
    root = photos(1)
    (root / "sub").mkdir()
    (root / "sub" / "q.JPG").write_bytes(encoded(picture(1), "JPEG"))
    (root / ".hidden.png").write_bytes(b"x")
    assert inspect_corpus(spec(root)).items == 2
