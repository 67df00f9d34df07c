"""Statistics per modality: each row is treated by the statistics of its own modality; sums stay exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.analysis.explanations import contributions as one_by_one
from core.analysis.explanations import failures as science
from core.analysis.variants import FitData, apply_variant, fit_variant, parse_variant, transform
from core.analysis.variants.portable import arrays_of, treat
from core.errors import NotAvailable, ShapeMismatch, VariantError

CENTRED = "center(statistics=per-modality)"
CHAINS = (
    CENTRED, "realign(statistics=per-modality)", f"{CENTRED}+realign", f"realign+{CENTRED}",
    f"set(3=0,9=2)+remove(1,2)+{CENTRED}+zca(statistics=support)", "all-but-top(components=2,statistics=per-modality)",
)  # fmt: skip


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def names(n: int, kinds: tuple[str, ...]) -> np.ndarray:
    return np.array([kinds[i % len(kinds)] for i in range(n)])


@pytest.fixture
def mixed(world: FitData) -> FitData:
    """The world with texts asking for texts, images and items of both, each modality shifted its own way."""
    kinds = ("text", "image", "image,text")
    modality = {
        "query_modality": names(40, ("text", "text", "image")), "candidate_modality": names(50, kinds),
        "support_query_modality": names(45, ("text", "image")), "support_candidate_modality": names(45, kinds),
    }  # fmt: skip
    shifts = dict(zip(kinds, np.random.default_rng(3).standard_normal((3, 16)), strict=True))
    rows = {
        "queries": world.queries, "candidates": world.candidates,
        "support_queries": world.support_queries, "support_candidates": world.support_candidates,
    }  # fmt: skip
    of = dict(zip(rows, modality.values(), strict=True))
    moved = {p: (x + [2 * shifts[m] for m in of[p]]).astype(np.float32) for p, x in rows.items()}
    return replace(world, **moved, **modality)


def test_centring_subtracts_the_mean_of_each_modality_of_the_support_rows(mixed: FitData) -> None:
    """By hand: unit rows, minus the mean of the support rows (both sides) of the row's modality."""
    support = unit(np.vstack([mixed.support_queries, mixed.support_candidates]).astype(np.float64))
    of = np.concatenate([mixed.support_query_modality, mixed.support_candidate_modality])
    means = {m: support[of == m].mean(axis=0) for m in set(of.tolist())}
    rows = apply_variant(fit_variant(CENTRED, mixed), mixed)
    for x, modality, got in (
        (mixed.queries, mixed.query_modality, rows.queries),
        (mixed.candidates, mixed.candidate_modality, rows.candidates),
    ):
        wanted = unit(np.array([r - means[m] for r, m in zip(unit(x.astype(np.float64)), modality, strict=True)]))
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_the_gap_between_modalities_closes_where_the_one_between_sides_does_not(mixed: FitData) -> None:
    def gap(text: str) -> float:
        rows = apply_variant(fit_variant(text, replace(mixed, support_queries=None, support_query_codes=None)), mixed)
        means = [rows.candidates[mixed.candidate_modality == m].mean(axis=0) for m in ("text", "image")]
        return float(np.linalg.norm(means[0] - means[1]))

    assert gap(CENTRED) < 0.5 * gap("center")


def test_whitening_per_modality_is_whitening_of_that_modality_alone(mixed: FitData) -> None:
    """The items of one modality, given alone as both sides, and whitened with shared statistics."""
    bare = replace(
        mixed, support_queries=None, support_query_codes=None, support_candidates=None, support_candidate_codes=None,
        support_query_modality=None, support_candidate_modality=None,
    )  # fmt: skip
    whole = apply_variant(fit_variant("realign(beta=0.3,statistics=per-modality)", bare), bare)
    of_q, of_c = bare.query_modality == "text", bare.candidate_modality == "text"
    alone = FitData(queries=bare.queries[of_q], candidates=bare.candidates[of_c])
    texts = apply_variant(fit_variant("realign(beta=0.3,statistics=shared)", alone), alone)
    np.testing.assert_allclose(whole.queries[of_q], texts.queries, atol=1e-5)
    np.testing.assert_allclose(whole.candidates[of_c], texts.candidates, atol=1e-5)


