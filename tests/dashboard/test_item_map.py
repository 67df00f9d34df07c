"""The map: how points are packed, what the browser's part does with them, and the page around it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dashboard_driver import Tab, healthy, show, story, texts

from core.questions import map as item_map
from core.questions import retrieval, selection
from core.run import Run, open_run
from core.store import Store
from dashboard.charts import base
from dashboard.charts import item_map as charts
from dashboard.words import percent

ASSETS = Path(charts.__file__).parents[1] / "assets" / "map"
HOSTILE = "<b>bold</b> <img src=x onerror=alert(1)> <script>alert(1)</script> &lt;"


# -- packing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 8, 9, 1000])
def test_bits_come_back_as_the_points_they_were_made_of(n: int) -> None:
    chosen = np.flatnonzero(np.random.default_rng(n).random(n) < 0.3)
    assert charts.points_of(charts.bits(chosen, n), n).tolist() == chosen.tolist()


@pytest.mark.parametrize("text", ["", "§", "AAAA", base64.b64encode(bytes(99)).decode()])
def test_bits_of_another_map_are_no_points(text: str) -> None:
    assert len(charts.points_of(text, 100)) == 0


def test_a_bit_beyond_the_last_point_is_no_point() -> None:
    assert charts.points_of(base64.b64encode(b"\xff\xff").decode(), 10).tolist() == list(range(10))


def test_coordinates_keep_the_proportions() -> None:
    xy = charts.coordinates(np.array([[0.0, 5.0], [4.0, 5.0], [4.0, 7.0]]))
    assert xy[:, 0].tolist() == [0, charts.SPAN, charts.SPAN]
    assert int(xy[2, 1]) - int(xy[0, 1]) == pytest.approx(charts.SPAN / 2, abs=1)
    assert len(set(map(tuple, charts.coordinates(np.ones((3, 2))).tolist()))) == 1


def test_modalities_have_their_colours_and_rare_kinds_are_grey_together() -> None:
    legend, (codes,) = charts.of_kinds([np.array(["image", "text", "text"])])
    assert {kind["name"]: kind["colour"] for kind in legend.kinds} == {"image": base.IMAGE, "text": base.TEXT}
    assert [legend.kinds[code]["name"] for code in codes] == ["image", "text", "text"]
    many = np.array([f"kind{i}" for i in range(15) for _ in range(20 - i)])
    legend, (codes,) = charts.of_kinds([many])
    assert len(legend.kinds) == charts.MAP_COLOURS + 1 and legend.kinds[-1] == {"name": "other", "colour": base.CONTROL}
    assert sum(legend.kinds[code]["name"] == "other" for code in codes) == 20 - 12 + 20 - 13 + 20 - 14
    assert len({kind["colour"] for kind in legend.kinds}) == len(legend.kinds)


def test_numbers_have_a_scale_and_grey_where_there_is_none() -> None:
    values = np.array([np.nan, 0.0, 1.0, 2.0, 1000.0])
    legend, (codes,) = charts.of_numbers([values], "a query", "in no list", whole=True)
    assert [legend.kinds[codes[0]]["name"], legend.kinds[codes[1]]["name"]] == ["a query", "in no list"]
    assert legend.scale is not None and codes[2] >= legend.scale["first"]
    assert codes[4] == max(codes) == len(legend.kinds) - 1
    assert legend.scale["low"] == "0" and "and more" in legend.scale["high"]


# -- in the browser, the component by itself -------------------------------------------------------------------------


class Mounted:
    """The component on an empty page, and what it told Python."""

    def __init__(self, page: Any, n: int = 400, background: str = "#fdfdfc") -> None:
        rng = np.random.default_rng(0)
        self.page, self.n = page, n
        self.xy = [rng.integers(0, 65536, (n, 2)).astype("<u2") for _ in range(2)]
        self.kinds = (np.arange(n) % 3).astype(np.uint8)
        colours = ["#3b7dd8", "#e08a1e", "#159a92"]
        codes = charts.packed(self.kinds)
        self.data = {
            "maps": [
                {"id": str(at), "title": f"<i>{at}</i>", "note": "n", "xy": charts.packed(xy), "codes": codes}
                for at, xy in enumerate(self.xy)
            ],
            "n": n, "queries": 100, "rows": "", "scale": None, "by": "kind", "title": "Kind", "selection": "",
            "kinds": [{"name": f"<u>{c}</u>", "colour": c} for c in colours],
            "rings": [], "ring": "#c4497a", "items": "./items/abc", "keys": "keys",
        }  # fmt: skip
        style, markup = ((ASSETS / name).read_text() for name in ("map.css", "map.html"))
        page.set_content(
            f"<!doctype html><style>:root {{ --st-background-color: {background}; --st-text-color: #1d2530;"
            f" --st-border-color: #ccc; --st-primary-color: #0e7c7b }} {style}</style><div id=root>{markup}</div>"
        )
        code = "\n".join(path.read_text() for path in sorted(ASSETS.glob("*.js")))
        page.add_script_tag(content=f"{{ {code.replace('export default function', 'window.mounted = function')} }}")
        page.evaluate("window.told = []")
        self.update()

    def update(self, **changed: Any) -> None:
        self.data |= changed
        self.page.evaluate(
            "data => mounted({data, parentElement: document.getElementById('root'),"
            " setTriggerValue: (name, value) => told.push([name, value])})",
            self.data,
        )
        self.rest()

    def rest(self) -> None:
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def screen(self, side: int) -> np.ndarray:
        """(n, 2) where the points lie on the page, before anyone moved the map."""
        box = self.page.locator("canvas.overlay").nth(side).bounding_box()
        scale = 0.94 * min(box["width"], box["height"]) / 65535
        off = (self.xy[side].astype(float) - 65535 / 2) * scale
        return np.column_stack([box["x"] + box["width"] / 2 + off[:, 0], box["y"] + box["height"] / 2 - off[:, 1]])

    def told(self) -> list[Any]:
        return self.page.evaluate("told")

    def selected(self) -> list[int]:
        name, text = self.told()[-1]
        assert name == "selection"
        return charts.points_of(text, self.n).tolist()

    def colour_at(self, side: int, x: float, y: float) -> list[int]:
        """What is painted at a place of the page."""
        return self.page.evaluate(
            "([side, x, y]) => { const c = document.querySelectorAll('canvas.points')[side];"
            " const b = c.getBoundingClientRect();"
            " return [...c.getContext('2d').getImageData(Math.floor((x - b.left) * c.width / b.width),"
            " Math.floor((y - b.top) * c.height / b.height), 1, 1).data].slice(0, 3); }",
            [side, x, y],
        )

    def drag(self, *places: tuple[float, float]) -> None:
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=3)
        self.page.mouse.up()
        self.rest()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(120_000)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


@pytest.mark.browser
def test_a_box_selects_what_lies_in_it_in_both_maps(page: Any) -> None:
    made = Mounted(page)
    page.get_by_role("button", name="Box").click()
    at = made.screen(0)
    (left, top), (right, bottom) = np.percentile(at, [20, 55], axis=0)
    made.drag((left, top), (right, bottom))
    inside = np.flatnonzero((at[:, 0] > left) & (at[:, 0] < right) & (at[:, 1] > top) & (at[:, 1] < bottom))
    edge = np.minimum(np.abs(at - [left, top]), np.abs(at - [right, bottom])).min(axis=1) < 1.5
    assert {i for i in made.selected() if not edge[i]} == {int(i) for i in inside if not edge[i]}
    assert f"{len(made.selected())} of 400 selected" in page.locator(".status").inner_text()
    # In the other map too, the selected ones are strong and the others faint.
    chosen, other = made.selected()[0], next(i for i in range(400) if i not in made.selected())
    places = made.screen(1)
    strong, faint = (min(made.colour_at(1, *places[i])) for i in (chosen, other))
    assert strong < 140 and faint > 200


@pytest.mark.browser
def test_a_lasso_selects_the_points_inside_and_ctrl_adds(page: Any) -> None:
    made = Mounted(page)
    page.get_by_role("button", name="Lasso").click()
    at = made.screen(0)
    middle, size = at.mean(axis=0), 70.0
    x, y = middle
    corners = [(x, y - size), (x + size, y), (x, y + size), (x - size, y)]
    made.drag(*corners, corners[0])
    far = np.abs(at - middle).sum(axis=1)  # a diamond: the sum of both distances
    first, clear = made.selected(), np.abs(far - size) > 3  # clear: not on the line itself
    assert {i for i in first if clear[i]} == {int(i) for i in np.flatnonzero((far < size) & clear)}
    page.keyboard.down("Control")
    made.drag(*[(x - 110, y) for x, y in corners], (corners[0][0] - 110, corners[0][1]))
    page.keyboard.up("Control")
    assert set(first) < set(made.selected())


@pytest.mark.browser
def test_a_click_names_the_item_and_dragging_moves_the_map(page: Any) -> None:
    made = Mounted(page)
    at = made.screen(0)
    gap = np.linalg.norm(at[:, None] - at[None], axis=2) + 1e9 * np.eye(len(at))
    query, candidate = (int(rows[np.argmax(gap[rows].min(axis=1))]) for rows in (np.arange(100), np.arange(100, 400)))
    page.mouse.click(*at[query])
    page.mouse.click(*at[candidate])
    assert made.told() == [["point", f"queries:{query}"], ["point", f"candidates:{candidate - 100}"]]
    before = made.colour_at(0, *at[query])
    made.drag((at[:, 0].mean(), at[:, 1].mean()), (at[:, 0].mean() + 60, at[:, 1].mean() + 30))
    assert made.colour_at(0, at[query][0] + 60, at[query][1] + 30) == pytest.approx(before, abs=60)
    assert len(made.told()) == 2


@pytest.mark.browser
def test_the_keyboard_selects_moves_and_clears(page: Any) -> None:
    made = Mounted(page)
    page.locator(".legend button").nth(1).focus()
    page.keyboard.press("Enter")
    assert made.selected() == np.flatnonzero(made.kinds == 1).tolist()
    canvas = page.locator("canvas.overlay").first
    canvas.focus()
    picture = page.locator("canvas.points").first.evaluate("c => c.toDataURL()")
    page.keyboard.press("ArrowRight")
    made.rest()
    assert page.locator("canvas.points").first.evaluate("c => c.toDataURL()") != picture
    page.keyboard.press("0")
    made.rest()
    assert page.locator("canvas.points").first.evaluate("c => c.toDataURL()") == picture
    page.keyboard.press("Escape")
    assert made.told()[-1] == ["selection", ""]
    assert "keys" in canvas.get_attribute("aria-label")


@pytest.mark.browser
def test_words_of_others_stay_words(page: Any) -> None:
    made = Mounted(page)
    page.evaluate(
        "words => { window.fetch = async () => ({ok: true, json: async () =>"
        " ({text: words, name: words, image: 'javascript:alert(1)'})}) }",
        HOSTILE,
    )
    at = made.screen(0)[5]
    page.mouse.move(*at)
    page.locator(".card p").first.wait_for()
    assert page.locator(".card p").all_inner_texts() == [HOSTILE, HOSTILE]
    assert page.evaluate("[...document.querySelectorAll('.card *')].map(e => e.tagName)") == ["P", "P"]
    assert page.locator(".legend button").first.inner_text() == "<u>#3b7dd8</u>"
    assert page.locator("figcaption").first.inner_text() == "<i>0</i>"
    assert page.evaluate("document.querySelectorAll('u, i, b, script:not([src])').length") == 1  # our own script


@pytest.mark.browser
def test_the_background_is_the_themes(page: Any) -> None:
    made = Mounted(page, n=2, background="#12161c")
    box = page.locator("canvas.points").first.bounding_box()
    assert made.colour_at(0, box["x"] + 3, box["y"] + 3) == [0x12, 0x16, 0x1C]


@pytest.mark.browser
def test_a_selection_of_python_is_shown_and_views_stay(page: Any) -> None:
    made = Mounted(page)
    made.update(selection=charts.bits(np.arange(7), 400))
    assert "7 of 400 selected" in page.locator(".status").inner_text()
    made.drag((250, 400), (300, 430))
    picture = page.locator("canvas.points").first.evaluate("c => c.toDataURL()")
    made.update(title="Other")
    assert page.locator("canvas.points").first.evaluate("c => c.toDataURL()") == picture


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_page_answers_its_own_title(run: Run, small_store: Store) -> None:
    app = show("map", run="small")
    healthy(app, "map")
    before, after = (item_map.modality_mixing(run, variant) for variant in ("none", "realign"))
    said = re.sub("<.*?>", "", story(app))
    assert percent(before.share) in said and percent(after.share) in said and percent(before.expected) in said
    assert f"n = {before.items} items" in texts(app)


def test_a_selection_in_the_link_is_described(run: Run, small_store: Store) -> None:
    chosen = selection.named(run, range(12))
    app = show("map", run="small", selected=chosen)
    healthy(app, "map")
    assert any("12 items selected" in one.value for one in app.subheader)
    ranks = retrieval.evaluate(run, "realign").ranks[:12]
    assert f"n = 12 queries, of which {(ranks > 1).sum()} have a wrong candidate first" in texts(app)
    elsewhere = show("runs", run="small", selected=chosen)
    assert "12 items selected" in texts(elsewhere)


@pytest.mark.browser
def test_a_lasso_stands_in_the_link_and_is_there_again(tab: Tab, small_cache: Path) -> None:
    run = open_run("small", Store(small_cache))
    tab.open("map", run="small", colour="side")
    tab.page.locator("canvas.overlay").first.wait_for()
    tab.page.get_by_role("button", name="query", exact=True).click()
    queries = len(run.corpus.items("queries"))
    wanted = selection.named(run, range(queries))
    tab.wait_for_link(selected=wanted)
    tab.settle("map").page.get_by_role("heading", name=f"{queries} items selected").wait_for()
    again = tab.link()
    tab.open("map", **again)
    status = f"{queries} of {selection.size(run)} selected"
    tab.page.get_by_text(status).wait_for()
    tab.page.get_by_test_id("stSidebar").get_by_role("link", name="Runs").click()
    tab.settle("runs").wait_for_link(selected=wanted)
    tab.page.get_by_test_id("stSidebar").get_by_role("button", name="Clear the selection").click()
    tab.settle("runs")
    for _ in range(100):
        if "selected" not in tab.link():
            break
        tab.page.wait_for_timeout(200)
    assert "selected" not in tab.link()
    tab.healthy()


@pytest.mark.browser
def test_looking_at_a_point_shows_the_item(tab: Tab, small_cache: Path) -> None:
    run = open_run("small", Store(small_cache))
    tab.open("map", run="small")
    overlay = tab.page.locator("canvas.overlay").first
    overlay.wait_for()
    xy = charts.coordinates(item_map.positions(run, "none")).astype(float)
    candidate = len(run.corpus.items("queries")) + 3
    box = overlay.bounding_box()
    scale = 0.94 * min(box["width"], box["height"]) / charts.SPAN
    off = (xy[candidate] - charts.SPAN / 2) * scale
    tab.page.mouse.move(box["x"] + box["width"] / 2 + off[0], box["y"] + box["height"] / 2 - off[1], steps=4)
    card = tab.page.locator(".card p.words")
    card.wait_for()
    texts_ = [text or "" for part in ("queries", "candidates") for text in run.corpus.items(part).texts]
    assert card.inner_text() in texts_
    tab.healthy()
