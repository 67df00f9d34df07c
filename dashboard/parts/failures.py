"""Failing queries under the variant of the sidebar: what they have in common, and what causes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.questions import failure_groups, failures, retrieval
from dashboard import data, state, words
from dashboard.parts import repairs, widgets
from dashboard.parts.listings import concept_name, listing
from dashboard.words import count, percent

BY = {"cause": "By cause", "error": "By kind of error", "hub": "By wrong candidate"}
NEXT = {"look": "Look first", "query": "Repair one query", "group": "Repair the group"}
UNASKED = 4e9
"""Scores (queries x candidates x concepts) that are computed in the background without being asked for."""
LISTED = 100
POLL = 2.0


@dataclass(frozen=True)
class Group:
    """Failing queries that belong together: what joins them, and their rows."""

    name: str
    rows: tuple[int, ...]


def landing(run: str, variant: str) -> None:
    """All failing queries, in groups; those chosen can be repaired."""
    frame = data.ask(failure_groups.failing_queries, run, variant)
    story(run, variant, len(frame))
    if frame.empty:
        widgets.empty("No query fails", "Every query has a relevant candidate first.", icon=":material/task_alt:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        has_sae = data.run(run).sae is not None
        options = [by for by in BY if (by != "cause" or has_sae) and (by != "error" or frame["kind"].any())]
        by = state.pick(st.segmented_control, "by", "Failures", options, format_func=BY.get, help=words.BY_HELP)
    left, right = st.columns([8, 7], gap="medium")
    with left:
        group = {"cause": by_cause, "error": by_error, "hub": by_hub}[by](run, variant, frame)
    with right:
        picked = queries_of(run, frame[frame["row"].isin(group.rows)], group, f"{run}-{variant}-{by}")
    if not picked or not has_sae:
        return
    do = state.pick(st.segmented_control, "repair", "Next", list(NEXT), format_func=NEXT.get)
    if do == "query":
        repairs.one_query(run, variant, picked)
    elif do == "group":
        repairs.group(run, variant, group.name, picked)


def story(run: str, variant: str, failing: int) -> None:
    """How many fail, and the recall that goes with it."""
    evaluation = data.ask(retrieval.evaluate, run, variant).evaluation
    name, n = escape(words.variant_name(variant)), evaluation.queries
    widgets.html(f'<p class="lens-story"><b>{count(failing)}</b> of {count(n)} queries fail under {name}.</p>')
    none = evaluation.queries_without_relevant
    missing = f" {count(none)} more have no relevant candidate in the pool." if none else ""
    ends = words.interval(*evaluation.ci95["recall@1"])
    by_chance = percent(data.ask(retrieval.chance, run, 1), 2)
    st.caption(
        f"A query fails where its first candidate is wrong: Recall@1 is {percent(evaluation.recall[1])} ({ends}), by"
        f" chance {by_chance}.{missing} The variant is chosen in the sidebar.",
        help=words.explain("recall@1", n, "queries"),
    )


# -- groups ----------------------------------------------------------------------------------------------------------


def by_cause(run: str, variant: str, frame: pd.DataFrame) -> Group:
    """Concepts with the failures attributed to them and those they cause; until the latter are measured, the former."""
    table = causes(run, variant)
    number = st.column_config.NumberColumn
    help = words.CAUSES_HELP
    columns = {
        "name": st.column_config.TextColumn("Concept", help=words.LABEL_HELP, width=140),
        "attributed": number("Attributed", help=help, format="%d", width=84),
        "causal": number("Causal", help=help, format="%d", width=68),
        "broken": number("Broken", help=help, format="%d", width=68),
        "change": number("Recall@1", help=f"{help} In points.", format="%+.1f", width=84),
    }
    if table is None:
        known = data.ask(failures.failing_concepts, run, variant).head(LISTED)
        shown = pd.DataFrame({"name": _names(known), "attributed": known["decided"]})
        concept = _group_table("cause", shown, known["concept"].tolist(), f"{run}-{variant}-attributed", columns)
        if concept is None:
            return Group("every failure", tuple(frame["row"]))
        rows = data.ask(failures.decided_by, run, concept, variant)["row"]
        return Group(f"concept {concept}, attributed", tuple(map(int, rows)))
    attrs, table = table.attrs, table.head(LISTED)
    shown = table[["attributed", "causal", "broken"]].assign(change=100 * table["change"])
    shown.insert(0, "name", _names(table))
    concept = _group_table("cause", shown, table["concept"].tolist(), f"{run}-{variant}-causal", columns)
    st.caption(
        f"{count(attrs['caused'])} of {count(attrs['failures'])} failures succeed once a single concept is off;"
        f" {count(attrs['measured'])} concepts measured. {words.STATISTICS_OF_EDITS[attrs['statistics']]}",
        help=help,
    )
    if concept is None:
        return Group("every failure", tuple(frame["row"]))
    (row,) = table[table["concept"] == concept].to_dict("records")
    ends = f"{100 * row['change_low']:+.1f} to {100 * row['change_high']:+.1f}"
    matched = f"more than {row['beyond']} of {row['controls']} concepts as frequent and as strong"
    widgets.html(
        f'<p class="lens-note">{escape(concept_name(concept, row["label"]))}: causes {row["causal"]}, {matched};'
        f" breaks {row['broken']}. Recall@1 {words.points(row['change'])} ({ends}), p {row['p']:.3f} corrected.</p>"
    )
    return Group(
        f"concept {concept_name(concept, row['label'])}",
        tuple(data.ask(failure_groups.caused_by, run, concept, variant)),
    )


def causes(run: str, variant: str) -> pd.DataFrame | None:
    """The measured causes; None, with a note or a button, while they are not there."""
    facts = data.facts(run)
    scores = float(facts.queries) * facts.candidates * data.ask(failure_groups.measured_count, run)
    asked = str(state.get("measure", "")) == variant or scores <= UNASKED
    if not asked:
        if st.button("Measure the causes", icon=":material/experiment:", help=words.CAUSES_HELP):
            state.put(measure=variant)
            st.rerun()
        return None
    table = data.ask_later(failure_groups.causes, run, variant)
    if table is None:
        _measuring(run, variant)
    return table


@st.fragment(run_every=POLL)
def _measuring(run: str, variant: str) -> None:
    """Draw the page again once the causes are there."""
    if data.ask_later(failure_groups.causes, run, variant) is not None:
        st.rerun()
    st.caption(f":material/hourglass_top: {words.CAUSES_COMING} Until then: attributed.", help=words.CAUSES_HELP)


def by_error(run: str, variant: str, frame: pd.DataFrame) -> Group:
    """What the wrong candidate has right, by the demo world's ground truth."""
    counts = frame["kind"].value_counts()
    kinds = [kind for kind in counts.index if kind]
    return _counted("error", [words.ERRORS[kind] for kind in kinds], [frame[frame["kind"] == k] for k in kinds], frame)


