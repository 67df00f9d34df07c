"""Mixed pools on a run: recall, misses and biases against plain numpy, exact sums of what carries a preference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from core.analysis.explanations import contributions as one_by_one
from core.errors import NotAvailable, VariantError
from core.questions import live, mixed_pools, retrieval, similarity
from core.questions.answers import transformed
from core.run import Run

PER_MODALITY = "center(statistics=per-modality)"


@pytest.fixture
def run(small_runs: Mapping[str, Run]) -> Run:
    return small_runs["small-mixed"]


def unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_hand(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows minus the mean of the support rows of their modality, both sides together."""
    support = [unit(run.embeddings(part)) for part in ("support_queries", "support_candidates")]
    of = np.concatenate([run.corpus.items(part).modality for part in ("support_queries", "support_candidates")])
    means = {m: np.vstack(support)[of == m].mean(axis=0) for m in set(of.tolist())}
    sides = []
    for part in ("queries", "candidates"):
        modality = run.corpus.items(part).modality
        sides.append(unit(unit(run.embeddings(part)) - np.stack([means[m] for m in modality])))
    return sides[0], sides[1]


def test_recall_and_misses_are_those_of_numpy(run: Run) -> None:
    table = mixed_pools.by_wanted(run).set_index(["label", "wanted"])
    pairs, modality = run.qrels("test").pairs, run.corpus.items("candidates").modality
    raw = unit(run.embeddings("queries")), unit(run.embeddings("candidates"))
    for label, (q, c) in {"raw": raw, "centred per modality": by_hand(run)}.items():
        best = np.argmax((q @ c.T).astype(np.float32), axis=1)
        relevant = {int(query): set(pairs[pairs[:, 0] == query, 1].tolist()) for query in pairs[:, 0]}
        for wanted in ("all", "text", "image", "image,text"):
            asks = [n for n, found in relevant.items() if wanted in ("all", *(modality[x] for x in found))]
            row = table.loc[(label, wanted)]
            assert row["queries"] == len(asks)
            assert row["recall@1"] == pytest.approx(np.mean([best[n] in relevant[n] for n in asks]))
            wrong = [modality[best[n]] not in {modality[x] for x in relevant[n]} for n in asks]
            assert row["missed"] == pytest.approx(np.mean(wrong))
    first = table.loc[("centred per modality", "all")]
    assert first["beyond_per_side"] == pytest.approx(
        first["recall@1"] - table.loc[("centred per side", "all")]["recall@1"]
    )
    assert first["fewer_missed"] == pytest.approx(table.loc[("raw", "all")]["missed"] - first["missed"])


def test_the_whole_table_agrees_with_the_evaluator(run: Run) -> None:
    table = mixed_pools.by_wanted(run)
    whole = table[(table["wanted"] == "all") & ~table["label"].str.contains("own rows")]
    for row in whole.to_dict("records"):
        assert row["recall@1"] == retrieval.evaluate(run, row["variant"]).evaluation.recall[1], row["label"]


def test_own_rows_are_fitted_on_queries_and_pool(run: Run) -> None:
    parts = ("queries", "candidates")
    of = [run.corpus.items(part).modality for part in parts]
    rows = [unit(run.embeddings(part)) for part in parts]
    means = {m: np.vstack(rows)[np.concatenate(of) == m].mean(axis=0) for m in ("text", "image", "image,text")}
    q, c = (unit(x - np.stack([means[m] for m in kind])) for x, kind in zip(rows, of, strict=True))
    best, pairs = np.argmax((q @ c.T).astype(np.float32), axis=1), set(map(tuple, run.qrels("test").pairs.tolist()))
    table = mixed_pools.by_wanted(run).set_index(["label", "wanted"])
    own = table.loc[("centred per modality, own rows", "all")]
    assert own["recall@1"] == pytest.approx(np.mean([(n, int(b)) in pairs for n, b in enumerate(best)]))


