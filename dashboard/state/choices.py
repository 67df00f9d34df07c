"""The user's choices: kept in the session and mirrored in the address.

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

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard import words

FRAME = ("run", "other", "variant", "selected")
"""Choices of the frame: they stand in the URL of every page."""

DEFAULTS = {("variant", "none")}
"""Defaults of the frame, left out of the URL; the runs always stand in it."""

OWN = re.compile(r"paired|run_key|other_key|uploads|make-map|.*-(drawn|listed)")
"""Choices that count within a session (which widget is drawn now); no link can set them."""
LEFT_OUT = "The link says “{name}={value}”, which no link can say; it is left out."

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
VISITOR = "lens_visitor"
CANCELLED = "lens_cancelled"
"""What this visitor has cancelled on this page."""
KEYS = "lens_keys"


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
    notes = []
    choices, by_page = session.setdefault(CHOICES, {}), session.setdefault(BY_PAGE, {})
    if (page, incoming) != session.get(PUBLISHED):
        for name in ({*FRAME, "paired"} | by_page.get(page, set())) - incoming.keys():
            choices.pop(name, None)
        choices |= {name: value for name, value in incoming.items() if not _is_own(name)}
        notes = [LEFT_OUT.format(name=name, value=incoming[name][:80]) for name in incoming if _is_own(name)]
        session[BARE] = None if incoming else {}
    changed = session.get(PAGE, page) != page
    if changed:
        session[CANCELLED] = set()
    session[PAGE], session[VISIBLE], session[NOTICES], session[RUNNING] = page, set(FRAME), notes, True
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
            st.warning(words.plain(sentence), icon=":material/info:")


def current() -> Selection:
    """The shared choices; rows and concepts are whole numbers here, the page checks their range with `number`."""
    resolved = {name: _whole(name) for name in ("concept", "query", "candidate", "rival")}
    return Selection(get("run_key"), get("other_key"), get("variant") or "none", **resolved)


def touch() -> None:
    """Raise Streamlit's own signal where this visitor has gone to another page, or has closed the tab."""
    st.session_state.get(PAGE)


def visitor() -> str:
    """A name for this visitor, the same as long as the tab is open."""
    return str(st.session_state.setdefault(VISITOR, secrets.token_hex(8)))


def cancel(name: str) -> None:
    """This visitor does not wait for that computation any more."""
    st.session_state.setdefault(CANCELLED, set()).add(name)


def resume(name: str) -> None:
    """This visitor wants it after all."""
    st.session_state.setdefault(CANCELLED, set()).discard(name)


def is_cancelled(name: str) -> bool:
    """Whether this visitor has cancelled that computation, and is on the same page since."""
    return name in st.session_state.get(CANCELLED, ())


def fresh_key(name: str) -> str:
    """A widget's key that was not used yet in this session: for buttons that may come several times in a script run."""
    st.session_state[KEYS] = st.session_state.get(KEYS, 0) + 1
    return f"{name}-{st.session_state[KEYS]}"


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
    settle(name, get(name), None)


def link(page: str, label: str, icon: str | None = None, help: str | None = None, **choices: Any) -> None:
    """A link to a page with changed choices; opens in a new tab as any link does."""
    st.page_link(f"views/{page}.py", label=words.plain(label), icon=icon, help=help, query_params=address(**choices))


def menu(page: str, label: str, icon: str) -> None:
    """A link to a page as it was left."""
    left = {name: get(name) for name in st.session_state.get(BY_PAGE, {}).get(page, ())}
    st.page_link(f"views/{page}.py", label=label, icon=icon, query_params=address(**left), width="stretch")


def address(**choices: Any) -> dict[str, str]:
    """Query parameters of the frame's choices with the given ones changed."""
    frame = {name: get(name) for name in FRAME}
    return {n: written(v) for n, v in (frame | choices).items() if v is not None and (n, v) not in DEFAULTS}


# -- inside ----------------------------------------------------------------------------------------------------------


def _is_own(name: str) -> bool:
    """Whether a choice is the session's own."""
    return OWN.fullmatch(name) is not None


def settle(name: str, value: Any, default: Any) -> Any:
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
    wanted = {n: written(v) for n, v in values.items() if v not in (None, "") and (n, v) not in DEFAULTS}
    if session.get(BARE) == {}:  # the first run at a bare address: remember the defaults it stands for
        session[BARE] = wanted
    if session.get(BARE) == wanted:
        wanted = {}
    else:
        session[BARE] = None
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)
    session[PUBLISHED] = (session.get(PAGE), wanted)


def written(value: Any) -> str:
    """A choice as a link holds it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whole(name: str) -> int | None:
    try:
        return int(get(name))
    except (TypeError, ValueError):
        return None
