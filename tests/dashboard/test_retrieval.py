"""Retrieval: the numbers are core's, and choices act on all pages."""

from __future__ import annotations

from dashboard_driver import healthy, show, texts

from core.questions import leaderboard, retrieval
from core.run import Run
from dashboard import words


def test_retrieval_numbers_are_cores(run: Run) -> None:
    app, found = show("retrieval", run="small"), retrieval.compare(run, "none", "realign")
    healthy(app, "retrieval")
    shown = texts(app)
    assert f"{len(found.fixed):,} fixed" in shown
    assert f"{int((found.after.ranks == 1).sum()):,}</b> of {len(found.after.ranks):,} queries" in shown
    table = next(d.value for d in app.dataframe if "difference" in d.value.columns).set_index("metric")
    for row in found.table.itertuples():
        word = words.word(row.metric)
        assert table.loc[word.label, "after"].startswith(word.write(row.after))
        assert table.loc[word.label, "before"].startswith(word.write(row.before))


def test_the_leaderboards_numbers_are_made_when_they_are_opened(run: Run) -> None:
    place = f"leaderboard-{run.key}"
    closed = show("retrieval", run="small")
    assert not [d for d in closed.dataframe if "recall" in d.value.columns]
    closed.session_state[place] = True
    opened = closed.run()
    healthy(opened, "retrieval")
    table = next(d.value for d in opened.dataframe if "recall" in d.value.columns).set_index("k")
    before, after = (leaderboard.leaderboard(run, variant).set_index("k") for variant in ("none", "realign"))
    for name in before:
        shown = [f"{a:.5f} → {b:.5f}" for a, b in zip(before[name], after[name], strict=True)]
        assert table[name].tolist() == shown


def test_beta_slider_evaluates_at_once(run: Run) -> None:
    app = show("retrieval", run="small")
    app.slider(key="w-beta").set_value(0.37).run()
    found = retrieval.evaluate(run, f"realign(beta=0.37,eps={run.spec.whitening.eps})").evaluation
    assert f"β = 0.37: Recall @1 {words.percent(found.recall[1])}, @5 {words.percent(found.recall[5])}" in texts(app)


def test_choosing_an_after_changes_the_variant_of_all_pages(run: Run) -> None:
    app = show("retrieval", run="small")
    app.selectbox(key="after-realign").set_value("center").run()
    assert app.selectbox(key="w-variant").value == "center"