@pytest.mark.parametrize("text", CHAINS)
def test_a_chain_is_its_text_and_transforms_row_by_row(mixed: FitData, text: str) -> None:
    spec = parse_variant(text)
    assert parse_variant(str(spec)) == spec == parse_variant(spec.explicit()) and "per-modality" in str(spec)
    fitted = fit_variant(spec, mixed)
    whole = apply_variant(fitted, mixed).candidates
    for row in (0, 1, 2, 7):
        single = transform(
            mixed.candidates[[row]], fitted.candidate.of(mixed.candidate_modality[row]),
            mixed.candidate_codes[[row]], mixed.dictionary,
        )  # fmt: skip
        np.testing.assert_allclose(single[0], whole[row], atol=1e-6)


@pytest.mark.parametrize("text", CHAINS)
def test_contributions_and_margins_sum_exactly(mixed: FitData, text: str) -> None:
    fitted = fit_variant(text, mixed)
    rows = apply_variant(fitted, mixed)
    triples = np.array([[0, 0, 1], [2, 1, 5], [3, 2, 2], [4, 6, 11], [5, 7, 8]])
    sides = (
        science.SideRows(mixed.queries, mixed.query_codes, fitted.query, modality=mixed.query_modality),
        science.SideRows(mixed.candidates, mixed.candidate_codes, fitted.candidate, modality=mixed.candidate_modality),
    )
    terms = science.margin_terms(*sides, triples, mixed.dictionary)
    scores = np.asarray(rows.queries, np.float64) @ rows.candidates.T.astype(np.float64)
    margins = scores[triples[:, 0], triples[:, 1]] - scores[triples[:, 0], triples[:, 2]]
    np.testing.assert_allclose(terms.margin, margins, atol=1e-6)
    total = terms.concepts.sum(axis=1) + terms.offset + terms.query_error + terms.candidate_error
    np.testing.assert_allclose(total, terms.margin, atol=1e-10)
    for i, (q, right, wrong) in enumerate(triples):
        slow = one_by_one.margin(
            state(mixed, fitted, "query", q), state(mixed, fitted, "candidate", right),
            state(mixed, fitted, "candidate", wrong), mixed.dictionary,
        )  # fmt: skip
        dense = np.zeros(60)
        dense[slow.concepts] = slow.values
        np.testing.assert_allclose(terms.concepts[i], dense, atol=1e-10)


def state(data: FitData, fitted, side: str, row: int) -> one_by_one.SideState:
    rows, codes, modality = (
        (data.queries, data.query_codes, data.query_modality)
        if side == "query"
        else (data.candidates, data.candidate_codes, data.candidate_modality)
    )
    z = codes[[int(row)]]
    return one_by_one.SideState(
        np.asarray(rows[row], np.float64), z.indices.astype(np.int64), z.data.astype(np.float64),
        getattr(fitted, side).of(modality[row]),
    )  # fmt: skip


def test_codes_are_centred_by_the_mean_code_of_their_modality(mixed: FitData) -> None:
    """With a perfect dictionary nothing but the concepts is left: the offset is 0 for every modality."""
    parts = {"queries": "query", "candidates": "candidate"}
    parts |= {f"support_{part}": f"support_{side}" for part, side in parts.items()}
    rows = {p: (getattr(mixed, f"{side}_codes") @ mixed.dictionary) for p, side in parts.items()}
    exact = replace(mixed, **rows, memo=type(mixed.memo)(8))
    fitted = fit_variant(CENTRED, exact)
    terms = one_by_one.contributions(
        state(exact, fitted, "query", 2), state(exact, fitted, "candidate", 4), exact.dictionary
    )
    assert terms.centred_codes and abs(terms.offset) < 1e-5
    assert terms.values.sum() == pytest.approx(terms.similarity, abs=1e-5)


