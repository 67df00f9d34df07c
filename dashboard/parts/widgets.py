"""Pieces that pages share: headings, numbers, figures, item cards, highlighted tokens, heat maps, and
empty states.

Every text that comes from data is escaped. Galleries are one HTML grid with embedded thumbnails: they wrap by
themselves and cost one element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.errors import CacheCorrupt, NotAvailable, UserError
from dashboard import words
from dashboard.charts import base as charts
from dashboard.data import ItemView

STYLE = Path(__file__).parents[1] / "assets" / "style.css"

# -- frame and failures ----------------------------------------------------------------------------------------------


def style() -> None:
    """The few rules the theme cannot say."""
    st.html(f"<style>{STYLE.read_text(encoding='utf-8')}</style>")


def close_menu() -> None:
    """On a phone, where the menu covers the page, close it; Streamlit does so only for its own menu."""
    button = "document.querySelector('[data-testid=stSidebarCollapseButton] button')"
    with st.sidebar:
        st.html(f"<script>if (innerWidth < 768) {button}?.click()</script>", unsafe_allow_javascript=True)


def heading(page: str, lead: str | None = None) -> None:
    """Title of a page and one sentence on what it answers."""
    title, _, sentence = words.PAGES[page]
    st.title(title, anchor=False)
    html(f'<p class="lens-lead">{escape(lead or sentence)}</p>')


def section(title: str, note: str = "") -> None:
    """A heading inside a page, with one quiet line below."""
    st.subheader(words.plain(title), anchor=False)
    if note:
        html(f'<p class="lens-note">{escape(note)}</p>')


def problem(error: UserError) -> None:
    """A user's error as a help box: what, got, allowed, next."""
    missing = isinstance(error, NotAvailable)
    lines = [f"**{words.prose(error.what)}**"]
    lines += [f"Given: {words.plain(_listed(error.got))}"] if error.got is not None else []
    lines += [f"Possible: {words.plain(_listed(error.allowed))}"] if error.allowed is not None else []
    lines += [f"Next: {words.prose(error.todo)}"] if error.todo else []
    show = st.error if isinstance(error, CacheCorrupt) else st.info if missing else st.warning
    show("\n\n".join(lines), icon=":material/add_circle:" if missing else ":material/help:")


@contextmanager
def guard() -> Iterator[None]:
    """Show a user's error in place of what it prevented."""
    try:
        yield
    except UserError as error:
        problem(error)


def fragment(body: Callable[..., Any]) -> Callable[..., None]:
    """A part of a page that reruns alone, with its own guard."""

    @st.fragment
    @wraps(body)
    def guarded(*arguments: Any, **named: Any) -> None:
        with guard():
            body(*arguments, **named)

    return guarded


def empty(title: str, reason: str, command: str | None = None, icon: str = ":material/inbox:") -> None:
    """Nothing to show: what, why, and the command that changes it."""
    with st.container(border=True):
        st.markdown(f"#### {icon} {words.plain(title)}")
        st.markdown(words.prose(reason))
        if command:
            st.code(command, language="bash")


# -- numbers ---------------------------------------------------------------------------------------------------------


def metrics(figures: Sequence[tuple[str, float | int | None, str]], minimum: int = 150) -> None:
    """Cards of named numbers: (word, value, what n is, e.g. "1,000 queries"). The definition is the tooltip."""
    grid = st.grid(len(figures), min_column_width=minimum, gap="xsmall")
    for name, value, n in figures:
        word = words.word(name)
        grid.metric(word.label, word.write(value), help=word.help + (f" n = {n}." if n else ""), border=True)


def facts(pairs: Mapping[str, Any]) -> None:
    """A quiet line of facts."""
    html(
        '<p class="lens-facts">'
        + "".join(f"<span>{escape(k)} <b>{escape(str(v))}</b></span>" for k, v in pairs.items())
        + "</p>"
    )


def badge(text: str, kind: str = "") -> str:
    """A small label as HTML; kinds: agrees, differs, depends, unsaid, partly, up, down, text, image, relevant."""
    return f'<span class="lens-badge {kind}">{escape(text)}</span>'


def html(code: str) -> None:
    """Markup of ours; data in it must be escaped already."""
    st.html(code)


def plain_html(text: str) -> str:
    """A model's or a user's words as HTML."""
    return escape(text).replace("\n", "<br>")


def bar(share: float, written: str, help: str = "") -> str:
    """A small bar of a share 0-1 with its number, as HTML."""
    width = f"{100 * min(max(share, 0.0), 1.0):.0f}%"
    inner = f'<div><div style="width:{width}"></div></div><span>{escape(written)}</span>'
    return f'<div class="lens-meter" title="{escape(help)}">{inner}</div>'


# -- figures ---------------------------------------------------------------------------------------------------------


