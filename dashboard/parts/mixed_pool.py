"""The section of the Modality page on pools of several modalities: what is missed, where queries lean, what carries it.

Shown for runs whose candidates are of several modalities alone.
"""

from __future__ import annotations

import streamlit as st

from core.errors import NotAvailable
from core.questions import mixed_pools
from dashboard import data, state, words
from dashboard.charts import similarity as charts_similarity
from dashboard.charts.exhibits import draw
from dashboard.parts import listings, widgets
from dashboard.words import count, percent
from dashboard.words import exhibits as exhibit_words

SETTINGS = ("raw", "centred per side", "centred per modality", "ReAlign per side", "ReAlign per modality")
"""Those that the figure shows; the exhibit has more."""
CONCEPTS = 8
QUERIES = 50
NOTE = (
    "The candidates of this run are texts, images, or both together. A query wants the modality of its relevant"
    " candidate; a best-ranked candidate of another one is a miss, whatever it shows."
)
TERM_NOTE = (
    "For every query whose wanted modality is missed: similarity to its best relevant candidate minus that to the"
    " nearest candidate of an unwanted modality, averaged. Negative parts speak for the unwanted one."
)


@widgets.fragment
def section(name: str, key: str) -> None:
    """Everything on one run's pool."""
    widgets.section(f"Which modality answers in {name}?", NOTE)
    _settings(name, key)
    variant = state.pick(
        st.selectbox, f"pool-variant-{name}", "Look closer under", mixed_pools.VARIANTS,
        format_func=lambda one: exhibit_words.write("variant", one),
    )  # fmt: skip
    _numbers(key, variant)
    try:
        _carried(name, key, variant)
    except NotAvailable as error:
        widgets.problem(error)
    _queries(key, variant)


def _settings(name: str, key: str) -> None:
    """How often the wanted modality is missed, raw and with means per side and per modality."""
    table = data.ask(mixed_pools.by_wanted, key)
    shown = table[table["label"].isin(SETTINGS)].assign(run=name)
    whole = data.rows(data.PoolSetting, shown[shown["wanted"] == mixed_pools.ALL])
    title = "Queries that miss the wanted modality: " + ", ".join(f"{percent(s.missed, 0)} {s.label}" for s in whole)
    recalls = "; ".join(f"{s.label} {percent(s.recall_1)}" for s in whole)
    note = f"Recall@1 of all queries: {recalls}. The exhibit “Pools of several modalities” has every setting and test."
    drawn = next(one for one in draw(data.exhibit_file("mixed-pools"), shown) if "missed" in one.title)
    widgets.figure(title, drawn.figure, f"missed-{name}", shown, note, help=words.explain("missed"))


def _numbers(key: str, variant: str) -> None:
    """What is missed and how far queries lean under one variant."""
    answers = data.ask(mixed_pools.pool_answers, key, variant)
    bias = data.ask(mixed_pools.bias, key)
    n = f"{count(int(answers.judged.sum()))} queries"
    missed = float(answers.missed.sum() / max(1, answers.judged.sum()))
    widgets.metrics([("missed", missed, n), ("bias_size", float(answers.bias_size.mean()), n)], minimum=200)
    leans = ", ".join(
        f"{exhibit_words.write('modality', m)} {percent(float(near), 0)} ({percent(float(pool), 0)} of the pool)"
        for m, near, pool in zip(answers.modalities, answers.top_share.mean(axis=0), answers.pool_share, strict=True)
    )
    st.caption(
        f"Among the {answers.nearest} nearest, on average: {words.plain(leans)}. Drawn at random, the size of the bias"
        f" would be {bias.attrs['by_chance']:.3f}."
    )


def _carried(name: str, key: str, variant: str) -> None:
    """The preference for the rival as a sum of parts, and the concepts that carry most of it."""
    carried = data.ask(mixed_pools.carriers, key, variant)
    rows = carried.kinds.to_dict("records")
    worst = min(rows, key=lambda row: row["term"])
    title = (
        f"{exhibit_words.write('carrier', worst['carrier']).capitalize()} carry most of the preference for a modality"
        f" that was not wanted: {_signed(worst['term'], 3)} of {_signed(carried.margin, 3)}"
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        labels = [exhibit_words.write("carrier", row["carrier"]) for row in rows]
        chart = charts_similarity.parts(labels, [row["term"] for row in rows], "margin")
        note = f"{TERM_NOTE} n = {count(carried.queries)} queries; the parts sum to the margin within rounding."
        widgets.figure(title, chart, f"carriers-{name}", carried.kinds, note, help=words.explain("rival"))
    with right:
        st.markdown("**The concepts that speak most for the unwanted modality**", help=words.explain("margin"))
        for one in data.rows(data.Carrier, carried.concepts.head(CONCEPTS)):
            label = f"{listings.concept_name(one.concept, one.label)}: {_signed(one.term_mean, 4)}"
            state.link("concepts", label, concept=one.concept, run=data.name(key))


def _queries(key: str, variant: str) -> None:
    """The queries that lean most."""
    table = data.ask(mixed_pools.queries, key, variant, QUERIES)
    shown = table[["id", "text", "wanted", "answered", "missed", "bias_size"]]
    with st.expander(
        f"The {len(table)} of {count(table.attrs['total'])} queries that lean most", icon=":material/list:"
    ):
        st.dataframe(
            shown.rename(columns={one: exhibit_words.label(one) for one in shown}), hide_index=True,
        )  # fmt: skip


def _signed(term: float, digits: int) -> str:
    return f"{term:+.{digits}f}".replace("-", "−")
