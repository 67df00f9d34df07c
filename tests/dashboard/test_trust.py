"""Where the SAE's error is too large, no concept is named and there are ways out; tokens take the same number apart."""

from __future__ import annotations

import pytest
from dashboard_driver import healthy, show, texts

from core.questions import similarity, token_split
from core.run import Run
from dashboard.parts import explanations
from tests.dashboard.test_similarity import failing

WEAK = "k-means directions"


def test_the_bar_stands_above_every_explanation_with_its_numbers(run: Run) -> None:
    query, right, wrong = failing(run)
    trust = similarity.margin(run, query, right, wrong).trust
    shown = texts(show("similarity", run="small"))
    for value in (trust.concepts, trust.error, trust.offset):
        assert f"{value:+.4f}".replace("-", "−") in shown
    assert "error by size" in shown


def test_a_dictionary_that_cannot_explain_says_so_and_its_ways_out_work(run: Run) -> None:
    query, right, wrong = failing(run)
    found = similarity.margin(run, query, right, wrong, dictionary=WEAK)
    app = show("similarity", run="small", through=WEAK, query=str(query), candidate=str(right), rival=str(wrong))
    healthy(app, "similarity")
    assert ("cannot explain it" in texts(app)) is (not found.trust.holds)
    assert explanations.sentence(found, "margin", WEAK) in texts(app)
    if found.trust.holds:
        pytest.skip("this dictionary explains this margin")
    app.button(key="through-tokens").click().run()
    healthy(app, "similarity")
    assert "of the query’s tokens, most comes from its" in texts(app)


def test_tokens_show_both_similarities_and_a_split_of_one_concept(run: Run) -> None:
    query, right, wrong = failing(run)
    split = token_split.split(run, query, (right, wrong))
    app = show("similarity", run="small", through="tokens")
    healthy(app, "similarity")
    for total in split.totals:
        assert f"{total:+.4f}" in texts(app)
    concept = int(similarity.margin(run, query, right, wrong).table["concept"].iloc[0])
    app = show("similarity", run="small", through="tokens", **{"split-of": str(concept), "depth": "true"})
    healthy(app, "similarity")
    assert f"by concept {concept}" in texts(app)
    assert "At the last layer" in texts(app)


def test_the_playground_takes_a_typed_query_apart_into_tokens(run: Run) -> None:
    app = show("playground", run="small", typed="two foxes in the snow", start="none", through="tokens")
    healthy(app, "playground")
    assert "Query, towards this candidate" in texts(app)
    app = show("playground", run="small", typed="two foxes in the snow", start="none", through="PCA directions")
    healthy(app, "playground")
    assert "error by size" in texts(app)


def test_a_dual_encoder_offers_no_tokens(run: Run) -> None:
    app = show("similarity", run="small-clip")
    healthy(app, "similarity")
    (box,) = [one for one in app.selectbox if one.label == "Way of explaining"]
    assert "Tokens: patches and words" not in box.options