def figure(
    title: str, chart: go.Figure, key: str, table: pd.DataFrame, note: str = "", help: str | None = None, **more: Any
) -> Any:
    """A figure whose title says what is seen, with its data and picture to download (picture: camera in the figure's
    corner)."""
    picture = {
        "format": "svg",
        "filename": f"retrieval-lens-{key}",
        "width": 900,
        "height": max(480, chart.layout.height or 0),
    }
    config = charts.CONFIG | {"toImageButtonOptions": picture}
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key=f"lens-head-{key}"):
        st.markdown(f"**{words.plain(title)}**", help=help)
        st.download_button(
            "CSV", csv(table), f"retrieval-lens-{key}.csv", "text/csv", key=f"csv-{key}",
            icon=":material/download:", type="tertiary", on_click="ignore", help="Download the data of this figure",
        )  # fmt: skip
    result = st.plotly_chart(chart, key=f"chart-{key}", config=config, alt=title, **more)
    if note:
        html(f'<p class="lens-note">{escape(note)}</p>')
    return result


def csv(table: pd.DataFrame) -> Callable[[], str]:
    """A table as CSV, written when it is downloaded: writing 32,768 rows with each view took half a second."""
    return partial(table.to_csv, index=False)


def reproduce(command: str | None = None, python: str | None = None) -> None:
    """The command or the lines of Python that give this page's main number."""
    with st.expander("Reproduce", icon=":material/terminal:"):
        if command:
            st.code(command, language="bash")
        if python:
            st.code(python.strip(), language="python")


def python(module: str, run: str, expression: str) -> str:
    """The lines that ask one question of a run."""
    return f"""
from core.questions import {module}
from core.run import open_run
from core.store import Store

run = open_run({run!r}, Store.default())
print({expression})
"""


# -- items -----------------------------------------------------------------------------------------------------------


def card(item: ItemView, foot: Sequence[str] = (), hit: bool = False, title: str = "") -> str:
    """One item as HTML: thumbnail, caption, and badges (already HTML) below."""
    image = f'<img src="{item.image}" alt="{escape(item.text[:80] or item.id)}" loading="lazy">' if item.image else ""
    text = f"<figcaption>{escape(title)}{escape(item.text)}</figcaption>" if item.text or title else ""
    below = f'<div class="foot">{"".join(foot)}</div>' if foot else ""
    return f'<figure class="lens-item{" hit" if hit else ""}" title="{escape(item.id)}">{image}{text}{below}</figure>'


def gallery(cards: Sequence[str], cell: str = "7.2rem", rows: bool = False) -> None:
    """Cards in a grid that wraps; `rows` puts each on its own line."""
    if cards:
        html(
            f'<div class="lens-gallery{" list" if rows else ""}" style="--cell:'
            f' {"100%" if rows else cell}">{"".join(cards)}</div>'
        )


def show_item(item: ItemView, foot: Sequence[str] = (), cell: str = "11rem") -> None:
    """One item by itself."""
    gallery([card(item, foot)], cell=cell, rows=item.image is None)


def tokens(activations: Sequence[tuple[str, str, float]], colour: str = charts.TEXT) -> None:
    """Words coloured by activation: (text, role, activation). Prompt and template tokens are pale."""
    html(f'<p class="lens-tokens">{token_spans(activations, colour)}</p>')


def token_spans(activations: Sequence[tuple[str, str, float]], colour: str = charts.TEXT) -> str:
    """The same as HTML, to stand inside something."""
    top = max((a for _, _, a in activations), default=0.0) or 1.0
    spans = []
    for text, role, activation in activations:
        share = round(75 * max(activation, 0.0) / top)
        pale = "opacity:.5;" if role in {"prompt", "template"} else ""
        word = escape(text.replace("\n", "⏎")) or "·"
        paint = f"{pale}background:color-mix(in srgb, {colour} {share}%, transparent)"
        spans.append(f'<span style="{paint}" title="{role}: {activation:.3f}">{word}</span>')
    return "".join(spans)


def heat(picture: Any, grid: Any, size: int = 280, colour: str = charts.IMAGE) -> Any:
    """The picture greyed, with patches coloured by activation: a PIL image."""
    import numpy as np
    from PIL import Image

    width, height = picture.size
    scale = size / max(width, height)
    shape = (round(width * scale), round(height * scale))
    base = np.asarray(picture.convert("RGB").resize(shape, Image.Resampling.LANCZOS), np.float32)
    values = np.asarray(grid, np.float32)
    values = np.clip(values / (values.max() or 1.0), 0, 1)
    mask = (
        np.asarray(
            Image.fromarray((values * 255).astype(np.uint8)).resize(shape, Image.Resampling.BILINEAR), np.float32
        )
        / 255
    )
    grey = base.mean(-1, keepdims=True) * 0.55 + 90
    tint = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    mixed = grey * (1 - mask[..., None]) + (0.62 * base + 0.38 * tint) * mask[..., None]
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def _listed(value: object) -> str:
    """Several values as one text."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
