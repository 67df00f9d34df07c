"""The faithfulness exhibit on a small run: areas by hand, axioms, and what the verdicts say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from core.exhibits import beyond_faithfulness
from core.questions import faithfulness, token_split
from core.questions.similarity import pair
from core.run import Run


@pytest.fixture(scope="module")
def table(small_runs: Mapping[str, Run]) -> pd.DataFrame:
    return faithfulness.faithfulness(small_runs["small"], pairs=6, permutations=200).set_index("method")


def test_axioms_hold_and_errors_are_small(table: pd.DataFrame) -> None:
    assert table.loc[faithfulness.SHAPLEY, "worst_gap"] < 1e-12
    for method in (faithfulness.GRADIENTS, faithfulness.TOKEN_GRADIENTS):
        assert table.loc[method, "worst_gap"] < 1e-6
    assert 0 < table.loc[faithfulness.SHAPLEY, "mean_error"] < 0.01
    assert table.loc[faithfulness.SHAPLEY, "rank_correlation"] == pytest.approx(1)


def test_a_random_order_knows_nothing_and_shapley_knows_much(table: pd.DataFrame) -> None:
    assert abs(table.loc[faithfulness.RANDOM, "between"]) < 0.02
    assert table.loc[faithfulness.SHAPLEY, "beyond_random_low"] > 0
    for name in ("deletion", "insertion", "between"):
        assert (table[f"{name}_low"] <= table[name]).all() and (table[name] <= table[f"{name}_high"]).all()
    np.testing.assert_allclose(table["between"], table["insertion"] - table["deletion"])


def test_areas_of_one_pair_by_hand(small_runs: Mapping[str, Run]) -> None:
    """Concepts switched off one by one through the variant grammar, in the order of their contributions."""
    run = small_runs["small"]
    ((query, candidate),), _ = token_split.sampled_pairs(run, 1)
    found = faithfulness.faithfulness(run, pairs=1, permutations=200).set_index("method")
    whole = pair(run, int(query), int(candidate), top=10**6)
    active = whole.table[(whole.table["query_activation"] > 0) | (whole.table["candidate_activation"] > 0)]
    order = active.sort_values(["contribution", "concept"], ascending=[False, True])["concept"].tolist()
    curve = [whole.similarity]
    for n in range(1, len(order) + 1):
        off = ",".join(f"{k}=0" for k in sorted(order[:n]))
        curve.append(pair(run, int(query), int(candidate), f"set({off})").similarity)
    expected = np.trapezoid(curve) / len(order)
    assert found.loc[faithfulness.LINEAR, "deletion"] == pytest.approx(expected, abs=1e-6)


def judged(beyond_random: tuple[float, ...], beyond_shapley: tuple[float, ...]) -> list[str]:
    def row(method: str, random: tuple[float, ...], shapley: tuple[float, ...]) -> dict[str, object]:
        ends = ("", "_low", "_high", "_p")
        values = {f"beyond_random{e}": v for e, v in zip(ends, random, strict=True)}
        values |= {f"beyond_shapley{e}": v for e, v in zip(ends, shapley, strict=True)}
        return {"run": "a", "method": method, "pairs": 60} | values

    nothing = (np.nan,) * 4
    rows = [
        row(faithfulness.LINEAR, beyond_random, beyond_shapley),
        row(faithfulness.SHAPLEY, (0.2, 0.18, 0.22, 0.0001), nothing),
    ]
    return [verdict.outcome for verdict in beyond_faithfulness.judge(pd.DataFrame(rows))]


def test_the_verdicts_follow_the_rule() -> None:
    assert judged((0.06, 0.05, 0.08, 0.0001), (-0.12, -0.14, -0.1, 0.0001)) == ["agrees", "disagrees"]
    assert judged((0.19, 0.17, 0.2, 0.0001), (-0.01, -0.015, -0.005, 0.0001)) == ["agrees", "agrees"]
    assert judged((0.0, -0.02, 0.02, 0.9), (-0.2, -0.22, -0.18, 0.0001)) == ["not clear", "disagrees"]
