"""Figures of the study against plain numpy on the run's own embeddings and codes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from core.exhibits import show_exhibit
from core.exhibits.shared import resampled
from core.run import Run
from tests.exhibits.conftest import RAW, hits, run_hits, whitened

pytestmark = pytest.mark.demo


def test_figure_1_is_raw_recall_and_its_paired_difference_to_the_contrastive_run(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-1", [runs["demo"], runs["demo-clip"]], metric="recall@1")
    mine, theirs = (run_hits(runs[name], 1) for name in ("demo", "demo-clip"))
    row = shown.table.set_index("run").loc["demo"]
    assert row["recall@1"] == pytest.approx(mine.mean())
    assert row["recall@5"] == pytest.approx(run_hits(runs["demo"], 5).mean())
    assert row["gain"] == pytest.approx(mine.mean() - theirs.mean())
    up, down = int((mine > theirs).sum()), int((mine < theirs).sum())
    assert row["gain_p"] == pytest.approx(binomtest(up, up + down).pvalue)
    assert row["gain_low"] < row["gain"] < row["gain_high"] < 0
    assert [v.outcome for v in shown.verdicts if v.about == "claim"] == ["agrees"]


def test_figure_1_alone_shows_recall_and_says_what_it_needs(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-1", [runs["demo"], runs["demo-task1"]])
    assert len(shown.table) == 2
    assert [v.outcome for v in shown.verdicts if v.about == "claim"] == ["cannot be said"]


def dense_scores(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Energy and modality score of every concept, by the definitions on dense codes (task 4: queries are images)."""
    image, text = run.codes("queries").toarray(), run.codes("candidates").toarray()
    energy = np.vstack([image, text]).mean(axis=0, dtype=np.float64)
    both = image.mean(axis=0, dtype=np.float64) + text.mean(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return energy, text.mean(axis=0, dtype=np.float64) / both


def test_figure_2_counts_concepts_that_fire_by_modality_score(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-2", [runs["demo"]])
    _, scores = dense_scores(runs["demo"])
    scores = scores[~np.isnan(scores)]
    counts, _ = np.histogram(scores, bins=np.linspace(0, 1, 21))
    assert list(shown.table["count"]) == list(counts)
    row = shown.table.iloc[0]
    assert row["scored"] == len(scores)
    assert row["share_text"] == pytest.approx((scores > 0.9).mean())
    assert row["share_image"] == pytest.approx((scores < 0.1).mean())
    wilson = binomtest(int((scores > 0.9).sum()), len(scores)).proportion_ci(method="wilson")
    assert (row["share_text_low"], row["share_text_high"]) == pytest.approx((wilson.low, wilson.high))
    assert set(shown.fidelity["figure"]) >= {"explained variance", "recall@1 of the reconstruction"}


def test_figure_2_needs_both_pure_modalities(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-2", [runs["demo-task7"], runs["demo"]])
    assert [left.run for left in shown.left_out] == ["demo-task7"]
    assert "pure text" in shown.left_out[0].why
    assert set(shown.table["run"]) == {"demo"}


def test_figure_3_is_the_fewest_concepts_by_adding_up(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-3", [runs["demo-clip"]])
    energy, _ = dense_scores(runs["demo-clip"])
    for row in shown.table.itertuples():
        held, needed = 0.0, 0
        for value in sorted(energy, reverse=True):
            if held >= row.energy_held * energy.sum() * (1 - 1e-9):
                break
            held, needed = held + value, needed + 1
        assert row.needed == needed
        assert row.share_low <= row.share <= row.share_high


def test_redrawn_measures_are_the_measures_of_redrawn_rows(runs: dict[str, Run]) -> None:
    run = runs["demo-clip"]
    rng, codes = np.random.default_rng(0), np.vstack([run.codes(p).toarray() for p in ("queries", "candidates")])
    drawn = rng.integers(len(codes), size=len(codes))
    np.testing.assert_allclose(
        resampled.energies(run, draws=1)[0], codes[drawn].mean(axis=0, dtype=np.float64), atol=1e-9
    )
    attributed, bridged = resampled.per_pair(run)
    d = np.asarray(run.need_sae().dictionary, dtype=np.float64)
    for at in (0, 700):
        left, right = run.qrels("test").pairs[at]
        q, c = (
            run.codes(part)[[row]].toarray()[0].astype(float)
            for part, row in (("queries", left), ("candidates", right))
        )
        gram = d @ d.T
        np.testing.assert_allclose(attributed[[at]].toarray()[0], q * (gram @ c) + c * (gram @ q), atol=1e-8)
        np.testing.assert_allclose(bridged[[at]].toarray()[0], q * c * np.diag(gram), atol=1e-8)


def test_interval_is_the_normal_one_of_the_draws() -> None:
    draws = np.array([0.0, 1.0, 2.0])
    assert resampled.interval(5.0, draws) == pytest.approx((5 - 1.96, 5 + 1.96))
    assert resampled.interval(5.0, draws, draws) == pytest.approx((5 - 1.96 * 2**0.5, 5 + 1.96 * 2**0.5))


def test_figure_4_pools_the_stored_masks(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-4", [runs["demo"], runs["demo-clip"]])
    rows = shown.table.set_index(["mask", "variant"])
    base = run_hits(runs["demo"], 5)
    for mask in ("no-image", "no-prompt"):
        found = run_hits(runs["demo"], 5, RAW, layer=-1, pooling="mean", mask=mask)
        assert rows.loc[(mask, "none"), "recall@5"] == pytest.approx(found.mean())
        assert rows.loc[(mask, "none"), "gain"] == pytest.approx((found - base).mean())
    assert [left.run for left in shown.left_out] == ["demo-clip"]
    assert "dual encoder" in shown.left_out[0].why


def test_figure_5_pools_the_stored_layers_and_compares_with_the_last(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-5", [runs["demo"]], metric="recall@10")
    raw = shown.table[shown.table["variant"] == "none"].set_index("layer")
    assert list(raw.index) == [0, 1, 2, 3, 4, 5, -1]
    last = run_hits(runs["demo"], 10)
    for layer in (0, 3):
        found = run_hits(runs["demo"], 10, RAW, layer=layer, pooling="mean", mask="all")
        assert raw.loc[layer, "recall@10"] == pytest.approx(found.mean())
        assert raw.loc[layer, "gain"] == pytest.approx((found - last).mean())
    assert np.isnan(raw.loc[-1, "gain"])


def test_figure_6_whitens_by_the_equations(runs: dict[str, Run]) -> None:
    shown = show_exhibit("figure-6", [runs["demo"]])
    rows = shown.table[shown.table["variant"] == "realign"].set_index("beta")
    run = runs["demo"]
    raw = run_hits(run, 5)
    for beta in (0.1, 0.9, 1.0):
        sides = [whitened(run.embeddings(part), beta) for part in ("queries", "candidates")]
        found = hits(*sides, run.qrels("test").pairs, 5)
        assert rows.loc[beta, "recall@5"] == pytest.approx(found.mean(), abs=0.0015)
        assert rows.loc[beta, "gain"] == pytest.approx((found - raw).mean(), abs=0.0015)


def test_views_that_are_not_stored_name_the_lines_that_add_them(runs: dict[str, Run]) -> None:
    from core.errors import NotAvailable
    from core.exhibits.shared.tables import stored

    class One:
        """A run with one view."""

        name, model_name, view, views = "one", "some-mllm", runs["demo"].view, (runs["demo"].view,)

    with pytest.raises(NotAvailable, match=r"masks = \[.*cross = false.*retrieval-lens run SPEC.toml"):
        stored(One(), "mask", 'masks = ["all", "no-image", "no-prompt"]')  # type: ignore[arg-type]
