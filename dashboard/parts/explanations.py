"""One similarity in words and tables: who is compared, which concepts speak for whom, how the parts add up, and what
removal does."""

from __future__ import annotations

from html import escape
from statistics import fmean

import pandas as pd
import streamlit as st

from core.analysis.variants import parse_variant
from core.questions import concepts, retrieval
from core.questions.similarity import Explanation
from dashboard import data, state, words
from dashboard.parts import widgets
from dashboard.parts.listings import concept_columns, concept_name, listing
from dashboard.words import count, percent, points
from dashboard.words import trust as trust_words


def duel(run: str, query: int, variant: str) -> dict[str, int]:
    """Right candidate and rival of a query as choices; where one is missing, the best-ranked others."""
    contest = data.ask(retrieval.contest, run, query, variant)
    rows = data.ask(retrieval.candidate_list, run, query, variant, "", 2)["row"].tolist()
    right = contest.right.row if contest.right else rows[0]
    wrong = contest.wrong.row if contest.wrong else rows[-1]
    return {"candidate": int(right), "rival": int(wrong)}


def similarity(value: float) -> str:
    """A similarity as small HTML with its definition."""
    return f'<span class="lens-number" title="{escape(words.explain("similarity"))}">similarity {value:.4f}</span>'


def query_picker(run: str, query: int, variant: str) -> None:
    """Another query, by search; right and wrong candidate come with it."""
    place = st.popover(
        "Another query", icon=":material/search:", width="stretch", key=f"queries-{query}", on_change="rerun"
    )
    if not place.open:
        return
    with place:
        kind = state.pick(
            st.segmented_control, "of", "Queries", ["failing", "all"], format_func=str.capitalize, help=words.KIND_HELP
        )
        search = state.text("search", "Search", placeholder="fox, snow, test-17 …", help=words.FIND_HELP)
        frame = data.ask(retrieval.query_list, run, variant, variant, kind, search, 50)
        table, columns = listing(run, "queries", frame, 170, rank=frame["rank_after"])
        columns["rank"] = st.column_config.NumberColumn("Rank", help=words.explain("rank"), format="%d", width=70)
        key, rows = f"{run}-{variant}-{kind}-{search}", frame["row"].tolist()
        state.table(
            "query", table, rows, query, key, lambda row: duel(run, row, variant), height=300, column_config=columns
        )
        st.caption(
            f"{count(len(frame))} of {count(frame.attrs['total'])} queries. Rank of the first relevant candidate."
        )


def candidate_picker(run: str, query: int, row: int, variant: str, name: str) -> None:
    """Another candidate, by rank or search."""
    place = st.popover(
        "Another candidate", icon=":material/search:", width="stretch", key=f"{name}-{query}-{row}", on_change="rerun"
    )
    if not place.open:
        return
    with place:
        search = state.text(f"find-{name}", "Search", placeholder="fox, snow …", help=words.FIND_HELP)
        frame = data.ask(retrieval.candidate_list, run, query, variant, search, 50)
        more = {column: frame[column] for column in ("rank", "similarity", "relevant")}
        table, columns = listing(run, "candidates", frame, 190, **more)
        columns["rank"] = st.column_config.NumberColumn("Rank", help=words.explain("rank"), format="%d", width=70)
        columns["similarity"] = st.column_config.NumberColumn(
            "Similarity", help=words.explain("similarity"), format="%.3f", width=90
        )
        columns["relevant"] = st.column_config.CheckboxColumn("Relevant", width=80)
        state.table(
            name,
            table,
            frame["row"].tolist(),
            row,
            f"{run}-{query}-{variant}-{search}",
            height=300,
            column_config=columns,
        )
        st.caption(f"{count(len(frame))} of {count(frame.attrs['total'])} candidates, best first.")


