"""A run from an archive, without its model and its pictures: every page works, and says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from dashboard_driver import PAGES, healthy, show, texts

from core import pipeline
from core.config import load_spec
from core.packs.pack import pack
from core.packs.unpack import unpack
from core.store import Store


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds nothing but an unpacked run of 18 pictures; the paths it names are gone."""
    from tests.torture.tiny import prepare

    folder = tmp_path_factory.mktemp("made")
    specs = prepare(folder / "here")
    run = pipeline.run(load_spec(specs["model"]), Store(folder / "cache"))
    pack(run, folder / "model.lens", thumbnails=True)
    (folder / "here").rename(folder / "gone")
    unpack(folder / "model.lens", Store(folder / "elsewhere"))
    return folder / "elsewhere"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_a_run_without_its_model(page: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(elsewhere))
    st.cache_data.clear()
    app = show(page, run="model")
    healthy(app, page)
    assert not app.error and app.selectbox(key="w-run").value == "model"


def test_the_playground_says_it_in_one_line(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(elsewhere))
    st.cache_data.clear()
    shown = texts(show("playground", run="model"))
    assert "No model to ask" in shown and "here without its model" in shown and "Traceback" not in shown


def test_heat_maps_say_it_in_one_line(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(elsewhere))
    st.cache_data.clear()
    app = show("concepts", run="model", heat="true")
    healthy(app, "concepts")
    assert "here without its model" in texts(app)
