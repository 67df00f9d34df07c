"""Exhibits: every figure and table of the study on the chosen runs, with its verdict, and what the study leaves out."""

from html import escape

import pandas as pd
import streamlit as st

from core.exhibits import EXHIBITS, Exhibit, Option, Shown, Value, Verdict
from core.exhibits.shared.present import Readable
from core.questions import alternates
from dashboard import data, state
from dashboard import words as prose
from dashboard.charts import exhibits as charts_exhibits
from dashboard.parts import claims, fidelity, widgets
from dashboard.words import count
from dashboard.words import exhibits as words

MOST_VERDICTS = 6
"""More that are beside the claim fold away."""
MOST_ROWS = 30
"""A longer table scrolls."""
NARROWEST = 290
"""Pixels a figure of several needs at least; below that they stand one below the other."""


def choose() -> Exhibit:
    """The exhibit, by group."""
    known = data.exhibits()
    groups = [g for g in words.GROUPS if any(e.group == g for e in known)]
    left, right = st.columns([2, 5], vertical_alignment="bottom")
    opened = next((e.group for e in known if e.name == state.get("exhibit")), groups[0])
    with left:
        group = state.pick(st.segmented_control, "shelf", "Shelf", groups, opened, format_func=words.GROUPS.get)
    shelf = {e.name: e for e in known if e.group == group}
    if state.get("exhibit") not in shelf and state.get("exhibit") in {e.name for e in known}:
        state.put(exhibit=None)
    with right:
        name = state.pick(
            st.selectbox, "exhibit", "Exhibit", list(shelf), next(iter(shelf)), format_func=lambda n: named(shelf[n])
        )
    return shelf[name]


def named(exhibit: Exhibit) -> str:
    """In a list: tables and figures of the study say nothing without their claim, the others' titles do."""
    return f"{exhibit.title} · {exhibit.claim}" if exhibit.group == "study" else exhibit.title


def option_widget(option: Option, keys: list[str]) -> Value:
    """One choice; its name in the URL starts with `x-`, so that it is this page's own."""
    name, label = f"x-{option.name}", words.option_label(option.name)
    if option.allowed:
        show = {value: words.option(option.name, value) for value in option.allowed}
        return state.pick(
            st.selectbox, name, label, list(option.allowed), option.default, format_func=show.get, help=option.help
        )
    if isinstance(option.default, bool):
        return state.toggle(name, label, option.default, help=option.help)
    if isinstance(option.default, str):  # the only word without a list of its own: which dictionaries the runs have
        known = dict.fromkeys([option.default, *(name for key in keys for name in data.ask(alternates.names, key))])
        return state.pick(st.selectbox, name, label, list(known), option.default, help=option.help)
    assert option.low is not None and option.high is not None, option  # every number has both
    if isinstance(option.default, int):
        return state.number(name, label, int(option.low), int(option.high), option.default, help=option.help, step=1)
    low, high = float(option.low), float(option.high)
    return state.number(name, label, low, high, option.default, help=option.help, step=low or 0.05, format="%.3f")


def chosen_runs(selection: state.Selection) -> list[str]:
    """Keys of the runs to show: the sidebar's, or all."""
    everything = [choice.key for choice in data.runs() if choice.name != choice.key]  # of runs of one name the newest
    chosen = [key for key in (selection.run, selection.other) if key]
    names = {words.CHOSEN: ", ".join(map(data.name, chosen)), words.ALL_RUNS: f"all {len(everything)} runs"}
    picked = state.pick(
        st.selectbox, "which", "Runs", [words.CHOSEN, words.ALL_RUNS], format_func=names.get, help=words.RUNS_HELP
    )
    return chosen if picked == words.CHOSEN else chosen + [key for key in everything if key not in chosen]


