"""Frames of the map in a headless browser without a graphics card, beside plotly's scattergl on the same points.

Both draw the same generated clusters at the same size and follow the same real movements of the mouse: 60 steps of
panning, 60 of a lasso. A frame is the time between two of the browser's animation frames while the mouse moves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.commands.benches.browser import chromium
from core.errors import NotAvailable

if TYPE_CHECKING:
    from playwright.sync_api import Page

Side = Literal["map", "scattergl"]
Work = Literal["panning", "lasso"]
POINTS, KINDS = 100_000, 12
WIDTH, HEIGHT, STEPS = 760, 520, 60
BAR = 100.0
"""Milliseconds that the 95th percentile of a frame of the map may take."""
FLAGS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)  # fmt: skip
"""WebGL in software, for scattergl; the map uses none."""
COLOURS = (
    "#3b7dd8", "#e08a1e", "#159a92", "#c4497a", "#8c6bd1", "#7a8b2e",
    "#4aa3c7", "#b5651d", "#5f9b86", "#d16ba5", "#6b7280", "#a3a83a",
)  # fmt: skip
CLOCK = """window.frames_ = []; window.clocked = false; let last = 0;
function tick(now) { if (window.clocked) { if (last) frames_.push(now - last); last = now; } else last = 0;
  requestAnimationFrame(tick); }
requestAnimationFrame(tick);"""
PAGE = (
    '<!doctype html><meta charset="utf-8"><style>:root {{ --st-text-color: #1d2530; --st-background-color: #fdfdfc;'
    " --st-border-color: #e2e4e1; --st-primary-color: #0e7c7b; --st-font: sans-serif; }} body {{ margin: 0; width:"
    " {width}px; }} {css} .view {{ height: {height}px !important; }}</style><div id=root>{html}</div>"
)


@dataclass(frozen=True)
class Frames:
    """Frames of one side doing one thing: milliseconds at the 50th and 95th percentile, and how many were seen."""

    side: Side
    work: Work
    points: int
    p50: float
    p95: float
    frames: int
    bar: float | None


def map_frames(points: int = POINTS) -> list[Frames]:
    """Panning and lasso of both sides, in one run.

    Raises:
        NotAvailable: no playwright, or no browser.
    """
    xy, kinds = clusters(points)
    measured: list[Frames] = []
    with _page() as page:
        for side, draw in (("map", _draw_map), ("scattergl", _draw_scattergl)):
            draw(page, xy, kinds)
            for work in ("panning", "lasso"):
                measured.append(_clocked(page, side, work, points))  # type: ignore[arg-type]
    return measured


def clusters(points: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) uint16 coordinates of KINDS round clusters on a circle, and the cluster of each point; seeded."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(KINDS, size=points)
    angle = kinds * 2 * pi / KINDS
    xy = np.column_stack([np.cos(angle), np.sin(angle)]) * 0.3 + 0.07 * rng.standard_normal((points, 2)) + 0.5
    return (xy.clip(0, 1) * 65535).astype("<u2"), kinds.astype(np.uint8)


def table(rows: list[Frames]) -> str:
    """The figures as lines of text."""
    lines = [f"{'':12}{'':10}{'p50 ms':>8}{'p95 ms':>8}{'frames':>8}   bar"]
    for one in rows:
        bar = f"{one.bar:.0f} ms" if one.bar else ""
        lines.append(f"{one.side:12}{one.work:10}{one.p50:8.0f}{one.p95:8.0f}{one.frames:8}   {bar}")
    return "\n".join([f"{rows[0].points:,} points, {WIDTH} x {HEIGHT} pixels, WebGL in software", *lines])


@contextmanager
def _page() -> Iterator[Page]:
    """An empty page of a headless Chromium or Chrome of this machine."""
    with chromium(FLAGS) as browser:
        page = browser.new_page(viewport={"width": WIDTH + 40, "height": HEIGHT + 260})
        page.set_default_timeout(300_000)
        yield page


def _assets() -> Path:
    """Where the dashboard keeps the map's own files; it is installed beside core, and never imported here."""
    found = find_spec("dashboard")
    if found is None or not found.submodule_search_locations:
        raise NotAvailable("the dashboard is not installed", todo="install retrieval-lens whole")
    return Path(next(iter(found.submodule_search_locations))) / "assets" / "map"


