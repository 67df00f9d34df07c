"""The rules of verdicts on hand-made numbers, and every exhibit's judge on hand-made tables."""

from __future__ import annotations

from math import nan

import numpy as np
import pandas as pd
import pytest

from core.analysis.retrieval.evaluation import paired_difference
from core.analysis.retrieval.ranking import Ranked
from core.analysis.retrieval.resampling import smallest_difference
from core.exhibits import (
    beyond_failures,
    figure_1_models,
    figure_2_modality,
    figure_3_energy,
    figure_4_tokens,
    figure_5_layers,
    figure_6_shrinkage,
    table_1_overlap,
    table_4_tuned,
    table_7_cost,
    table_9_contrastive,
)
from core.exhibits.shared.agreement import beyond_draws, by_direction, by_sameness, direction, same


@pytest.mark.parametrize(
    ("low", "high", "expected", "outcome"),
    [
        (0.01, 0.03, 1, "agrees"),
        (0.01, 0.03, -1, "disagrees"),
        (-0.03, -0.01, -1, "agrees"),
        (-0.03, -0.01, 1, "disagrees"),
        (-0.01, 0.01, 1, "not clear"),
        (0.0, 0.02, 1, "not clear"),
        (nan, nan, 1, "cannot be said"),
    ],
)
def test_direction(low: float, high: float, expected: int, outcome: str) -> None:
    assert direction(low, high, expected) == outcome


def test_four_changed_queries_settle_nothing() -> None:
    """4 of 1,000 queries get worse and none better: the bootstrap leaves 0 out, the exact test does not."""
    before, after = np.ones(1000, dtype=np.int64), np.where(np.arange(1000) < 4, 2, 1)
    ranked = [Ranked(first, first, np.zeros(1000), 5) for first in (before, after)]
    found = paired_difference(*ranked)
    assert found.high < 0
    assert found.p_value == pytest.approx(2 * 0.5**4)
    row = {
        "gain": found.difference,
        "gain_low": found.low,
        "gain_high": found.high,
        "gain_p": found.p_value,
        "queries": 1000,
    }
    verdict = by_direction("r", "recall@1", row, +1)
    assert verdict.outcome == "not clear"
    assert "too few queries change: p is not below 0.05" in verdict.why
    assert verdict.detectable == pytest.approx(smallest_difference((found.high - found.low) / 3.919928, 1000))
    assert f"4 of 5 samples: {100 * verdict.detectable:.1f} points" in verdict.why


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.01, 0.01, "agrees"),
        (-0.02, 0.02, "agrees"),
        (0.03, 0.05, "disagrees"),
        (-0.09, -0.03, "disagrees"),
        (-0.03, 0.01, "not clear"),
    ],
)
def test_same_within_two_points(low: float, high: float, outcome: str) -> None:
    assert same(low, high, 0.02) == outcome


def test_a_verdict_holds_the_numbers_it_rests_on() -> None:
    row = {"gain": 0.05, "gain_low": 0.01, "gain_high": 0.09, "gain_p": 0.0312, "queries": 1234}
    found = by_direction("r", "recall", row, +1)
    assert (found.outcome, found.difference, found.low, found.high, found.p_value, found.n) == (
        "agrees",
        0.05,
        0.01,
        0.09,
        0.0312,
        1234,
    )
    assert found.why == "recall: +5.0 points (95% interval +1.0 to +9.0, p 0.0312, n = 1,234 queries)"
    assert "crosses the edge of ±2 points" in by_sameness("r", "recall", row, 0.02).why


def test_what_a_draw_does_as_well_is_not_clear() -> None:
    row = {"gain": 0.05, "gain_low": 0.01, "gain_high": 0.09, "gain_p": 0.01, "queries": 1000}
    verdict = by_direction("r", "recall", row, +1)
    assert beyond_draws(verdict, 0.75, [0.68, 0.70, 0.74]) is verdict
    unsure = beyond_draws(verdict, 0.75, [0.60, 0.70, 0.80])
    assert unsure.outcome == "not clear"
    assert "not beyond every draw, these range from 60.0% to 80.0%" in unsure.why
    assert unsure.detectable and unsure.why.endswith("points")


