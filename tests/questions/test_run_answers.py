"""What pages and commands ask of a run, on small runs, against slow recomputation with numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from core.errors import NotAvailable, UserError, VariantError
from core.questions import concepts, fidelity, map, modality, removal, retrieval, similarity
from core.questions.answers import transformed
from core.questions.labels import truth_attributes
from core.run import Run, open_run


@pytest.fixture(params=["small", "small-clip"])
def run(request: pytest.FixtureRequest, small_runs: Mapping[str, Run]) -> Run:
    return small_runs[request.param]


def firing_on_both(run: Run) -> int:
    """The concept of most energy on the side where it has less: one for captions alone fires on no picture."""
    return int(np.minimum(*(np.asarray(run.codes(p).sum(axis=0)).ravel() for p in ("queries", "candidates"))).argmax())


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


VARIANTS = ("none", "center", "realign", "remove-top(share=0.01)", "set(3=0,5=2)+remove(7)+realign(beta=0.5)")


@pytest.mark.parametrize("variant", VARIANTS)
def test_contributions_sum_to_the_similarity(run: Run, variant: str) -> None:
    rng = np.random.default_rng(0)
    queries, candidates = (len(run.corpus.items(part)) for part in ("queries", "candidates"))
    for q, c in zip(rng.integers(0, queries, 5), rng.integers(0, candidates, 5), strict=True):
        found = similarity.pair(run, int(q), int(c), variant)
        expected = cosine(transformed(run, variant, "queries")[q], transformed(run, variant, "candidates")[c])
        parts = (
            found.table["contribution"].sum() + found.rest + found.offset + found.query_error + found.candidate_error
        )
        assert found.similarity == pytest.approx(expected, abs=1e-5)
        assert parts == pytest.approx(found.similarity, abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS[:3])
def test_margins_sum_too(run: Run, variant: str) -> None:
    found = similarity.margin(run, 0, 0, 7, variant)
    expected = similarity.pair(run, 0, 0, variant).similarity - similarity.pair(run, 0, 7, variant).similarity
    parts = found.table["contribution"].sum() + found.rest + found.offset + found.query_error + found.candidate_error
    assert found.similarity == pytest.approx(expected, abs=1e-9) and parts == pytest.approx(expected, abs=1e-5)


def test_raw_similarity_is_the_cosine_of_the_stored_embeddings(run: Run) -> None:
    for q, c in ((0, 0), (5, 11), (49, 3)):
        assert similarity.pair(run, q, c).similarity == pytest.approx(
            cosine(run.embeddings("queries")[q], run.embeddings("candidates")[c]), abs=1e-6
        )


def test_rankings_agree_with_the_evaluation(run: Run) -> None:
    evaluated = {v: retrieval.evaluate(run, v).ranks for v in ("none", "realign")}
    candidates = len(run.corpus.items("candidates"))
    for q in (0, 17, 49):
        lists = retrieval.rankings(run, q, "none", "realign", top=candidates)
        for frame, variant in ((lists.before, "none"), (lists.after, "realign")):
            assert frame["rank"].tolist() == list(range(1, candidates + 1))
            assert frame.loc[frame["relevant"], "rank"].min() == evaluated[variant][q]
            assert (np.diff(frame["similarity"]) <= 1e-7).all()
        moved = lists.before.set_index("row")["rank_other"]
        assert (lists.after.set_index("row")["rank"].reindex(moved.index) == moved).all()


def test_fixed_and_broken_explain_the_difference(run: Run) -> None:
    found = retrieval.compare(run, "none", "realign")
    row = found.table.set_index("metric").loc["recall@1"]
    n = len(found.before.ranks)
    assert row["difference"] == pytest.approx((len(found.fixed) - len(found.broken)) / n)
    assert row["after"] - row["before"] == pytest.approx(row["difference"])
    for kind in ("fixed", "broken", "failing", "all"):
        listed = retrieval.query_list(run, kind=kind, limit=10_000)
        expected = {
            "fixed": len(found.fixed),
            "broken": len(found.broken),
            "failing": int((found.after.ranks != 1).sum()),
            "all": n,
        }
        assert len(listed) == listed.attrs["total"] == expected[kind]


def test_gain_split_telescopes(run: Run) -> None:
    table = retrieval.gain_split(run)
    assert table["gain"].iloc[1:].sum() == pytest.approx(table["recall@1"].iloc[-1] - table["recall@1"].iloc[0])


def test_beta_one_is_centring_and_the_sweep_meets_the_evaluation(run: Run) -> None:
    sweep = retrieval.beta_sweep(run).set_index("beta")
    assert sweep.loc[1.0, "recall@1"] == retrieval.evaluate(run, "center").evaluation.recall[1]
    assert sweep.loc[0.1, "recall@1"] == retrieval.evaluate(run, "realign").evaluation.recall[1]


def test_removal_curve_starts_at_no_removal_and_has_controls(run: Run) -> None:
    table = removal.removal_curve(run)
    assert table.attrs["fitted_on"] == "support"
    assert table.loc[table["share"] == 0, "recall@1"].iloc[0] == retrieval.evaluate(run).evaluation.recall[1]
    one = table[(table["share"] == 0.01) & (table["kind"] == "top attribution")]
    assert one["recall@1"].iloc[0] == retrieval.evaluate(run, "remove-top(share=0.01)").evaluation.recall[1]
    counts = table[table["share"] > 0].groupby(["share", "kind"])["concepts"].unique()
    assert all(len(set(np.concatenate(counts[share].tolist()))) == 1 for share in table["share"].unique() if share)


def test_switching_a_concept_off_changes_the_embedding_by_its_activation(run: Run) -> None:
    k = firing_on_both(run)
    row = int(run.codes("queries")[:, [k]].toarray()[:, 0].argmax())
    edited = transformed(run, f"set({k}=0)", "queries")[row]
    h = run.embeddings("queries")[row].astype(np.float64)
    by_hand = h - float(run.codes("queries")[row, k]) * run.need_sae().dictionary[k].astype(np.float64)
    assert cosine(edited, by_hand) == pytest.approx(1, abs=1e-6) and cosine(edited, h) < 1 - 1e-4


def test_a_concept_card_shows_what_fires_most(run: Run) -> None:
    k = firing_on_both(run)
    card = concepts.concept(run, k)
    both = np.concatenate([run.codes(p)[:, [k]].toarray()[:, 0] for p in ("queries", "candidates")])
    assert card.n_items == len(both) and card.n_firing == int((both > 0).sum())
    assert card.images["activation"].iloc[0] == pytest.approx(both[: len(run.corpus.items("queries"))].max())
    assert card.images["activation"].is_monotonic_decreasing and card.images["modality"].eq("image").all()
    # Fewer captions than are shown fire: none of the pictures that fire stands among them.
    assert card.texts["modality"].eq("text").all()
    texts = run.codes("candidates")[:, [k]].toarray()[:, 0]
    assert len(card.texts) == min(24, int((texts > 0).sum()))
    assert card.histogram["count"].sum() == card.n_firing


def test_ground_truth_match_is_the_f1_of_its_definition(run: Run) -> None:
    k = int(concepts.top(run, "energy", 3)["concept"].iloc[2])
    best = concepts.concept(run, k).truth.iloc[0]
    name = f"{best['kind']}:{best['attribute']}"
    fires, holds = [], []
    for part in ("queries", "candidates"):
        column, items = run.codes(part)[:, [k]].toarray()[:, 0], run.corpus.items(part)
        fires += (column > 0).tolist()
        modality = {"text": "modality:any caption", "image": "modality:any picture"}
        holds += [name in truth_attributes(items.truth(i)) | {modality[items.modality[i]]} for i in range(len(items))]
    both = sum(f and h for f, h in zip(fires, holds, strict=True))
    assert best["f1"] == pytest.approx(2 * both / (sum(fires) + sum(holds)))
    assert best["precision"] == pytest.approx(both / sum(fires)) and best["recall"] == pytest.approx(both / sum(holds))


def test_heat_averages_to_the_pre_activation_of_the_pooled_item(small_runs: Mapping[str, Run]) -> None:
    run = small_runs["small"]
    k = firing_on_both(run)
    for part in ("queries", "candidates"):
        row = int(run.codes(part)[:, [k]].toarray()[:, 0].argmax())
        heat = concepts.heat(run, k, part, row)
        assert heat.mean == pytest.approx(float(run.codes(part)[row, k]), rel=1e-3), (
            "a firing concept's code is its pre-activation"
        )
        assert (heat.grid is not None) == (part == "queries")
    assert len(concepts.top_tokens(run, k, 5)) == 5


def test_a_dual_encoder_has_no_output_head(small_runs: Mapping[str, Run]) -> None:
    with pytest.raises(NotAvailable):
        concepts.top_tokens(small_runs["small-clip"], 0)


def test_modality_shares_and_dead_concepts(run: Run) -> None:
    table, found = concepts.table(run), modality.scores(run)
    assert found.alive + found.dead == len(table) and found.dead == int((table["energy"] == 0).sum())
    assert table.loc[table["energy"] == 0, "modality_score"].isna().all()
    scored = table.dropna(subset=["modality_score"])
    assert found.share_text == pytest.approx((scored["modality_score"] > 0.9).mean())
    assert found.histogram["concepts"].sum() == len(scored) and found.histogram["energy"].sum() == pytest.approx(1)


def test_overlaps_and_concentration_by_hand(run: Run) -> None:
    table = concepts.table(run)
    n = max(1, round(0.01 * len(table)))
    tops = {
        m: set(table.sort_values(m, ascending=False, kind="stable")["concept"][:n])
        for m in ("energy", "attribution", "bridge")
    }
    found = modality.overlaps(run).set_index("measures")["overlap"]
    assert found["all three"] == pytest.approx(len(set.intersection(*tops.values())) / len(set.union(*tops.values())))
    energy = np.sort(table["energy"])[::-1]
    held = modality.cumulative_energy(run).concepts_for_99
    assert energy[:held].sum() >= 0.99 * energy.sum() > energy[: held - 1].sum()


def test_fidelity_by_the_definition(run: Run) -> None:
    h = np.concatenate([run.embeddings(p) for p in ("queries", "candidates")]).astype(np.float64)
    z = np.concatenate([run.codes(p).toarray() for p in ("queries", "candidates")]).astype(np.float64)
    u = np.concatenate([np.broadcast_to(run.offset(p), run.embeddings(p).shape) for p in ("queries", "candidates")])
    error = h - z @ run.need_sae().dictionary.astype(np.float64) - u
    expected = 1 - (error**2).sum() / ((h - h.mean(axis=0)) ** 2).sum()
    found = fidelity.fidelity(run)
    assert found.value("explained variance") == pytest.approx(expected, abs=1e-4)
    assert found.value("L0") == pytest.approx((z > 0).sum(axis=1).mean())
    assert found.value("recall@1 of the embedding") == retrieval.evaluate(run).evaluation.recall[1]
    modality = np.concatenate([run.corpus.items(p).modality for p in ("queries", "candidates")])
    for words, kind in (("images", "image"), ("texts", "text")):
        mine, e = h[modality == kind], error[modality == kind]
        by_hand = 1 - (e**2).sum() / ((mine - mine.mean(axis=0)) ** 2).sum()
        assert found.explained[words] == pytest.approx(by_hand, abs=1e-4)


def test_map_is_computed_once_and_the_same_again(small_runs: Mapping[str, Run]) -> None:
    run = small_runs["small-clip"]
    first = map.points(run, "none")
    items = sum(len(run.corpus.items(part)) for part in ("queries", "candidates"))
    assert map.is_cached(run, "none") and len(first) == first.attrs["shown"] == items
    assert np.isfinite(first[["x", "y"]].to_numpy()).all()
    assert map.points(run, "none").equals(first)


def test_answers_are_cached_by_what_was_asked(run: Run) -> None:
    retrieval.evaluate(run, "realign")
    before = len(run.store.folders("answer"))
    retrieval.evaluate(open_run(run.name, run.store), "realign(beta=0.1,eps=1e-05)")
    assert len(run.store.folders("answer")) == before, "the default written out is the same variant"
    retrieval.evaluate(run, "realign(beta=0.77)")
    assert len(run.store.folders("answer")) == before + 1


def test_mistakes_are_users_errors(run: Run) -> None:
    with pytest.raises(UserError, match="no such concept"):
        concepts.concept(run, 10**6)
    with pytest.raises(UserError, match="no such query"):
        retrieval.rankings(run, 10**6)
    with pytest.raises(VariantError, match="nearest"):
        retrieval.evaluate(run, "realing")
