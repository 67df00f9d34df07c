"""The form that starts a run on a visitor's own data: look, see what it costs, begin, watch, cancel, go on.

It computes nothing: `dashboard/data/own_runs.py` starts processes and says how far they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape

import streamlit as st

from core.errors import UserError
from dashboard import data, state, words
from dashboard.data import own_runs
from dashboard.parts import widgets
from dashboard.words import own_runs as say

POLL = 1.0
"""Seconds between two looks at a run under way."""
SAES = (say.AS_THE_MODEL_HAS_IT, "train", "none", "shipped")


def section() -> None:
    """The whole part of the Runs page."""
    widgets.section(say.TITLE, say.LEAD)
    if not own_runs.may_start_runs():
        st.caption(say.AWAY)
        return
    desk = own_runs.starter().desk()
    if desk.running:
        _watching()
        return
    _ended(desk)
    _unfinished()
    if desk.plan is None:
        _form(desk.asked)


@st.fragment(run_every=POLL)
def _watching() -> None:
    """How far the work at hand is; draws the page again once it has ended."""
    desk = own_runs.starter().desk()
    if not desk.running:
        st.rerun()
    name, status = words.plain(desk.name), desk.status
    with st.container(border=True):
        if desk.kind == "look":
            st.markdown(f":material/hourglass_top: {say.LOOKING.format(name=name)} …")
        else:
            st.markdown(f"**{say.RUNNING.format(name=name)}**")
            share = min(1.0, status.done / status.total) if status.total else 0.0
            st.progress(share, text=_progress_text(desk))
            for line in status.said:
                st.caption(words.plain(line))
        if desk.cancelled:
            st.caption("Ending at the next safe point …")
        elif st.button("Cancel", icon=":material/stop_circle:", key="own-cancel"):
            own_runs.starter().cancel()
            st.rerun(scope="fragment")


def _progress_text(desk: own_runs.Desk) -> str:
    """`encode with demo-mllm: 64 of 610, about 12 s left at this stage`."""
    status = desk.status
    text = words.plain(status.doing)
    if status.total:
        text += f": {words.count(status.done)} of {words.count(status.total)}"
    if status.seconds_left is not None and status.done:
        text += f", {say.LEFT.format(left=words.duration(status.seconds_left))}"
    return text


def _ended(desk: own_runs.Desk) -> None:
    """What the last work came to."""
    if desk.error is not None:
        widgets.problem(desk.error)
    elif desk.plan is not None:
        _found(desk)
    elif desk.status.run:
        data.forget_list()
        with st.container(border=True):
            st.markdown(f":material/check_circle: **{say.FINISHED.format(name=words.plain(desk.status.run))}**")
            with st.container(horizontal=True, gap="medium"):
                for page, label in (("overview", "See its numbers"), ("retrieval", "Find a failing query")):
                    icon = ":material/arrow_forward:"
                    state.link(page, label, icon=icon, run=desk.status.run, other=None, variant=None)
    elif desk.cancelled and desk.kind == "run":
        st.caption(f":material/info: {say.CANCELLED.format(name=words.plain(desk.name))}")


def _found(desk: own_runs.Desk) -> None:
    """What a look has found, the spec to change or leave, and the button that begins."""
    assert desk.plan is not None
    with st.container(border=True):
        st.markdown(f"**What is in {words.plain(desk.name)}**")
        widgets.html(f'<div class="lens-plan">{"".join(map(_line, desk.plan["lines"]))}</div>')
        text = st.text_area("The spec", desk.plan["spec"], height=430, help=say.SPEC_HELP)
        with st.container(horizontal=True, gap="small"):
            begin = st.button("Run it", type="primary", icon=":material/play_arrow:", key="own-begin")
            if st.button("Another folder", icon=":material/undo:", key="own-back"):
                own_runs.starter().clear()
                st.rerun()
        if begin:
            _do(partial(own_runs.begin, text))


def _line(line: str) -> str:
    """`time: about 40 s` with its first word in bold; a line that belongs to the one above stands further right."""
    head, colon, rest = line.partition(":")
    if line.startswith("  ") or not colon:
        return f'<p class="inner">{escape(line)}</p>'
    return f"<p><b>{escape(head)}</b> {escape(rest)}</p>"


def _unfinished() -> None:
    """Runs that can go on."""
    names = own_runs.unfinished_runs()
    if not names:
        return
    st.markdown(f"**{say.UNFINISHED}**", help=say.UNFINISHED_HELP)
    for name in names:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(words.plain(name), width="content")
            if st.button("Go on", icon=":material/play_arrow:", key=f"own-on-{name}"):
                _do(partial(own_runs.go_on, name))
            if st.button("Forget", icon=":material/close:", type="tertiary", key=f"own-forget-{name}"):
                own_runs.forget(name)
                st.rerun()


def _form(asked: own_runs.Asked) -> None:
    """Folder, model and SAE, as they were filled in last."""
    models = list(dict.fromkeys([*own_runs.models(), *([asked.model] if asked.model else [])]))
    saes = list(dict.fromkeys([*SAES, *([asked.sae] if asked.sae else [])]))
    with st.form("own-run", border=True):
        folder = st.text_input("Folder", asked.folder, placeholder="/home/me/photos", help=say.FOLDER_HELP)
        left, middle, right = st.columns([3, 3, 2])
        model = left.selectbox(
            "Model", models, index=models.index(asked.model) if asked.model else None, accept_new_options=True,
            placeholder="choose, or type a hub id", help=say.MODEL_HELP,
        )  # fmt: skip
        sae = middle.selectbox(
            "SAE", saes, index=saes.index(asked.sae) if asked.sae else 0, accept_new_options=True, help=say.SAE_HELP
        )
        limit = right.number_input("Queries at most", 0, 10**9, asked.limit, help=say.LIMIT_HELP)
        if st.form_submit_button("Look at it", type="primary", icon=":material/search:"):
            chosen = "" if sae in (None, say.AS_THE_MODEL_HAS_IT) else str(sae)
            wanted = own_runs.Asked(folder, str(model or ""), chosen, int(limit))
            _do(partial(own_runs.starter().look, wanted))


def _do(act: Callable[[], None]) -> None:
    """Do it and draw the page again; a user's error is shown instead."""
    try:
        act()
    except UserError as error:
        widgets.problem(error)
    else:
        st.rerun()
