"""Retrieval: what a variant repairs and breaks, where the gain comes from, query by query."""

from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import charts, data, state, widgets, words
from dashboard import widgets_deep as deep
from dashboard.words import count, percent, points

KINDS = {"all": "All", "failing": "Failing", "fixed": "Fixed", "broken": "Broken"}
STATISTICS = {"per-side": "each side's own", "support": "support split", "shared": "both sides together"}


def sides(variant: str) -> tuple[str, str]:
    """The two variants to compare: `after` is the sidebar's, or ReAlign where that is the raw one."""
    after = "realign" if variant == "none" else variant
    options = [*words.VARIANTS, *([] if after in words.VARIANTS else [after])]
    left, right = st.columns(2)
    with left:
        before = state.pick(
            st.selectbox, "before", "Before", [o for o in options if o != after], format_func=words.variant_name, help=words.VARIANT_HELP
        )
    with right:
        names = [o for o in options if o != "none"]
        at = names.index(after)
        chosen = st.selectbox("After", names, at, format_func=words.variant_name, key=f"after-{after}", help=words.AFTER_HELP)
    if chosen != after:
        deep.use_variant(chosen)
    return before, after


def verdict(found: Any, before: str, after: str) -> None:
    """The page's answer, and every metric with interval, paired difference and p."""
    n, hits = len(found.after.ranks), [int((side.ranks == 1).sum()) for side in (found.before, found.after)]
    widgets.html(
        f'<p class="lens-story">{escape(words.variant_name(after))} puts a right answer first for <b>{count(hits[1])}</b> of {count(n)} queries, '
        f"{escape(words.variant_name(before).lower())} for {count(hits[0])}: <b>{count(len(found.fixed))} fixed</b>, {count(len(found.broken))} broken.</p>"
    )
    missing = found.after.evaluation.queries_without_relevant
    if missing:
        st.caption(f"{count(missing)} queries have no relevant candidate in the pool; they count as misses.")
    names = words.variant_name(before), words.variant_name(after)
    left, right = st.columns([2, 3], gap="medium")
    recalls = found.table[found.table["metric"].str.startswith("recall")]
    with left:
        chart = charts.before_after(recalls, {m: words.word(m).label for m in recalls["metric"]}, names)
        widgets.figure("Recall, with 95% intervals", chart, "recall", found.table, help=words.explain("recall@1", n, "queries"))
    with right:
        st.markdown("**All metrics, paired query by query**", help=words.word("interval").help)
        deep.comparison(found.table, names)
        st.caption(
            f"n = {count(n)} queries, {count(found.after.evaluation.candidates)} candidates. "
            + " ".join(f"{s}." for s in found.after.notes)
        )


def gain(run: str) -> None:
    """Centring, scaling, rotation and shrinkage one after the other."""
    table = data.ask("retrieval.gain_split", run)
    best = table.loc[table["gain"].idxmax()]
    title = f"{best['label'].lstrip('+ ').capitalize()} brings most: {points(best['gain'])} of Recall@1"
    note = "Each bar adds one thing to the one above. " + "; ".join(
        f"{r.label} {points(r.gain)} ({100 * r.gain_low:+.1f} to {100 * r.gain_high:+.1f}, p {deep.p_value(r.p_value)})"
        for r in table.iloc[1:].itertuples()
    )
    widgets.figure(title, charts.steps(table), "gain-split", table, note + ".", help=words.word("gain").help)


@widgets.fragment
def shrinkage(run: str, raw: float) -> None:
    """Recall over beta, and the chosen beta evaluated live."""
    statistics = state.pick(
        st.segmented_control, "statistics", "Mean and covariance from", list(STATISTICS), format_func=STATISTICS.get, help=words.STATISTICS_HELP
    )  # fmt: skip
    beta = state.number("beta", "Shrinkage β", 0.0, 1.0, 0.1, st.slider, step=0.01, help=words.explain("beta"))
    whitening = data.run(run).spec.whitening
    expression = data.canonical(f"realign(beta={beta},eps={whitening.eps},statistics={statistics})")
    found = data.ask("retrieval.evaluate", run, expression)
    table = data.ask("retrieval.beta_sweep", run, statistics)
    best = table.loc[table["recall@1"].idxmax()]
    title = f"Recall@1 is best at β = {best['beta']:g}: {percent(best['recall@1'])}"
    widgets.figure(
        title,
        charts.beta_sweep(table, beta, raw),
        f"beta-{statistics}",
        table,
        help=words.explain("beta", found.evaluation.queries, "queries"),
    )
    low, high = found.evaluation.ci95["recall@1"]
    recalls = ", ".join(f"@{k} {percent(v)}" for k, v in found.evaluation.recall.items())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"β = {beta:g}: Recall {recalls} (95% interval of @1: {words.interval(low, high)})", width="stretch")
        if st.button("Use as variant", icon=":material/check:", key="use-beta", help=f"`{expression}` on all pages"):
            deep.use_variant(expression)


