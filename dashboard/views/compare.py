"""Compare: two sides, each a run and a variant: who finds what, where they differ, and how their embeddings lie."""

from html import escape

import pandas as pd
import streamlit as st

from core.questions import compare
from dashboard import data, state, words
from dashboard.charts import compare as charts_compare
from dashboard.charts import retrieval as charts_retrieval
from dashboard.parts import edits, listings, widgets
from dashboard.parts.sides import Sides, choose
from dashboard.words import count, percent, points

KINDS = {"all": "All", "only first": "Only A", "only second": "Only B", "neither": "Neither"}
TOPS = (1, 5, 10)


def verdict(result: compare.Sides, sides: Sides) -> None:
    """Who is ahead, if anyone clearly is."""
    row = data.row(data.Pairing, result.table, metric="recall@1")
    a, b = (escape(name) for name in sides.short)
    sentence = (
        f"{a} puts a right answer first for <b>{percent(row.first)}</b> of its queries, {b} for"
        f" <b>{percent(row.second)}</b>"
    )
    if result.why_not:
        sentence += ". These are not the same queries"
    elif not data.direction(row.difference_low, row.difference_high, row.p_value):
        sentence += ": no clear difference"
    else:
        sentence += f": {'B' if row.difference > 0 else 'A'} is ahead by {points(abs(row.difference)).lstrip('+')}"
    widgets.html(f'<p class="lens-story">{sentence}.</p>')
    if result.why_not:
        st.caption(
            f":material/link_off: Not paired, because {words.plain(result.why_not)}. Nothing is subtracted or"
            " tested: each number stands alone."
        )


def metrics(result: compare.Sides, sides: Sides) -> None:
    """Every metric of both sides with interval; paired difference and test where there are any."""
    left, right = st.columns([4, 7], gap="medium")
    table, names = result.table, sides.names
    columns = {
        f"{side}{end}": f"{step}{end}"
        for side, step in (("first", "before"), ("second", "after"))
        for end in ("", "_low", "_high")
    }
    as_steps = table.rename(columns=columns)
    recalls = as_steps[as_steps["metric"].str.startswith("recall")]
    with left:
        chart = charts_retrieval.before_after(recalls, {m: words.word(m).label for m in recalls["metric"]}, sides.short)
        chart.data[0].marker.color, chart.data[1].marker.color = charts_compare.FIRST, charts_compare.SECOND
        widgets.figure("Recall, with 95% intervals", chart, "compare-recall", table, help=words.word("recall@1").help)
    with right:
        paired = "paired query by query" if not result.why_not else "each on its own queries"
        st.markdown(f"**All metrics, {paired}**", help=words.word("interval").help)
        if result.why_not:
            alone(table, sides.short)
        else:
            listings.comparison(as_steps, sides.short)
        first = data.rows(data.Pairing, table)[0]
        n = [f"A: {count(first.first_n)} queries", f"B: {count(first.second_n)} queries"]
        if sides.first == sides.second:  # an edit on either side has controls
            edits.control(sides.first, sides.variant, sides.other_variant)
            edits.control(sides.first, sides.other_variant, sides.variant)
        sizes = [f"{count(side.evaluation.candidates)} candidates" for side in (result.first, result.second)]
        st.caption(
            words.plain(
                f"{names[0]} ({n[0].removeprefix('A: ')}, {sizes[0]});"
                f" {names[1]} ({n[1].removeprefix('B: ')}, {sizes[1]})."
            )
        )


def alone(table: pd.DataFrame, names: tuple[str, str]) -> None:
    """Metrics of both sides without a difference."""
    rows = []
    for row in data.rows(data.Pairing, table):
        word = words.word(row.metric)
        cells = [(row.first, row.first_low, row.first_high), (row.second, row.second_low, row.second_high)]
        written = [
            f"{word.write(v)} ({words.interval(a, b) if word.unit == '%' else f'{a:.3f}–{b:.3f}'})" for v, a, b in cells
        ]
        rows.append((word.label, *written))
    settings = {name: st.column_config.TextColumn(name, help=words.word("interval").help) for name in names}
    st.dataframe(pd.DataFrame(rows, columns=["Metric", *names]), column_config=settings, hide_index=True, row_height=40)


