"""Exhibits: every figure and table of the study on the chosen runs, its claim held against live numbers, and what the study leaves out."""

from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import charts_exhibits, data, state, widgets
from dashboard import words_exhibits as words
from dashboard.words import TASKS, count

MOST_VERDICTS = 6
"""More that are beside the claim fold away."""
MOST_ROWS = 30
"""A longer table scrolls."""


def choose() -> Any:
    """The exhibit, by group."""
    known = data.exhibits()
    groups = [g for g in words.GROUPS if any(e.group == g for e in known)]
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    asked = next((e.group for e in known if e.name == state.get("exhibit")), groups[0])
    with left:
        group = state.pick(st.segmented_control, "shelf", "Shelf", groups, asked, format_func=words.GROUPS.get)
    shelf = {e.name: e for e in known if e.group == group}
    if state.get("exhibit") not in shelf and state.get("exhibit") in {e.name for e in known}:
        state.put(exhibit=None)
    with right:
        name = state.pick(
            st.selectbox, "exhibit", "Exhibit", list(shelf), next(iter(shelf)), format_func=lambda n: f"{shelf[n].title} · {shelf[n].claim}"
        )
    return shelf[name]


def option_widget(option: Any) -> Any:
    """One choice; its name in the URL starts with `x-`, so that it is this page's own."""
    name, label = f"x-{option.name}", words.label(option.name)
    if option.allowed:
        show = {value: words.option(option.name, value) for value in option.allowed}
        return state.pick(st.selectbox, name, label, list(option.allowed), option.default, format_func=show.get, help=option.help)
    if isinstance(option.default, bool):
        return state.toggle(name, label, option.default, help=option.help)
    step = 1 if isinstance(option.default, int) else option.low
    kind = type(option.default)
    more = {"step": step} | ({"format": "%.3f"} if kind is float else {})
    return state.number(name, label, kind(option.low), kind(option.high), option.default, help=option.help, **more)


def chosen_runs(selection: Any) -> list[str]:
    """Keys of the runs to show: the sidebar's, or all."""
    everything = [choice.key for choice in data.runs() if choice.name != choice.key]  # of runs of one name the newest
    chosen = [key for key in (selection.run, selection.other) if key]
    names = {words.CHOSEN: ", ".join(map(data.name, chosen)), words.ALL_RUNS: f"all {len(everything)} runs"}
    picked = state.pick(st.selectbox, "which", "Runs", [words.CHOSEN, words.ALL_RUNS], format_func=names.get, help=words.RUNS_HELP)
    return chosen if picked == words.CHOSEN else chosen + [key for key in everything if key not in chosen]


def judged(shown: Any) -> None:
    """Verdicts, by what they are about, and the runs that were left out."""
    for about, (title, help) in words.ABOUT.items():
        found = [v for v in shown.verdicts if v.about == about]
        if not found:
            continue
        with st.expander(title) if len(found) > MOST_VERDICTS and about != "claim" else st.container(gap="xsmall"):
            asked = about == "claim" and shown.exhibit.group == "beyond"
            st.markdown(f"**{words.ANSWER if asked else title}**", help=help)
            lines = [f"{widgets.badge(v.outcome, words.OUTCOMES[v.outcome])} <b>{escape(v.on)}</b> {escape(v.why)}" for v in found]
            widgets.html("".join(f'<p class="lens-verdict">{line}</p>' for line in lines))
    if shown.left_out:
        st.markdown("**Left out**", help=f"Needed: {shown.exhibit.needs}.")
        lines = [f"<b>{escape(left.run)}</b> {escape(left.why)}" for left in shown.left_out]
        widgets.html("".join(f'<p class="lens-verdict">{line}</p>' for line in lines))


def pictured(shown: Any, key: str) -> None:
    """The chart, with its data to download."""
    drawn = charts_exhibits.draw(shown.exhibit.name, shown.table, str(shown.options.get("metric", "recall@5")))
    if drawn:
        widgets.figure(drawn[0], drawn[1], f"exhibit-{key}", shown.table, help=shown.exhibit.definition)


def who_is_who(table: pd.DataFrame) -> None:
    """Model, kind and task of each run, so that the table need not repeat them."""
    if {"kind", "task"} <= set(table):
        runs = table.drop_duplicates("run").to_dict("records")
        widgets.facts({row["run"]: f"{row['model']}, {row['kind']}, {TASKS.get(row['task'], row['task'])}" for row in runs})