def view_row(
    run: str, name: str, value: object, gain: float, low: float, high: float, variant: str = "none"
) -> dict[str, object]:
    values = {
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "gain_p": 0.01,
        "gain_p_max": 0.02,
        "queries": 100,
        "metric": "recall@5",
    }
    return {"run": run, "kind": "multimodal LLM", name: value, "variant": variant, **values}


def test_masks_are_judged_raw_image_by_sameness_and_prompt_by_direction() -> None:
    rows = [
        view_row("a", "mask", "all", nan, nan, nan),
        view_row("a", "mask", "no-image", 0.0, -0.01, 0.01),
        view_row("a", "mask", "no-prompt", -0.3, -0.4, -0.2),
        view_row("a", "mask", "no-image", -0.9, -0.95, -0.85, "realign"),
    ]
    found = figure_4_tokens.judge(pd.DataFrame(rows))
    assert [v.outcome for v in found] == ["agrees", "agrees"]
    assert "without image tokens" in found[0].why


def test_layers_are_judged_by_the_best_other_layer() -> None:
    rows = [
        view_row("a", "layer", 1, -0.5, -0.6, -0.4),
        view_row("a", "layer", 2, 0.1, 0.05, 0.15),
        view_row("a", "layer", -1, nan, nan, nan),
        view_row("b", "layer", 1, -0.5, -0.6, -0.4),
        view_row("b", "layer", -1, nan, nan, nan),
    ]
    found = {v.on: v for v in figure_5_layers.judge(pd.DataFrame(rows))}
    assert (found["a"].outcome, found["b"].outcome) == ("disagrees", "agrees")
    assert "layer 2" in found["a"].why


def sweep(lows: list[float], highs: list[float], p: float = 0.001) -> pd.DataFrame:
    betas = [0.0, 0.1, 0.5, 0.9, 1.0]
    rows = zip(betas, lows, highs, strict=True)
    return pd.DataFrame(
        [
            {
                "run": "a",
                "kind": "multimodal LLM",
                "variant": "realign",
                "beta": b,
                "gain": (lo + hi) / 2,
                "gain_low": lo,
                "gain_high": hi,
                "gain_p": p,
                "gain_p_max": p,
                "metric": "recall@5",
                "queries": 10,
            }
            for b, lo, hi in rows
        ]
    )


def test_a_sweep_agrees_only_where_every_beta_in_range_is_above() -> None:
    above, spans, below = (0.1, 0.2), (-0.1, 0.1), (-0.2, -0.1)
    for inner, outcome in (
        ([above, above, above], "agrees"),
        ([above, spans, above], "not clear"),
        ([spans, spans, below], "disagrees"),
        ([spans, spans, spans], "not clear"),
    ):
        lows, highs = zip(below, *inner, below, strict=True)
        assert figure_6_shrinkage.judge(sweep(list(lows), list(highs)))[0].outcome == outcome
        assert figure_6_shrinkage.judge(sweep(list(lows), list(highs), p=0.1))[0].outcome == "not clear"


def test_without_a_partner_nothing_is_judged() -> None:
    alone = {"run": "a", "kind": "multimodal LLM", "against": "", "variant": "realign", "measures": "all three"}
    alone |= {"judged": "all three"}
    table = pd.DataFrame([alone])
    for exhibit in (figure_1_models, table_1_overlap, table_4_tuned, table_9_contrastive):
        (found,) = exhibit.judge(table)
        assert found.outcome == "cannot be said"
        assert "needs a" in found.why


def test_the_kind_of_model_says_which_share_of_concepts_is_judged() -> None:
    shares = {"share_text": 0.7, "share_text_low": 0.65, "share_text_high": 0.75, "share_image": 0.1, "scored": 300}
    between = {"share_between": 0.2, "share_between_low": 0.16, "share_between_high": 0.25}
    null = {"counted": "once", "least": 1, "dominates": "half", "null_text": 0.145, "null_image": 0.053}
    kinds = ("multimodal LLM", "contrastive", "fine-tuned retriever", "unknown")
    rows = [{"run": kind, "kind": kind, **shares, **between, **null} for kind in kinds]
    found = figure_2_modality.judge(pd.DataFrame(rows))
    claims = {v.on: v for v in found if v.about == "claim"}
    assert [claims[kind].outcome for kind in kinds] == ["agrees", "disagrees", "cannot be said", "cannot be said"]
    assert all("of 300 scored concepts" in v.why and "shuffled over items 14.5%" in v.why for v in found)
    assert "tuned for retrieval" in claims["fine-tuned retriever"].why and "family = " in claims["unknown"].why
    assert [v.on for v in found if v.about == "beside"] == ["fine-tuned retriever", "unknown"]
    assert claims["multimodal LLM"].value == 0.7 and claims["multimodal LLM"].n == 300


