"""Which printed numbers speak of a run, and what they say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec
from core.exhibits import EXHIBITS, reported, show_exhibit
from core.exhibits.shared import measured, printed
from core.models.table import family_of
from core.records import EmbeddingView
from core.run import open_run
from core.store import Store

BASE = EmbeddingView(layer=-1, pooling="mean", mask="all")


def run(model: str = "qwen2-vl-7b", path: str = "mbeir:mscoco_task4", task: int = 4, **more: Any) -> Any:
    """A run as far as printed numbers ask: spec, model and first view."""
    corpus = CorpusSpec(source=more.get("source", "mbeir"), path=path, task=task, limit=more.get("limit"))
    spec = RunSpec(
        corpus=corpus, model=ModelSpec(name=model, preset=more.get("preset", "study")), embedding=EmbeddingSpec()
    )
    known = {"model_name": model, "family": family_of(model), "preset": spec.model.preset}
    return SimpleNamespace(name="r", spec=spec, view=more.get("view", BASE), **known)


def test_a_run_finds_the_rows_of_its_model_data_and_task() -> None:
    rows = printed.of_run(reported("Table 2"), run())
    assert list(rows["setting"].unique()) == ["base", "removal"]
    assert rows.set_index(["setting", "metric"])["value"]["base", "recall@1"] == 5.6
    by_hub_id = printed.of_run(reported("Table 2"), run("Qwen/Qwen2-VL-7B-Instruct"))
    assert by_hub_id.equals(rows)
    assert len(printed.of_run(reported("Table 3"), run(task=1, path="data/mscoco/task1"))) == 2


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (run("demo-mllm", "demo", 4), "this model"),
        (run(path="photos"), "these data"),
        (run(view=EmbeddingView(layer=3, pooling="mean", mask="all")), "first view"),
        (run(preset="chat"), "preset 'chat'"),
    ],
)
def test_unlike_runs_stand_apart_with_the_reason(other: Any, why: str) -> None:
    assert why in printed.why_apart(other)
    assert printed.of_run(reported("Table 2"), other).empty


def live(value: float, low: float, high: float) -> pd.DataFrame:
    return pd.DataFrame(
        [("r", "base", "recall@1", value, low, high)], columns=["run", "setting", "metric", "value", "low", "high"]
    )


def test_the_difference_is_live_minus_printed_and_the_interval_decides() -> None:
    near, far = (
        printed.beside("Table 2", [run()], live(6.0, 5.0, 7.0)),
        printed.beside("Table 2", [run()], live(9.0, 8.0, 10.0)),
    )
    assert list(near["difference"]) == pytest.approx([0.4])
    assert [printed.verdicts("Table 2", [run()], t)[0].outcome for t in (near, far)] == ["agrees", "disagrees"]
    assert "0 of 1 live numbers" in printed.verdicts("Table 2", [run()], far)[0].why


def test_both_sampling_errors_widen_the_difference() -> None:
    """Printed 5.6% over M-BEIR's 5,000 queries of MSCOCO: standard error 0.325 points; live 6.0 ± 0.51."""
    (row,) = printed.beside("Table 2", [run()], live(6.0, 5.0, 7.0)).to_dict("records")
    assert row["printed_error"] == pytest.approx(100 * (0.056 * 0.944 / 5000) ** 0.5)
    spread = 1.959964 * ((2 / 3.919928) ** 2 + row["printed_error"] ** 2) ** 0.5
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((0.4 - spread, 0.4 + spread), abs=1e-4)