def by_hub(run: str, variant: str, frame: pd.DataFrame) -> Group:
    """Wrong candidates that stand first for many queries."""
    wrong = frame["wrong"].value_counts().head(LISTED)
    parts = [frame[frame["wrong"] == c] for c in wrong.index]
    names = [part["wrong_text"].iloc[0] or f"candidate {c}" for part, c in zip(parts, wrong.index, strict=True)]
    return _counted("hub", names, parts, frame)


def _counted(name: str, names: Sequence[str], parts: Sequence[pd.DataFrame], frame: pd.DataFrame) -> Group:
    shown = pd.DataFrame({"name": names, "failures": [len(part) for part in parts]})
    columns = {
        "name": st.column_config.TextColumn({"error": "Error", "hub": "Wrong candidate"}[name], width="large"),
        "failures": st.column_config.NumberColumn("Failures", format="%d", width=74),
    }
    at = _group_table(name, shown, list(range(len(parts))), name, columns)
    if at is None:
        return Group("every failure", tuple(map(int, frame["row"])))
    return Group(names[at], tuple(map(int, parts[at]["row"])))


def _group_table(name: str, shown: pd.DataFrame, rows: list[int], key: str, columns: dict[str, Any]) -> int | None:
    """A table of groups; the chosen one, by default the first."""
    if not rows:
        return None
    chosen = state.get(name)
    current = next((row for row in rows if str(row) == str(chosen)), rows[0])
    state.table(name, shown, rows, current, key, height=min(320, 38 + 35 * len(rows)), column_config=columns)
    state.keep(name)
    return current


def _names(table: pd.DataFrame) -> list[str]:
    return [concept_name(int(k), label) for k, label in zip(table["concept"], table["label"], strict=True)]


# -- queries ---------------------------------------------------------------------------------------------------------


def queries_of(run: str, frame: pd.DataFrame, group: Group, key: str) -> list[int]:
    """The failing queries of a group; several may be chosen, none chosen means all of them."""
    if frame.empty:
        st.caption("No failing query belongs to this group.")
        return []
    rows = frame["row"].tolist()
    part = frame.head(LISTED)
    table, columns = listing(run, "queries", part, "medium", rank=part["rank"], wrong=part["wrong_text"])
    columns["rank"] = st.column_config.NumberColumn("Rank", help=words.explain("rank"), format="%d", width=60)
    columns["wrong"] = st.column_config.TextColumn("First, but wrong", width="medium")
    if not part["wrong_text"].any():
        table = table.drop(columns="wrong")
    picked = state.several(
        "picked", table, part["row"].tolist(), f"{key}-{group.name}", height=320, column_config=columns
    )
    more = f" The first {LISTED} are listed." if len(rows) > LISTED else ""
    chosen = f"{count(len(picked))} chosen" if picked else "none chosen: all of them count"
    st.caption(f"{count(len(rows))} failing queries of {words.plain(group.name)}; {chosen}.{more}")
    return picked or rows
