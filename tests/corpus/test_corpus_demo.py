"""The demo world as a corpus: shapes, sharing between tasks, limits, exact pictures."""

from __future__ import annotations

import numpy as np
import pytest

from core import world
from core.config import CorpusSpec
from core.corpus import build_corpus, guess_source
from core.corpus.corpus import Corpus
from core.corpus.demo import read
from core.errors import CorpusError
from core.records import PARTS
from core.store import Store


def demo(store: Store, task: int, limit: int | None = 12) -> Corpus:
    return build_corpus(CorpusSpec(source="demo", task=task, limit=limit), store)


def sizes(corpus: Corpus) -> list[int]:
    return [len(corpus.items(part)) for part in PARTS]


def test_default_sizes() -> None:
    for task, expected in {
        4: (1000, 2000, 1000, 1000),
        1: (2000, 1000, 1000, 1000),
        7: (500, 1000, 500, 1000),
    }.items():
        assert tuple(read(CorpusSpec(source="demo", task=task)).sizes[part] for part in PARTS) == expected


def test_limited_sizes_and_pairs(store: Store) -> None:
    four, one, seven = (demo(store, task) for task in (4, 1, 7))
    assert sizes(four) == [12, 24, 24, 24] and len(four.qrels()) == 24 and len(four.qrels("support")) == 24
    assert sizes(one) == [12, 6, 12, 12] and len(one.qrels()) == 12
    assert sizes(seven) == [12, 24, 24, 48] and len(seven.qrels()) == 12


def test_a_limit_above_the_default(store: Store) -> None:
    source = read(CorpusSpec(source="demo", task=1, limit=3001))
    assert source.sizes["queries"] == 3001 and source.sizes["candidates"] == 1501
    assert sum(1 for _ in source.rows["queries"]()) == 3001


def test_tasks_1_and_4_share_their_tables(store: Store) -> None:
    four, one = demo(store, 4, 6), demo(store, 1, 12)
    assert four.items("queries").content == one.items("candidates").content
    assert four.items("candidates").content == one.items("queries").content
    assert four.items("support_queries").content == one.items("support_candidates").content


def test_captions_are_unique_and_belong_to_their_picture(store: Store) -> None:
    corpus = demo(store, 4, 60)
    texts = corpus.items("candidates").texts
    assert len(set(texts)) == len(texts) == 120
    for query, candidate in corpus.qrels().pairs:
        truth = corpus.items("queries").truth(query)
        assert truth == corpus.items("candidates").truth(candidate)
        assert any(
            word in texts[candidate] for thing in truth["things"] for word in (thing, world.THINGS[thing].plural)
        )


def test_pictures_are_those_of_the_world(store: Store) -> None:
    table = demo(store, 4).items("queries")
    for row in (0, 7):
        expected = world.render(world.scene("test", int(table.ids[row].removeprefix("test-"))))
        assert np.array_equal(table.item(row).image, expected)
        assert np.array_equal(table.thumbnail(row), expected)


def test_composed_queries_hold_reference_text_and_target(store: Store) -> None:
    corpus = demo(store, 7)
    queries, candidates = corpus.items("queries"), corpus.items("candidates")
    for triple in world.composed_set("test", 12):
        query = queries.row_of(f"test-{triple.index}?")
        (target,) = corpus.qrels().relevant(query)
        item = queries.item(query)
        assert (item.text, item.modality, item.task, item.side) == (triple.text, "image,text", 7, "query")
        assert np.array_equal(item.image, world.render(triple.reference))
        assert np.array_equal(candidates.item(target).image, world.render(triple.target))
        assert np.array_equal(candidates.item(candidates.row_of(f"test-{triple.index}")).image, item.image)


def test_truth_is_complete(store: Store) -> None:
    truth = demo(store, 4).items("queries").truth(0)
    assert truth is not None and set(truth) == {"things", "groups", "background", "counts", "sizes", "relation"}


def test_what_the_demo_has_not() -> None:
    with pytest.raises(CorpusError, match="1, 4 or 7"):
        read(CorpusSpec(source="demo", task=3))
    assert guess_source("demo") == CorpusSpec(source="demo")
