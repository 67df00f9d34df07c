"""A similarity over tokens on a small run: sums are the scores of the ranking, and by hand from the model's states."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from core.analysis.explanations.faithfulness import shapley_exact
from core.errors import NotAvailable
from core.exhibits import beyond_token_split
from core.questions import alternates, live, similarity, token_split
from core.run import Run

VARIANTS = ["none", "realign", "set(12=0)+center", "center(statistics=per-modality)"]


@pytest.fixture
def run(small_runs: Mapping[str, Run]) -> Run:
    return small_runs["small"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_sum_to_the_similarity_within_1e_6(run: Run, variant: str) -> None:
    found = token_split.split(run, 3, (5, 9), variant)
    for at, row in enumerate((5, 9)):
        score = similarity.pair(run, 3, row, variant).similarity
        for side, column in ((found.query, at), (found.candidates[at], 0)):
            assert abs(side.values[:, column].sum() + side.offset[column] - score) < 1e-6
            assert abs(sum(side.by_kind(column).values()) - score) < 1e-6
        assert abs(found.kinds[found.kinds["candidate"] == at]["value"].sum() - score) < 1e-6
    assert found.mismatch < 1e-5


def test_a_raw_token_part_by_hand(run: Run) -> None:
    """(s_t / T) . c / (||h|| ||c||) from the model's own states."""
    found = token_split.split(run, 3, (5,))
    tokens = run.adapter().token_states([run.corpus.items("queries").item(3)], run.view.place)
    h, c = (np.asarray(run.embeddings(part)[row], float) for part, row in (("queries", 3), ("candidates", 5)))
    expected = tokens.states / len(tokens.states) @ c / np.linalg.norm(h) / np.linalg.norm(c)
    np.testing.assert_allclose(found.query.values[:, 0], expected, atol=1e-7)
    assert found.query.patches(0).ravel() == pytest.approx(expected[[role == "image" for role in tokens.role]])
    assert [text for text, _, _ in found.query.words()] == [
        t for t, r in zip(tokens.text, tokens.role, strict=True) if r != "image"
    ]


@pytest.mark.parametrize("variant", ["none", "realign"])
def test_a_concept_over_tokens_sums_to_its_contribution(run: Run, variant: str) -> None:
    whole = similarity.pair(run, 3, 5, variant, top=5).table
    for row in whole.itertuples():
        found = token_split.split(run, 3, (5,), variant, int(row.concept))
        assert found.totals[0] == pytest.approx(row.contribution, abs=1e-9)
        held = sum(float(side.values[:, 0].sum() + side.offset[0]) for side in (found.query, found.candidates[0]))
        assert held + found.rest[0] == pytest.approx(row.contribution, abs=1e-6)
        assert abs(found.query.offset[0]) < 1e-5  # the encoder is linear where a concept fires


def test_a_stored_item_given_live_splits_alike(run: Run) -> None:
    stored = token_split.split(run, 3, (5,), "realign")
    given = token_split.split_live(run, live.stored_item(run, "queries", 3), (5,), "realign")
    np.testing.assert_allclose(given.query.values, stored.query.values, atol=1e-5)


def test_layers_end_with_the_run_s_own_similarity(run: Run) -> None:
    table = token_split.by_layer(run, 3, 5)
    last = table[table["layer"] == table["layer"].max()]
    assert last[last["of"] == "similarity"]["share"].sum() == pytest.approx(
        similarity.pair(run, 3, 5).similarity, abs=1e-6
    )
    for _, mine in table[table["of"] != "similarity"].groupby(["layer", "of"]):
        assert mine["share"].sum() == pytest.approx(1)


def test_kinds_that_carry_a_concept_sum_to_its_attribution(run: Run) -> None:
    table = token_split.concept_kinds(run, pairs=12)
    for _, mine in table.groupby("concept"):
        assert mine["share"].sum() == pytest.approx(1)
        assert mine["token_share"].sum() == pytest.approx(1)
        frame = mine.set_index("token_kind")["share"][["prompt", "template"]].sum()
        assert mine["frame"].iloc[0] == pytest.approx(frame)
        assert (mine["frame_low"] <= mine["frame"]).all() and (mine["frame"] <= mine["frame_high"]).all()


def test_the_exhibit_judges_by_its_interval(run: Run) -> None:
    table = beyond_token_split.compute([run], pairs=12)
    claim = beyond_token_split.judge(table)[0]
    assert claim.about == "claim" and claim.outcome == (
        "agrees" if claim.low > 0.5 else "disagrees" if claim.high < 0.5 else "not clear"
    )
    assert "12 matching pairs" in table.attrs["notes"][0] and "of 50" in table.attrs["notes"][0]


def test_no_mean_no_split(small_runs: Mapping[str, Run]) -> None:
    assert not token_split.available(small_runs["small-clip"])
    with pytest.raises(NotAvailable, match="no mean over tokens"):
        token_split.split(small_runs["small-clip"], 0, (1,))


# -- other dictionaries, and the rule ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PCA directions", "SAE seed1"])
@pytest.mark.parametrize("variant", ["none", "realign"])
def test_another_dictionary_explains_the_same_number(run: Run, name: str, variant: str) -> None:
    own, other = similarity.margin(run, 3, 5, 9, variant), similarity.margin(run, 3, 5, 9, variant, 12, name)
    assert other.similarity == pytest.approx(own.similarity, abs=1e-9)
    assert abs(other.residual) < 1e-9
    assert own.trust.is_margin and not similarity.pair(run, 3, 5).trust.is_margin
    trust = other.trust
    assert trust.concepts + trust.error + trust.offset == pytest.approx(other.similarity, abs=1e-9)
    given = live.explain(run, np.asarray(run.embeddings("queries")[3]), 5, variant, dictionary=name)
    assert given.similarity == pytest.approx(similarity.pair(run, 3, 5, variant).similarity, abs=1e-6)
    stored = similarity.pair(run, 3, 5, variant, dictionary=name)
    assert given.trust.concepts == pytest.approx(stored.trust.concepts, abs=1e-4)


def test_a_variant_of_the_own_sae_s_concepts_needs_the_own_sae(run: Run) -> None:
    with pytest.raises(NotAvailable, match="own SAE"):
        similarity.pair(run, 3, 5, "set(12=0)", dictionary="PCA directions")


def test_what_cannot_code_a_new_item_is_not_offered(run: Run) -> None:
    assert "ICA directions" in alternates.names(run)
    assert "ICA directions" not in alternates.live_names(run)
    with pytest.raises(NotAvailable, match="cannot code"):
        alternates.encode(run, "ICA directions", np.asarray(run.embeddings("queries")[0]))


def test_shapley_of_one_player_is_the_whole() -> None:
    assert shapley_exact(lambda w: 3.0 * w[:, 0] + 1, 1).tolist() == [3.0]
