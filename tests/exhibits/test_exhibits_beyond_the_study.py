"""The exhibits beyond the study: what the command and the page show, and the rules they are judged by."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from core.exhibits import (
    EXHIBITS,
    beyond_dictionaries,
    beyond_fidelity,
    beyond_geometry,
    beyond_remedies,
    beyond_removal_controls,
    beyond_support_size,
    beyond_whitening_sources,
    show_exhibit,
)
from core.questions import alternates, geometry, remedies, removal, retrieval, statistics
from core.run import Run, open_run
from core.store import Store

ELSEWHERE = ("answer", "word-causes")
"""Of what a dual encoder has not: tests/models/test_answer_run.py, tests/questions/test_word_causes.py."""
BEYOND = [name for name, exhibit in EXHIBITS.items() if exhibit.group == "beyond" and name not in ELSEWHERE]


@pytest.fixture
def runs(small_store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Small runs of both demo models, small settings."""
    monkeypatch.setattr(removal, "SHARES", (0.01,))
    monkeypatch.setattr(removal, "RANKS", (4,))
    monkeypatch.setattr(removal, "SEEDS", (0, 1))
    monkeypatch.setattr(statistics, "SIZES", (20,))
    monkeypatch.setattr(alternates, "DIRECTIONS", {"pca": "PCA directions"})
    monkeypatch.setattr(alternates, "_shipped", lambda run: [])
    monkeypatch.setattr(geometry, "NEGATIVES", 2000)
    return [open_run(name, small_store) for name in ("small", "small-clip")]


@pytest.mark.parametrize("name", BEYOND)
def test_every_exhibit_is_a_question_with_rows_intervals_and_verdicts(name: str, runs: list[Run]) -> None:
    exhibit = EXHIBITS[name]
    assert exhibit.claim.endswith("?") and exhibit.definition and exhibit.rule and exhibit.needs
    if name == "failures":  # too few queries of small-clip fail for a concept to decide one
        runs = [runs[0], open_run("small-task1", runs[0].store)]
    if name in ("inside", "token-split"):  # a dual encoder's embeddings are no mean over token states
        runs = runs[:1]
    if name in ("mixed-pools", "modality-bias"):
        runs = [open_run("small-mixed", runs[0].store)]
    shown = show_exhibit(name, runs, **({"then": "none"} if name == "removal-controls" else {}))
    assert set(shown.table["run"]) == {run.name for run in runs} == {v.on for v in shown.verdicts}
    assert not shown.left_out
    assert list(shown.table.columns[:3]) == ["run", "model", "task"]
    for column in shown.table.columns:
        if f"{column}_low" in shown.table:
            rows = shown.table.dropna(subset=[column, f"{column}_low"])
            assert (rows[f"{column}_low"] <= rows[column] + 1e-9).all() and (
                rows[column] <= rows[f"{column}_high"] + 1e-9
            ).all(), column
    assert json.loads(json.dumps(shown.to_json(), default=float))["exhibit"] == name
    again = show_exhibit(name, runs, **({"then": "none"} if name == "removal-controls" else {}))
    pd.testing.assert_frame_equal(again.table, shown.table)


def test_the_removal_exhibit_holds_the_evaluations_recalls(runs: list[Run]) -> None:
    table = show_exhibit("removal-controls", runs[1:], then="center", along="rank", metric="recall@1").table
    assert set(table["amount"]) == {0, 4}
    top = table[table["removal"] == "top attribution"].iloc[0]
    found = retrieval.evaluate(runs[1], "remove-top(share=0.05,rank=4)+center").evaluation
    assert [top[f"recall@{k}"] for k in (1, 5, 10)] == [found.recall[k] for k in (1, 5, 10)]
    assert top["gain"] == pytest.approx(found.recall[1] - retrieval.evaluate(runs[1], "center").evaluation.recall[1])


def test_a_run_without_an_sae_gets_the_reason_or_the_rows_that_apply(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "sae", None)
    monkeypatch.setattr(Run, "saes", lambda self: ())
    for name in ("removal-controls", "failures"):
        shown = show_exhibit(name, runs[1:])
        assert shown.table.empty and "no SAE" in shown.left_out[0].why
    assert set(show_exhibit("sae-fidelity", runs[1:]).table["dictionary"]) == {"PCA directions"}