def _draw_map(page: Page, xy: np.ndarray, kinds: np.ndarray) -> None:
    folder = _assets()
    style, markup = ((folder / name).read_text(encoding="utf-8") for name in ("map.css", "map.html"))
    page.set_content(PAGE.format(width=WIDTH, height=HEIGHT, css=style, html=markup))
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.js")))
    side = {"id": "a", "title": "", "note": "", "xy": _packed(xy), "codes": _packed(kinds)}
    legend = [{"name": f"kind {k}", "colour": colour} for k, colour in enumerate(COLOURS)]
    sent: dict[str, Any] = {
        "maps": [side],
        "n": len(xy),
        "queries": len(xy),
        "rows": "",
        "kinds": legend,
        "scale": None,
    }
    sent |= {"by": "", "title": "", "selection": "", "rings": [], "ring": "#c4497a", "items": "./none", "keys": ""}
    # A module ends with what Streamlit calls: here the same is called once.
    code = code.replace("export default function", "window.mounted = function")
    page.add_script_tag(content=f"{{ {code} }}")
    page.add_script_tag(content=f"{{ {CLOCK} }}")
    page.evaluate(
        "data => mounted({data, parentElement: document.getElementById('root'), setTriggerValue: () => {}})", sent
    )
    page.wait_for_timeout(1000)


def _draw_scattergl(page: Page, xy: np.ndarray, kinds: np.ndarray) -> None:
    import plotly

    page.set_content(f'<!doctype html><div id="root" style="width:{WIDTH}px;height:{HEIGHT}px"></div>')
    page.add_script_tag(path=Path(plotly.__file__).parent / "package_data" / "plotly.min.js")
    page.add_script_tag(content=f"{{ {CLOCK} }}")
    traces = [
        {
            "type": "scattergl", "mode": "markers", "x": xy[kinds == k, 0].tolist(), "y": xy[kinds == k, 1].tolist(),
            "marker": {"size": 3, "opacity": 0.75, "color": COLOURS[k]},
        }
        for k in range(KINDS)
    ]  # fmt: skip
    layout = {
        "width": WIDTH, "height": HEIGHT, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "showlegend": False,
        "xaxis": {"visible": False}, "yaxis": {"visible": False}, "dragmode": "pan",
    }  # fmt: skip
    page.evaluate(f"Plotly.newPlot('root', {json.dumps(traces)}, {json.dumps(layout)})")
    page.wait_for_timeout(2000)


def _clocked(page: Page, side: Side, work: Work, points: int) -> Frames:
    """Move the mouse and take the time of every frame."""
    if side == "map":
        page.locator(f"[data-tool={'move' if work == 'panning' else 'lasso'}]").click()
        box = page.locator("canvas.overlay").bounding_box()
    else:
        page.evaluate(f"Plotly.relayout('root', {{dragmode: '{'pan' if work == 'panning' else 'lasso'}'}})")
        page.wait_for_timeout(1000)
        box = page.locator("#root").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + (0 if work == "panning" else 120), y)
    page.mouse.down()
    page.evaluate("frames_.length = 0; clocked = true")
    for step in range(STEPS):
        turn = 2 * pi * step / STEPS
        if work == "panning":
            page.mouse.move(x + 60 * sin(turn), y + 2 * (step - STEPS / 2))
        else:
            page.mouse.move(x + 120 * cos(turn), y + 100 * sin(turn))
    frames = np.array(page.evaluate("clocked = false, frames_"), dtype=np.float64)
    page.mouse.up()
    page.wait_for_timeout(1000)
    low, high = np.percentile(frames, [50, 95]) if len(frames) else (np.nan, np.nan)
    return Frames(side, work, points, float(low), float(high), len(frames), BAR if side == "map" else None)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