@widgets.fragment
def paired(result: compare.Sides, sides: Sides) -> None:
    """The comparison query by query; reruns alone."""
    widgets.section("Who finds what")
    k = state.pick(st.segmented_control, "top-k", "Right means a relevant candidate in the top", list(TOPS))
    outcomes(result, sides, k)
    browser(sides, k)


def outcomes(result: compare.Sides, sides: Sides, k: int) -> None:
    """The 2 x 2 table and ranks against ranks."""
    arguments = (sides.variant, sides.other_variant)
    table = data.ask_two(compare.outcomes, sides.first, sides.second, *arguments, k)
    left, right = st.columns(2, gap="large")
    by_kind = table.set_index("kind")["queries"]
    with left:
        title = f"{count(by_kind['only first'])} queries only A gets right, {count(by_kind['only second'])} only B"
        chart = charts_compare.outcomes(table, sides.short, k)
        widgets.figure(
            title, chart, f"outcomes-{k}", table, help=words.explain(f"recall@{k}", table.attrs["n"], "queries")
        )
    with right:
        a, b = result.first.ranks, result.second.ranks
        title = f"B ranks it better for {count((b < a).sum())} of {count(len(a))}, worse for {count((b > a).sum())}"
        ranks = pd.DataFrame({"query": range(len(a)), "rank_first": a, "rank_second": b})
        note = "Each bubble: queries whose first right candidate stands about there; below the line B is better."
        widgets.figure(
            title, charts_compare.ranks(a, b, sides.short), "compare-ranks", ranks, note, help=words.explain("rank")
        )


