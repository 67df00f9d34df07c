"""Selections in links and what selected items have in common, against the definitions on the small runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from core.analysis.retrieval.ranking import rank_top_k
from core.errors import UserError
from core.questions import map as item_map
from core.questions import map_colours, retrieval, selected, selection
from core.questions.answers import transformed
from core.run import Run


@pytest.fixture
def run(small_runs: Mapping[str, Run]) -> Run:
    return small_runs["small"]


@pytest.mark.parametrize(
    "places",
    [[0], [3, 4, 5, 9], list(range(50)), list(range(45, 60)), [0, 149]],
    ids=["one", "some", "all queries", "both parts", "ends"],
)
def test_few_places_stand_in_the_link_as_rows(run: Run, places: list[int]) -> None:
    text = selection.named(run, places)
    assert text.partition(".")[2][0] in "qc" and len(text) <= selection.LONGEST + 5
    assert selection.places(run, text).tolist() == places
    chosen = selection.rows(run, text)
    queries = len(run.corpus.items("queries"))
    assert chosen["queries"].tolist() == [p for p in places if p < queries]
    assert (chosen["candidates"] + queries).tolist() == [p for p in places if p >= queries]
    assert [selection.place_of(run, *selection.item_at(run, p)) for p in places] == places


def test_longer_ones_are_packed_and_the_longest_are_stored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scattered = np.sort(rng.choice(selection.size(run), 40, replace=False))
    for limit, first in ((90, "z"), (20, "k")):
        monkeypatch.setattr(selection, "LONGEST", limit)
        text = selection.named(run, scattered.tolist())
        assert text.partition(".")[2][0] == first
        assert selection.places(run, text).tolist() == scattered.tolist()


def test_no_selection_has_no_name_and_a_wrong_one_is_refused(run: Run, small_runs: Mapping[str, Run]) -> None:
    assert selection.named(run, []) == ""
    corpus = selection.named(run, [0]).partition(".")[0]
    wrong = [
        "",
        "q0",
        f"{corpus}.",
        f"{corpus}.q999999",
        f"{corpus}.q5-3",
        f"{corpus}.q0,q0",
        f"{corpus}.x1",
        "0000.q0",
    ]
    wrong += [
        f"{corpus}.zAAAA",
        f"{corpus}.k{'0' * 24}",
        f"{corpus}.k../../etc",
        f"{corpus}.q²",
        f"{corpus}.z" + "A" * 9999,
    ]
    for text in wrong:
        with pytest.raises(UserError):
            selection.places(run, text)
    with pytest.raises(UserError):
        selection.named(run, [10**9])
    with pytest.raises(UserError, match="cannot be used"):  # of another corpus
        selection.places(small_runs["small-task1"], selection.named(run, [0]))
    assert selection.places(small_runs["small-clip"], selection.named(run, [7])).tolist() == [7]


def test_recall_of_a_selection_is_that_of_its_queries(run: Run) -> None:
    text, ranks = selection.named(run, range(10, 30)), retrieval.evaluate(run).ranks
    for one in selected.recall(run, text):
        hit = (ranks > 0) & (ranks <= one.k)
        assert one.recall == pytest.approx(hit[10:30].mean()) and one.queries == 20
        assert one.elsewhere == pytest.approx(np.r_[hit[:10], hit[30:]].mean())
        assert one.low <= one.recall <= one.high
    candidates = len(run.corpus.items("candidates"))
    relevant = [len(run.qrels("test").relevant(q)) for q in range(10, 30)]
    assert selected.recall(run, text)[0].chance == pytest.approx(np.mean(relevant) / candidates)
    assert selected.recall(run, selection.named(run, [selection.size(run) - 1])) == []


def test_failing_queries_of_a_selection_come_worst_first(run: Run) -> None:
    ranks = retrieval.evaluate(run).ranks
    frame = selected.failing(run, selection.named(run, range(20)))
    assert sorted(frame["row"]) == [q for q in range(20) if ranks[q] > 1]
    assert frame["rank"].tolist() == sorted((ranks[q] for q in frame["row"]), reverse=True)
    assert frame.attrs["total"] == len(frame)


def test_the_items_on_which_a_concept_fires_have_it_as_their_first_concept(run: Run) -> None:
    from core.questions.labels import test_codes

    fires = np.asarray((test_codes(run) > 0).sum(axis=0)).ravel()
    concept = int(np.argmin(np.abs(fires - 25)))
    text = selection.named(run, np.flatnonzero(test_codes(run)[:, [concept]].toarray()[:, 0] > 0).tolist())
    table = selected.concepts(run, text)
    row = table[table["concept"] == concept].iloc[0]
    assert row["share"] == 1 and row["fires"] == fires[concept] and row["p_corrected"] < 1e-6
    assert table["p"].is_monotonic_increasing


def test_mixing_counts_neighbours_of_another_modality(run: Run) -> None:
    found = item_map.modality_mixing(run, "none")
    x = np.concatenate([transformed(run, "none", part) for part in ("queries", "candidates")]).astype(np.float64)
    kinds = np.concatenate([run.corpus.items(part).modality for part in ("queries", "candidates")])
    scores = (x @ x.T).astype(np.float32)
    np.fill_diagonal(scores, -2)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    assert found.share == pytest.approx((kinds[nearest] != kinds[:, None]).mean())
    assert found.items == len(x) and found.low <= found.share <= found.high


def test_a_larger_run_is_thinned_evenly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_map, "MOST_POINTS", 60)
    places = item_map.places(run)
    assert len(places) <= 60 and (np.diff(places) > 0).all()
    assert places[0] == 0 and places[-1] == selection.size(run) - 1
    assert np.diff(places).max() <= 2 * np.diff(places).min() + 2
    assert item_map.modality_mixing(run, "none").items == len(places)


def test_colours_are_one_per_point_and_say_what_they_should(run: Run) -> None:
    n, queries = selection.size(run), len(run.corpus.items("queries"))
    assert map_colours.choices(run) == list(map_colours.get_args(map_colours.By))
    ranks = retrieval.evaluate(run, "center").ranks
    failure = map_colours.colours(run, "center", "failure").kinds
    assert (failure[:queries] == "fails").sum() == (ranks > 1).sum()
    assert (failure[queries:] == map_colours.NOT_A_QUERY).all()
    bands = map_colours.colours(run, "center", "rank").kinds
    assert (bands[:queries] == "2 to 5").sum() == ((ranks >= 2) & (ranks <= 5)).sum()
    assert (bands[:queries] == "1").sum() == (ranks == 1).sum()
    hubs = map_colours.colours(run, "none", "hubness").numbers
    top = rank_top_k(transformed(run, "none", "queries"), transformed(run, "none", "candidates"), 10)
    assert np.isnan(hubs[:queries]).all() and hubs[queries] == (top.candidates == 0).sum()
    assert np.nansum(hubs) == 10 * queries
    with pytest.raises(UserError, match="which concept"):
        map_colours.colours(run, "none", "concept")
    for by in ("modality", "side"):
        assert len(map_colours.colours(run, "none", by).kinds) == n


def test_what_matches_is_added(run: Run) -> None:
    queries = len(run.corpus.items("queries"))
    both = selected.with_matches(run, selection.named(run, [4]))
    expected = {4} | {queries + int(c) for c in run.qrels("test").relevant(4)}
    assert set(selection.places(run, both).tolist()) == expected
    back = selected.with_matches(run, selection.named(run, [max(expected)]))
    assert 4 in selection.places(run, back)
