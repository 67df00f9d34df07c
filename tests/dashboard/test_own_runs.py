"""The form that starts a run: where it is there, what it refuses, how a look and a run end; and what stands above every
page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from dashboard_driver import PAGES, healthy, show, texts
from PIL import Image
from streamlit.testing.v1 import AppTest

from core import pipeline
from core.commands.serve import NEW_RUNS
from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.errors import UserError
from core.exhibits.shared import belonging
from core.questions import fidelity, retrieval
from core.run import Run, open_run
from core.store import Store
from dashboard.data import own_runs

PATIENCE = 200.0


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`drawn`, 12 queries of the demo world, and `photos`, pictures that are none of it, both by demo-clip."""
    root = tmp_path_factory.mktemp("own-runs")
    pictures = root / "pictures"
    pictures.mkdir()
    rows = []
    for n in range(6):
        Image.effect_noise((48, 48), 40.0 + 20 * n).convert("RGB").save(pictures / f"{n}.png")
        rows.append({"file": f"{n}.png", "captions": [f"a photograph, number {n}", f"noise of strength {n}"]})
    (pictures / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model, sae = ModelSpec(name="demo-clip"), SaeSpec(source="shipped")
    for name, corpus in (
        ("drawn", CorpusSpec(source="demo", limit=12)),
        ("photos", CorpusSpec(source="folder", path=str(pictures))),
    ):
        pipeline.run(RunSpec(name=name, corpus=corpus, model=model, sae=sae), Store(root / "cache"))
    return root


@pytest.fixture
def store(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(cache / "cache"))
    monkeypatch.setenv(NEW_RUNS, "on")
    own_runs.starter.clear()
    yield Store(cache / "cache")
    own_runs.starter().cancel()
    ended()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


def ended() -> own_runs.Desk:
    wait_until(lambda: not own_runs.starter().desk().running)
    return own_runs.starter().desk()


def folders(app: AppTest) -> list[str]:
    """What stands in the form's field for a folder; [] where there is no form."""
    return [field.value for field in app.text_input if field.label == "Folder"]


# -- above every page ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_chance_reaches_and_what_does_not_belong_together(page: str, store: Store) -> None:
    run = open_run("photos", store)
    belonging.belonging(run)
    app = show(page, run="photos", other="drawn")
    healthy(app, page)
    written = texts(app)
    level = retrieval.chance_levels(run)[5]
    assert f"@5 <b>{100 * level:.2f}%</b>" in written
    assert "photos: model and data do not belong together" in written
    explained = fidelity.fidelity(run).explained
    assert all(f"{100 * value:.0f}% of {of}".replace("-", "−") in written for of, value in explained.items())
    assert "drawn: " not in written.split('class="lens-banner"')[1].split("</div>")[0]


def test_the_demo_on_its_own_world_has_no_banner(store: Store) -> None:
    run = open_run("drawn", store)
    assert belonging.belonging(run) == belonging.Belonging()
    app = show("concepts", run="drawn")
    assert 'class="lens-banner"' not in texts(app) and "By chance alone" in texts(app)


def test_each_rule_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, photos = open_run("drawn", store), open_run("photos", store)
    low = replace_explained(fidelity.fidelity(drawn), 0.31)
    monkeypatch.setattr(belonging.fidelity, "fidelity", lambda run: low)
    found = belonging.belonging(drawn)
    assert found.what == "the SAE does not stand for these items" and len(found.reasons) == 1
    assert "31% of the variance of images and 31% of the variance of texts, less than 50%" in found.reasons[0]
    monkeypatch.setattr(belonging.fidelity, "fidelity", lambda run: replace_explained(low, 0.5))
    assert belonging.belonging(drawn).what == ""
    found = belonging.belonging(photos)
    assert len(found.reasons) == 1 and "demo world only" in found.reasons[0]


def replace_explained(figures: fidelity.Fidelity, value: float) -> fidelity.Fidelity:
    """The same figures with another explained variance."""
    table = figures.table.copy()
    table.loc[table["figure"].str.startswith("explained variance"), "value"] = value
    return replace(figures, table=table)


def test_chance_is_that_of_a_random_ranking(store: Store) -> None:
    # 6 queries with 2 relevant among 12 candidates: 1 - C(10, k) / C(12, k).
    levels = retrieval.chance_levels(open_run("photos", store))
    assert levels[1] == pytest.approx(2 / 12)
    assert levels[5] == pytest.approx(1 - (7 * 6) / (12 * 11))


def test_a_run_without_a_task_has_no_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    for n in range(3):
        Image.new("RGB", (9, 9), (80 * n, 0, 0)).save(tmp_path / f"{n}.png")
    corpus = CorpusSpec(source="folder", path=str(tmp_path))
    made: Run = pipeline.run(
        RunSpec(corpus=corpus, model=ModelSpec(name="demo-clip"), sae=SaeSpec(source="none")), Store(tmp_path / "cache")
    )
    assert retrieval.chance_levels(made) == {}
    assert belonging.belonging(made).figures == ()


# -- the form --------------------------------------------------------------------------------------------------------


def test_the_form_is_away_where_others_reach_the_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NEW_RUNS)
    address: dict[str, object] = {"server.address": "0.0.0.0", "server.allowedHosts": []}
    monkeypatch.setattr(st, "get_option", address.get)
    assert not own_runs.may_start_runs()
    address["server.address"] = None
    assert not own_runs.may_start_runs()
    address["server.address"] = "127.0.0.1"
    assert own_runs.may_start_runs()
    address["server.allowedHosts"] = ["lab.example"]  # a proxy leads others here
    assert not own_runs.may_start_runs()
    monkeypatch.setenv(NEW_RUNS, "on")
    assert own_runs.may_start_runs()