def browser(run: str, found: Any, before: str, after: str) -> None:
    """Queries to choose from, and both rankings of the chosen one."""
    widgets.section("Query by query", "Choose a query: both rankings stand side by side, relevant candidates outlined.")
    counts = {
        "all": len(found.after.ranks),
        "failing": int((found.after.ranks != 1).sum()),
        "fixed": len(found.fixed),
        "broken": len(found.broken),
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = state.pick(
            st.segmented_control,
            "kind",
            "Queries",
            list(KINDS),
            format_func=lambda k: f"{KINDS[k]} {count(counts[k])}",
            help=words.KIND_HELP,
        )
        search = state.text("find", "Search", placeholder="fox, snow, test-17 …", help=words.FIND_HELP)
    frame = data.ask("retrieval.query_list", run, before, after, kind, search, 100)
    if frame.empty:
        widgets.empty(
            "No such query",
            f"No query of the kind “{KINDS[kind].lower()}” fits{' “' + search + '”' if search else ''}.",
            icon=":material/search_off:",
        )
        return
    query = state.within("query", "query", 0, counts["all"] - 1, int(frame["row"].iloc[0]))
    table, columns = deep.listing(run, "queries", frame, rank_before=frame["rank_before"], rank_after=frame["rank_after"])
    columns |= {
        c: st.column_config.NumberColumn(f"Rank {c[5:]}", help=words.word("rank").help, format="%d", width=110)
        for c in ("rank_before", "rank_after")
    }
    rows = frame["row"].tolist()
    state.table(
        "query",
        table,
        rows,
        query,
        f"{run}-{before}-{after}-{kind}-{search}",
        height=min(320, 37 + 40 * len(frame)),
        row_height=40,
        column_config=columns,
    )
    total = frame.attrs["total"]
    st.caption(
        f"{count(len(frame))} of {count(total)} shown{'; search to see others' if total > len(frame) else ''}. Rank of the first relevant candidate; 1 is best."
    )
    rankings(run, query, before, after, found)


def rankings(run: str, query: int, before: str, after: str, found: Any) -> None:
    """One query: the item, and its ten best candidates on both sides."""
    lists = data.ask("retrieval.rankings", run, query, before, after, 10)
    ranks = found.before.ranks[query], found.after.ranks[query]
    badge = widgets.badge(f"rank {ranks[0]} → {ranks[1]}", "up" if ranks[1] < ranks[0] else "down" if ranks[1] > ranks[0] else "partly")
    middle = st.columns([1.2, 2.4, 2.4], gap="medium")
    with middle[0]:
        st.markdown(f"**Query {query}**", help=words.word("rank").help)
        widgets.show_item(data.item(run, "queries", query), [badge])
        for row in data.run(run).qrels("test").relevant(query)[:3]:
            wanted = data.item(run, "candidates", int(row))
            widgets.gallery([widgets.card(wanted, [widgets.badge("relevant", "relevant")], hit=True)], rows=True)
    for column, variant, ranking, moved in ((middle[1], before, lists.before, "to"), (middle[2], after, lists.after, "from")):
        with column:
            st.markdown(f"**{'Before' if moved == 'to' else 'After'}: {words.variant_name(variant)}**")
            deep.why(run, query, variant)
            deep.rank_list(run, ranking, moved)


def page() -> None:
    """The page."""
    selection = state.current()
    run = selection.run
    widgets.heading("retrieval")
    before, after = sides(selection.variant)
    found = data.ask("retrieval.compare", run, before, after)
    verdict(found, before, after)
    left, right = st.columns(2, gap="large")
    with left:
        widgets.section("Where whitening's gain comes from", "The study reports the sum; most of it may be centring alone.")
        with widgets.guard():
            gain(run)
    with right:
        widgets.section("How much shrinkage", "Move β: the variant is fitted and evaluated at once.")
        shrinkage(run, float(data.ask("retrieval.evaluate", run, "none").evaluation.recall[1]))
    browser(run, found, before, after)
    name = data.facts(run).name
    widgets.reproduce(
        f'retrieval-lens evaluate {name} --variant "{before}"\nretrieval-lens evaluate {name} --variant "{after}"',
        deep.python(name, "retrieval", f'print(retrieval.compare(run, "{before}", "{after}").table)'),
    )


page()
