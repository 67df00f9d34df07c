"""Retrieval: what a variant repairs and breaks, where the gain comes from, query by query."""

from html import escape

import streamlit as st

from core.questions import retrieval
from dashboard import data, state, words
from dashboard.charts import retrieval as charts_retrieval
from dashboard.parts import edits, failures, leaderboard, listings, recommendation, widgets
from dashboard.words import count, percent, points, variant_name

STATISTICS = {"per-side": "each side's own", "support": "support split", "shared": "both sides together"}


def sides(variant: str) -> tuple[str, str]:
    """The two variants to compare, before and after: the sidebar's, and one chosen here. Raw stands before."""
    raw = variant == "none"
    others = [o for o in words.VARIANTS if o != variant]
    name, default = ("against", "realign") if raw else ("before", "none")
    other = state.pick(
        st.selectbox, name, "Compared with", others, default, format_func=variant_name, help=words.BEFORE_HELP,
        width=320,
    )  # fmt: skip
    return (variant, other) if raw else (other, variant)


def verdict(result: retrieval.Comparison, before: str, after: str) -> None:
    """The page's answer, and every metric with interval, paired difference and p."""
    n, hits = len(result.after.ranks), [int((side.ranks == 1).sum()) for side in (result.before, result.after)]
    first = f"{escape(variant_name(after))} puts a right answer first for <b>{count(hits[1])}</b> of {count(n)} queries"
    then = f"<b>{count(len(result.fixed))} fixed</b>, {count(len(result.broken))} broken"
    widgets.html(
        f'<p class="lens-story">{first}, {escape(variant_name(before).lower())} for {count(hits[0])}: {then}.</p>'
    )
    names = variant_name(before), variant_name(after)
    left, right = st.columns([4, 7], gap="medium")
    recalls = result.table[result.table["metric"].str.startswith("recall")]
    with left:
        chart = charts_retrieval.before_after(recalls, {m: words.word(m).label for m in recalls["metric"]}, names)
        widgets.figure(
            "Recall, with 95% intervals", chart, "recall", result.table, help=words.explain("recall@1", n, "queries")
        )
    with right:
        st.markdown("**All metrics, paired query by query**", help=words.word("interval").help)
        listings.comparison(result.table, names)
        notes = " ".join(f"{note}." for note in result.after.notes)
        st.caption(
            f"n = {count(n)} queries, {count(result.after.evaluation.candidates)} candidates. {words.plain(notes)}"
        )


def gain(run: str) -> None:
    """Centring, scaling, rotation and shrinkage one after the other."""
    widgets.section("Where whitening's gain comes from", "The study reports the sum; most of it may be centring alone.")
    table = data.ask(retrieval.gain_split, run)
    _, *rows = data.rows(data.GainStep, table)
    best = max(rows, key=lambda step: step.gain)
    title = (
        f"{best.label.lstrip('+ ').capitalize()} brings most: {points(best.gain)} of Recall@1"
        if best.gain_low > 0
        else "No step clearly raises Recall@1"
    )
    each = (
        f"{r.label} {points(r.gain)} ({100 * r.gain_low:+.1f} to {100 * r.gain_high:+.1f}, p {edits.p_value(r.gain_p)})"
        for r in rows
    )
    note = f"Each bar adds one thing to the one above: {'; '.join(each)}."
    widgets.figure(title, charts_retrieval.steps(table), "gain-split", table, note, help=words.word("gain").help)


