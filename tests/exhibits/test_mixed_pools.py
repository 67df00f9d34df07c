"""Exhibits on pools of several modalities: who is left out, how they judge, and what no other claim counts."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from core import pipeline
from core.exhibits import beyond_mixed_pools, beyond_modality_bias, show_exhibit
from core.exhibits.shared import curve
from core.progress import NoProgress
from core.questions import mixed_pools
from core.run import open_run
from core.store import Store


@pytest.mark.parametrize("name", ["mixed-pools", "modality-bias"])
def test_a_run_with_one_modality_is_left_out_with_the_reason(name: str, small_store: Store) -> None:
    shown = show_exhibit(name, [open_run(run, small_store) for run in ("small-task1", "small-mixed", "small")])
    assert {left.run for left in shown.left_out} == {"small-task1", "small"}
    assert all("of one modality" in left.why for left in shown.left_out)
    assert set(shown.table["run"]) == {"small-mixed"} and shown.verdicts


def test_verdicts_are_the_tables_differences(small_store: Store) -> None:
    shown = show_exhibit("mixed-pools", [open_run("small-mixed", small_store)])
    table = mixed_pools.by_wanted(open_run("small-mixed", small_store))
    whole = table[table["wanted"] == "all"].set_index("label")
    claims = [v for v in shown.verdicts if v.about == "claim"]
    assert [v.difference for v in claims] == [
        whole.loc[label]["beyond_per_side"] for label in ("centred per modality", "ReAlign per modality")
    ]
    beside = [v.why for v in shown.verdicts if v.about == "beside"]
    assert sum("own rows" in why for why in beside) == 2 and sum("then per modality" in why for why in beside) == 1


@pytest.mark.parametrize(("low", "high", "p", "outcome"), [
    (0.01, 0.03, 0.001, "agrees"), (-0.03, -0.01, 0.001, "disagrees"), (-0.01, 0.03, 0.2, "not clear"),
])  # fmt: skip
def test_more_recall_than_per_side_is_yes(low: float, high: float, p: float, outcome: str) -> None:
    row = {"run": "r", "wanted": "all", "label": "centred per modality", "queries": 100}
    for name in ("beyond_per_side", "gain", "fewer_missed"):
        row |= {name: (low + high) / 2, f"{name}_low": low, f"{name}_high": high, f"{name}_p": p}
    verdicts = beyond_mixed_pools.judge(pd.DataFrame([row, row | {"wanted": "text", "beyond_per_side": 9.0}]))
    assert [(v.outcome, v.about) for v in verdicts] == [(outcome, "claim"), (outcome, "beside"), (outcome, "beside")]


@pytest.mark.parametrize(("text", "offset", "outcome"), [
    ((-0.12, -0.13, -0.11), (-0.05, -0.06, -0.04), "agrees"),
    ((-0.05, -0.06, -0.04), (-0.12, -0.13, -0.11), "disagrees"),
    ((-0.12, -0.13, -0.05), (-0.11, -0.12, -0.04), "not clear"),
    ((0.01, 0.005, 0.02), (0.03, 0.025, 0.04), "not clear"),
])  # fmt: skip
def test_the_most_negative_part_answers(text: tuple, offset: tuple, outcome: str) -> None:
    rows = [
        {"run": "r", "part": "carried by", "carrier": name, "term": t, "term_low": low, "term_high": high, "queries": 9}
        for name, (t, low, high) in {"text concepts": text, "offset": offset}.items()
    ]
    (verdict,) = beyond_modality_bias.judge(pd.DataFrame(rows))
    assert verdict.outcome == outcome and verdict.n == 9


def test_a_mixed_pool_is_no_other_task_of_the_study(small_store: Store) -> None:
    """The specification curves of the study's claims stay as they were."""
    runs = [open_run("small-mixed", small_store)]
    assert list(curve.siblings(runs)) == []
    names = {run.name for group in curve.siblings([open_run("small", small_store)]) for run in group}
    assert "small-task1" in names and "small-mixed" not in names


def test_a_command_with_brackets_is_one_word_for_the_shell(small_store: Store) -> None:
    shown = show_exhibit(
        "modality-bias", [open_run("small-mixed", small_store)], variant="center(statistics=per-modality)"
    )
    assert shown.reproduce.endswith("--option 'variant=center(statistics=per-modality)'")


def test_without_misses_there_is_nothing_to_carry(small_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run("small-mixed", small_store)
    found = mixed_pools.pool_answers(run)
    right = replace(found, answered=found.wanted.argmax(axis=1))
    assert not right.missed.any()
    monkeypatch.setattr(mixed_pools, "pool_answers", lambda run, variant: right)
    shown = show_exhibit("modality-bias", [run], variant="realign")
    assert "no query of run 'small-mixed' misses the wanted modality under realign" in shown.left_out[0].why


def test_no_sae_leaves_the_concepts_out_and_keeps_the_recall(small_store: Store, tmp_path) -> None:
    import shutil

    store = Store(shutil.copytree(small_store.root, tmp_path / "cache"))
    mixed = open_run("small-mixed", store).spec
    run = pipeline.run(replace(mixed, name="bare", sae=replace(mixed.sae, source="none")), store, NoProgress())
    assert show_exhibit("mixed-pools", [run]).verdicts
    assert "no SAE" in show_exhibit("modality-bias", [run]).left_out[0].why