def test_fewer_queries_never_make_agreement_easier() -> None:
    """The same live value with ever wider intervals: agrees, then not clear, and never back."""
    outcomes = [
        printed.beside("Table 2", [run()], live(5.9, 5.9 - half, 5.9 + half))["outcome"].iloc[0]
        for half in (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
    ]
    first = outcomes.index("not clear")
    assert first > 0 and set(outcomes[:first]) == {"agrees"} and set(outcomes[first:]) == {"not clear"}


def test_a_subset_of_the_queries_is_said() -> None:
    found = printed.beside("Table 2", [run(limit=500)], live(6.0, 5.0, 7.0))
    assert "first 500 queries" in found["note"].iloc[0]


def test_runs_without_printed_numbers_share_one_verdict() -> None:
    (found,) = printed.verdicts("Table 2", [run("demo-mllm", "x")], live(1, 1, 1).iloc[:0])
    assert (found.outcome, found.about) == ("cannot be said", "printed")


def test_settings_and_metrics_are_those_of_the_printed_rows() -> None:
    """Every exhibit with a way into the study's terms meets printed rows of its title."""
    recall = {f"recall@{k}{end}": 0.5 for k in (1, 5, 10) for end in ("", "_low", "_high")}
    first = {
        "run": "r",
        "kind": "multimodal LLM",
        "variant": "realign",
        "then": "none",
        "measures": "all three",
        **recall,
    }
    more = {
        "overlap": 0.5,
        "overlap_low": 0.4,
        "overlap_high": 0.6,
        "energy_held": 0.99,
        "share": 0.05,
        "share_low": 0.04,
        "share_high": 0.06,
    }
    rows = [
        {**first, **more, "beta": 0.1, "removal": "top attribution"},
        {
            **first,
            **more,
            "variant": "none",
            "mask": "all",
            "layer": -1,
            "pooling": "mean",
            "removal": "none",
            "beta": 0.5,
        },
    ]
    cost = {
        f"{s}_{u}": 1.0 for s in ("realign", "similarity") for u in ("seconds", "seconds_low", "seconds_high", "mib")
    }
    table = pd.DataFrame([row | cost | {"shapes": "the run's", "dimensions": 3584} for row in rows])
    for exhibit in EXHIBITS.values():
        if exhibit.group == "study" and exhibit.measured:
            ours = exhibit.measured(table)
            theirs = reported(exhibit.title)
            pairs = {(str(s), m) for s, m in zip(theirs["setting"], theirs["metric"], strict=True)}
            met = {(str(s), m) for s, m in zip(ours["setting"], ours["metric"], strict=True)} & pairs
            assert met, f"{exhibit.name}: {ours[['setting', 'metric']].to_numpy().tolist()}"


def test_recalls_become_per_cent() -> None:
    table = pd.DataFrame(
        [{"run": "r", "variant": "none"} | {f"recall@{k}{e}": 0.25 for k in (1, 5, 10) for e in ("", "_low", "_high")}]
    )
    found = measured.recalls_of(table, "variant", {"none": "base"})
    assert set(found["value"]) == {25.0}
    assert list(found["metric"]) == ["recall@1", "recall@5", "recall@10"]


@pytest.mark.demo
@pytest.mark.parametrize(
    ("name", "setting"), [("table-2", "removal"), ("table-5", "last token pooling"), ("figure-6", "beta=0.5")]
)
def test_printed_numbers_stand_beside_live_ones(
    name: str, setting: str, demo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo run taken for a run of Qwen2-VL on MSCOCO."""
    monkeypatch.setattr(printed, "printed_model", lambda run: "Qwen2-VL-7B")
    monkeypatch.setattr(printed, "data_set", lambda run: "MSCOCO")
    shown = show_exhibit(name, [open_run("demo", demo_store)])
    rows = shown.printed.set_index(["setting", "metric"])
    theirs = reported(shown.exhibit.title)
    theirs = theirs[(theirs["model"] == "Qwen2-VL-7B") & (theirs["dataset"] == "MSCOCO")].set_index(
        ["setting", "metric"]
    )["value"]
    assert rows.loc[(setting, "recall@1"), "printed"] == theirs[setting, "recall@1"]
    assert len(rows) == len(theirs)
    for row in rows.itertuples():
        assert row.difference == pytest.approx(row.live - row.printed)
        within = -row.margin <= row.difference_low and row.difference_high <= row.margin
        assert (row.outcome == "agrees") == within
    (verdict,) = (v for v in shown.verdicts if v.about == "printed")
    assert f"{int((rows['outcome'] == 'agrees').sum())} of {len(rows)} live numbers" in verdict.why
