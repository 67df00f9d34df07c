"""Score corrections against the definitions of their papers in slow loops, and by hand."""

import math

import numpy as np
import pytest

from core.analysis.retrieval.corrections import (
    CORRECTIONS,
    fit_correction,
    parse_correction,
    rank_relevant_corrected,
    rank_top_k_corrected,
)
from core.analysis.retrieval.ranking import rank_relevant
from core.errors import ShapeMismatch, UserError, VariantError

EVERY = [
    "csls",
    "csls(k=3)",
    "inverted-softmax",
    "inverted-softmax(temperature=0.5)",
    "qb-norm",
    "qb-norm(temperature=0.2,k=2)",
]


@pytest.fixture
def rows():
    """Unit rows of 25 queries, a bank of 30 and 40 candidates in 6 dimensions, off the centre so that there are hubs;
    25 x 2 pairs."""
    rng = np.random.default_rng(5)
    q, b, c = (rng.standard_normal((n, 6)) + 0.7 for n in (25, 30, 40))
    q, b, c = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, b, c))
    return q, b, c, np.column_stack([np.repeat(np.arange(25), 2), rng.integers(0, 40, 50)])


def slow(text, q, bank, c):
    """Scores as the papers write them."""
    name, options = parse_correction(text).name, dict(parse_correction(text).options)
    out = np.zeros((len(q), len(c)))
    best = {j for b in bank for j in sorted(range(len(c)), key=lambda j: -float(b @ c[j]))[: options.get("k", 1)]}
    for i in range(len(q)):
        for j in range(len(c)):
            s = float(q[i] @ c[j])
            if name == "csls":
                r_q = sum(sorted((float(q[i] @ other) for other in c), reverse=True)[: options["k"]]) / options["k"]
                r_c = sum(sorted((float(b @ c[j]) for b in bank), reverse=True)[: options["k"]]) / options["k"]
                out[i, j] = 2 * s - r_q - r_c
                continue
            t = options["temperature"]
            normalised = math.exp(s / t) / sum(math.exp(float(b @ c[j]) / t) for b in bank)
            on = name == "inverted-softmax" or max(range(len(c)), key=lambda j: float(q[i] @ c[j])) in best
            out[i, j] = normalised if on else s
    return out


def ranks(scores, pairs):
    return [min(1 + int(np.sum(scores[i] > scores[i, j])) for a, j in pairs if a == i) for i in range(len(scores))]


@pytest.mark.parametrize("text", EVERY)
def test_ranks_are_those_of_the_papers_definitions(rows, text):
    q, bank, c, pairs = rows
    record = fit_correction(text, bank, c, source="support")
    expected = slow(text, q, bank, c)
    assert rank_relevant_corrected(record, q, c, pairs).first.tolist() == ranks(expected, pairs)
    assert rank_top_k_corrected(record, q, c, 5).candidates.tolist() == np.argsort(-expected, axis=1)[:, :5].tolist()
    assert np.argsort(-record.rescore(q @ c.T), axis=1).tolist() == np.argsort(-expected, axis=1).tolist()
    raw = rank_relevant(q, c, pairs).first
    assert (rank_relevant_corrected(record, q, c, pairs).first != raw).any(), "the correction does something"


def test_csls_scores_are_those_of_the_paper(rows):
    q, bank, c, _ = rows
    found = fit_correction("csls(k=4)", bank, c, source="support").rescore(q @ c.T)
    np.testing.assert_allclose(found, slow("csls(k=4)", q, bank, c), atol=1e-6)


def test_inverted_softmax_scores_are_its_logarithm(rows):
    """t log of the paper's probability, up to a constant of the query."""
    q, bank, c, _ = rows
    found = fit_correction("inverted-softmax(temperature=0.3)", bank, c, source="support").rescore(q @ c.T)
    gap = found - 0.3 * np.log(slow("inverted-softmax(temperature=0.3)", q, bank, c))
    np.testing.assert_allclose(gap, gap[0, 0], atol=1e-9)


def test_qb_norm_leaves_queries_alone_whose_best_candidate_is_no_hub(rows):
    q, bank, c, _ = rows
    record = fit_correction("qb-norm", bank[:3], c, source="support")
    off = ~record.activated[(q @ c.T).argmax(1)]
    assert 0 < off.sum() < len(q)
    changed = (record.rescore(q @ c.T) != q @ c.T).any(axis=1)
    np.testing.assert_array_equal(changed, ~off)


