"""What an exhibit is and what showing one gives: options, left-out runs, notes, JSON, the cache, and text cells."""

from __future__ import annotations

import json
from math import nan

import pandas as pd
import pytest

from core.errors import NotAvailable, SpecError, UserError
from core.exhibits import EXHIBITS, Exhibit, Option, show_exhibit
from core.exhibits.shared.present import readable, sheets, spoken
from core.exhibits.shared.records import Verdict, command
from core.exhibits.shared.show import show
from core.run import Run


def made(**more: object) -> Exhibit:
    calls: list[list[str]] = []

    def compute(runs: list[Run], factor: int = 2) -> pd.DataFrame:
        calls.append([run.name for run in runs])
        if any(run.name == "demo-clip" for run in runs) and more.get("refuse"):
            raise NotAvailable("no luck", todo="try again")
        table = pd.DataFrame(
            [{"value": factor * len(run.name), "run": run.name, "model": "m", "task": 4} for run in runs]
        )
        table.attrs = {"notes": ["the same", f"only {runs[0].name}"]}
        return table

    options = (Option(name="factor", default=2, low=1, high=9, help="A factor."),)
    fields = {"name": "x", "title": "X", "claim": "c", "definition": "d", "compute": compute, "options": options}
    exhibit = Exhibit(**fields | {k: v for k, v in more.items() if k not in ("refuse",)})  # type: ignore[arg-type]
    exhibit.compute.calls = calls  # type: ignore[attr-defined]
    return exhibit


def test_options_are_read_from_text_and_refused_with_the_nearest() -> None:
    exhibit = made()
    assert exhibit.read_options({}) == {"factor": 2}
    assert exhibit.read_options({"factor": "7"}) == {"factor": 7}
    for bad in ({"factr": 1}, {"factor": 99}, {"factor": "many"}):
        with pytest.raises(SpecError):
            exhibit.read_options(bad)
    word = Option(name="w", default="a", allowed=("a", "b"), help="")
    with pytest.raises(SpecError, match="'b'"):
        word.read("bb")
    yes = Option(name="y", default=False, help="")
    assert (yes.read("true"), yes.read(False), yes.read("False")) == (True, False, False)


def test_the_command_names_what_differs_from_the_default() -> None:
    exhibit = made()
    assert command(exhibit, ["a", "b"], {"factor": 2}) == "retrieval-lens exhibit x a b"
    assert command(exhibit, ["a"], {"factor": 5}) == "retrieval-lens exhibit x a --option factor=5"


@pytest.mark.demo
def test_a_run_that_lacks_something_leaves_the_others_be(runs: dict[str, Run]) -> None:
    shown = show(made(refuse=True, name="t-left-out"), [runs["demo"], runs["demo-clip"]], {})
    assert list(shown.table["run"]) == ["demo"]
    assert list(shown.table.columns[:3]) == ["run", "model", "task"]
    assert [(left.run, left.why) for left in shown.left_out] == [("demo-clip", "no luck; next: try again")]
    assert show(made(refuse=True, name="t-left-out"), [runs["demo-clip"]], {}).table.empty


@pytest.mark.demo
def test_tables_are_kept_and_notes_said_once(runs: dict[str, Run]) -> None:
    exhibit = made(name="t-kept")
    both = [runs["demo"], runs["demo-clip"]]
    first, again = show(exhibit, both, {"factor": 3}), show(exhibit, both, {"factor": 3})
    assert len(exhibit.compute.calls) <= 2  # type: ignore[attr-defined]
    assert again.notes == first.notes == ("the same", "demo: only demo", "demo-clip: only demo-clip")
    pd.testing.assert_frame_equal(first.table, again.table)
    assert list(first.table["value"]) == [3 * len("demo"), 3 * len("demo-clip")]
    assert list(show(exhibit, both, {"factor": 4}).table["value"]) == [16, 36]


@pytest.mark.demo
def test_a_run_named_twice_counts_once_and_runs_together_meet(runs: dict[str, Run]) -> None:
    exhibit = made(name="t-together", together=True, version=len(runs))
    shown = show(exhibit, [runs["demo"], runs["demo-clip"], runs["demo"]], {})
    assert list(shown.table["run"]) == ["demo", "demo-clip"]
    assert exhibit.compute.calls in ([["demo", "demo-clip"]], [])  # type: ignore[attr-defined]


def test_unknown_exhibits_and_no_runs_are_refused() -> None:
    with pytest.raises(UserError, match="table-1"):
        show_exhibit("tabel-1", [])
    with pytest.raises(UserError, match="needs a run"):
        show_exhibit("table-1", [])