def test_a_run_without_support_gets_the_reason_or_the_rows_that_apply(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "parts", property(lambda self: ("queries", "candidates")))
    monkeypatch.setattr(remedies, "BEFORE_CORRECTION", (("", "none"),))
    assert "support split" in show_exhibit("support-size", runs[1:]).left_out[0].why
    sources = show_exhibit("whitening-sources", runs[1:])
    assert not sources.table["variant"].str.contains("statistics=support").any() and any(
        "absent" in note for note in sources.notes
    )


def row(**values: object) -> dict[str, object]:
    return {"run": "a", "queries": 100, "metric": "recall@1"} | values


@pytest.mark.parametrize(
    ("gain", "outcome"),
    [((0.1, 0.05, 0.2), "agrees"), ((-0.1, -0.2, -0.05), "disagrees"), ((0.1, -0.05, 0.2), "not clear")],
)
def test_removal_is_judged_by_the_interval_of_the_studys_share(gain: tuple[float, float, float], outcome: str) -> None:
    value, low, high = gain
    ends = {
        "gain": value,
        "gain_low": low,
        "gain_high": high,
        "beyond_random": -0.3,
        "beyond_random_low": -0.4,
        "beyond_random_high": -0.2,
    }
    other = ends | {"gain_low": 9, "gain_high": 9, "then": "center"}
    first, second = {"share": 0.01, "amount": 1.0, "rank": 20}, {"share": 0.05, "amount": 5.0, "rank": 90}
    for highest, beyond in ((0.7, "not clear"), (0.4, "agrees"), (0.9, "disagrees")):
        draws = {"draw_lowest": highest - 0.3, "draw_highest": highest}
        side = {"beyond_random_low": 0.1, "beyond_random_high": 0.2} if beyond == "agrees" else {}
        table = pd.DataFrame(
            [
                row(removal="top attribution", **first, **ends | {"then": "center", "recall@1": 0.5} | side),
                row(removal="top attribution", **second, **other),
                row(removal="random concepts", **first, **other | draws),
                row(removal="random concepts", **second, **other | {"draw_lowest": 0.0, "draw_highest": 1.0}),
            ]
        )
        found = beyond_removal_controls.judge(table)
        assert [v.outcome for v in found] == [outcome, beyond] and "after centring" in found[0].why


@pytest.mark.parametrize(
    ("lows", "high", "outcome", "words"),
    [
        ((-0.1, 0.1), 0.2, "agrees", "from 30"),
        ((0.1, -0.1), 0.2, "not clear", "not safe"),
        ((0.1, -0.1), -0.1, "disagrees", "not safe"),
    ],
)
def test_support_is_judged_by_the_worst_draws(lows: tuple[float, float], high: float, outcome: str, words: str) -> None:
    table = pd.DataFrame(
        [
            row(variant="center", size=s, gain_worst=w, gain=0.1, gain_low=-0.2, gain_high=high)
            for s, w in zip((10, 30), lows, strict=True)
        ]
    )
    (found,) = beyond_support_size.judge(table)
    assert found.outcome == outcome and words in found.why


def test_conclusions_count_the_dictionaries_they_hold_in() -> None:
    nothing = {
        "scored": 9,
        "share_text": 0.2,
        "share_of_alive": 0.05,
        "overlap_all": 0.1,
        "gain_low": -0.1,
        "beyond_random_low": -0.1,
        "barred": "",
    }
    table = pd.DataFrame([row(dictionary="x", **nothing), row(dictionary="y", **nothing | {"gain_low": 0.02})])
    found = beyond_dictionaries.judge(table)
    assert [v.outcome for v in found] == ["disagrees", "agrees", "disagrees", "not clear", "disagrees"]
    unscored = beyond_dictionaries.judge(table.assign(scored=0, share_text=np.nan))
    assert [v.outcome for v in unscored] == ["cannot be said", *(v.outcome for v in found[1:])]
    assert "in 1 of 2 dictionaries: y" in found[3].why and "in 2 of 2" in found[1].why


