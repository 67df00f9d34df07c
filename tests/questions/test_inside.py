"""Variants that change concepts inside the model, on a small run: rows, keys, refusals, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pytest

import core.encode
import core.models.inside
from core.analysis.variants import parse_variant
from core.analysis.variants.fit import fit_variant
from core.errors import NotAvailable, VariantError
from core.progress import NoProgress
from core.questions import inside, live, retrieval, similarity
from core.questions.answers import fit_data, fitted, transformed
from core.questions.inside_agreement import pooled_token_codes, spearman
from core.records import EmbeddingView
from core.run import Run

CHAIN = "inside(layer=3,5=0,9=@0.7)+center"


@pytest.fixture(scope="module")
def run(small_runs: Mapping[str, Run]) -> Run:
    return small_runs["small"]


@pytest.fixture(scope="module")
def often(run: Run) -> int:
    """The concept that fires on most items."""
    return int(np.asarray((run.codes("queries") > 0).sum(axis=0)).ravel().argmax())


def test_a_factor_of_one_is_the_run_itself(run: Run) -> None:
    assert inside.under(run, parse_variant("inside(layer=3,5=1)+center")) is run


def test_rows_are_those_of_the_changed_model_and_everything_goes_on_from_them(run: Run) -> None:
    spec = parse_variant(CHAIN)
    rows, items = inside.under(run, spec), run.corpus.items("queries")
    changed = inside.model_under(run, spec)
    some = [items.item(row) for row in range(3)]
    by_hand = changed.embed(some, [run.view])[run.view]
    np.testing.assert_allclose(rows.embeddings("queries")[:3], by_hand, rtol=1e-4, atol=1e-4)
    assert not np.allclose(by_hand, run.embeddings("queries")[:3], atol=1e-3)
    # centred by the mean of the changed rows, not of the run's own
    h = np.asarray(rows.embeddings("queries"), float)
    unit = h / np.linalg.norm(h, axis=1, keepdims=True)
    y = unit - unit.mean(0)
    np.testing.assert_allclose(
        transformed(run, spec, "queries"), y / np.linalg.norm(y, axis=1, keepdims=True), atol=1e-5
    )
    scores = transformed(run, spec, "queries").astype(float) @ transformed(run, spec, "candidates").T
    relevant = run.qrels("test")
    ranks = [
        1 + int((scores[q] > scores[q, relevant.relevant(q)].max()).sum()) if len(relevant.relevant(q)) else 0
        for q in range(len(scores))
    ]
    assert retrieval.evaluate(run, spec).ranks.tolist() == ranks
    parts = similarity.pair(run, 0, 0, spec, 2000)
    assert parts.similarity == pytest.approx(scores[0, 0], abs=1e-5)
    assert abs(parts.residual) < 1e-8
    assert parts.table[
        "contribution"
    ].sum() + parts.rest + parts.offset + parts.query_error + parts.candidate_error == (
        pytest.approx(parts.similarity, abs=1e-6)
    )


def test_a_live_query_ranks_as_the_stored_one_and_the_model_speaks(run: Run) -> None:
    spec = parse_variant(CHAIN)
    item = live.stored_item(run, "queries", 2)
    lists = live.rankings_of(run, item, "none", spec, 5)
    expected = retrieval.similarities_of(run, spec, 2)
    assert lists.after["similarity"].to_numpy() == pytest.approx(np.sort(expected)[::-1][:5], abs=1e-4)
    loud = parse_variant("inside(layer=3,5=@60)")
    assert live.say(run, item, "", loud) != live.say(run, item)


def test_rows_are_found_again_and_an_interrupted_making_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.encode, "WINDOW", 16)
    whole, broken = (parse_variant(f"inside(layer=-1,tokens=image,{k}=0)") for k in (5, 6))
    passes, changes = [], core.models.inside._ChangedReader.changes

    def counted(self, most: int) -> AbstractContextManager[None]:  # noqa: ANN001
        passes.append(1)
        if len(passes) > most:
            raise KeyboardInterrupt
        return changes(self)

    def at_most(most: int) -> None:
        passes.clear()
        monkeypatch.setattr(core.models.inside._ChangedReader, "changes", lambda self: counted(self, most))

    at_most(1000)
    assert inside.estimate(run, whole).items == len(run.corpus.items("queries")) + len(run.corpus.items("candidates"))
    inside.make(run, whole, NoProgress())
    needed = len(passes)
    at_most(4)
    with pytest.raises(KeyboardInterrupt):
        inside.make(run, broken, NoProgress())
    at_most(1000)
    inside.make(run, broken, NoProgress())
    assert needed - 4 <= len(passes) < needed, "the first window was not made again"
    at_most(0)
    fresh = Run(run.folder, run.store)
    assert inside.estimate(fresh, broken).items == 0
    assert len(inside.under(fresh, broken).embeddings("queries")) == len(run.embeddings("queries"))


def test_other_steps_and_other_dictionaries_are_other_keys(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (parse_variant(t) for t in ("inside(layer=3,5=0)", "inside(layer=3,5=0.5)"))
    assert len({*inside.keys(run, first), *inside.keys(run, second)}) == 4
    before = inside.keys(run, first)
    known = inside.layer_saes(run)
    other = known | {3: replace(known[3], identity="another")}
    monkeypatch.setattr(inside, "layer_saes", lambda _run: other)
    assert not set(inside.keys(run, first)) & set(before)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inside(layer=2,1=0)", "layer=-1 (the run's own SAE), layer=3 (shipped: demo-mllm-layer3)"),
        ("inside(layer=3,99999=0)", "0 to 1023 at layer 3"),
        ("inside(99999=@1)+realign", "0 to 1023 at layer -1"),
    ],
)
def test_what_the_run_has_not_is_refused(run: Run, text: str, says: str) -> None:
    with pytest.raises(VariantError) as caught:
        retrieval.evaluate(run, text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_dual_encoder_says_why_not(small_runs: Mapping[str, Run]) -> None:
    with pytest.raises(NotAvailable, match="nothing to change inside"):
        retrieval.evaluate(small_runs["small-clip"], "inside(1=0)")
    assert "final vectors" in inside.why_not(small_runs["small-clip"])


def test_rows_of_another_model_are_never_fitted(run: Run) -> None:
    with pytest.raises(VariantError, match="not made by that one"):
        fit_variant("inside(5=0)+center", fit_data(run))
    with pytest.raises(VariantError, match="not made by that one"):
        fit_variant("center", fit_data(inside.under(run, parse_variant("inside(layer=3,5=0)"))))
    assert fitted(run, CHAIN).spec == parse_variant(CHAIN)


def test_the_one_pass_of_the_exhibit_is_the_changed_model(run: Run, often: int) -> None:
    """At the layer that is pooled, switching a concept off takes its pooled token activations times its row away."""
    rows = np.arange(4)
    codes = pooled_token_codes(run, "candidates", rows, [often])
    assert (codes > 0).any()
    spec = parse_variant(f"inside(layer={run.view.layer},{often}=0)")
    items = [run.corpus.items("candidates").item(int(row)) for row in rows]
    changed = inside.model_under(run, spec).embed(items, [EmbeddingView()])[EmbeddingView()]
    expected = np.asarray(run.embeddings("candidates")[rows], float) - codes * run.need_sae().dictionary[often]
    np.testing.assert_allclose(changed, expected, rtol=1e-3, atol=1e-3)


def test_rank_correlation_is_scipys_and_knows_when_there_is_none() -> None:
    from scipy.stats import spearmanr

    pair = np.random.default_rng(0).normal(size=(30, 2))
    pair[:, 1] += pair[:, 0]
    value, low, high = spearman(pair)
    assert value == pytest.approx(spearmanr(pair[:, 0], pair[:, 1]).statistic)
    assert low < value < high
    assert np.isnan(spearman(np.ones((5, 2)))).all()