def listed(table: pd.DataFrame, title: str, help: str, key: str = "") -> None:
    """A table with its intervals in the cells, and what all rows share above it."""
    found = data.readable(table.drop(columns=[c for c in ("model", "kind", "task") if c in table]), words.write)
    shared = [f"{words.label(name)} <b>{escape(value)}</b>" for name, value in found.shared.items()]
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key=f"lens-head-table-{key or title}"):
        st.markdown(f"**{title}**", help=help)
        st.download_button(
            "CSV", table.to_csv(index=False), f"retrieval-lens-{key or title}.csv", "text/csv", key=f"csv-table-{key or title}",
            icon=":material/download:", type="tertiary", on_click="ignore", help="Every column, every digit",
        )  # fmt: skip
    widgets.html('<p class="lens-facts">' + "".join(f"<span>{part}</span>" for part in shared) + "</p>")
    columns = {name: st.column_config.TextColumn(words.label(name)) for name in found.table}
    st.dataframe(found.table, hide_index=True, column_config=columns, height="content" if len(found.table) <= MOST_ROWS else "auto")


def beside(shown: Any) -> None:
    """Printed numbers: for these runs where there are any, and all of them apart."""
    if len(shown.printed):
        listed(shown.printed, "Live beside printed", "Same model, data set and task; in the units of the study.", "beside")
    if shown.study.empty:
        return
    title = f"What the study printed ({count(len(shown.study))} numbers)"
    with st.expander(title, icon=":material/menu_book:", expanded=shown.printed.empty):
        st.caption(f"{words.PRINTED_HELP} {words.NOT_THESE if shown.printed.empty else ''}")
        models = state.pick(st.selectbox, "printed", "Model", ["all", *shown.study["model"].unique()])
        rows = shown.study if models == "all" else shown.study[shown.study["model"] == models]
        st.dataframe(rows.dropna(axis=1, how="all").fillna({"note": ""}), hide_index=True)


def fidelity(shown: Any) -> None:
    """How well each run's SAE stands for its embeddings: one line per run."""
    if shown.fidelity.empty:
        return
    st.markdown("**How far the SAE can be trusted**", help=words.FIDELITY_HELP)
    for name, rows in shown.fidelity.groupby("run", sort=False):
        found = {row["figure"]: words.write("share", row["value"]) for _, row in rows.iterrows()}
        widgets.facts({"run": name} | found)


def small_print(shown: Any) -> None:
    """Definition, rule, contradictions of the paper, notes."""
    exhibit = shown.exhibit
    with st.expander("Definition, rule and small print", icon=":material/gavel:", expanded=True):
        st.markdown(f"**Definition.** {exhibit.definition}")
        if exhibit.rule:
            st.markdown(f"**Rule of the verdict.** {exhibit.rule}")
        for title, lines in (("The paper contradicts itself", exhibit.contradictions), ("Notes", shown.notes)):
            if lines:
                st.markdown(f"**{title}.**\n" + "\n".join(f"- {line}" for line in lines))


def page() -> None:
    """The page."""
    selection = state.current()
    widgets.heading("exhibits")
    exhibit = choose()
    widgets.html(f'<p class="lens-story">{escape(exhibit.claim)}</p>')
    grid = st.grid(1 + len(exhibit.options), min_column_width=170, gap="small")
    with grid.cell():
        keys = chosen_runs(selection)
    chosen = []
    for option in exhibit.options:
        with grid.cell():
            chosen.append((option.name, option_widget(option)))
    with widgets.guard():
        shown = data.exhibit(exhibit.name, tuple(keys), tuple(chosen))
        body(shown)


def body(shown: Any) -> None:
    """An exhibit, from the verdict to the command."""
    left, right = st.columns([5, 4], gap="large")
    with left:
        pictured(shown, shown.exhibit.name)
    with right:
        judged(shown)
    if len(shown.table):
        who_is_who(shown.table)
        listed(shown.table, "The numbers", words.INTERVALS, shown.exhibit.name)
    fidelity(shown)
    beside(shown)
    small_print(shown)
    widgets.reproduce(shown.reproduce, shown.python)


page()