@pytest.mark.parametrize(
    ("gain", "p", "others", "outcome"),
    [(0.2, 0.01, 0.5, "agrees"), (0.2, 0.2, 0.5, "not clear"), (0.2, 0.2, 0.01, "disagrees")],
)
def test_remedies_are_judged_by_the_corrected_p(gain: float, p: float, others: float, outcome: str) -> None:
    """The best is clear; nothing is clear; the best is not, and another one is clear and hurts."""
    ends = {"gain_low": 0.0, "gain_high": 0.0, "beyond_realign_low": 0.0, "beyond_realign_high": 0.0}
    table = pd.DataFrame(
        [
            row(
                remedy="raw",
                setting="none",
                remedy_kind="baseline",
                gain=0.0,
                p_holm=np.nan,
                beyond_realign=0,
                beyond_realign_p=0.001,
                **ends,
            ),
            row(
                remedy="best",
                setting="a",
                remedy_kind="transform",
                gain=gain,
                p_holm=p,
                beyond_realign=0.3,
                beyond_realign_p=0.03,
                **ends,
            ),
            row(
                remedy="worst",
                setting="b",
                remedy_kind="transform",
                gain=-0.5,
                p_holm=others,
                beyond_realign=-0.4,
                beyond_realign_p=0.3,
                **ends,
            ),
        ]
    )
    found, against = beyond_remedies.judge(table)
    assert (against.outcome, "0 of 2 others" in against.why) == ("not clear", True)  # 0.03 of two tests is 0.06
    clear = beyond_remedies.judge(table.assign(beyond_realign_p=[np.nan, 0.02, 0.3]))[1]
    assert (clear.outcome, "1 of 2 others" in clear.why, "best: best, +30.0 points" in clear.why) == (
        "agrees",
        True,
        True,
    )
    assert found.outcome == outcome and "of 2 remedies" in found.why and "best: best" in found.why


@pytest.mark.parametrize(
    ("recall", "p", "outcome"),
    [(0.1, 0.01, "agrees"), (-0.1, 0.01, "disagrees"), (0.0, 0.9, "not clear"), (0.1, 0.06, "not clear")],
)
def test_geometry_needs_recall_to_follow(recall: float, p: float, outcome: str) -> None:
    changes = {"hubness (skewness of N_10)": -1.0, "d'": 1.0, "recall@1": recall}
    rows = [row(variant="none", measure=m, change=np.nan, change_low=np.nan, change_high=np.nan) for m in changes]
    rows += [
        row(variant="center", measure=m, change=v, change_low=v - 0.05, change_high=v + 0.05, change_p=p)
        for m, v in changes.items()
    ]
    (found,) = beyond_geometry.judge(pd.DataFrame(rows))
    assert found.outcome == outcome


@pytest.mark.parametrize(
    ("recall", "gain", "outcome"),
    [(0.5, 0.0, "agrees"), (0.3, -0.2, "disagrees"), (0.48, -0.02, "not clear"), (0.001, 0.0, "cannot be said")],
)
def test_reconstructions_are_judged_where_there_is_something_to_lose(recall: float, gain: float, outcome: str) -> None:
    ends = {
        "recall@1": recall,
        "gain": gain,
        "gain_low": gain - 0.01,
        "gain_high": gain + 0.01,
        "explained_variance": 0.9,
    }
    (found,) = beyond_fidelity.judge(pd.DataFrame([row(dictionary="x", **ends)]))
    assert found.outcome == outcome


@pytest.mark.parametrize(("recall", "outcome"), [(0.5, "agrees"), (0.01, "cannot be said")])
def test_support_statistics_are_judged_where_there_is_something_to_lose(recall: float, outcome: str) -> None:
    ends = {"recall@1": recall, "gain": 0.0, "gain_low": -0.01, "gain_high": 0.01}
    (found,) = beyond_whitening_sources.judge(
        pd.DataFrame([row(label="ReAlign, queries from the support split", **ends)])
    )
    assert found.outcome == outcome