def verdicts(result: Shown, wide: bool) -> None:
    """Verdicts by what they are about and by run, and the runs that were left out."""
    for about, (title, help) in words.ABOUT.items():
        verdicts_by_run = data.verdicts(result, about)
        if not verdicts_by_run:
            continue
        many = sum(map(len, verdicts_by_run.values())) > MOST_VERDICTS and about != "claim"
        with st.expander(title) if many else st.container(gap="xsmall"):
            is_question = about == "claim" and result.exhibit.group == "beyond"
            st.markdown(f"**{words.ANSWER if is_question else title}**", help=help)
            above = any(len(verdicts) > 1 for verdicts in verdicts_by_run.values())
            lines = [verdict_lines(about, run, verdicts, above) for run, verdicts in verdicts_by_run.items()]
            grid = st.grid(min(len(lines), 3) if wide else 1, min_column_width=NARROWEST, gap="medium")
            for cell in lines if wide else ["".join(lines)]:
                with grid.cell():
                    widgets.html(cell)
    if result.left_out:
        st.markdown("**Left out**", help=f"Needed: {result.exhibit.needs}.")
        lines = [f"<b>{escape(left.run)}</b> {escape(left.why)}" for left in result.left_out]
        widgets.html("".join(f'<p class="lens-verdict">{line}</p>' for line in lines))


def verdict_lines(about: str, run: str, verdicts: list[tuple[str, Verdict]], above: bool) -> str:
    """One run's verdicts as HTML, its name above them or in their line."""
    name, label = f"<b>{escape(run)}</b>", f"{about.capitalize()} on {escape(run)}"
    lines = [f'<p class="lens-verdict">{name}</p>'] if above else []
    for outcome, verdict in verdicts:
        badge = widgets.badge(outcome, words.OUTCOMES.get(outcome, "partly"))
        why = words.emphasised(escape(verdict.why))
        lines.append(f'<p class="lens-verdict" aria-label="{label}">{badge} {"" if above else name} {why}</p>')
    return "".join(lines)


def curves(result: Shown) -> None:
    """The specification curve of each verdict, where the exhibit judges one of the study's claims."""
    questions = [one for one in data.claim_questions() if one.exhibit == result.exhibit.name]
    metric = str(result.options.get("metric", claims.METRIC))
    keys = tuple(choice.key for choice in data.runs() if choice.name in result.runs)
    if not questions or not keys:
        return
    judged = data.claims(keys, metric)
    mine = [one for one in judged.claims if one.claim == questions[0].number and one.settings]
    grid = st.grid(min(len(mine), 2), min_column_width=NARROWEST, gap="medium") if mine else None
    for claim in mine:
        assert grid is not None
        with grid.cell():
            claims.curve(claim, keys, metric)


def pictured(drawn: list[charts_exhibits.Drawn], result: Shown) -> None:
    """The figures, side by side where there are several and room, with their data to download."""
    grid = st.grid(min(len(drawn), 3), min_column_width=NARROWEST, gap="medium")
    for i, one in enumerate(drawn):
        with grid.cell():
            key = f"exhibit-{result.exhibit.name}" + (f"-{i + 1}" if i else "")
            widgets.figure(one.title, one.figure, key, one.rows, help=None if i else result.exhibit.definition)


def tables(result: Shown) -> None:
    """The exhibit's tables; what a run is, and what all its rows share, once above each."""
    for title, table, readable in data.sheets(result, words.write):
        key = result.exhibit.name + (f"-{title}" if title else "")
        listed(table, readable, words.SHEETS.get(title, title), words.INTERVALS, key.replace(" ", "-"))


def shared_facts(readable: Readable) -> list[str]:
    """As HTML: what each run is and has in all of its rows, and what all rows share."""
    who = ("model", "kind", "task")
    lines = [
        {run: ", ".join(known[name] for name in who if name in known)}
        | {words.label(n): text for n, text in known.items() if n not in who}
        for run, known in readable.by_run.items()
    ]
    lines.append({words.label(name): text for name, text in readable.shared.items()})
    return ["".join(f"<span>{escape(k)} <b>{escape(v)}</b></span>" for k, v in line.items()) for line in lines if line]