@pytest.mark.demo
def test_json_says_everything_the_page_says(runs: dict[str, Run]) -> None:
    shown = show_exhibit("table-3", [runs["demo"]], metric="recall@1")
    told = json.loads(json.dumps(shown.to_json(), default=float))
    assert told["exhibit"] == "table-3"
    assert told["options"] == {"metric": "recall@1", "statistics": "per-side", "beta": 0.1}
    assert told["reproduce"] == "retrieval-lens exhibit table-3 demo --option metric=recall@1"
    assert len(told["rows"]) == 3
    assert {v["about"] for v in told["verdicts"]} == {"claim", "beside", "printed"}
    assert told["contradictions"]
    assert 'show_exhibit("table-3"' in shown.python and "metric='recall@1'" in shown.python


def test_every_exhibit_of_the_study_is_there_and_says_what_it_is() -> None:
    study = [e for e in EXHIBITS.values() if e.group == "study"]
    titles = {e.title for e in study}
    assert titles == {f"Figure {i}" for i in range(1, 7)} | {f"Table {i}" for i in (1, 2, 3, 4, 5, 7, 8, 9)}
    for exhibit in study:
        assert exhibit.judge and exhibit.rule and exhibit.definition and exhibit.needs, exhibit.name


def test_cells_hold_their_interval_and_shared_columns_are_said_once() -> None:
    table = pd.DataFrame(
        {
            "run": ["a", "a"],
            "task": [4, 4],
            "recall": [0.5, nan],
            "recall_low": [0.25, nan],
            "recall_high": [0.75, nan],
            "n": [1, 2],
        }
    )
    found = readable(table)
    assert found.shared == {"task": "4"}
    assert found.table.to_dict("list") == {"run": ["a", "a"], "recall": ["0.5 [0.25, 0.75]", ""], "n": ["1", "2"]}


def test_what_a_run_is_and_has_in_all_its_rows_is_said_once_per_run() -> None:
    table = pd.DataFrame(
        {"run": ["a", "a", "b", "b"], "n": [1, 2, 3, 4], "model": ["m", "m", "k", "k"], "width": [9, 9, 8, 8]}
    )
    found = readable(table)
    assert found.by_run == {"a": {"model": "m", "width": "9"}, "b": {"model": "k", "width": "8"}}
    assert list(found.table) == ["run", "n"]


def test_what_explains_a_row_stands_last() -> None:
    table = pd.DataFrame(
        {"run": ["a", "b"], "variant": ["pca(eps=1)", "none"], "fitted_on": ["x", "y"], "recall": [0.5, 0.25]}
    )
    assert list(readable(table).table) == ["run", "recall", "variant", "fitted_on"]


def test_unlike_parts_are_tables_of_their_own() -> None:
    table = pd.DataFrame({"run": ["a", "a"], "part": ["one", "two"], "x": [1.0, nan], "y": [nan, 2.0]})
    assert [(title, part.to_dict("list")) for title, part in sheets(table)] == [
        ("one", {"run": ["a"], "x": [1.0]}),
        ("two", {"run": ["a"], "y": [2.0]}),
    ]
    alike = pd.DataFrame({"run": ["a", "a"], "part": ["one", "two"], "x": [1.0, 2.0]})
    assert [(title, list(part)) for title, part in sheets(alike)] == [("", ["run", "part", "x"])]


def test_measures_stand_in_rows_and_variants_in_columns() -> None:
    ends = {f"change{end}": [nan, value] for end, value in (("", 2.0), ("_low", 1.0), ("_high", 3.0), ("_p", 0.5))}
    table = pd.DataFrame({"run": "a", "measure": "d'", "variant": ["none", "center"], "value": [1.0, 3.0], **ends})
    ((_, wide),) = sheets(table)
    assert readable(wide, keep=("run", *wide)).table.to_dict("records") == [
        {"run": "a", "measure": "d'", "raw": "1", "centred": "3", "change, centred": "2 [1, 3]", "p, centred": "0.5"}
    ]


def test_a_claim_is_agreed_with_and_a_question_answered() -> None:
    verdicts = [Verdict(on="a", outcome=outcome, why="") for outcome in ("agrees", "disagrees", "not clear")]
    assert [spoken(EXHIBITS["table-3"], v) for v in verdicts] == ["agrees", "disagrees", "not clear"]
    assert [spoken(EXHIBITS["geometry"], v) for v in verdicts] == ["yes", "no", "not clear"]


@pytest.mark.parametrize("text", ["maybe", "", "2"])
def test_a_switch_is_true_or_false_and_nothing_else(text: str) -> None:
    """Any text but the empty one is true to `bool`: it must be refused, not taken for yes."""
    with pytest.raises(SpecError, match="has the wrong kind"):
        Option(name="synthetic", default=False, help="").read(text)
