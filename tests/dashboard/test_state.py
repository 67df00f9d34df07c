"""Link -> choice for every kind of widget, choice -> link where AppTest can see it, and what replaces the
impossible."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def small_app() -> None:
    """One page with every kind of widget; runs as a script of its own."""
    import streamlit as st

    from dashboard import state

    state.begin("small")
    run = state.pick(st.selectbox, "run", "Run", ["demo", "mine"])
    beta = state.number("beta", "Shrinkage", 0.0, 1.0, 0.1, kind=st.slider)
    concept = state.number("concept", "Concept", 0, 9, 2)
    row = state.within("query", "Query", 0, 4, 0)
    words = state.text("search", "Search")
    weighted = state.toggle("weighted", "Weighted")
    first, second = state.tabs("tab", ["One", "Two"])
    st.write("|".join(map(str, (run, beta, concept, row, words, weighted, first.open, second.open))))
    for sentence in state.notices():
        st.warning(sentence)
    st.button("Nine", on_click=state.put, kwargs={"concept": 9})
    state.end()


def opened(**link: str) -> AppTest:
    app = AppTest.from_function(small_app, default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def shown(app: AppTest) -> list[str]:
    assert not app.exception
    return app.markdown[-1].value.split("|")


def test_a_bare_address_shows_defaults_and_stays_bare_until_something_is_chosen() -> None:
    app = opened()
    assert shown(app) == ["demo", "0.1", "2", "0", "", "False", "True", "False"]
    assert dict(app.query_params) == {}
    app.run()
    assert dict(app.query_params) == {}
    app.toggle(key="w-weighted").set_value(True).run()
    assert dict(app.query_params) == {"run": "demo", "weighted": "true"}


def test_defaults_stay_out_of_the_link() -> None:
    app = opened(run="demo", concept="2", beta="0.1")
    assert dict(app.query_params) == {"run": "demo"}


def test_a_link_sets_every_kind_of_widget() -> None:
    app = opened(run="mine", beta="0.35", concept="7", query="4", search="red fox", weighted="true", tab="Two")
    assert shown(app) == ["mine", "0.35", "7", "4", "red fox", "True", "False", "True"]
    assert not app.warning


def test_moving_a_widget_changes_choice_and_link_and_keeps_the_rest() -> None:
    app = opened(run="mine", concept="7")
    app.slider(key="w-beta").set_value(0.5).run()
    app.text_input(key="w-search").set_value("fox").run()
    assert shown(app)[:5] == ["mine", "0.5", "7", "0", "fox"]
    assert dict(app.query_params) == {"run": "mine", "beta": "0.5", "concept": "7", "search": "fox"}


def test_a_callback_can_change_a_choice() -> None:
    app = opened()
    app.button[0].click().run()
    assert shown(app)[2] == "9"
    assert app.number_input(key="w-concept").value == 9


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("run", "nope", "There is no run “nope” here"),
        ("concept", "10", "There is no concept 10 here (allowed: 0 to 9)"),
        ("concept", "-1", "There is no concept -1 here"),
        ("concept", "nan", "There is no concept nan here"),
        ("beta", "nan", "There is no shrinkage nan here"),
        ("query", "1e3", "There is no query 1e3 here"),
    ],
)
def test_what_cannot_be_is_replaced_and_said(name: str, value: str, said: str) -> None:
    app = opened(**{name: value})
    assert shown(app)[:4] == ["demo", "0.1", "2", "0"]
    assert said in app.warning[0].value
    assert name not in dict(app.query_params) or app.query_params["run"] == "demo"


def test_a_changed_link_in_the_same_session_wins() -> None:
    app = opened(concept="7")
    app.query_params.clear()
    app.query_params["run"], app.query_params["concept"] = "mine", "3"
    assert shown(app.run())[:3] == ["mine", "0.1", "3"]


def test_unknown_parameters_are_dropped_from_the_link() -> None:
    assert "utm" not in dict(opened(utm="x").query_params)