@widgets.fragment
def shrinkage(run: str, raw: float) -> None:
    """Recall over beta, and the chosen beta evaluated live."""
    widgets.section("How much shrinkage", "Move β: the variant is fitted and evaluated at once.")
    whitening, more = data.run(run).spec.whitening, {"format_func": STATISTICS.get, "help": words.STATISTICS_HELP}
    statistics = state.pick(st.segmented_control, "statistics", "Mean and covariance from", list(STATISTICS), **more)
    beta = state.number("beta", "Shrinkage β", 0.0, 1.0, 0.1, st.slider, step=0.01, help=words.explain("beta"))
    expression = data.canonical(f"realign(beta={beta},eps={whitening.eps},statistics={statistics})")
    evaluation = data.ask(retrieval.evaluate, run, expression).evaluation
    table = data.ask(retrieval.beta_sweep, run, statistics)
    best = max(data.rows(data.SweepPoint, table), key=lambda point: point.recall_1)
    help = words.explain("beta", evaluation.queries, "queries")
    title = f"Recall@1 is highest at β = {best.beta:g}: {percent(best.recall_1)}"
    alike = [point.beta for point in data.rows(data.SweepPoint, table) if point.recall_1_high >= best.recall_1]
    note = f"Its intervals do not tell this from {len(alike) - 1} others, β = {min(alike):g} to {max(alike):g}."
    note = note if len(alike) > 1 else "No other β has an interval that reaches it."
    widgets.figure(title, charts_retrieval.beta_sweep(table, beta, raw), f"beta-{statistics}", table, note, help=help)
    recalls = ", ".join(f"@{k} {percent(v)}" for k, v in evaluation.recall.items())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(
            f"β = {beta:g}: Recall {recalls} (@1: {words.interval(*evaluation.ci95['recall@1'])})", width="stretch"
        )
        if st.button("Use as variant", icon=":material/check:", key="use-beta", help=f"`{expression}` on all pages"):
            edits.use_variant(expression)


@widgets.fragment
def browser(run: str, result: retrieval.Comparison, variant: str) -> None:
    """Queries to choose from, and both rankings of the chosen one."""
    widgets.section("Query by query", "Choose a query: both rankings stand side by side, relevant candidates outlined.")
    before, after = result.before.variant, result.after.variant
    frame, label = listings.query_filter(run, result, variant)
    if frame.empty:
        widgets.empty("No such query", label, icon=":material/search_off:")
        return
    query = state.within("query", "query", 0, len(result.after.ranks) - 1, int(frame["row"].iloc[0]))
    listings.query_table(run, frame, query, f"{run}-{before}-{after}-{label}")
    rankings(run, query, before, after)


def rankings(run: str, query: int, before: str, after: str) -> None:
    """One query: the item, what it should find, and its ten best candidates on both sides."""
    lists = data.ask(retrieval.rankings, run, query, before, after, 10)
    item, first, second = st.columns([1.2, 2.4, 2.4], gap="medium")
    with item:
        listings.wanted(run, query, before, after)
    for column, name, variant, ranking in (
        (first, "Before", before, lists.before),
        (second, "After", after, lists.after),
    ):
        with column:
            st.markdown(f"**{name}: {words.plain(variant_name(variant))}**", help=words.word("similarity").help)
            listings.why(run, query, variant)
            listings.rank_list(run, ranking, "to" if name == "Before" else "from")


def page() -> None:
    """The page."""
    selection = state.current()
    run = selection.run
    widgets.heading("retrieval")
    if listings.nothing_to_find(run):
        return
    name = data.facts(run).name
    failures.landing(run, selection.variant)
    widgets.section("What a variant changes", "Both are ranked on the same queries and compared query by query.")
    before, after = sides(selection.variant)
    result = data.ask(retrieval.compare, run, before, after)
    verdict(result, before, after)
    edits.control(run, before, after)
    leaderboard.measures(run, before, after)
    left, right = st.columns(2, gap="large")
    with left, widgets.guard():
        gain(run)
    with right:
        shrinkage(run, float(data.ask(retrieval.evaluate, run, "none").evaluation.recall[1]))
    recommendation.card(run)
    browser(run, result, selection.variant)
    commands = [
        f"retrieval-lens evaluate {words.shell(name)} --variant {words.shell(variant)}" for variant in (before, after)
    ]
    lines = widgets.python("retrieval", name, f"retrieval.compare(run, {before!r}, {after!r}).table")
    widgets.reproduce("\n".join(commands), lines)


page()
