"""Modality: which concepts speak text or image, where the energy is, and whether the top concepts coincide."""

from collections.abc import Mapping
from math import isnan
from typing import Any

import pandas as pd
import streamlit as st

from core.questions import mixed_pools, modality
from dashboard import data, state, words
from dashboard.charts import modality as charts_modality
from dashboard.parts import fidelity, mixed_pool, widgets
from dashboard.words import count, percent

SHARES = (0.005, 0.01, 0.02, 0.05)
STUDY_ENERGY = (
    "Study (COCO-Caption): 4.5 and 2.3% in CLIP and SigLIP2, 5.4 and 7.9% in Qwen3-VL and PaliGemma2: every model"
    " concentrates."
)


def opening(runs: Mapping[str, str]) -> str:
    """The page's answer in one sentence."""
    clauses = []
    for name, key in runs.items():
        scores = data.ask(modality.scores, key)
        text, image, one = (
            percent(s, 0) for s in (scores.share_text, scores.share_image, scores.share_text + scores.share_image)
        )
        clauses.append(f"in {name}, {one} of the scored concepts speak one modality only ({text} text, {image} images)")
    return "I" + "; ".join(clauses)[1:] + "."


@widgets.fragment
def distributions(runs: Mapping[str, str]) -> None:
    """Modality scores of each run, by count or by energy, on the same scale."""
    note = "Modality score of every concept that fires (Eq 4): 1 fires on texts only, 0 on images only."
    widgets.section("Do concepts speak text or image?", note)
    weighted = state.pick(st.segmented_control, "weight", "Count each concept", ["once", "by its energy"]) != "once"
    by_run = {name: data.ask(modality.scores, key) for name, key in runs.items()}
    column = "energy" if weighted else "concepts"
    top = 1.08 * max(
        float((s.histogram[column] / max(s.histogram[column].sum(), 1e-12)).max()) for s in by_run.values()
    )
    grid = st.grid(len(runs), min_column_width=300, gap="medium")
    for name, scores in by_run.items():
        n = f"{count(scores.alive)} concepts that fire"
        text, image = (
            (scores.energy_share_text, scores.energy_share_image)
            if weighted
            else (scores.share_text, scores.share_image)
        )
        prefix = "energy_" if weighted else ""
        with grid.cell():
            title = f"{name}: {percent(text)} text, {percent(image)} image"
            widgets.figure(
                title,
                charts_modality.modality_histogram(scores.histogram, weighted, top),
                f"modality-{name}",
                scores.histogram,
            )
            widgets.metrics([(f"{prefix}share_text", text, n), (f"{prefix}share_image", image, n)], minimum=130)
            silent = f"{count(scores.alive)} concepts fire; {count(scores.dead)} never do here and have no score"
            st.caption(
                f"{silent}; {count(scores.undefined)} fire only on items that hold both.", help=words.explain("alive")
            )


@widgets.fragment
def scatter(runs: Mapping[str, str]) -> None:
    """Energy against modality score; a click leads to the concept."""
    widgets.section("Where is the energy?", "Each point is a concept that fires. Click one to open it.")
    grid = st.grid(len(runs), min_column_width=300, gap="medium")
    for name, key in runs.items():
        table, picked = data.ask(modality.scores, key).by_energy, f"point-{name}"
        title = (
            f"{name}: strongest is concept {table['concept'].iloc[0]} “{table['label'].iloc[0]}”"
            if len(table)
            else name
        )
        select: dict[str, Any] = {"on_select": state.clicked(picked, f"energy-{name}"), "selection_mode": "points"}
        with grid.cell():
            help = words.explain("energy", len(table), "concepts")
            shown = len(charts_modality.drawn_rows(len(table)))
            note = words.THINNED.format(shown=count(shown), all=count(len(table))) if shown < len(table) else ""
            widgets.figure(
                title, charts_modality.energy_by_modality(table), f"energy-{name}", table, note, help=help, **select
            )
            if point := state.get(picked):
                number, _, label = str(point).partition(":")
                if number in map(str, table["concept"]):
                    state.link("concepts", f"Open concept {number} · {label}", concept=int(number), run=data.name(key))
                else:
                    state.notice(f"There is no concept “{point}” in {name}.")
                    state.put(**{picked: None})


def concentration(runs: Mapping[str, str]) -> None:
    """How few concepts hold 99% of the energy."""
    curves = {name: data.ask(modality.cumulative_energy, key) for name, key in runs.items()}
    title = "99% of the energy is in " + ", ".join(
        f"{percent(c.share_for_99)} of {name}'s concepts" for name, c in curves.items()
    )
    chart = charts_modality.cumulative_energy(
        {n: c.curve for n, c in curves.items()}, {n: c.share_for_99 for n, c in curves.items()}
    )
    table = pd.concat([c.curve.assign(run=name) for name, c in curves.items()])
    widgets.figure(title, chart, "cumulative", table, STUDY_ENERGY, help=words.explain("share_for_99"))


@widgets.fragment
def overlaps(runs: Mapping[str, str]) -> None:
    """Whether the top concepts by energy, attribution and bridge score are the same ones."""
    above, help = st.container(), words.explain("overlap")
    share = state.pick(
        st.segmented_control,
        "top",
        "Top share of all concepts",
        SHARES,
        default=0.01,
        format_func=percent_of,
        help=help,
    )
    tables = {name: data.ask(modality.overlaps, key, share) for name, key in runs.items()}
    title = "All three top sets share " + ", ".join(
        f"{percent(float(t['overlap'].iloc[-1]), 0)} in {name}" for name, t in tables.items()
    )
    reference = words.STUDY_OVERLAPS if share == 0.01 else None
    sizes = ", ".join(f"{count(t['n'].iloc[0])} concepts per set in {name}" for name, t in tables.items())
    note = f"{sizes}. " + (
        "Marks: the study's models on COCO-Caption (Table 1)." if reference else "The study gives the top 1% only."
    )
    with above:
        table = pd.concat([t.assign(run=n) for n, t in tables.items()])
        widgets.figure(title, charts_modality.overlaps(tables, reference), "overlaps", table, note, help=help)


def percent_of(share: float) -> str:
    """0.005 -> `0.5%`."""
    return f"{100 * share:g}%"


def page() -> None:
    """The page."""
    selection = state.current()
    runs = {data.name(key): key for key in (selection.run, selection.other) if key}
    widgets.heading("modality")
    scored = {name: key for name, key in runs.items() if not isnan(data.ask(modality.scores, key).share_text)}
    for name in runs.keys() - scored.keys():
        why = (
            "Eq 4 compares items that are only text with items that are only an image, and this run lacks one of the"
            " two."
        )
        widgets.empty(
            f"No modality scores in {name}",
            f"{why} Its captioned counterpart, such as “demo”, has both.",
            icon=":material/contrast:",
        )
    if scored:
        st.markdown(f"**{words.plain(opening(scored))}**")
    for name, key in runs.items():
        if data.ask(mixed_pools.is_mixed_pool, key):
            mixed_pool.section(name, key)
    if scored:
        distributions(scored)
        scatter(scored)
    widgets.section("How few concepts hold the energy, and are they the same ones?")
    left, right = st.columns(2, gap="medium")
    with left:
        concentration(runs)
    with right:
        overlaps(runs)
    for name, key in runs.items():
        fidelity.line(key, name if len(runs) > 1 else "")
    name = next(iter(runs))
    python = widgets.python("modality", name, "modality.scores(run)")
    widgets.reproduce(f"retrieval-lens concepts {words.shell(name)} --sort modality", python)


page()