def listed(table: pd.DataFrame, readable: Readable, title: str, help: str, key: str) -> None:
    """A table with its intervals in the cells."""
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key=f"lens-head-table-{key}"):
        st.markdown(f"**{prose.plain(title)}**", help=help)
        st.download_button(
            "CSV", widgets.csv(table), f"retrieval-lens-{key}.csv", "text/csv", key=f"csv-table-{key}",
            icon=":material/download:", type="tertiary", on_click="ignore", help="Every column, every digit",
        )  # fmt: skip
    widgets.html("".join(f'<p class="lens-facts">{line}</p>' for line in shared_facts(readable)))
    columns = {name: st.column_config.TextColumn(words.label(name)) for name in readable.table}
    st.dataframe(
        readable.table,
        hide_index=True,
        column_config=columns,
        height="content" if len(readable.table) <= MOST_ROWS else "auto",
    )


def beside(result: Shown) -> None:
    """Printed numbers: for these runs where there are any, and all of them apart."""
    if len(result.printed):
        help = "Same model, data set and task; in the units of the study."
        listed(result.printed, data.readable(result.printed, words.write), "Live beside printed", help, "beside")
    if result.study.empty:
        return
    title = f"What the study printed ({count(len(result.study))} numbers)"
    with st.expander(title, icon=":material/menu_book:"):
        st.caption(f"{words.PRINTED_HELP} {words.NOT_THESE if result.printed.empty else ''}")
        models = state.pick(st.selectbox, "printed", "Model", ["all", *result.study["model"].unique()])
        rows = result.study if models == "all" else result.study[result.study["model"] == models]
        rows = rows.dropna(axis=1, how="all").fillna({"note": ""})
        st.dataframe(rows, hide_index=True, column_config={name: words.label(name) for name in rows})


def small_print(result: Shown) -> None:
    """Definition, rule, contradictions of the paper, notes."""
    exhibit = result.exhibit
    with st.expander("Definition, rule and small print", icon=":material/gavel:", expanded=True):
        st.markdown(f"**Definition.** {exhibit.definition}")
        if exhibit.rule:
            answers = words.YES_NO if exhibit.group == "beyond" else ""
            st.markdown(f"**Rule of the verdict.** {exhibit.rule} {answers}")
        for title, lines in (("The paper contradicts itself", exhibit.contradictions), ("Notes", result.notes)):
            if lines:
                st.markdown(f"**{title}.**\n" + "\n".join(f"- {prose.prose(line)}" for line in lines))


def page() -> None:
    """The page."""
    selection = state.current()
    widgets.heading("exhibits")
    exhibit = choose()
    # The verdicts of the exhibit before must never stand under this one's title, and the browser keeps what a script
    # has not redrawn yet. Each exhibit therefore draws into a slot of its own, and all others are emptied before the
    # title changes. One shared slot is not enough: a busy server joins its emptying and its filling.
    above, places = st.container(), {name: st.empty() for name in EXHIBITS}
    place, chosen = places[exhibit.name], []
    with above:
        widgets.html(f'<p class="lens-story">{escape(exhibit.claim)}</p>')
        grid = st.grid(1 + len(exhibit.options), min_column_width=170, gap="small")
        with grid.cell():
            keys = chosen_runs(selection)
        for option in exhibit.options:
            with grid.cell():
                chosen.append((option.name, option_widget(option, keys)))
    with widgets.guard():
        with place.container():
            result = data.exhibit(exhibit.name, tuple(keys), tuple(chosen))
        with place.container():
            if data.is_pending(result):
                claims.waiting(lambda: data.is_pending(data.exhibit(exhibit.name, tuple(keys), tuple(chosen))))
            body(result)


def body(result: Shown) -> None:
    """An exhibit, from the verdict to the command. Several figures take the whole width, verdicts above them."""
    drawn = charts_exhibits.draw(data.exhibit_file(result.exhibit.name), result.table, result.options)
    if len(drawn) == 1:
        left, right = st.columns([5, 4], gap="large")
        with left:
            pictured(drawn, result)
        with right:
            verdicts(result, wide=False)
    else:
        verdicts(result, wide=True)
        if drawn:
            pictured(drawn, result)
    curves(result)
    if len(result.table):
        tables(result)
    fidelity.of_exhibit(result)
    beside(result)
    small_print(result)
    widgets.reproduce(result.reproduce, result.python)


page()
