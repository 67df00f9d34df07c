"""Variants against the same formulas written out in dense numpy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis.concepts.measures import attribution, top_share
from core.analysis.subspaces import removal_basis
from core.analysis.variants import (
    STEPS,
    SideTransform,
    VariantSpec,
    apply_variant,
    fit_variant,
    gain_split,
    make_step,
    parse_variant,
    transform,
)
from core.errors import NotAvailable, VariantError

EVERY = [
    "none",
    "center",
    "scale-dims",
    "zca",
    "realign(beta=0.3)",
    "auto",
    "auto(method=oas)",
    "pca",
    "pca(components=5)",
    "center(statistics=shared)",
    "realign(statistics=support)",
    "remove(3,9)+zca",
    "set(3=0,9=2)",
    "remove-top(share=0.1)",
    "remove-random(count=4,seed=1)+center",
    "remove-directions(rank=3)",
    "set(1=0.5)+remove(3)+center+realign",
    "center(statistics=candidates)",
    "realign(statistics=candidates)",
    "all-but-top",
    "all-but-top(components=3,statistics=shared)",
    "close-gap",
    "close-gap(statistics=support)+realign",
    "remove-mean-direction",
    "remove-mean-direction+center",
    "remove-pca(rank=3)",
    "set(1=0.5)+remove-pca(rank=2)+all-but-top(components=2)+zca",
    "remove-random(rank=7)",
]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def whitened(x, fitted_on, beta, eps):
    mu, sigma = fitted_on.mean(0), np.cov(fitted_on.T)
    values, u = np.linalg.eigh((1 - beta) * sigma + beta * np.trace(sigma) / len(sigma) * np.eye(len(sigma)))
    return unit((x - mu) @ (u / np.sqrt(values + eps)) @ u.T)


@pytest.mark.parametrize("text", EVERY)
def test_every_variant_gives_unit_rows_for_rows_never_seen(world, text):
    fitted = fit_variant(text, world)
    rows = transform(world.support_queries, fitted.query, world.support_query_codes, world.dictionary)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("text", EVERY)
def test_text_round_trips(text):
    spec = parse_variant(text)
    assert parse_variant(str(spec)) == spec == parse_variant(spec.explicit())
    assert parse_variant(str(spec).replace("+", " ")) == spec, "a URL turns + into a space"
    assert str(spec) == text


INSIDE = [
    "inside(layer=3,12=0)",
    "inside(layer=-1,12=0)",
    "inside(layer=3,tokens=image,12=0,40=2.5)",
    "inside(layer=3,7=0.5,12=@0.8)+set(3=0)+center",
    "inside(layer=-1,12=@-1)+inside(layer=3,tokens=text,12=0)+realign",
]


@pytest.mark.parametrize("text", INSIDE)
def test_steps_within_the_model_round_trip(text):
    spec = parse_variant(text)
    assert parse_variant(str(spec)) == spec == parse_variant(spec.explicit())
    assert parse_variant(str(spec).replace("+", " ")) == spec
    assert str(spec) == text
    assert spec.inside.then(spec.outside) == spec and not spec.outside.of_stage("inside")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("inside(12=0)", "inside(layer=-1,12=0)"),
        ("inside(12=0,layer=3)", "inside(layer=3,12=0)"),
        ("center+inside(layer=3,12=0)", "inside(layer=3,12=0)+center"),
        ("inside(layer=3,12=0)+inside(layer=3,4=2)", "inside(layer=3,4=2,12=0)"),
        ("inside(layer=3,12=0)+inside(layer=3,tokens=text,4=2)", None),
        ("inside(layer=3,12=1)", "none"),
        ("inside(layer=3,12=1,4=0)", "inside(layer=3,4=0)"),
        ("inside(layer=3,12=@1)", "inside(layer=3,12=@1)"),
    ],
)
def test_steps_within_the_model_have_one_form(text, canonical):
    assert str(parse_variant(text)) == (canonical or text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inside", "inside(layer=3,12=0"),
        ("inside(layer=3)", "inside(layer=3,12=0"),
        ("inside(layer=3,12)", "inside(layer=3,12=0"),
        ("inside(layer=3,12=@)", "inside(layer=3,12=0"),
        ("inside(layer=3,12=@@1)", "inside(layer=3,12=0"),
        ("inside(layer=x,12=0)", "a whole number"),
        ("inside(layer=3,tokens=picture,12=0)", "'image'"),
        ("inside(layer=3,12=0,12=@1)", "each concept once in inside"),
        ("inside(layer=3,12=0)+inside(layer=3,12=2)", "each concept once in inside"),
        ("inside(layer=3,12=@1e9)", "-1e+06 to 1e+06"),
        ("set(12=@1)", "set(12=0"),
        ("remove(12=@1)", "remove(12,55)"),
    ],
)
def test_a_step_within_the_model_that_cannot_be_read_says_why(text, says):
    with pytest.raises(VariantError) as caught:
        parse_variant(text)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_concept_is_switched_within_the_model_and_back():
    spec = parse_variant("inside(layer=3,5=0)+center")
    assert str(spec.with_inside(7, 0.0, 3)) == "inside(layer=3,5=0,7=0)+center"
    assert str(spec.with_inside(7, 2.0)) == "inside(layer=-1,7=2)+inside(layer=3,5=0)+center"
    assert str(spec.with_inside(5, 1.0, 3)) == "center"
    assert str(parse_variant("inside(layer=3,5=@2)").with_inside(5, 0.0, 3)) == "inside(layer=3,5=0)"


def test_rows_that_another_model_made_are_not_fitted(world):
    with pytest.raises(VariantError, match="not made by that one"):
        fit_variant("inside(layer=3,5=0)+center", world)
    changed = replace(world, inside="inside(layer=3,5=0)")
    with pytest.raises(VariantError, match="not made by that one"):
        fit_variant("center", changed)
    fitted, plain = fit_variant("inside(layer=3,5=0)+center", changed), fit_variant("center", world)
    np.testing.assert_array_equal(fitted.query.mean, plain.query.mean)


words = st.one_of(
    st.tuples(
        st.just("inside"),
        st.fixed_dictionaries(
            {
                "concepts": st.tuples(st.tuples(st.integers(0, 9), st.floats(0, 4))),
                "layer": st.integers(-3, 9),
                "tokens": st.sampled_from(["all", "image", "text", "prompt"]),
            }
        ),
    ),
    st.tuples(st.just("realign"), st.fixed_dictionaries({"beta": st.floats(0, 1), "eps": st.floats(0, 1e3)})),
    st.tuples(st.just("remove-random"), st.fixed_dictionaries({"seed": st.integers(0, 9)})),
    st.tuples(
        st.just("set"), st.fixed_dictionaries({"concepts": st.tuples(st.tuples(st.integers(0, 9), st.floats(0, 4)))})
    ),
    st.tuples(
        st.just("remove"), st.fixed_dictionaries({"concepts": st.tuples(st.tuples(st.integers(0, 9), st.just(0.0)))})
    ),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(words, max_size=4, unique_by=lambda word: word[0]))
def test_any_chain_round_trips_and_is_canonical(chain):
    spec = VariantSpec(tuple(make_step(name, **arguments) for name, arguments in chain))
    assert parse_variant(str(spec)) == spec == parse_variant(spec.explicit())
    stages = [step.kind.stage for step in spec.steps]
    assert stages == sorted(stages, key=["inside", "edit", "removal", "affine"].index)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("zac", "'zca' (nearest)"),
        ("realign(beta=3)", "from 0 to 1"),
        ("realign(bta=1)", "'beta' (nearest)"),
        ("pca(statistics=per-side)", "'shared'"),
        ("set(3=1,3=2)", "two factors"),
        ("remove", "remove(12,55)"),
        ("remove(a)", "option"),
        ("zca(", "brackets"),
        ("set(3)", "set(12=0"),
        ("center(1)", "no concepts"),
        ("zca()x", "brackets"),
        ("zca(eps=1,eps=2)", "twice"),
        ("realign(beta=nan)", "from 0 to 1"),
        ("set(3=1e)", "set(12=0"),
        ("zca(eps=inf)", "from 0 to 1000"),
        ("remove(name=3)", "unknown option"),
        ("remove-random(count=0)", ">= 1"),
        ("remove-random(count=1.5)", "whole"),
    ],
)
def test_bad_text_is_refused_in_one_line(text, says):
    with pytest.raises(VariantError) as error:
        parse_variant(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_canonical_order_and_helpers():
    assert str(parse_variant("realign+remove(9)+set(2=0)+remove(3, 9)")) == "set(2=0)+remove(3,9)+realign"
    assert str(parse_variant("center").with_factor(4, 0).with_factor(2, 3)) == "set(2=3,4=0)+center"
    assert str(parse_variant("set(4=0)").with_factor(4, 1)) == "none"
    assert str(VariantSpec().toggle_removed(4).toggle_removed(2).toggle_removed(4)) == "remove(2)"
    assert str(parse_variant("zca").then("remove(1)")) == "remove(1)+zca"
    assert [str(spec) for spec in gain_split().values()] == ["none", "center", "scale-dims", "zca", "realign"]


def test_none_is_the_raw_cosine(world):
    rows = apply_variant(fit_variant("none", world), world)
    np.testing.assert_allclose(rows.queries, unit(world.queries), atol=1e-6)


@pytest.mark.parametrize(
    ("statistics", "beta"),
    [("per-side", 0.0), ("per-side", 0.4), ("support", 0.4), ("shared", 0.4), ("candidates", 0.4)],
)
def test_whitening_statistics(world, statistics, beta):
    fitted = fit_variant(f"realign(beta={beta},eps=0.001,statistics={statistics})", world)
    q, c, s = (unit(x.astype(float)) for x in (world.queries, world.candidates, world.support_queries))
    on_q = {"per-side": q, "support": s, "shared": np.vstack([q, c]), "candidates": c}[statistics]
    on_c = np.vstack([q, c]) if statistics == "shared" else c
    rows = apply_variant(fitted, world)
    np.testing.assert_allclose(rows.queries, whitened(q, on_q, beta, 1e-3), atol=1e-6)
    np.testing.assert_allclose(rows.candidates, whitened(c, on_c, beta, 1e-3), atol=1e-6)
    assert (fitted.query.n_samples, fitted.candidate.n_samples) == (len(on_q), len(on_c))
    source = {
        "per-side": "transductive",
        "support": "support split",
        "shared": "both sides together",
        "candidates": "the pool",
    }
    assert (
        f"realign: {statistics} statistics, {len(on_q)} query-side" in fitted.notes[0]
        and source[statistics] in fitted.notes[0]
    )


def test_edit_then_removal_then_norm_then_whitening(world):
    """The whole chain written out, statistics taken after the norm."""
    d = world.dictionary.astype(float)
    basis = removal_basis(d[[3, 9]])
    z = world.query_codes.toarray().astype(float)
    h = world.queries + (z[:, [5]] * -1.0) * d[5] + (z[:, [7]] * 0.5) * d[7]
    x = unit(h - h @ basis.T @ basis)
    fitted = fit_variant("set(5=0,7=1.5)+remove(3,9)+realign", world)
    np.testing.assert_allclose(apply_variant(fitted, world).queries, whitened(x, x, 0.1, 1e-5), atol=1e-6)
    assert fitted.removed_concepts == (3, 9)


def test_chain_of_affine_steps_is_their_succession(world):
    fitted = fit_variant("scale-dims(eps=0)+zca(eps=0)", world)
    q = unit(world.queries.astype(float))
    scaled = (q - q.mean(0)) / q.std(0, ddof=1)
    np.testing.assert_allclose(apply_variant(fitted, world).queries, whitened(scaled, scaled, 0, 0), atol=1e-6)
    with pytest.raises(VariantError, match="single affine map"):
        rng = np.random.default_rng(0)
        from core.analysis.variants.transform import compose
        from core.analysis.variants.whiten import AffineRecord

        compose((AffineRecord(np.zeros(4), np.diag([1.0, 1, 1, 0]), "a", 9), AffineRecord(rng.random(4), None, "b", 9)))


def test_pca_cosines_are_those_of_shared_zca(world):
    pca, zca = (apply_variant(fit_variant(t, world), world) for t in ("pca", "zca(statistics=shared)"))
    np.testing.assert_allclose(pca.queries @ pca.candidates.T, zca.queries @ zca.candidates.T, atol=1e-5)


def test_beta_one_is_centring(world):
    realign, center = (apply_variant(fit_variant(t, world), world) for t in ("realign(beta=1)", "center"))
    np.testing.assert_allclose(realign.queries, center.queries, atol=1e-6)


def test_scale_and_rotation_invariance(world):
    """Cosines after per-side whitening do not depend on the length of the rows nor on the axes."""
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((16, 16)))[0]
    moved = replace(
        world,
        queries=3 * world.queries @ rotation,
        candidates=7 * world.candidates @ rotation,
        support_queries=None,
        support_candidates=None,
        support_query_codes=None,
        support_candidate_codes=None,
        memo=type(world.memo)(),
    )
    for text in ("none", "center", "zca", "realign", "auto"):
        a, b = apply_variant(fit_variant(text, world), world), apply_variant(fit_variant(text, moved), moved)
        np.testing.assert_allclose(a.queries @ a.candidates.T, b.queries @ b.candidates.T, atol=1e-5)


def test_remove_top_uses_support_pairs_else_says_so(world):
    fitted = fit_variant("remove-top(share=0.1)", world)
    scores = attribution(
        world.support_query_codes, world.support_candidate_codes, world.support_pairs, world.dictionary
    )
    assert fitted.removed_concepts == tuple(top_share(scores, 0.1))
    assert "ranked by attribution on support pairs" in " ".join(fitted.notes)
    bare = replace(world, support_pairs=None, memo=type(world.memo)())
    fitted = fit_variant("remove-top(share=0.1)", bare)
    scores = attribution(world.query_codes, world.candidate_codes, world.pairs, world.dictionary)
    assert fitted.removed_concepts == tuple(top_share(scores, 0.1))
    assert "chosen on the test pairs" in " ".join(fitted.notes)


def test_edits_come_before_the_ranking_of_concepts(world):
    """A concept that is switched off contributes nothing any more, so it is not among the removed."""
    best = fit_variant("remove-top(share=0.1)", world).removed_concepts[0]
    assert best not in fit_variant(f"set({best}=0)+remove-top(share=0.1)", world).removed_concepts


def test_random_controls_are_seeded_and_of_equal_size(world):
    one, same, other = (fit_variant(f"remove-random(count=4,seed={s})", world).removed_concepts for s in (1, 1, 2))
    assert one == same != other
    assert len(set(one)) == 4
    basis = fit_variant("remove-directions(rank=3,seed=5)", world).query.removed_basis
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)


def test_zero_and_constant_rows_stay_zero(world):
    fitted = fit_variant("realign", world)
    assert not transform(np.zeros((2, 16), np.float32), fitted.query).any()
    row = np.random.default_rng(0).random((1, 16)).astype(np.float32)
    constant = replace(world, queries=np.repeat(row, 40, axis=0), memo=type(world.memo)())
    for text in ("center", "zca", "realign", "scale-dims", "auto"):
        assert not transform(constant.queries, fit_variant(text, constant).query).any(), text


def test_what_is_missing_is_named(world):
    bare = replace(
        world,
        query_codes=None,
        candidate_codes=None,
        support_queries=None,
        support_candidates=None,
        support_query_codes=None,
        support_candidate_codes=None,
        dictionary=None,
        support_pairs=None,
        memo=type(world.memo)(),
    )
    for text in ("remove(1)", "remove-top", "set(1=0)", "zca(statistics=support)"):
        with pytest.raises(NotAvailable):
            fit_variant(text, bare)
    assert fit_variant("zca", bare).query.code_mean is None
    with pytest.raises(VariantError, match="no such concept"):
        fit_variant("remove(60)", world)


def test_fits_are_shared_and_inputs_untouched(world):
    before = [a.copy() for a in (world.queries, world.candidates, world.query_codes.data)]
    calls = []
    original = type(world.memo).get

    class Counting(type(world.memo)):
        def get(self, key, make):
            return original(self, key, lambda: calls.append(key) or make())

    shared = replace(world, memo=Counting())
    for beta in (0.1, 0.2, 0.3):
        fit_variant(f"realign(beta={beta})", shared)
    assert len(calls) == 4, "two sides: moments and code means, once each"
    for old, new in zip(before, (world.queries, world.candidates, world.query_codes.data), strict=True):
        assert np.array_equal(old, new)


def test_registry_is_complete():
    for name, kind in STEPS.items():
        assert kind.name == name
        assert kind.about
        assert (kind.affine is not None) == (kind.stage == "affine")
        assert (kind.removal is not None) == (kind.stage == "removal")
        assert kind.stage != "affine" or "statistics" in [option.name for option in kind.options]
    assert SideTransform().normalises is False
