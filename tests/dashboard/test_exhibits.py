"""The Exhibits page shows what the command prints; choices stand in the URL."""

from __future__ import annotations

import json
import re

import pytest
from dashboard_driver import Tab, show, texts
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from core.commands.cli import app as command_line
from core.exhibits import EXHIBITS
from core.run import list_runs
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
    # A recall that is the same in all rows stands above the table, not in it: on 50 queries that happens.
    recall = next(name for name in ("recall@5", "recall@1") if name in table)
    for cells, row in zip(table[recall], printed["rows"], strict=True):
        low, high = (100 * row[f"{recall}{end}"] for end in ("_low", "_high"))
        assert cells == f"{100 * row[recall]:.1f}% [{low:.1f}, {high:.1f}]"
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
    assert "retrieval-lens exhibit table-1 small small-clip --option share=0.05" in texts(app)
    app.number_input(key="w-x-share").set_value(0.02).run()
    assert app.query_params["x-share"] == "0.02"
    app.selectbox(key="w-exhibit").set_value("table-9").run()
    assert app.query_params["exhibit"] == "table-9"
    assert EXHIBITS["table-9"].claim in texts(app)


def test_all_runs_of_the_cache_are_shown_where_asked(small_store: Store) -> None:
    app = page(exhibit="figure-1", which="all")
    assert set(app.dataframe[0].value["run"]) == {run.name for run in list_runs(small_store)}


def test_a_run_that_cannot_take_part_is_named_and_nothing_else_breaks(small_store: Store) -> None:
    app = page(run="small-clip", other="none", exhibit="figure-4")
    assert not app.exception
    assert "dual encoder" in texts(app)


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_the_verdicts_of_one_exhibit_never_stand_under_the_title_of_the_next(tab: Tab) -> None:
    tab.open("exhibits", run="small", other="small-clip", exhibit="table-3")
    tab.page.locator(".lens-verdict").first.wait_for()
    # Every change of the page is checked by the browser itself, so that no moment is missed.
    tab.page.evaluate(
        """title => {
            const texts = name => [...document.querySelectorAll(name)].map(one => one.textContent);
            const before = new Set(texts('.lens-verdict'));
            window.mixed = new Set();
            new MutationObserver(() => {
                const next = texts('.lens-story').includes(title);
                if (next) texts('.lens-verdict').filter(one => before.has(one)).forEach(one => window.mixed.add(one));
            }).observe(document.body, {subtree: true, childList: true, characterData: true});
        }""",
        EXHIBITS["table-7"].claim,
    )
    tab.page.get_by_label("Exhibit", exact=True).click()
    tab.page.get_by_role("option", name=re.compile("^Table 7")).click()
    tab.page.get_by_text(EXHIBITS["table-7"].claim, exact=True).wait_for()
    tab.settle("exhibits").healthy()
    # Some verdicts are the same under both titles, such as that the study printed nothing for this model.
    own = tab.page.evaluate("[...document.querySelectorAll('.lens-verdict')].map(one => one.textContent)")
    assert set(tab.page.evaluate("[...window.mixed]")) <= set(own)