def test_bias_is_the_share_of_the_nearest_minus_that_of_the_pool(run: Run) -> None:
    table = mixed_pools.bias(run).set_index(["variant", "modality"])
    q, c = by_hand(run)
    modality = run.corpus.items("candidates").modality
    nearest = modality[np.argsort(-(q @ c.T).astype(np.float32), axis=1, kind="stable")[:, :10]]
    for name in ("text", "image", "image,text"):
        wanted = (nearest == name).mean() - (modality == name).mean()
        assert table.loc[(PER_MODALITY, name)]["bias"] == pytest.approx(wanted, abs=1e-9)
    assert table.groupby("variant")["bias"].sum().abs().max() < 1e-9


@pytest.mark.parametrize("variant", ["none", "center", PER_MODALITY, "realign(statistics=per-modality)"])
def test_the_parts_of_the_preference_sum_to_the_margin(run: Run, variant: str) -> None:
    """The mean margin from cosines, and each kind of concepts from margins taken apart one by one."""
    answers, found = mixed_pools.pool_answers(run, variant), mixed_pools.carriers(run, variant)
    triples = answers.preferences
    q, c = (transformed(run, variant, part).astype(np.float64) for part in ("queries", "candidates"))
    margins = [q[a] @ c[b] - q[a] @ c[w] for a, b, w in triples]
    assert found.queries == len(triples) and found.margin == pytest.approx(np.mean(margins), abs=1e-6)
    assert max(margins) <= 1e-6, "the rival stands first"
    kinds = found.kinds.set_index("carrier")
    assert kinds["term"].sum() == pytest.approx(found.margin, abs=1e-12) and abs(found.residual) < 1e-12
    sums = np.zeros(len(run.need_sae().dictionary))
    for a, b, w in triples.tolist():
        states = [similarity.stored_state(run, "queries", a, retrieval.variant_of(run, variant))]
        states += [similarity.stored_state(run, "candidates", n, retrieval.variant_of(run, variant)) for n in (b, w)]
        slow = one_by_one.margin(*states, run.need_sae().dictionary)
        sums[slow.concepts] += slow.values / len(triples)
    score = mixed_pools.concept_table(run)["modality_score"].to_numpy()
    assert kinds.loc["text concepts"]["term"] == pytest.approx(sums[score > 0.9].sum(), abs=1e-9)
    assert kinds.loc["image concepts"]["term"] == pytest.approx(sums[score < 0.1].sum(), abs=1e-9)
    worst = found.concepts.iloc[0]
    assert worst["concept"] == np.argmin(sums) and worst["term_mean"] == pytest.approx(sums.min(), abs=1e-9)


def test_queries_are_listed_by_the_size_of_their_bias(run: Run) -> None:
    listed, answers = mixed_pools.queries(run, limit=5), mixed_pools.pool_answers(run)
    assert listed["bias_size"].is_monotonic_decreasing and listed.attrs["total"] == len(answers.bias)
    first = listed.iloc[0]
    assert first["missed"] == answers.missed[first["row"]] and "text" in {first["answered"], first["wanted"]}


def test_a_pool_of_one_modality_is_refused_with_the_reason(small_runs: Mapping[str, Run]) -> None:
    for ask in (mixed_pools.by_wanted, mixed_pools.bias, mixed_pools.carriers, mixed_pools.queries):
        with pytest.raises(NotAvailable, match=r"of one modality.*got 100 text.*demo-mixed"):
            ask(small_runs["small"])


def test_a_live_query_must_say_its_modality(run: Run) -> None:
    """Given it, a stored query ranks as it does in the run."""
    row = np.asarray(run.embeddings("queries")[3])
    with pytest.raises(VariantError, match="a row must say its own"):
        live.similarities(run, row, PER_MODALITY)
    stored = transformed(run, PER_MODALITY, "candidates") @ transformed(run, PER_MODALITY, "queries")[3]
    np.testing.assert_allclose(live.similarities(run, row, PER_MODALITY, "text"), stored, atol=1e-6)
    whole, pair = live.explain(run, row, 4, PER_MODALITY, modality="text"), similarity.pair(run, 3, 4, PER_MODALITY)
    assert whole.similarity == pytest.approx(pair.similarity, abs=1e-6) and abs(pair.residual) < 1e-9