def browser(sides: Sides, k: int) -> None:
    """The queries they differ on most, and both rankings of the chosen one."""
    widgets.section(
        "Where they differ most",
        "Ordered by the ratio of the two ranks. Choose a query: both rankings stand side by side.",
    )
    kind = state.pick(
        st.segmented_control, "kind-two", "Queries", list(KINDS), format_func=KINDS.get, help=words.KINDS_TWO_HELP
    )
    arguments = (sides.variant, sides.other_variant)
    frame = data.ask_two(compare.query_list, sides.first, sides.second, *arguments, kind, k)
    if frame.empty:
        widgets.empty(
            "No such query", f"No query is of the kind “{KINDS[kind]}” at top {k}.", icon=":material/search_off:"
        )
        return
    rows = frame["row"].tolist()
    query = state.within("query", "query", 0, data.facts(sides.first).queries - 1, rows[0])
    table, columns = listings.listing(sides.first, "queries", frame, A=frame["rank_first"], B=frame["rank_second"])
    for letter, name in zip("AB", sides.names, strict=True):
        columns[letter] = st.column_config.NumberColumn(
            letter, help=f"{words.explain('rank')} {words.plain(name)}.", format="%d", width=64
        )
    key = f"{sides}-{kind}-{k}"
    state.table(
        "query", table, rows, query, key, height=min(300, 38 + 40 * len(frame)), row_height=40, column_config=columns
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(
            f"{count(len(frame))} of {count(frame.attrs['total'])} shown. Ranks of the first right candidate; 1 is"
            " best."
        )
        st.download_button(
            "CSV",
            widgets.csv(frame),
            "retrieval-lens-compare.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help="The listed queries with both ranks",
        )
    rankings(sides, query)


def rankings(sides: Sides, query: int) -> None:
    """One query and its ten best candidates on both sides."""
    lists = data.ask_two(compare.rankings, sides.first, sides.second, query, sides.variant, sides.other_variant, 10)
    item, first, second = st.columns([1.2, 2.4, 2.4], gap="medium")
    with item:
        st.markdown(f"**Query {query}**")
        listings.show(data.item(sides.first, "queries", query))
    for column, name, ranking, moved in (
        (first, sides.names[0], lists.before, "to"),
        (second, sides.names[1], lists.after, "from"),
    ):
        with column:
            st.markdown(f"**{words.plain(name)}**", help=words.word("similarity").help)
            listings.rank_list(sides.first, ranking, moved)
    st.caption(words.RANK_OTHER_NOTE)


@widgets.fragment
def shape(sides: Sides) -> None:
    """Similarities of right and wrong pairs, and figures of the geometry."""
    widgets.section(
        "How the embeddings lie", "The further matching pairs stand out from all others, the easier retrieval is."
    )
    arguments = (sides.variant, sides.other_variant)
    table = data.ask_two(compare.similarities, sides.first, sides.second, *arguments)
    left, right = st.columns(2, gap="large")
    for column, side, name, colour in (
        (left, "first", sides.short[0], charts_compare.FIRST),
        (right, "second", sides.short[1], charts_compare.SECOND),
    ):
        with column:
            part, pairs = table[table["side"] == side], table.attrs[side]
            note = f"{count(pairs['n_positive'])} matching pairs, {count(pairs['n_negative'])} others."
            title = f"{name}: d′ = {pairs['d_prime']:.2f}"
            widgets.figure(
                title,
                charts_compare.similarities(part, colour),
                f"similarity-{side}",
                part,
                note,
                help=words.D_PRIME_HELP,
            )
    figures(data.ask_two(compare.shape, sides.first, sides.second, *arguments), sides)


def figures(table: pd.DataFrame, sides: Sides) -> None:
    """Geometry side by side, each measure with its meaning."""
    frame = pd.DataFrame(
        {
            "Measure": [words.GEOMETRY[m][0] for m in table["measure"]],
            **{name: table[side].round(3) for side, name in zip(("first", "second"), sides.short, strict=True)},
            "What it says": [words.GEOMETRY[m][1] for m in table["measure"]],
        }
    )
    number = {name: st.column_config.NumberColumn(name, format="%.3f", width=130) for name in sides.short}
    st.dataframe(
        frame,
        hide_index=True,
        height=38 + 35 * len(frame),
        column_config=number | {"Measure": st.column_config.TextColumn(width=190)},
    )
    sizes = [
        f"{letter}: {count(f.queries)} queries, {count(f.candidates)} candidates"
        for letter, f in zip("AB", map(data.facts, (sides.first, sides.second)), strict=True)
    ]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption("; ".join(sizes) + ". Unit rows under each side's variant.")
        st.download_button(
            "CSV",
            widgets.csv(table),
            "retrieval-lens-geometry.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            key="csv-geometry",
            help="These figures as a table",
        )


def reproduce(sides: Sides) -> None:
    """The commands and the lines that give the table."""
    a, b = data.facts(sides.first).name, data.facts(sides.second).name
    commands = [
        f"retrieval-lens evaluate {words.shell(n)} --variant {words.shell(v)}"
        for n, v in ((a, sides.variant), (b, sides.other_variant))
    ]
    expression = (
        f"compare.compare(run, open_run({b!r}, Store.default()), {sides.variant!r}, {sides.other_variant!r}).table"
    )
    widgets.reproduce("\n".join(commands), widgets.python("compare", a, expression))


def page() -> None:
    """The page."""
    selection = state.current()
    widgets.heading("compare")
    sides = choose(selection.run, selection.other, selection.variant)
    if any(listings.nothing_to_find(run) for run in dict.fromkeys((sides.first, sides.second))):
        return
    result = data.ask_two(compare.compare, sides.first, sides.second, sides.variant, sides.other_variant)
    if sides.same:
        st.caption(":material/info: Both sides are the same; choose another run or another variant for one of them.")
    verdict(result, sides)
    metrics(result, sides)
    if not result.why_not:
        paired(result, sides)
    shape(sides)
    reproduce(sides)


page()
