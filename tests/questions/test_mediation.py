"""A removal taken apart on a small run: recalls are those of the variants, and the verdict follows the shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.exhibits import beyond_mediation, show_exhibit
from core.questions.mediation import PARTS, mediation
from core.questions.retrieval import compare, evaluate
from core.run import Run
from core.store import Store
from tests.golden import make


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make.golden_run(Store(tmp_path_factory.mktemp("mediation")))


def test_settings_are_the_variants_recalls(run: Run) -> None:
    table = mediation(run, 0.1).set_index("setting")
    for setting, variant in (("raw", "none"), ("removal", "remove-top(share=0.1)"), ("centred", "center")):
        evaluated = evaluate(run, variant).evaluation
        assert [table[f"recall@{k}"][setting] for k in (1, 5, 10)] == [evaluated.recall[k] for k in (1, 5, 10)]
    paired = compare(run, "none", "remove-top(share=0.1)").table.set_index("metric").loc["recall@5"]
    assert table["gain"]["removal"] == pytest.approx(paired["difference"])
    assert table["gain"][list(PARTS)].sum() == pytest.approx(paired["difference"])
    assert table["gain_p"]["removal"] == pytest.approx(paired["p_value"])


def test_the_exhibit_shows_the_question_in_the_metric_that_is_chosen(run: Run) -> None:
    shown = show_exhibit("mediation", [run], share=0.1, metric="recall@1")
    table = mediation(run, 0.1, "recall@1")
    assert shown.table["gain"].to_numpy() == pytest.approx(table["gain"].to_numpy(), nan_ok=True)
    assert "directions removed" in shown.notes[0] and len(shown.verdicts) == 1


def judged(change: float, share: float, apart: tuple[float, float, float, float]) -> tuple[str, str]:
    nothing = {f"beyond_half{end}": np.nan for end in ("", "_low", "_high", "_p")}
    half = dict(zip(nothing, apart, strict=True))
    shared = {"of_change": share, "of_change_low": share - 0.1, "of_change_high": share + 0.1}
    rows = [
        {"setting": "removal", "gain": change, "queries": 100, "of_change": np.nan} | nothing,
        {"setting": PARTS[0], "gain": change * share, "queries": np.nan} | shared | half,
    ]
    (verdict,) = beyond_mediation.judge(pd.DataFrame([row | {"run": "a", "metric": "recall@5"} for row in rows]))
    return verdict.outcome, verdict.why


def test_more_than_half_of_a_gain_or_of_a_loss_is_yes() -> None:
    for change in (0.4, -0.4):
        outcome, why = judged(change, 0.8, (0.24, 0.1, 0.3, 0.001))
        assert outcome == "agrees" and "80.0% of it through the means" in why and f"{100 * change:+.1f} points" in why
    assert judged(0.4, 0.2, (-0.24, -0.3, -0.1, 0.001))[0] == "disagrees"
    assert judged(0.4, 0.5, (0.0, -0.1, 0.1, 0.9))[0] == "not clear"


def test_no_change_leaves_nothing_to_explain() -> None:
    outcome, why = judged(0.01, np.nan, (np.nan,) * 4)
    assert outcome == "cannot be said" and "no clear change to explain" in why
