"""Exhibits: every figure and table of the study on the chosen runs, its claim held against live numbers, and what the
study leaves out."""

import re
from html import escape
from typing import Any

import streamlit as st

from dashboard import data, state
from dashboard.charts import exhibits as charts_exhibits
from dashboard.parts import widgets
from dashboard.words import count
from dashboard.words import exhibits as words

MOST_VERDICTS = 6
"""More that are beside the claim fold away."""
MOST_ROWS = 30
"""A longer table scrolls."""
NARROWEST = 290
"""Pixels a figure of several needs at least; below that they stand one below the other."""


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
            st.selectbox, "exhibit", "Exhibit", list(shelf), next(iter(shelf)), format_func=lambda n: named(shelf[n])
        )
    return shelf[name]


def named(exhibit: Any) -> str:
    """In a list: tables and figures of the study say nothing without their claim, the others' titles do."""
    return f"{exhibit.title} · {exhibit.claim}" if exhibit.group == "study" else exhibit.title


def option_widget(option: Any) -> Any:
    """One choice; its name in the URL starts with `x-`, so that it is this page's own."""
    name, label = f"x-{option.name}", words.OPTIONS.get(option.name) or words.label(option.name)
    if option.allowed:
        show = {value: words.option(option.name, value) for value in option.allowed}
        return state.pick(
            st.selectbox, name, label, list(option.allowed), option.default, format_func=show.get, help=option.help
        )
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
    picked = state.pick(
        st.selectbox, "which", "Runs", [words.CHOSEN, words.ALL_RUNS], format_func=names.get, help=words.RUNS_HELP
    )
    return chosen if picked == words.CHOSEN else chosen + [key for key in everything if key not in chosen]


def judged(shown: Any, wide: bool) -> None:
    """Verdicts by what they are about and by run, and the runs that were left out."""
    for about, (title, help) in words.ABOUT.items():
        found = data.judged(shown, about)
        if not found:
            continue
        many = sum(map(len, found.values())) > MOST_VERDICTS and about != "claim"
        with st.expander(title) if many else st.container(gap="xsmall"):
            asked = about == "claim" and shown.exhibit.group == "beyond"
            st.markdown(f"**{words.ANSWER if asked else title}**", help=help)
            above = any(len(verdicts) > 1 for verdicts in found.values())
            lines = [verdict_lines(run, verdicts, above) for run, verdicts in found.items()]
            grid = st.grid(min(len(lines), 3) if wide else 1, min_column_width=NARROWEST, gap="medium")
            for cell in lines if wide else ["".join(lines)]:
                with grid.cell():
                    widgets.html(cell)
    if shown.left_out:
        st.markdown("**Left out**", help=f"Needed: {shown.exhibit.needs}.")
        lines = [f"<b>{escape(left.run)}</b> {escape(left.why)}" for left in shown.left_out]
        widgets.html("".join(f'<p class="lens-verdict">{line}</p>' for line in lines))


def verdict_lines(run: str, verdicts: list[tuple[str, Any]], above: bool) -> str:
    """One run's verdicts as HTML, its name above them or in their line."""
    name = f"<b>{escape(run)}</b>"
    lines = [f'<p class="lens-verdict">{name}</p>'] if above else []
    for outcome, verdict in verdicts:
        badge = widgets.badge(outcome, words.OUTCOMES.get(outcome, "partly"))
        lines.append(f'<p class="lens-verdict">{badge} {"" if above else name} {in_brackets(verdict.why)}</p>')
    return "".join(lines)


def in_brackets(text: str) -> str:
    """As HTML: what stands in brackets with the interval steps back; negative numbers have a minus."""
    signed = re.sub(r"(?<=[\s(])-(?=\d)", "−", escape(text))
    return re.sub(r"\(([^()]* to [^()]*)\)", r'<span class="lens-aside">(\1)</span>', signed)


def pictured(drawn: list[Any], shown: Any) -> None:
    """The figures, side by side where there are several and room, with their data to download."""
    grid = st.grid(min(len(drawn), 3), min_column_width=NARROWEST, gap="medium")
    for i, one in enumerate(drawn):
        with grid.cell():
            key = f"exhibit-{shown.exhibit.name}" + (f"-{i + 1}" if i else "")
            widgets.figure(one.title, one.figure, key, one.rows, help=None if i else shown.exhibit.definition)


