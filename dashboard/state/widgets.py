"""Widgets that read and write choices by name, so that every one of them is in the link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard.state.choices import CHOICES, get, notice, put, settle, written

if TYPE_CHECKING:
    from streamlit.elements.arrow import DataframeStateInput


def pick(
    kind: Callable[..., Any], name: str, label: str, options: Sequence[Any], default: Any = None, **more: Any
) -> Any:
    """A choice among options, by any of Streamlit's option widgets (`st.selectbox`, `st.segmented_control`, ...)."""
    default = options[0] if default is None else default
    named = {written(option): option for option in options}
    value = get(name)
    if value is not None and written(value) not in named:
        notice(f"There is no {label.lower()} “{_short(value)}” here; showing “{default}” instead.")
        value = None
    chosen = default if value is None else named[written(value)]
    key = _prepare(name, chosen)
    if kind in (st.segmented_control, st.pills):
        more.setdefault("required", kind is st.segmented_control)
    result = kind(label, options, key=key, on_change=_take, args=(name,), **more)
    return settle(name, chosen if result is None else result, default)


def number(
    name: str, label: str, low: Any, high: Any, default: Any, kind: Callable[..., Any] | None = None, **more: Any
) -> Any:
    """A number between low and high; `kind` is `st.number_input` (default) or `st.slider`."""
    value = within(name, label, low, high, default)
    key = _prepare(name, value)
    widget = kind or st.number_input
    return settle(name, widget(label, low, high, key=key, on_change=_take, args=(name,), **more), default)


def within(name: str, label: str, low: Any, high: Any, default: Any) -> Any:
    """The chosen number, without a widget. Out of range, or no number: the default, and a notice."""
    raw = get(name)
    if raw is None:
        return settle(name, default, default)
    try:
        value = type(low)(raw)
        if low <= value <= high:
            return settle(name, value, default)
    except (TypeError, ValueError):
        pass
    st.session_state[CHOICES].pop(name, None)
    notice(f"There is no {label.lower()} {_short(raw)} here (allowed: {low} to {high}); showing {default} instead.")
    return settle(name, default, default)


def text(name: str, label: str, default: str = "", **more: Any) -> str:
    """A line of text."""
    key = _prepare(name, str(get(name, default)))
    return settle(name, st.text_input(label, key=key, on_change=_take, args=(name,), **more), default)


def toggle(name: str, label: str, default: bool = False, **more: Any) -> bool:
    """A switch; in the URL as `true` or `false`."""
    key = _prepare(name, str(get(name, default)).lower() == "true")
    return settle(name, st.toggle(label, key=key, on_change=_take, args=(name,), **more), default)


def tabs(name: str, labels: Sequence[str], **more: Any) -> list[Any]:
    """Lazy tabs: a body runs only under `if tab.open:`."""
    chosen = get(name) if get(name) in labels else labels[0]
    key = _prepare(name, chosen)
    made = st.tabs(labels, key=key, on_change=_take, args=(name,), **more)
    settle(name, chosen, labels[0])
    return list(made)


def clicked(name: str, chart: str) -> Callable[[], None]:
    """A callback for a figure: the `customdata` of the clicked point, joined by colons, becomes the choice `name`."""

    def take() -> None:
        points = st.session_state[f"chart-{chart}"].selection.points
        if points and "customdata" in points[0]:
            put(**{name: ":".join(str(part) for part in points[0]["customdata"])})

    return take


def sent(widget: str, field: str, take: Callable[[Any], dict[str, Any]]) -> Callable[[], None]:
    """A callback for a component of ours: what it sent as `field` becomes the choices that `take` makes of it."""

    def took() -> None:
        value = getattr(st.session_state.get(widget), field, None)
        if value is not None:
            put(**take(value))

    return took


def table(
    name: str,
    frame: Any,
    rows: Sequence[int],
    current: int | None,
    key: str,
    also: Callable[[int], dict[str, Any]] | None = None,
    **more: Any,
) -> None:
    """A table of which one row is chosen; `rows[i]` is what line i stands for, `also` gives choices that change with
    it.

    After a click the table stays as it is (scroll position and order). It is drawn anew, with the line marked, when
    the choice was made elsewhere or the list changed (`key`).
    """
    listed, drawn = get(f"{name}-listed"), int(get(f"{name}-drawn", 0))
    if listed != current:
        drawn += 1
        put(**{f"{name}-listed": current, f"{name}-drawn": drawn})
    widget = f"table-{name}-{key}-{drawn}"

    def take() -> None:
        lines = st.session_state[widget].selection.rows
        if lines and lines[0] < len(rows):
            chosen = int(rows[lines[0]])
            put(**{name: chosen, f"{name}-listed": chosen}, **(also(chosen) if also else {}))

    lines = [i for i, row in enumerate(rows) if row == current]
    marked: DataframeStateInput = {"selection": {"rows": lines[:1], "columns": [], "cells": []}}
    st.dataframe(
        frame,
        key=widget,
        on_select=take,
        selection_mode="single-row",
        selection_default=marked,
        hide_index=True,
        **more,
    )


def several(name: str, frame: Any, rows: Sequence[int], key: str, **more: Any) -> list[int]:
    """A table of which several rows may be chosen; the chosen `rows`, in the link joined by points."""
    known = {str(row): i for i, row in enumerate(rows)}
    lines = [known[word] for word in str(get(name, "")).split(".") if word in known]
    marked: DataframeStateInput = {"selection": {"rows": lines, "columns": [], "cells": []}}
    event = st.dataframe(
        frame, key=f"several-{name}-{key}", on_select="rerun", selection_mode="multi-row",
        selection_default=marked, hide_index=True, **more,
    )  # fmt: skip
    chosen = [int(rows[i]) for i in event.selection.rows if i < len(rows)]
    settle(name, ".".join(map(str, chosen)), "")
    return chosen


# -- inside ----------------------------------------------------------------------------------------------------------


def _prepare(name: str, value: Any) -> str:
    """Put the value under the widget's key before the widget is made."""
    key = f"w-{name}"
    # Every time: on another page the same key is a new widget, which would start at its default.
    st.session_state[key] = value
    return key


def _take(name: str) -> None:
    """The user moved the widget: its value is the choice."""
    value = st.session_state[f"w-{name}"]
    if value is not None:
        st.session_state[CHOICES][name] = value


def _short(value: Any) -> str:
    """A value of a link as a sentence names it."""
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