def test_text_may_lead_without_a_majority() -> None:
    """Two readings of "most": above a half, or above the image concepts."""
    ends = {"share_text": 0.42, "share_text_low": 0.35, "share_text_high": 0.48, "share_image": 0.2, "scored": 200}
    ends |= {"share_lead": 0.22, "share_lead_low": 0.12, "share_lead_high": 0.32, "null_text": 0.1, "null_image": 0.1}
    row = {"run": "a", "kind": "multimodal LLM", "counted": "once", "least": 100, **ends}
    table = pd.DataFrame([row | {"dominates": reading} for reading in ("half", "image")])
    half, image = (figure_2_modality.judge(table.iloc[[i]])[0] for i in (0, 1))
    assert (half.outcome, half.value) == ("disagrees", 0.42)
    assert (image.outcome, image.value, image.low) == ("agrees", 0.22, 0.12)


def test_the_best_other_layer_needs_a_p_that_knows_it_was_chosen() -> None:
    rows = [view_row("a", "layer", 2, 0.1, 0.05, 0.15), view_row("a", "layer", -1, nan, nan, nan)]
    rows[0]["gain_p_max"] = 0.08
    (found,) = figure_5_layers.judge(pd.DataFrame(rows))
    assert (found.outcome, found.p_value) == ("not clear", 0.08)


def test_energy_is_counted_in_units_of_k_against_the_contrastive_run() -> None:
    """The dictionary may be as large as it likes: only concepts, K and those that fire are in the rule."""
    ends = {"in_k_low": 21.0, "in_k_high": 23.0, "gain_low": -17.0, "gain_high": -15.0}
    row = {"run": "a", "kind": "multimodal LLM", "against": "c", "energy_held": 0.99, "needed": 528, "k": 24.0}
    row |= {"in_k": 22.0, "gain": -16.0, "share_of_alive": 0.6, "alive": 880, "concepts": 10**6, "share": 5e-4} | ends
    (found,) = figure_3_energy.judge(pd.DataFrame([row]))
    assert (found.on, found.outcome) == ("a, c", "disagrees")
    assert "22.0 K" in found.why and "60.0% of the 880 that fire" in found.why and "c needs 38.0 K" in found.why
    spans = figure_3_energy.judge(pd.DataFrame([row | {"gain": 0.5, "gain_low": -1.0, "gain_high": 2.0}]))[0]
    assert spans.outcome == "not clear" and spans.detectable == pytest.approx(2.14, abs=0.01)


def test_failing_concepts_must_lie_beyond_every_random_draw() -> None:
    gain = {"gain": 0.05, "gain_low": 0.01, "gain_high": 0.09, "gain_p": 0.01, "queries": 1000}
    beyond = {f"beyond_random{name.removeprefix('gain')}": value for name, value in gain.items() if name != "queries"}
    row = {"run": "a", "part": "switched off", "count": 20, "choice": "deciding", "recall@1": 0.5, **gain, **beyond}
    random = {"run": "a", "part": "switched off", "count": 20, "choice": "random", **gain, "draw_lowest": 0.4}
    inside, outside = (
        beyond_failures.judge(pd.DataFrame([row, random | {"draw_highest": highest}]))[1] for highest in (0.52, 0.45)
    )
    assert (inside.outcome, outside.outcome) == ("not clear", "agrees")


def test_cost_is_clear_only_where_no_repeat_crosses_one() -> None:
    row = {
        "run": "a",
        "shapes": "the run's",
        "realign_seconds": 1.0,
        "similarity_seconds": 2.0,
        "ratio": 0.5,
        "repeats": 5,
    }
    sizes = {"queries": 10, "candidates": 20, "dimensions": 3}
    for (low, high), outcome in (((0.4, 0.6), "agrees"), ((0.4, 1.2), "not clear"), ((2.0, 3.0), "disagrees")):
        (found,) = table_7_cost.judge(pd.DataFrame([row | sizes | {"ratio_low": low, "ratio_high": high}]))
        assert found.outcome == outcome
