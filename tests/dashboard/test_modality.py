"""Modality: the numbers are core's, what has no score is said."""

from __future__ import annotations

from dashboard_driver import healthy, metric, show

from core.questions import modality
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
