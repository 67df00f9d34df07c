"""The frame around every page: navigation, the runs to look at, the variant, what was replaced, and the failures it
catches.

Streamlit runs this file for every view; `app.py` serves it.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import warming

warming.wait()  # before the imports that follow

from core.errors import UserError  # noqa: E402
from dashboard import data, state, words  # noqa: E402
from dashboard.collector import imports  # noqa: E402
from dashboard.parts import belonging, changed_model, new_run, selection, widgets  # noqa: E402

ICON = Path(__file__).parent / "assets" / "icon.png"
NO_OTHER = "none"
FRONT = next(iter(words.PAGES))
FOLLOWING = ("similarity", "retrieval", "map", "compare")
"""Pages that show nothing without the rows of the variant."""


def main() -> None:
    """One script run."""
    st.set_page_config(page_title="Retrieval Lens", page_icon=str(ICON), layout="wide")
    st.logo(ICON.with_name("logo.svg"), size="large")
    widgets.style()
    page = st.navigation(pages(), position="hidden")
    if state.begin(page.url_path or FRONT):
        widgets.close_menu()
    try:
        menu = st.sidebar.container(gap="xxsmall", key="lens-menu")
        ready = sidebar()
        with menu:
            navigation()
        above = st.container()
        if ready:
            with above, widgets.guard():
                belonging.above(state.get("run_key"), state.get("other_key"))
            run_page(page)
        else:
            nothing_yet(page)
        with above:
            for sentence in state.notices():
                st.warning(words.plain(sentence), icon=":material/info:")
    except UserError as error:
        widgets.problem(error)
    state.end()  # not in `finally`: where a page switches to another one, that one writes the URL
    imports.set_apart()


def pages() -> list[st.Page]:
    """File pages; the first is the front page."""
    return [
        st.Page(f"views/{name}.py", title=title, icon=icon, default=name == FRONT)
        for name, (title, icon, _) in words.PAGES.items()
    ]


def navigation() -> None:
    """The pages by group, each as it was left. Links of our own: Streamlit's menu drops what the address says."""
    for group, names in words.GROUPS.items():
        widgets.html(f'<div class="lens-group">{group}</div>')
        for name in names:
            state.menu(name, words.PAGES[name][0], words.PAGES[name][1])
    st.divider()


def sidebar() -> bool:
    """Runs and variant; False where there is no run yet."""
    runs = data.runs()
    if not runs:
        return False
    by_name = {choice.name: choice for choice in runs}
    with st.sidebar:
        name = state.pick(
            st.selectbox,
            "run",
            "Run",
            list(by_name),
            help="A corpus embedded by one model, with everything derived from it.",
            format_func=lambda n: f"{n}  ·  {by_name[n].model}" if by_name[n].model not in n else n,
        )
        others = [NO_OTHER, *(n for n in by_name if n != name)]
        if state.get("paired", name) != name or state.get("other") == name:
            state.put(other=None)  # chosen for another run
        state.put(paired=name)
        other = state.pick(
            st.selectbox,
            "other",
            "Compare with",
            others,
            default=data.counterpart(name) or NO_OTHER,
            format_func=lambda n: "—" if n == NO_OTHER else n,
            help="A second run, shown beside the first where a page can.",
        )
        choose_variant()
        with widgets.guard():
            selection.in_menu(by_name[name].key)
        footer()
    state.put(run_key=by_name[name].key, other_key=by_name[other].key if other != NO_OTHER else None)
    return True


def choose_variant() -> None:
    """A preset or any expression; one that cannot be read is refused with the reason and `none` is used."""
    chosen = state.get("variant", "none")
    if error := data.variant_error(chosen):
        why = f"{error.what}, allowed: {error.allowed}" if error.allowed else error.what
        state.notice(f"The variant “{chosen[:80]}” cannot be read ({why}); showing the raw embeddings instead.")
        state.put(variant="none")
        chosen = "none"
    options = [*words.VARIANTS, *([] if chosen in words.VARIANTS else [chosen])]
    state.pick(st.selectbox, "variant", "Variant", options, format_func=words.variant_name, help=words.VARIANT_HELP)
    with st.popover("Write a variant", icon=":material/edit:", width="stretch"), st.form("variant-form", border=False):
        st.caption(words.VARIANT_HELP)
        typed = st.text_input("Expression", chosen, key=f"variant-typed-{chosen}")
        if st.form_submit_button("Use it", type="primary"):
            if error := data.variant_error(typed):
                widgets.problem(error)
            else:
                state.put(variant=data.canonical(typed))
                st.rerun()


def footer() -> None:
    """Where the definitions come from."""
    widgets.html(
        '<div class="lens-footer">Definitions and equation numbers: Feng et al., “Generative Giants, Retrieval'
        " Weaklings”, Findings of ACL 2026. Hover the question marks. The address bar always holds this exact"
        " view.</div>"
    )


def run_page(page: st.Page) -> None:
    """Run it; a user's error takes the place of what it prevented."""
    with widgets.guard():
        chosen = state.current()
        if page.url_path in FOLLOWING and not changed_model.ready(
            chosen.run, chosen.variant, "The rows of this variant"
        ):
            return
        page.run()


def nothing_yet(page: st.Page) -> None:
    """No run in the cache: say so on whatever page was asked for; the Runs page can make one."""
    st.title(page.title, anchor=False)
    widgets.empty(
        "No run yet",
        f"The cache {data.root()} holds no run. The embedded demo makes eight in a few minutes on a laptop, without"
        " network. Your own images and captions work too: see the README, or the Runs page.",
        "retrieval-lens demo",
        icon=":material/rocket_launch:",
    )
    if page.url_path == "runs":
        with widgets.guard():
            new_run.section()


main()