def test_three_by_three_by_hand():
    """Candidate 0 is a hub: the best of every query. Bank = the queries, k = 1: r_c = (0.9, 0.7, 0.8), r_q = (0.9, 0.8,
    0.85)."""
    scores = np.array([[0.9, 0.7, 0.1], [0.8, 0.2, 0.75], [0.85, 0.1, 0.8]])
    q, c = scores, np.eye(3)
    record = fit_correction("csls(k=1)", q, c, source="test")
    np.testing.assert_allclose(record.penalty, [0.9, 0.7, 0.8], atol=1e-7)
    expected = [[0.0, -0.2, -1.5], [-0.1, -1.1, -0.1], [-0.05, -1.35, -0.05]]
    np.testing.assert_allclose(record.rescore(scores), expected, atol=1e-6)
    assert scores.argmax(1).tolist() == [0, 0, 0]
    softmax = fit_correction("inverted-softmax(temperature=0.01)", q, c, source="test").rescore(scores)
    np.testing.assert_allclose(
        softmax - softmax[:, :1], [[0, 0.0001, -0.6999], [0, -0.3999, 0.0501], [0, -0.5499, 0.0500]], atol=1e-4
    )
    assert softmax.argmax(1).tolist() == [
        1,
        2,
        2,
    ], "query 0 has 0.993 of what exp(s / t) gives candidate 0, and all of candidate 1"


@pytest.mark.parametrize("text", ["csls", "inverted-softmax", "qb-norm"])
def test_hubs_are_demoted(text):
    """Ten queries whose candidates are their own noisy copies, and one candidate near the mean of all."""
    rng = np.random.default_rng(1)
    base = rng.standard_normal((300, 24)) + 0.8

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    q, c = unit(base[:200]), unit(np.vstack([base.mean(0), base[:200] + 1.4 * rng.standard_normal((200, 24))]))
    pairs = np.column_stack([np.arange(200), np.arange(200) + 1])
    record = fit_correction(text, unit(base[200:]), c, source="support")
    taken = [int(np.sum(scores.argmax(1) == 0)) for scores in (q @ c.T, record.rescore(q @ c.T))]
    assert taken[0] > 50 and taken[1] < taken[0] / 5
    hits = [np.mean(r.first == 1) for r in (rank_relevant(q, c, pairs), rank_relevant_corrected(record, q, c, pairs))]
    assert hits[1] > hits[0]


@pytest.mark.parametrize("text", EVERY)
def test_text_round_trips(text):
    spec = parse_correction(text)
    assert str(spec) == text
    assert parse_correction(spec.explicit()) == spec
    assert spec.name in CORRECTIONS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cls", "'csls' (nearest)"),
        ("csls(k=0)", ">= 1"),
        ("csls(k=1,k=2)", "twice"),
        ("qb-norm(t=1)", "temperature"),
        ("csls(", "'csls'"),
        ("none", "unknown"),
        ("qb-norm(temperature=0)", ">= 0.001"),
    ],
)
def test_bad_text_is_refused_in_one_line(text, says):
    with pytest.raises(VariantError) as error:
        parse_correction(text)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_notes_say_whose_queries_the_bank_holds(rows):
    q, bank, c, _ = rows
    assert "30 queries of the support split" in fit_correction("csls", bank, c, source="support").notes[0]
    assert "transductive" in fit_correction("csls", q, c, source="test").notes[0]
    notes = fit_correction("csls(k=35)", bank, c, source="support").notes
    assert len(notes) == 2 and "30 bank queries" in notes[1]


def test_what_does_not_fit_is_refused(rows):
    q, bank, c, _ = rows
    record = fit_correction("csls", bank, c, source="support")
    with pytest.raises(ShapeMismatch):
        record.rescore(q @ c[:5].T)
    with pytest.raises(ShapeMismatch):
        rank_top_k_corrected(record, q, c[:5])
    with pytest.raises(UserError, match="at least 1"):
        fit_correction("csls", bank[:0], c, source="support")


def test_blocks_change_nothing(rows, monkeypatch):
    q, bank, c, pairs = rows
    whole = fit_correction("inverted-softmax", bank, c, source="support")
    monkeypatch.setattr("core.analysis.arrays.block_bytes", lambda: 8 * 70)
    monkeypatch.setattr("core.analysis.retrieval.ranking._candidate_block", lambda *_: 7)
    monkeypatch.setattr("core.analysis.retrieval.ranking.QUERY_BLOCK", 4)
    parts = fit_correction("inverted-softmax", bank, c, source="support")
    np.testing.assert_allclose(parts.penalty, whole.penalty, rtol=1e-12)
    assert (
        rank_relevant_corrected(parts, q, c, pairs).first.tolist()
        == rank_relevant_corrected(whole, q, c, pairs).first.tolist()
    )
