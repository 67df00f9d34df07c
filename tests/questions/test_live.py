"""Live queries: a stored item given live ranks as it is stored; edits, contributions and refusals, on the demo runs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.config import OWN_MODEL
from core.errors import NotAvailable, UserError
from core.questions import live, retrieval, similarity
from core.run import Run

pytestmark = pytest.mark.demo

NAMES = ("demo", "demo-clip", "demo-task1", "demo-task7")


@pytest.fixture(scope="module")
def runs(demo_runs: Mapping[str, Run]) -> Mapping[str, Run]:
    return demo_runs


@pytest.fixture(scope="module")
def rows(runs: Mapping[str, Run]) -> dict[str, np.ndarray]:
    """The first query of every run, embedded live."""
    return {name: live.embed(run, live.stored_item(run, "queries", 0)) for name, run in runs.items()}


@pytest.mark.parametrize("variant", ["none", "realign", "remove-top(share=0.01)+center", "set(3=0,17=2)+realign"])
@pytest.mark.parametrize("name", NAMES)
def test_stored_query_ranks_live_as_it_is_stored(
    name: str, variant: str, runs: Mapping[str, Run], rows: dict[str, np.ndarray]
) -> None:
    run = runs[name]
    if variant.startswith("set"):
        fired = run.codes("queries")[[0]].indices[:2]
        variant = f"set({fired[0]}=0,{fired[1]}=2)+realign"
    stored = retrieval.candidate_list(run, 0, variant, limit=10)
    found = live.rank(run, rows[name], variant, 10, set(run.qrels("test").relevant(0).tolist()))
    assert found["row"].tolist() == stored["row"].tolist()
    assert found["rank"].tolist() == list(range(1, 11))
    assert found["relevant"].tolist() == stored["relevant"].tolist()
    np.testing.assert_allclose(found["similarity"], stored["similarity"], atol=1e-5)


def test_variant_is_the_runs_own_and_not_fitted_on_the_query(
    runs: Mapping[str, Run], rows: dict[str, np.ndarray]
) -> None:
    """Centring with the mean of all unit queries, by numpy; a mean of the one query would leave nothing of it."""
    run, row = runs["demo"], rows["demo"].astype(np.float64)
    unit = [np.asarray(run.embeddings(part), np.float64) for part in ("queries", "candidates")]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in unit]
    query = row / np.linalg.norm(row) - unit[0].mean(axis=0)
    pool = unit[1] - unit[1].mean(axis=0)
    wanted = pool @ query / np.linalg.norm(pool, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(live.similarities(run, row, "center"), wanted, atol=1e-6)


def test_rank_other_is_the_rank_on_the_other_side(runs: Mapping[str, Run], rows: dict[str, np.ndarray]) -> None:
    found = live.rankings(runs["demo"], rows["demo"], "none", "realign", 5)
    order = np.argsort(-live.similarities(runs["demo"], rows["demo"], "none"), kind="stable").tolist()
    assert [order.index(row) + 1 for row in found.after["row"]] == found.after["rank_other"].tolist()
    assert found.before["row"].tolist() == order[:5]


@pytest.mark.parametrize("variant", ["none", "realign"])
def test_contributions_of_a_live_query_sum_and_are_the_stored_ones(
    variant: str, runs: Mapping[str, Run], rows: dict[str, np.ndarray]
) -> None:
    run, row = runs["demo"], rows["demo"]
    found, stored = live.explain(run, row, 7, variant), similarity.pair(run, 0, 7, variant)
    parts = found.table["contribution"].sum() + found.rest + found.offset + found.query_error + found.candidate_error
    assert parts == pytest.approx(float(live.similarities(run, row, variant)[7]), abs=1e-6)
    assert found.table["concept"].tolist() == stored.table["concept"].tolist()
    np.testing.assert_allclose(found.table["contribution"], stored.table["contribution"], atol=1e-5)


def test_concepts_are_the_stored_codes(runs: Mapping[str, Run], rows: dict[str, np.ndarray]) -> None:
    run = runs["demo"]
    stored = run.codes("queries")[[0]].toarray()[0]
    found = live.concepts(run, rows["demo"], 5)
    assert found["concept"].tolist() == np.argsort(-stored, kind="stable")[:5].tolist()
    np.testing.assert_allclose(found["activation"], np.sort(stored)[::-1][:5], rtol=1e-4)
    assert found.attrs["active"] == int((stored > 0).sum())


def test_heat_of_a_live_item_is_the_pre_activation_of_its_tokens(
    runs: Mapping[str, Run], rows: dict[str, np.ndarray]
) -> None:
    """Their mean is the pooled item's pre-activation: where the concept fires, its code."""
    run = runs["demo"]
    strongest = live.concepts(run, rows["demo"], 1).iloc[0]
    found = live.heat(run, live.stored_item(run, "queries", 0), int(strongest["concept"]))
    assert found.grid is not None
    assert found.mean == pytest.approx(strongest["activation"], rel=1e-3)


def test_text_picture_and_both_are_three_kinds_of_item(runs: Mapping[str, Run]) -> None:
    picture = Image.new("RGB", (64, 48), "red")
    run = runs["demo-task7"]
    assert live.item(run, " a fox ").modality == "text"
    assert live.item(run, " a fox ").text == "a fox"
    assert live.item(run, "", picture).modality == "image"
    both = live.item(run, "at night", picture)
    assert (both.modality, both.task, both.side) == ("image,text", 7, "query")