def leading(explanation: Explanation, view: str) -> data.Contribution | None:
    """The row that decides: the largest contribution that speaks for whoever is ahead; of a single pair, the
    largest. None where no concept fires."""
    rows = data.rows(data.Contribution, explanation.table)
    speaking = [row for row in rows if view != "margin" or (row.contribution < 0) == (explanation.similarity < 0)]
    return next(iter(speaking or rows), None)


def sentence(explanation: Explanation, view: str, by: str = trust_words.OWN) -> str:
    """The explanation in one sentence, as Markdown: what brings most, or that the dictionary `by` cannot explain it."""
    first, trust = leading(explanation, view), explanation.trust
    if first is None:
        return trust_words.NO_CONCEPT
    what = "concept" if trust_words.error(by) == "SAE error" else "direction"
    total = abs(trust.total) if trust.is_margin else trust.total
    said = {
        "winner": "wrong" if trust.total < 0 else "right",
        "total": total,
        "dictionary": trust_words.dictionary(by),
        "size": trust.size,
        "offset": trust.offset,
        "name": f"{what} {words.plain(concept_name(first.concept, first.label))}",
        "value": first.contribution,
    }
    by_offset = abs(trust.offset) > abs(first.contribution) and (trust.offset < 0) == (trust.total < 0)
    margin, pair = (
        (trust_words.UNEXPLAINED_MARGIN, trust_words.UNEXPLAINED_PAIR)
        if not trust.holds
        else (trust_words.BY_OFFSET_MARGIN, trust_words.BY_OFFSET_PAIR)
        if by_offset
        else (trust_words.BY_CONCEPT_MARGIN, trust_words.BY_CONCEPT_PAIR)
    )
    return (margin if trust.is_margin else pair).format(**said)


def parts_of(explanation: Explanation, by: str = trust_words.OWN) -> tuple[list[str], list[float], pd.DataFrame]:
    """Labels and values of the waterfall, and the same as a table."""
    error = trust_words.error(by)
    rows = data.rows(data.Contribution, explanation.table)
    concepts = [concept_name(row.concept, row.label) for row in rows]
    more = {f"{explanation.rest_count:,} other concepts": explanation.rest, "offset": explanation.offset}
    more |= {f"{error}, query": explanation.query_error, f"{error}, candidate": explanation.candidate_error}
    labels, values = [*concepts, *more], [*(row.contribution for row in rows), *more.values()]
    return labels, values, pd.DataFrame({"part": labels, "contribution": values})


def reconciled(explanation: Explanation, total: str) -> None:
    """The sum beside the score: they agree to rounding."""
    concepts = float(explanation.table["contribution"].sum()) + explanation.rest
    errors = explanation.query_error + explanation.candidate_error
    widgets.facts(
        {
            "concepts": f"{concepts:+.6f}",
            "offset": f"{explanation.offset:+.6f}",
            "SAE errors": f"{errors:+.6f}",
            f"= {total}": f"{explanation.similarity:+.6f}",
            "residual": f"{explanation.residual:.0e}",
        }
    )
    centred = (
        " Codes are taken relative to their mean, because this variant centres." if explanation.centred_codes else ""
    )
    st.caption(
        f"Every part is exact: the sum equals the score but for rounding.{centred}", help=words.word("offset").help
    )


def plain_table(explanation: Explanation) -> None:
    """The concepts of another dictionary than the run's own: to read, not to switch off."""
    number = st.column_config.NumberColumn
    columns = concept_columns(["modality_score"], {}) | {
        "contribution": number("Contribution", help=words.explain("contribution"), format="%+.4f"),
        "query_activation": number("On query", help=words.explain("activation"), format="%.2f"),
        "candidate_activation": number("On candidate", help=words.explain("activation"), format="%.2f"),
        "label": st.column_config.TextColumn("Label", help=words.LABEL_HELP, width=105),
    }
    st.dataframe(explanation.table, column_config=columns, height=380, hide_index=True)


