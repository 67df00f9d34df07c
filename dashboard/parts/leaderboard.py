"""A run's numbers as a leaderboard prints them, before and after, at every depth."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.questions import leaderboard
from dashboard import data, words
from dashboard.parts import widgets

TITLE = "As a leaderboard prints it: mteb's measures at every depth"


def measures(run: str, before: str, after: str) -> None:
    """A table of two values per measure and depth, made when it is opened: it ranks to depth 1000."""
    place = st.expander(TITLE, icon=":material/leaderboard:", key=f"leaderboard-{run}", on_change="rerun")
    if not place.open:
        return
    with place, widgets.guard():
        sides = [data.ask(leaderboard.leaderboard, run, variant).set_index("k") for variant in (before, after)]
        names = list(sides[0].columns)
        cells = {
            name: [f"{a:.5f} → {b:.5f}" for a, b in zip(sides[0][name], sides[1][name], strict=True)] for name in names
        }
        table = pd.DataFrame({"k": sides[0].index} | cells)
        text = st.column_config.TextColumn
        settings = {name: text(f"{name}_at_k", help=words.word(f"{name}_at").help, width=140) for name in names}
        st.dataframe(table, column_config=settings | {"k": text("k", width=50, pinned=True)}, hide_index=True)
        names_of = " → ".join(words.plain(words.variant_name(variant)) for variant in (before, after))
        st.caption(
            f"{names_of}. Ratios 0 to 1. Grades of the qrels count, equal scores rank by id: mteb's own evaluation of"
            " these vectors gives the same digits. Recall elsewhere on this page is the study's, a hit rate."
        )
