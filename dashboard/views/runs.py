"""Runs: what is cached, how it was made, whether it is intact."""

import streamlit as st

from core import inventory
from dashboard import data, state, words
from dashboard.parts import new_run, widgets
from dashboard.words import count, duration, size


def all_runs() -> None:
    """Every run of the cache."""
    table = data.run_table()
    listed = data.rows(data.RunRow, table)
    rows = table.assign(
        size=[size(one.bytes) for one in listed],
        time=[duration(one.seconds) for one in listed],
        task=[f"{one.task} · {words.TASKS[one.task]}" for one in listed],
        created=[one.created[:16].replace("T", " ") for one in listed],
    )
    column = st.column_config
    st.dataframe(
        rows,
        hide_index=True,
        column_order=[
            "name",
            "model",
            "corpus",
            "task",
            "queries",
            "candidates",
            "sae",
            "size",
            "time",
            "created",
            "key",
        ],
        column_config={
            "name": column.TextColumn("Run", pinned=True),
            "model": column.TextColumn("Model"),
            "corpus": column.TextColumn("Corpus"),
            "task": column.TextColumn("Task", help="Task type of the M-BEIR benchmark."),
            "queries": column.NumberColumn("Queries", format="localized", help=words.explain("queries")),
            "candidates": column.NumberColumn("Candidates", format="localized", help=words.explain("candidates")),
            "sae": column.TextColumn("SAE", help="Where the sparse autoencoder comes from."),
            "size": column.TextColumn("Size", help=words.explain("bytes")),
            "time": column.TextColumn("Time", help=words.explain("seconds")),
            "created": column.TextColumn("Made (UTC)"),
            "key": column.TextColumn("Key", help="Hash of everything that decides the run's numbers."),
        },
    )


def broken_runs() -> None:
    """Runs that cannot be opened, with what to do; nothing where all are whole."""
    broken = data.broken_runs()
    if broken.empty:
        return
    st.error(f"Broken runs: {count(len(broken))}. The others are not touched by that.")
    column = st.column_config
    st.dataframe(
        broken,
        hide_index=True,
        column_config={
            "name": column.TextColumn("Run", pinned=True),
            "key": column.TextColumn("Key"),
            "why": column.TextColumn("What is wrong", width="large"),
            "next": column.TextColumn("What to do", width="large"),
        },
    )


def settings(run: str) -> None:
    """Spec and folders of the chosen run."""
    card = data.recent(inventory.card, run)
    made, folders = st.columns(2, gap="medium")
    with made:
        st.markdown(
            "**Settings**",
            help="The run's spec with every default filled in; the key is a hash of what decides its numbers.",
        )
        st.dataframe(card.settings.replace("None", "–"), hide_index=True, height=360)
    with folders:
        st.markdown("**Folders**", help="Everything the run was made from, and answers computed for it.")
        listed = data.rows(data.FolderRow, card.folders)
        rows = card.folders.assign(
            size=[size(one.bytes) for one in listed], time=[duration(one.seconds) for one in listed]
        )
        st.dataframe(rows, hide_index=True, height=360, column_order=["stage", "folder", "size", "time"])


@widgets.fragment
def integrity(run: str) -> None:
    """Check the checksums on request."""
    if not st.button(
        "Verify checksums",
        icon=":material/verified:",
        help="Reads every file of the run and compares with its manifest.",
    ):
        return
    with st.spinner("Reading every file …"):
        files = data.in_turn(inventory.verify, run)
    broken = files[~files["ok"]]
    if len(broken):
        st.error(
            f"{count(len(broken))} of {count(len(files))} files differ from their manifests. On the command line,"
            " `retrieval-lens verify --repair` sets them aside and says what to repeat."
        )
        st.dataframe(broken, hide_index=True)
    else:
        st.success(f"All {count(len(files))} files match their checksums.", icon=":material/verified:")


def page() -> None:
    """The page."""
    run = state.current().run
    facts = data.facts(run)
    widgets.heading("runs")
    widgets.facts({"Cache": data.root()})
    all_runs()
    broken_runs()
    new_run.section()
    name = words.shell(facts.name)
    widgets.section(f"Run {facts.name}", "Choose another in the sidebar.")
    settings(run)
    integrity(run)
    st.markdown("**On the command line**")
    st.code(
        f"retrieval-lens show {name}\nretrieval-lens verify {name}\n"
        f"retrieval-lens export {name} --out exported/{name}\nretrieval-lens remove {name}",
        language="bash",
    )
    st.caption("Removing a run keeps what other runs share with it.")


page()
