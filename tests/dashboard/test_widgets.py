"""Pieces of pages without a browser: escaping, heat maps, help boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard.data import ItemView, data_uri
from dashboard.data.memory import Bounded
from dashboard.parts import widgets


def test_text_from_data_is_escaped() -> None:
    nasty = ItemView("queries", 0, '"><script>', "text", "<img src=x onerror=alert(1)>", None, None)
    code = widgets.card(nasty, [widgets.badge("<b>")])
    assert "<script" not in code
    assert "<img" not in code
    assert "&lt;b&gt;" in code


def test_heat_colours_the_hot_patch_and_greys_the_rest() -> None:
    picture = Image.new("RGB", (64, 64), (200, 30, 30))
    shown = np.asarray(widgets.heat(picture, np.array([[1.0, 0.0], [0.0, 0.0]]), size=128), int)
    assert shown.shape == (128, 128, 3)
    hot, cold = shown[10, 10], shown[118, 118]
    assert hot.max() - hot.min() > 60
    assert cold.max() - cold.min() <= 1


def test_heat_of_an_unfiring_concept_is_grey() -> None:
    shown = np.asarray(widgets.heat(Image.new("RGB", (8, 8), (9, 200, 9)), np.zeros((2, 2)), size=16), int)
    assert (shown.max(-1) - shown.min(-1)).max() <= 1


def test_thumbnails_become_data_uris() -> None:
    assert data_uri(None) is None
    assert data_uri(Image.new("RGB", (64, 64))).startswith("data:image/png;base64,")
    assert data_uri(Image.new("RGB", (640, 64))).startswith("data:image/jpeg;base64,")


def test_memory_is_bounded_by_bytes_and_makes_each_value_once() -> None:
    memory, made = Bounded[str](10, len), []

    def make(text: str) -> str:
        made.append(text)
        return text

    for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        assert memory.get(text, lambda text=text: make(text)) == text
        assert memory.bytes() <= 10
    assert made == ["aaaa", "bbbb", "cccc", "bbbb"]  # the least recently used went
    assert memory.get("large", lambda: "x" * 50) == "x" * 50


def broken_app() -> None:
    from core.errors import NotAvailable, VariantError
    from dashboard.parts import widgets

    with widgets.guard():
        raise NotAvailable("no SAE", got="none", todo="run `retrieval-lens run X`")
    with widgets.guard():
        raise VariantError("unknown step", got="fro*b", allowed=["center", "zca"])


def test_users_errors_become_help_boxes() -> None:
    app = AppTest.from_function(broken_app, default_timeout=60).run()
    assert not app.exception
    assert "`retrieval-lens run X`" in app.info[0].value
    assert "fro\\*b" in app.warning[0].value
    assert "center, zca" in app.warning[0].value


def test_faults_of_ours_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), widgets.guard():
        1 / 0  # noqa: B018
