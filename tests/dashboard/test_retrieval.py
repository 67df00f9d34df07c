"""Retrieval: the numbers are core's, and choices act on all pages."""

from __future__ import annotations

from dashboard_driver import healthy, show, texts

from core.questions import failure_groups, leaderboard, retrieval, what_if
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


def test_the_variant_of_the_sidebar_is_the_one_that_fails(run: Run) -> None:
    """One control for the variant: the count of failures, the list of failing queries and the story follow it."""
    for variant in ("none", "center"):
        app = show("retrieval", run="small", variant=variant, kind="failing", by="hub")
        healthy(app, "retrieval")
        ranks = retrieval.evaluate(run, variant).ranks
        assert f"<b>{(ranks > 1).sum()}</b> of {len(ranks)} queries fail under" in texts(app)
        assert f"Failing under {words.variant_name(variant)}" in texts(app)
        listed = next(d.value for d in app.dataframe if "rank_before" in d.value.columns)
        side = "rank_before" if variant == "none" else "rank_after"
        assert listed[side].tolist() == ranks[ranks != 1].tolist()
    assert [box.key for box in app.selectbox if box.label == "Variant"] == ["w-variant"]
    assert "After" not in [box.label for box in app.selectbox]


def test_failures_by_the_wrong_candidate_are_those_that_it_wins(run: Run) -> None:
    app, frame = show("retrieval", run="small", by="hub"), failure_groups.failing_queries(run)
    table = next(d.value for d in app.dataframe if list(d.value.columns) == ["name", "failures"])
    counts = frame["wrong"].value_counts()
    assert table["failures"].tolist() == counts.tolist()
    picked = next(d.value for d in app.dataframe if "wrong" in d.value.columns)
    assert len(picked) == counts.iloc[0]


def test_a_repair_of_one_query_says_what_core_says(run: Run) -> None:
    row = int(failure_groups.failing_queries(run)["row"].iloc[0])
    app = show("retrieval", run="small", by="hub", hub="0", repair="query", query=str(row))
    healthy(app, "retrieval")
    query = int(app.session_state["lens_choices"]["query"])
    result, frame = what_if.repairs(run, query), what_if.what_if(run, query)
    assert f"{int(frame['flips'].sum())} of {len(frame)} active concepts repair this query" in texts(app)
    assert result is not None and f"{result.tried:,} sets of up to 3 of {result.active}" in texts(app)
    if result.smallest is not None:
        assert f"{result.smallest.fixed} fixed, {result.smallest.broken} broken" in texts(app)
        assert result.smallest.rank == 1 == retrieval.evaluate(run, result.smallest.variant).ranks[query]