def test_the_page_says_why_the_form_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_runs, "may_start_runs", lambda: False)
    app = show("runs", run="drawn")
    healthy(app, "runs")
    assert "serve --new-runs" in texts(app) and folders(app) == []


def test_a_look_finds_and_a_run_of_it_finishes(store: Store, cache: Path) -> None:
    own_runs.starter().look(own_runs.Asked(str(cache / "pictures"), "demo-clip", "none", 3))
    with pytest.raises(UserError, match="one at a time"):
        own_runs.starter().look(own_runs.Asked(str(cache), "demo-clip"))
    desk = ended()
    assert desk.plan is not None and desk.plan["parts"]["queries"] == {"image": 3}, desk.error
    app = show("runs", run="drawn")
    healthy(app, "runs")
    text = next(area.value for area in app.text_area if "[corpus]" in area.value)
    own_runs.begin(text.replace("demo-clip-pictures-task4", "from-a-page"))
    assert ended().status.run == "from-a-page"
    assert open_run("from-a-page", store).spec.corpus.limit == 3
    app = show("runs", run="drawn")
    assert "from-a-page is finished" in texts(app)


def test_a_folder_that_is_none_is_refused_in_four_parts(store: Store) -> None:
    own_runs.starter().look(own_runs.Asked("--help", "demo-clip"))  # a folder, whatever it looks like
    error = ended().error
    assert error is not None and error.what == "no such corpus" and error.got == "--help" and error.todo
    app = show("runs", run="drawn")
    assert "no such corpus" in "\n".join(box.value for box in app.warning)
    assert folders(app) == ["--help"], "what was filled in stays"


@pytest.mark.parametrize("folder", ["", "a\0b", "x" * 5000])
def test_what_can_be_no_path_starts_nothing(folder: str, store: Store) -> None:
    with pytest.raises(UserError):
        own_runs.starter().look(own_runs.Asked(folder, "demo-clip"))
    assert own_runs.starter().desk() == own_runs.Desk()


@pytest.mark.parametrize(
    "text", ["[corpus", '[corpus]\nsource = "folder"\n', 'surprise = 1\n[corpus]\nsource = "demo"']
)
def test_the_spec_is_checked_as_a_file_is(text: str, store: Store) -> None:
    with pytest.raises(UserError):
        own_runs.begin(text)
    assert own_runs.unfinished_runs() == []


def test_a_cancelled_run_is_listed_and_can_go_on_or_be_forgotten(store: Store, cache: Path) -> None:
    text = f'name = "slow"\n[corpus]\nsource = "folder"\npath = {json.dumps(str(cache / "pictures"))}\n'
    text += '[model]\nname = "demo-clip"\n[sae]\nsource = "train"\nwidth = 64\nk = 4\nbatch = 64\nsteps = 10000000\n'
    own_runs.begin(text)
    wait_until(lambda: "train SAE" in own_runs.starter().desk().status.doing)
    assert "Running slow" in texts(show("runs", run="drawn")) and own_runs.unfinished_runs() == []
    own_runs.starter().cancel()
    assert ended().cancelled and own_runs.unfinished_runs() == ["slow"]
    app = show("runs", run="drawn")
    healthy(app, "runs")
    assert "slow was cancelled" in texts(app)
    next(button for button in app.button if button.label == "Go on").click().run()
    wait_until(lambda: "train SAE" in own_runs.starter().desk().status.doing)
    own_runs.starter().cancel()
    assert ended().cancelled
    own_runs.forget("slow")
    assert own_runs.unfinished_runs() == []
    with pytest.raises(UserError, match="no such unfinished run"):
        own_runs.go_on("slow")


def test_an_empty_cache_has_the_form_on_the_runs_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path))
    monkeypatch.setenv(NEW_RUNS, "on")
    own_runs.starter.clear()
    st.cache_data.clear()
    assert folders(show("runs")) == [""]
    assert folders(show("overview")) == []
