"""The card of the recommended remedy: core's numbers, a button where nothing is cached, and the variant it names."""

from __future__ import annotations

import pytest
from dashboard_driver import healthy, show, texts

from core.questions import recommend
from core.run import Run
from core.store import Store
from dashboard import words


def forget(store: Store) -> None:
    """Delete the recommendations of the cache."""
    for folder in store.folders("answer"):
        if folder.manifest["spec"]["question"] == "recommend":
            store.remove(folder)


def test_nothing_is_computed_before_somebody_asks(run: Run, small_store: Store) -> None:
    forget(small_store)
    app = show("retrieval", run="small")
    healthy(app, "retrieval")
    assert recommend.stored(run) is None and "numbers to keep" not in texts(app)
    app.button(key="recommend-support").click().run()
    healthy(app, "retrieval")
    assert recommend.stored(run) is not None and "numbers to keep" in texts(app)


@pytest.mark.parametrize("labels", ["support", "none"])
def test_the_card_shows_cores_numbers(run: Run, labels: recommend.Labels) -> None:
    found = recommend.recommend(run, labels)
    app = show("retrieval", run="small", labels=labels)
    healthy(app, "retrieval")
    shown = texts(app)
    assert f"{found.advice[0].upper()}{found.advice[1:]}</p>" in shown
    assert f"{words.count(found.cost.numbers)}</b>" in shown
    if found.score is not None and found.remedy != "raw":
        assert f"{words.percent(found.score.raw)} → {words.percent(found.score.recall)}" in shown
    assert any(f"recommend small{'' if labels == 'support' else ' --labels none'} --out" in c.value for c in app.code)


def test_the_advice_becomes_the_variant(run: Run) -> None:
    found = recommend.recommend(run, "none")
    app = show("retrieval", run="small", labels="none")
    if not found.use:
        assert not [button for button in app.button if button.key == "use-recommended"]
        return
    app.button(key="use-recommended").click().run()
    healthy(app, "retrieval")
    assert app.selectbox(key="w-variant").value == found.variant