def test_typed_words_find_their_captions(runs: Mapping[str, Run]) -> None:
    run = runs["demo-clip"]
    text = run.corpus.items("candidates").texts[11]
    row = live.embed(run, live.item(run, text))
    best = int(np.argmax(live.similarities(run, row, "none")))
    assert run.corpus.items("candidates").texts[best] == text


def test_upload_is_decoded_upright_and_a_bad_file_is_one_line() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 10), "blue").save(buffer, "JPEG", exif=exif)
    assert live.picture(buffer.getvalue()).size == (10, 30)
    for bad in (b"", b"not a picture", buffer.getvalue()[:200]):
        with pytest.raises(UserError) as error:
            live.picture(bad)
        assert "\n" not in str(error.value)
        assert "this file cannot be used as a picture" in str(error.value)


def test_nothing_and_too_much_are_refused(runs: Mapping[str, Run]) -> None:
    run = runs["demo"]
    with pytest.raises(UserError, match="empty query"):
        live.item(run, "  \n ")
    with pytest.raises(UserError, match="too long"):
        live.item(run, "a" * (live.LONGEST + 1))
    with pytest.raises(UserError, match="no such row"):
        live.stored_item(run, "queries", 10**6)
    with pytest.raises(UserError, match="shape"):
        live.similarities(run, np.zeros(3, np.float32), "none")
    with pytest.raises(UserError, match="no such candidate"):
        live.explain(run, np.asarray(run.embeddings("queries")[0]), 10**6)


def test_own_embeddings_have_no_model_to_ask(runs: Mapping[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs["demo"]
    own = replace(
        run,
        folder=replace(run.folder, manifest=run.folder.manifest | {"facts": run.folder.facts | {"model": OWN_MODEL}}),
    )
    assert own.model_name == OWN_MODEL
    with pytest.raises(NotAvailable, match="without a model"):
        live.embed(own, live.item(run, "a fox"))


def test_model_that_does_not_generate_says_so(runs: Mapping[str, Run]) -> None:
    with pytest.raises(NotAvailable, match="does not speak"):
        live.say(runs["demo-clip"], live.item(runs["demo-clip"], "a fox"))


def test_model_names_what_is_in_its_own_picture(runs: Mapping[str, Run]) -> None:
    """Four things of five, and none that only the next picture holds."""
    run, rows = runs["demo"], range(24)
    things = [run.corpus.items("queries").truth(row)["things"] for row in rows]
    own, others = [], []
    for row in rows:
        said = live.say(run, live.stored_item(run, "queries", row))
        own.append(len(live.named(said, things[row])) / len(things[row]))
        others += live.named(said, set(things[(row + 1) % len(rows)]) - set(things[row]))
    assert np.mean(own) > 0.8 and others == []


def test_things_are_named_in_singular_and_plural() -> None:
    said = "Two foxes, three mice and a strawberry; butterflies at night"
    assert live.named(said, ["fox", "mouse", "strawberry", "butterfly", "night", "owl"]) == [
        "fox", "mouse", "strawberry", "butterfly", "night",
    ]  # fmt: skip
    assert live.named("a foxglove", ["fox"]) == []


def test_search_looks_through_texts_ids_and_partners(runs: Mapping[str, Run]) -> None:
    run = runs["demo"]
    found = live.find(run, "queries", "FOX", 1000)
    texts = run.corpus.items("candidates").texts
    wanted = [
        q
        for q in range(len(run.corpus.items("queries")))
        if any("fox" in texts[c] for c in run.qrels("test").relevant(q))
    ]
    assert found["row"].tolist() == wanted
    assert live.find(run, "candidates", "", 3).attrs["total"] == len(texts)


def test_concepts_of_a_pair_are_counted_by_a_loop(runs: Mapping[str, Run]) -> None:
    run = runs["demo"]
    query, candidate = run.codes("queries")[[3]].toarray()[0], run.codes("candidates")[[6]].toarray()[0]
    everything = np.vstack([run.codes("queries").toarray(), run.codes("candidates").toarray()])
    shared = [k for k in range(len(query)) if query[k] > 0 and candidate[k] > 0]
    found = live.pair_concepts(run, 3, 6, 4)
    assert found.attrs["both"] == len(shared)
    assert found.attrs["telling"] == sum((everything[:, k] > 0).mean() < 0.5 for k in shared)
    larger = np.maximum(query, candidate)
    assert found["concept"].tolist() == np.argsort(-larger, kind="stable")[:4].tolist()
    np.testing.assert_array_equal(found["query_activation"], query[found["concept"]])
    np.testing.assert_array_equal(found["candidate_activation"], candidate[found["concept"]])


def test_queries_whose_picture_is_described_wholly_come_first(runs: Mapping[str, Run]) -> None:
    run, rows = runs["demo"], list(range(12))
    whole = []
    for row in rows:
        said, things = (
            live.say(run, live.stored_item(run, "queries", row)),
            run.corpus.items("queries").truth(row)["things"],
        )
        whole.append(set(live.named(said, things)) == set(things))
    wanted = [r for r in rows if whole[r]] + [r for r in rows if not whole[r]]
    assert live.well_described_first(run, rows) == wanted
    assert live.well_described_first(runs["demo-clip"], rows) == rows