def tables(shown: Any) -> None:
    """The exhibit's tables; what a run is, and what all its rows share, once above each."""
    for title, table, found in data.sheets(shown, words.write):
        key = shown.exhibit.name + (f"-{title}" if title else "")
        listed(table, found, words.SHEETS.get(title, title), words.INTERVALS, key.replace(" ", "-"))


def shared_facts(found: Any) -> list[str]:
    """As HTML: what each run is and has in all of its rows, and what all rows share."""
    who = ("model", "kind", "task")
    lines = [
        {run: ", ".join(known[name] for name in who if name in known)}
        | {words.label(n): text for n, text in known.items() if n not in who}
        for run, known in found.by_run.items()
    ]
    lines.append({words.label(name): text for name, text in found.shared.items()})
    return ["".join(f"<span>{escape(k)} <b>{escape(v)}</b></span>" for k, v in line.items()) for line in lines if line]


def listed(table: Any, found: Any, title: str, help: str, key: str) -> None:
    """A table with its intervals in the cells."""
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key=f"lens-head-table-{key}"):
        st.markdown(f"**{title}**", help=help)
        st.download_button(
            "CSV", table.to_csv(index=False), f"retrieval-lens-{key}.csv", "text/csv", key=f"csv-table-{key}",
            icon=":material/download:", type="tertiary", on_click="ignore", help="Every column, every digit",
        )  # fmt: skip
    widgets.html("".join(f'<p class="lens-facts">{line}</p>' for line in shared_facts(found)))
    columns = {name: st.column_config.TextColumn(words.label(name)) for name in found.table}
    st.dataframe(
        found.table,
        hide_index=True,
        column_config=columns,
        height="content" if len(found.table) <= MOST_ROWS else "auto",
    )


def beside(shown: Any) -> None:
    """Printed numbers: for these runs where there are any, and all of them apart."""
    if len(shown.printed):
        help = "Same model, data set and task; in the units of the study."
        listed(shown.printed, data.readable(shown.printed, words.write), "Live beside printed", help, "beside")
    if shown.study.empty:
        return
    title = f"What the study printed ({count(len(shown.study))} numbers)"
    with st.expander(title, icon=":material/menu_book:"):
        st.caption(f"{words.PRINTED_HELP} {words.NOT_THESE if shown.printed.empty else ''}")
        models = state.pick(st.selectbox, "printed", "Model", ["all", *shown.study["model"].unique()])
        rows = shown.study if models == "all" else shown.study[shown.study["model"] == models]
        rows = rows.dropna(axis=1, how="all").fillna({"note": ""})
        st.dataframe(rows, hide_index=True, column_config={name: words.label(name) for name in rows})


def fidelity(shown: Any) -> None:
    """How well each run's SAE stands for its embeddings: one line per run."""
    if shown.fidelity.empty:
        return
    st.markdown("**How far the SAE can be trusted**", help=words.FIDELITY_HELP)
    for name, rows in shown.fidelity.groupby("run", sort=False):
        figures = rows.set_index("figure")["value"]
        widgets.facts(
            {name: ""} | {label: words.write("share", figures[figure]) for figure, label in words.FIGURES.items()}
        )


def small_print(shown: Any) -> None:
    """Definition, rule, contradictions of the paper, notes."""
    exhibit = shown.exhibit
    with st.expander("Definition, rule and small print", icon=":material/gavel:", expanded=True):
        st.markdown(f"**Definition.** {exhibit.definition}")
        if exhibit.rule:
            said = words.YES_NO if exhibit.group == "beyond" else ""
            st.markdown(f"**Rule of the verdict.** {exhibit.rule} {said}")
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
        names = ", ".join(map(data.name, keys))
        with st.spinner(words.COMPUTING.format(title=exhibit.title, runs=names), show_time=True):
            shown = data.exhibit(exhibit.name, tuple(keys), tuple(chosen))
        body(shown)


def body(shown: Any) -> None:
    """An exhibit, from the verdict to the command. Several figures take the whole width, verdicts above them."""
    drawn = charts_exhibits.draw(shown.exhibit.name, shown.table, shown.options)
    if len(drawn) == 1:
        left, right = st.columns([5, 4], gap="large")
        with left:
            pictured(drawn, shown)
        with right:
            judged(shown, wide=False)
    else:
        judged(shown, wide=True)
        if drawn:
            pictured(drawn, shown)
    if len(shown.table):
        tables(shown)
    fidelity(shown)
    beside(shown)
    small_print(shown)
    widgets.reproduce(shown.reproduce, shown.python)


page()