def test_one_modality_alone_is_shared_statistics(world: FitData) -> None:
    """A pool of one modality: per modality and shared are the same rows."""
    texts = {"query_modality": names(40, ("text",)), "candidate_modality": names(50, ("text",))}
    bare = FitData(queries=world.queries, candidates=world.candidates, **texts)
    one, other = (apply_variant(fit_variant(f"center(statistics={s})", bare), bare) for s in ("per-modality", "shared"))
    np.testing.assert_allclose(one.candidates, other.candidates, atol=1e-6)
    notes = fit_variant(CENTRED, bare).notes
    assert any("image (no row), image,text (no row)" in note for note in notes), "what is pooled is said"


def test_a_modality_with_one_row_or_without_support_takes_the_statistics_of_all(mixed: FitData) -> None:
    """Its own mean would be the row itself, and nothing of it would be left."""
    support = {"support_query_modality": names(45, ("text",)), "support_candidate_modality": names(45, ("text",))}
    support["support_candidate_modality"] = np.array(["image", *["text"] * 44])
    few = replace(mixed, **support, memo=type(mixed.memo)(8))
    fitted = fit_variant(CENTRED, few)
    everything = unit(np.vstack([few.support_queries, few.support_candidates]).astype(np.float64)).mean(axis=0)
    for one in ("image", "image,text"):
        np.testing.assert_allclose(fitted.candidate.of(one).mean, everything, atol=1e-12)
    assert np.abs(fitted.candidate.of("text").mean - everything).max() > 1e-4
    assert any("image (one row), image,text (no row)" in note for note in fitted.notes)
    assert np.linalg.norm(apply_variant(fitted, few).candidates, axis=1).min() > 0.99


def test_what_it_is_fitted_on_is_said(mixed: FitData) -> None:
    assert "from the support split" in fit_variant(CENTRED, mixed).notes[0]
    pool = replace(mixed, support_candidates=None, support_candidate_codes=None, support_candidate_modality=None)
    pool = replace(pool, memo=type(mixed.memo)(8))
    assert "from the support split and the pool" in fit_variant(CENTRED, pool).notes[0]


def test_a_new_row_must_say_its_modality(mixed: FitData) -> None:
    fitted = fit_variant(CENTRED, mixed)
    with pytest.raises(VariantError, match="a row must say its own.*'text' or 'image' or 'image,text'"):
        transform(mixed.queries[:1], fitted.query)
    with pytest.raises(VariantError, match="'audio'"):
        transform(mixed.queries[:1], fitted.query, modality=["audio"])


def test_data_without_modalities_or_with_too_few_are_refused(world: FitData, mixed: FitData) -> None:
    with pytest.raises(NotAvailable, match="needs the modality of every row"):
        fit_variant(CENTRED, world)
    with pytest.raises(ShapeMismatch, match="modalities of the candidates"):
        replace(mixed, candidate_modality=names(3, ("text",)))
    with pytest.raises(VariantError, match="'shared'"):
        parse_variant("pca(statistics=per-modality)")


def test_a_sample_of_the_support_keeps_its_modalities(mixed: FitData) -> None:
    from core.analysis.variants.fitdata import support_sample

    sample = support_sample(mixed, 20, seed=1)
    assert len(sample.support_query_modality) == 20
    chosen = [np.flatnonzero((mixed.support_queries == row).all(axis=1))[0] for row in sample.support_queries]
    assert sample.support_query_modality.tolist() == mixed.support_query_modality[chosen].tolist()


@pytest.mark.parametrize("text", [CENTRED, f"remove(1,2)+{CENTRED}+realign", "realign(statistics=per-modality)"])
def test_the_exported_lines_treat_a_new_row_by_its_modality(mixed: FitData, text: str) -> None:
    fitted = fit_variant(text, mixed)
    arrays, rows = arrays_of(fitted), apply_variant(fitted, mixed)
    for row in (0, 1, 2):
        single = treat(mixed.candidates[row], "candidate", arrays, str(mixed.candidate_modality[row]))
        np.testing.assert_allclose(single[0], rows.candidates[row], atol=1e-6)
    with pytest.raises(ValueError, match="say the modality"):
        treat(mixed.candidates[0], "candidate", arrays)
    per_side = arrays_of(fit_variant("center", mixed))
    np.testing.assert_array_equal(
        treat(mixed.queries, "query", per_side), treat(mixed.queries, "query", per_side, "text")
    )
