"""The user's choices: the only file that touches `st.session_state` and `st.query_params`.

Choices live in one dict of the session and are mirrored in the URL, so every view is a link. A script run has three
steps:

1. `begin(page)` reads the URL if someone else changed it (a link, a reload, the Back button). Choices of the page that
   the URL leaves out go back to their defaults.
2. Pages make widgets through `pick`, `number`, `text`, `toggle`, which read and write choices by name.
3. `end()` writes the page's choices into the URL, all at once. A widget in a fragment writes them itself.

The runs always stand in the URL; other choices only where they differ from their defaults. An impossible value is
replaced by the default, and the page says so (`notices`).

The Back button always changes the page: we never push a URL that redirects at once. So a link carries everything its
page will write, and a bare address stays bare until something is chosen.

`bind="query-params"` cannot do this: with a bound widget in the frame `st.switch_page` raises and `st.page_link`
doubles the parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.elements.arrow import DataframeStateInput

FRAME = ("run", "other", "variant")
"""Choices of the frame: they stand in the URL of every page."""

DEFAULTS = {("variant", "none")}
"""Defaults of the frame, left out of the URL; the runs always stand in it."""

CHOICES = "lens_choices"
PUBLISHED = "lens_published"
VISIBLE = "lens_visible"
"""Choices on the page in this script run."""
BY_PAGE = "lens_by_page"
"""Page -> choices it ever had in this session."""
BARE = "lens_bare"
"""What a bare address stands for, as long as nothing else is chosen; None where the address has parameters."""
PAGE = "lens_page"
NOTICES = "lens_notices"
RUNNING = "lens_running"


@dataclass(frozen=True)
class Selection:
    """The choices every page shares. Runs are keys; rows count within queries or candidates; None: not chosen.

    A page runs only where there is a run, so `run` is always one.
    """

    run: str
    other: str | None
    variant: str
    concept: int | None
    query: int | None
    candidate: int | None
    rival: int | None


# -- one script run --------------------------------------------------------------------------------------------------


def begin(page: str) -> bool:
    """Read the URL if it, or the page, is not the one written last. Returns whether the page changed."""
    session, incoming = st.session_state, st.query_params.to_dict()
    choices, by_page = session.setdefault(CHOICES, {}), session.setdefault(BY_PAGE, {})
    if (page, incoming) != session.get(PUBLISHED):
        for name in ({*FRAME, "paired"} | by_page.get(page, set())) - incoming.keys():
            choices.pop(name, None)
        choices |= incoming
        session[BARE] = None if incoming else {}
    changed = session.get(PAGE, page) != page
    session[PAGE], session[VISIBLE], session[NOTICES], session[RUNNING] = page, set(FRAME), [], True
    return changed


def end() -> None:
    """Write this page's choices into the URL."""
    st.session_state[RUNNING] = False
    _publish()


def notices() -> list[str]:
    """What this script run replaced, one sentence each."""
    return list(st.session_state.get(NOTICES, []))


def notice(sentence: str) -> None:
    """Say that something was replaced. The frame shows it above the page; in a fragment it is shown at once."""
    sentences = st.session_state.setdefault(NOTICES, [])
    if sentence not in sentences:
        sentences.append(sentence)
        if not st.session_state.get(RUNNING):  # a fragment reruns alone: the frame does not run again
            st.warning(sentence, icon=":material/info:")


def current() -> Selection:
    """The shared choices; rows and concepts are whole numbers here, the page checks their range with `number`."""
    resolved = {name: _whole(name) for name in ("concept", "query", "candidate", "rival")}
    return Selection(get("run_key"), get("other_key"), get("variant") or "none", **resolved)


# -- reading and changing --------------------------------------------------------------------------------------------


def get(name: str, default: Any = None) -> Any:
    """One choice as it stands (a string where it came from a link)."""
    value = st.session_state.get(CHOICES, {}).get(name)
    return default if value is None else value


def put(**choices: Any) -> None:
    """Change choices; None forgets. Call it from a callback, or before the widget of that name is made."""
    for name, value in choices.items():
        if value is None:
            st.session_state[CHOICES].pop(name, None)
        else:
            st.session_state[CHOICES][name] = value


def keep(name: str) -> None:
    """This page shows the choice although it has no widget: let the URL say so."""
    _settle(name, get(name), None)


def go(page: str, **choices: Any) -> None:
    """Change choices and switch to a page by its file name: `go("concepts", concept=812)`."""
    put(**choices)
    st.switch_page(f"views/{page}.py", query_params=address(**choices))


def link(page: str, label: str, icon: str | None = None, help: str | None = None, **choices: Any) -> None:
    """A link to a page with changed choices; opens in a new tab as any link does."""
    st.page_link(f"views/{page}.py", label=label, icon=icon, help=help, query_params=address(**choices))


def menu(page: str, label: str, icon: str) -> None:
    """A link to a page as it was left."""
    left = {name: get(name) for name in st.session_state.get(BY_PAGE, {}).get(page, ())}
    st.page_link(f"views/{page}.py", label=label, icon=icon, query_params=address(**left), width="stretch")


