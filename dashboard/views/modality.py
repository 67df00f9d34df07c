"""Modality: which concepts speak text or image, where the energy is, and whether the top concepts coincide."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboard import charts, data, state, widgets, words
from dashboard.words import count, percent

SHARES = (0.005, 0.01, 0.02, 0.05)


def opening(runs: Mapping[str, str]) -> str:
    """The page's answer in one sentence."""
    told = []
    for name, key in runs.items():
        found = data.ask("modality.scores", key)
        told.append(
            f"in {name}, {percent(found.share_text)} of the concepts that fire speak only text and {percent(found.share_image)} only images"
        )
    return "; ".join(told).capitalize() + "."


@widgets.fragment
def distributions(runs: Mapping[str, str]) -> None:
    """Modality scores of each run, by count or by energy, on the same scale."""
    widgets.section(
        "Do concepts speak text or image?", "Modality score of every concept that fires (Eq 4): 1 fires on texts only, 0 on images only."
    )
    by = state.pick(st.segmented_control, "weight", "Count each concept", ["once", "by its energy"])
    weighted = by != "once"
    found = {name: data.ask("modality.scores", key) for name, key in runs.items()}
    column = "energy" if weighted else "concepts"
    top = 1.08 * max(float((s.histogram[column] / max(s.histogram[column].sum(), 1e-12)).max()) for s in found.values())
    grid = st.grid(len(runs), min_column_width=300, gap="medium")
    for name, scores in found.items():
        with grid.cell():
            n = f"{count(scores.alive)} concepts that fire"
            text, image = (scores.energy_share_text, scores.energy_share_image) if weighted else (scores.share_text, scores.share_image)
            prefix = "energy_" if weighted else ""
            title = f"{name}: {percent(text, 0)} text, {percent(image, 0)} image"
            widgets.figure(title, charts.modality_histogram(scores.histogram, weighted, top), f"modality-{name}", scores.histogram)
            widgets.metrics(
                [(f"{prefix}share_text", text, n), (f"{prefix}share_image", image, n), ("alive", scores.alive, "")], minimum=130
            )
            if scores.dead or scores.undefined:
                st.caption(
                    f"{count(scores.dead)} concepts never fire here and have no score; {count(scores.undefined)} fire only on items that hold both."
                )


@widgets.fragment
def scatter(runs: Mapping[str, str]) -> None:
    """Energy against modality score; a click leads to the concept."""
    widgets.section("Where is the energy?", "Each point is a concept that fires. Click one to open it.")
    grid = st.grid(len(runs), min_column_width=300, gap="medium")
    for name, key in runs.items():
        table = data.ask("modality.scores", key).by_energy
        with grid.cell():
            first = table.iloc[0] if len(table) else None
            title = name if first is None else f"{name}: the strongest concept is {int(first['concept'])} “{first['label']}”"
            widgets.figure(
                title, charts.energy_by_modality(table), f"energy-{name}", table, help=words.explain("energy", len(table), "concepts"),
                on_select=state.clicked(f"point-{name}", f"energy-{name}"), selection_mode="points",
            )  # fmt: skip
            if picked := state.get(f"point-{name}"):
                number, label = str(picked).split(":", 1)
                state.link("concepts", f"Open concept {number} · {label}", concept=int(number), run=run_name(key))
                )


def concentration(runs: Mapping[str, str]) -> None:
    """How few concepts hold 99% of the energy."""
    found = {name: data.ask("modality.cumulative_energy", key) for name, key in runs.items()}
    title = "; ".join(f"{name}: {percent(c.share_for_99)} of the concepts hold 99% of the energy" for name, c in found.items())
    chart = charts.cumulative_energy({n: c.curve for n, c in found.items()}, {n: c.share_for_99 for n, c in found.items()})
    table = pd.concat([c.curve.assign(run=name) for name, c in found.items()])
    note = "Study (COCO-Caption): 4.5 and 2.3% in CLIP and SigLIP2, 5.4 and 7.9% in Qwen3-VL and PaliGemma2. Concentration is not special to MLLMs."
    widgets.figure(title, chart, "cumulative", table, note, help=words.explain("share_for_99"))


@widgets.fragment
def overlaps(runs: Mapping[str, str]) -> None:
    """Whether the top concepts by energy, attribution and bridge score are the same ones."""
    share = state.pick(
        st.segmented_control, "top", "Top share of all concepts", list(SHARES), default=0.01, format_func=lambda s: f"{100 * s:g}%", help=words.explain("overlap")
    )  # fmt: skip
    found = {name: data.ask("modality.overlaps", key, share) for name, key in runs.items()}
    title = "; ".join(f"{name}: {percent(float(t['overlap'].iloc[-1]), 0)} shared by all three" for name, t in found.items())
    reference = words.STUDY_OVERLAPS if share == 0.01 else None
    sizes = ", ".join(f"{count(t['n'].iloc[0])} concepts per set in {name}" for name, t in found.items())
    note = f"{sizes}. " + ("Dots: the study's models on COCO-Caption (Table 1)." if reference else "The study gives the top 1% only.")
    widgets.figure(title, charts.overlaps(found, reference), "overlaps", pd.concat([t.assign(run=n) for n, t in found.items()]), note)


def run_name(key: str) -> str:
    """A run's name in links."""
    return next((choice.name for choice in data.runs() if choice.key == key), key)


def page() -> None:
    """The page."""
    selection = state.current()
    keys = [k for k in (selection.run, selection.other) if k]
    runs = {run_name(key): key for key in keys}
    widgets.heading("modality")
    st.markdown(f"**{opening(runs)}**")
    distributions(runs)
    scatter(runs)
    widgets.section(
        "How few concepts hold it, and are they the same ones?", "Left: energy of the strongest concepts. Right: overlap of top sets."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        concentration(runs)
    with right:
        overlaps(runs)
    name = next(iter(runs))
    widgets.reproduce(
        f"retrieval-lens concepts {name} --sort modality",
        widgets.python("modality", name, "modality.scores(run)"),
    )


page()
