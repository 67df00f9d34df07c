"""Exhibits: figures and tables of the study on the chosen runs, beside its printed numbers."""

from typing import Any

import streamlit as st

from dashboard import data, state, widgets, words


def formats(table: Any) -> dict[str, Any]:
    """Four digits for ratios, thousands marks for counts."""
    column = st.column_config.NumberColumn
    return {c: column(format="%.4f" if table[c].dtype.kind == "f" else "localized") for c in table if table[c].dtype.kind in "fi"}


def live(name: str, keys: list[str], names: str) -> None:
    """The exhibit measured on these runs, to the digit the command line prints."""
    st.markdown("**On your runs**", help=words.EXHIBIT_HELP)
    table = data.exhibit(name, tuple(keys))
    st.dataframe(table, hide_index=True, column_config=formats(table))
    csv = table.to_csv(index=False).encode()
    st.download_button("Download data (csv)", csv, f"{name}-{names}.csv", "text/csv", icon=":material/download:", key=f"csv-{name}")


def printed(title: str) -> None:
    """What the study printed, with what contradicts it elsewhere in the paper."""
    table = data.reported(title)
    st.markdown("**Printed in the study**", help="As printed: recall in per cent. Notes say how a number was read and what it contradicts.")
    if table.empty:
        st.caption("The study prints no numbers for this exhibit.")
        return
    models = state.pick(st.selectbox, "printed", "Model", ["all", *table["model"].unique()])
    shown = table if models == "all" else table[table["model"] == models]
    st.dataframe(shown.dropna(axis=1, how="all"), hide_index=True)
    st.caption(f"n = {words.count(len(shown))} printed numbers, for other models and data than the demo's: compare directions, not values.")


def page() -> None:
    """The page."""
    selection = state.current()
    widgets.heading("exhibits")
    known = data.exhibits()
    titles, claims = {n: title for n, title, _ in known}, {n: claim for n, _, claim in known}
    name = state.pick(st.selectbox, "exhibit", "Exhibit", list(titles), "table-1", format_func=lambda n: f"{titles[n]}: {claims[n]}")
    keys = [key for key in (selection.run, selection.other) if key]
    names = [data.facts(key).name for key in keys]
    widgets.html(f'<p class="lens-story">{claims[name]}</p>')
    with widgets.guard():
        live(name, keys, "-".join(names))
    printed(titles[name])
    command = f"retrieval-lens exhibit {name} {' '.join(names)}"
    runs = ", ".join(f'open_run("{n}", store)' for n in names)
    lines = "from core.exhibits import show_exhibit\nfrom core.run import open_run\nfrom core.store import Store\n\n"
    widgets.reproduce(command, f'{lines}store = Store.default()\nprint(show_exhibit("{name}", [{runs}]))')


page()
