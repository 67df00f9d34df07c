"""The Exhibits page shows what the command prints; choices stand in the URL."""

from __future__ import annotations

import json

import pytest
from dashboard_driver import show, texts
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from core.commands.cli import app as command_line
from core.exhibits import EXHIBITS
from core.store import Store


def page(**link: str) -> AppTest:
    return show("exhibits", **{"run": "small", "other": "small-clip", **link})


@pytest.mark.parametrize("name", ["table-3", "figure-5"])
def test_the_page_shows_the_rows_and_verdicts_that_the_command_prints(name: str, small_store: Store) -> None:
    app = page(exhibit=name)
    assert not app.exception and not app.error
    printed = json.loads(CliRunner().invoke(command_line, ["exhibit", name, "small", "small-clip", "--json"]).stdout)
    table = app.dataframe[0].value
    assert len(table) == len(printed["rows"])
    for cells, row in zip(table["recall@5"], printed["rows"], strict=True):
        assert (
            cells == f"{100 * row['recall@5']:.1f}% [{100 * row['recall@5_low']:.1f}, {100 * row['recall@5_high']:.1f}]"
        )
    text = texts(app)
    for verdict in printed["verdicts"]:
        assert verdict["outcome"] in text
        assert verdict["why"].split(":")[0].replace("'", "&#x27;") in text
    for left in printed["left_out"]:
        assert left["run"] in text
    assert printed["reproduce"] in text


def test_choices_come_from_the_address_and_stand_in_the_command(small_store: Store) -> None:
    app = page(exhibit="table-1", **{"x-share": "0.05"})
    assert app.number_input(key="w-x-share").value == 0.05
    assert "retrieval-lens exhibit table-1 demo demo-clip --option share=0.05" in texts(app)
    app.number_input(key="w-x-share").set_value(0.02).run()
    assert app.query_params["x-share"] == "0.02"
    app.selectbox(key="w-exhibit").set_value("table-9").run()
    assert app.query_params["exhibit"] == "table-9"
    assert EXHIBITS["table-9"].claim in texts(app)


def test_all_runs_of_the_cache_are_shown_where_asked(small_store: Store) -> None:
    app = page(exhibit="figure-1", which="all")
    assert set(app.dataframe[0].value["run"]) == {"small", "small-clip", "small-task1", "small-task7"}


def test_a_run_that_cannot_take_part_is_named_and_nothing_else_breaks(small_store: Store) -> None:
    app = page(run="small-clip", other="none", exhibit="figure-4")
    assert not app.exception
    assert "dual encoder" in texts(app)
