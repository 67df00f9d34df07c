"""Modality: the numbers are core's, what has no score is said."""

from __future__ import annotations

import pytest
from dashboard_driver import healthy, metric, show, texts, waterfall

from core.questions import mixed_pools, modality
from core.run import open_run
from core.store import Store
from dashboard import words


def test_modality_numbers_are_cores(small_store: Store) -> None:
    app, found = show("modality", run="small"), modality.scores(open_run("small", small_store))
    assert metric(app, "share_text") == words.percent(found.share_text)
    assert metric(app, "share_image") == words.percent(found.share_image)
    app.segmented_control(key="w-weight").set_value("by its energy").run()
    assert metric(app, "energy_share_text") == words.percent(found.energy_share_text)


def test_choice_in_a_widget_becomes_the_state(small_store: Store) -> None:
    app = show("modality", run="small")
    app.selectbox(key="w-run").set_value("small-clip").run()
    healthy(app, "modality")
    found = modality.scores(open_run("small-clip", small_store))
    assert metric(app, "share_text") == words.percent(found.share_text)


def test_a_mixed_pool_has_its_section_with_cores_numbers(small_store: Store) -> None:
    app, run = show("modality", run="small-mixed"), open_run("small-mixed", small_store)
    healthy(app, "modality")
    answers, carried = mixed_pools.pool_answers(run), mixed_pools.carriers(run)
    assert "Which modality answers in small-mixed?" in texts(app)
    assert metric(app, "missed") == words.percent(float(answers.missed.mean()))
    assert metric(app, "bias_size") == f"{answers.bias_size.mean():.3f}"
    parts, total = waterfall(app)
    assert sum(parts) == pytest.approx(carried.margin) and total == f"{carried.margin:.3f}"
    app.selectbox(key="w-pool-variant-small-mixed").set_value("center(statistics=per-modality)").run()
    under = mixed_pools.pool_answers(run, "center(statistics=per-modality)")
    assert metric(app, "missed") == words.percent(float(under.missed.mean()))


def test_a_pool_of_one_modality_has_none(small_store: Store) -> None:
    assert "Which modality answers" not in texts(show("modality", run="small"))


def test_the_playground_tells_the_modality_of_its_query(small_store: Store) -> None:
    link = {"run": "small-mixed", "variant": "center(statistics=per-modality)", "text": "a fox in the snow"}
    app = show("playground", **link)
    healthy(app, "playground")
    assert not app.warning and "modality='text'" in texts(app)