def address(**choices: Any) -> dict[str, str]:
    """Query parameters of the frame's choices with the given ones changed."""
    frame = {name: get(name) for name in FRAME}
    return {n: _written(v) for n, v in (frame | choices).items() if v is not None and (n, v) not in DEFAULTS}


# -- widgets ---------------------------------------------------------------------------------------------------------


def pick(
    kind: Callable[..., Any], name: str, label: str, options: Sequence[Any], default: Any = None, **more: Any
) -> Any:
    """A choice among options, by any of Streamlit's option widgets (`st.selectbox`, `st.segmented_control`, ...)."""
    default = options[0] if default is None else default
    named = {_written(option): option for option in options}
    value = get(name)
    if value is not None and _written(value) not in named:
        notice(f"There is no {label.lower()} “{value}” here; showing “{default}” instead.")
        value = None
    chosen = default if value is None else named[_written(value)]
    key = _prepare(name, chosen)
    if kind in (st.segmented_control, st.pills):
        more.setdefault("required", kind is st.segmented_control)
    result = kind(label, options, key=key, on_change=_take, args=(name,), **more)
    return _settle(name, chosen if result is None else result, default)


def number(
    name: str, label: str, low: Any, high: Any, default: Any, kind: Callable[..., Any] | None = None, **more: Any
) -> Any:
    """A number between low and high; `kind` is `st.number_input` (default) or `st.slider`."""
    value = within(name, label, low, high, default)
    key = _prepare(name, value)
    widget = kind or st.number_input
    return _settle(name, widget(label, low, high, key=key, on_change=_take, args=(name,), **more), default)


def within(name: str, label: str, low: Any, high: Any, default: Any) -> Any:
    """The chosen number, without a widget. Out of range, or no number: the default, and a notice."""
    raw = get(name)
    if raw is None:
        return _settle(name, default, default)
    try:
        value = type(low)(raw)
        if low <= value <= high:
            return _settle(name, value, default)
    except (TypeError, ValueError):
        pass
    st.session_state[CHOICES].pop(name, None)
    notice(f"There is no {label.lower()} {raw} here (allowed: {low} to {high}); showing {default} instead.")
    return _settle(name, default, default)


def text(name: str, label: str, default: str = "", **more: Any) -> str:
    """A line of text."""
    key = _prepare(name, str(get(name, default)))
    return _settle(name, st.text_input(label, key=key, on_change=_take, args=(name,), **more), default)


def toggle(name: str, label: str, default: bool = False, **more: Any) -> bool:
    """A switch; in the URL as `true` or `false`."""
    key = _prepare(name, str(get(name, default)).lower() == "true")
    return _settle(name, st.toggle(label, key=key, on_change=_take, args=(name,), **more), default)


def tabs(name: str, labels: Sequence[str], **more: Any) -> list[Any]:
    """Lazy tabs: a body runs only under `if tab.open:`."""
    chosen = get(name) if get(name) in labels else labels[0]
    key = _prepare(name, chosen)
    made = st.tabs(labels, key=key, on_change=_take, args=(name,), **more)
    _settle(name, chosen, labels[0])
    return list(made)


def clicked(name: str, chart: str) -> Callable[[], None]:
    """A callback for a figure: the `customdata` of the clicked point, joined by colons, becomes the choice `name`."""

    def take() -> None:
        points = st.session_state[f"chart-{chart}"].selection.points
        if points and "customdata" in points[0]:
            put(**{name: ":".join(str(part) for part in points[0]["customdata"])})

    return take


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


def _settle(name: str, value: Any, default: Any) -> Any:
    """Record the value and that this page uses the choice; a default needs no place in the URL."""
    choices = st.session_state.setdefault(CHOICES, {})
    if value == default and name not in FRAME:
        choices.pop(name, None)
    else:
        choices[name] = value
    st.session_state.setdefault(VISIBLE, set(FRAME)).add(name)
    st.session_state.setdefault(BY_PAGE, {}).setdefault(st.session_state.get(PAGE), set()).add(name)
    if not st.session_state.get(RUNNING):
        _publish()
    return value


def _publish() -> None:
    session = st.session_state
    visible: Iterable[str] = session.get(VISIBLE, FRAME)
    values = {n: get(n) for n in sorted(visible, key=lambda n: (n not in FRAME, n))}
    wanted = {n: _written(v) for n, v in values.items() if v not in (None, "") and (n, v) not in DEFAULTS}
    if session.get(BARE) == {}:  # the first run at a bare address: remember the defaults it stands for
        session[BARE] = wanted
    if session.get(BARE) == wanted:
        wanted = {}
    else:
        session[BARE] = None
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)
    session[PUBLISHED] = (session.get(PAGE), wanted)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whole(name: str) -> int | None:
    try:
        return int(get(name))
    except (TypeError, ValueError):
        return None