def contribution_table(explanation: Explanation, view: str, variant: str, key: str) -> int:
    """The concepts of an explanation; returns the chosen one, by default the leading one. A concept the variant edits
    may stay chosen."""
    table, spec, chosen = explanation.table, parse_variant(variant), state.current().concept
    first = leading(explanation, view)
    assert first is not None  # the table has rows
    known = {*table["concept"], *dict(spec.edits), *spec.removed}
    concept = chosen if chosen is not None and chosen in known else first.concept
    number = st.column_config.NumberColumn
    columns = concept_columns(["modality_score"], {}) | {
        "contribution": number("Contribution", help=words.explain("contribution"), format="%+.4f"),
        "query_activation": number("On query", help=words.explain("activation"), format="%.2f"),
        "candidate_activation": number("On candidate", help=words.explain("activation"), format="%.2f"),
        "label": st.column_config.TextColumn("Label", help=words.LABEL_HELP, width=105),
    }
    state.table("concept", table, table["concept"].tolist(), concept, key, height=248, column_config=columns)
    state.keep("concept")
    return concept


def concept_of(run: str, explanation: Explanation, concept: int) -> str:
    """A concept of an explanation with what it contributes, as Markdown."""
    name = concept_name(concept, data.row(data.Concept, data.ask(concepts.table, run), concept=concept).label)
    rows = [row for row in data.rows(data.Contribution, explanation.table) if row.concept == concept]
    return words.plain(
        f"Concept {name}: {rows[0].contribution:+.4f}"
        if rows
        else f"Concept {name}: edited by this variant, not among the largest here"
    )


def removal_figures(table: pd.DataFrame, share: float) -> None:
    """Recall@1 with the chosen share removed, beside the control and no removal."""
    top, controls, none = removal_points(table, share)
    grid = st.grid(3, min_column_width=120, gap="xsmall")
    help = words.explain("recall@1", table.attrs["queries"], "queries")
    grid.metric("Top gone", percent(top.recall_1), _delta(top.recall_1 - none.recall_1), help=help, border=True)
    if controls:
        mean = fmean(control.recall_1 for control in controls)
        draws = f"{help} Mean over {len(controls)} draws."
        grid.metric("Random gone", percent(mean), _delta(mean - none.recall_1), help=draws, border=True)
    grid.metric("All kept", percent(none.recall_1), help=help, border=True, height="stretch")


def removal_points(
    table: pd.DataFrame, share: float
) -> tuple[data.RemovalPoint, list[data.RemovalPoint], data.RemovalPoint]:
    """Without the top share of concepts; without as many random ones, one per draw; and without nothing."""
    points = data.rows(data.RemovalPoint, table)
    mine = [point for point in points if point.share == share]
    top = next(point for point in mine if point.kind == "top attribution")
    none = next(point for point in points if point.share == 0)
    return top, [point for point in mine if point.kind != "top attribution"], none


def _delta(difference: float) -> str:
    """Points with a plain minus sign, by which Streamlit knows down from up."""
    return points(difference).replace("−", "-")


def removal_note(table: pd.DataFrame, share: float) -> str:
    """How many concepts and dimensions, and where attribution was measured."""
    top, _, _ = removal_points(table, share)
    source = table.attrs["fitted_on"]
    fitted = (
        "support pairs, which no number here is measured on"
        if source == "support"
        else "the test pairs themselves (there are no support pairs): optimistic"
    )
    return (
        f"At {100 * share:g}%: {count(top.concepts)} concepts, {count(top.rank)} dimensions. Attribution was"
        f" measured on {fitted}."
    )


def removal_title(table: pd.DataFrame, share: float) -> str:
    """What removal did, in one sentence."""
    top, controls, none = removal_points(table, share)
    if not share:
        return f"Recall@1 with every concept: {percent(none.recall_1)}"
    lead = f"Without the top {100 * share:g}%, Recall@1 goes from {percent(none.recall_1)} to {percent(top.recall_1)}"
    if not controls:
        return lead
    return f"{lead}; without as many random ones to {percent(fmean(control.recall_1 for control in controls))}"
