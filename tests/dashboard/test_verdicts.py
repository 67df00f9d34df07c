"""One truth per claim: Overview, Lesson, Exhibits page and `retrieval-lens claims` say the same of the demo's runs."""

from __future__ import annotations

import html
import json
import re

import pytest
from dashboard_driver import show, texts
from typer.testing import CliRunner

from core.commands.cli import app as command_line
from core.exhibits.claims import QUESTIONS
from core.store import Store
from dashboard.lesson.steps import STEPS

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]

PAIRS = [("demo", "demo-clip"), ("demo-task1", "demo-clip-task1"), ("demo-task7", "demo-clip-task7")]
CASES = [*((run, other, "recall@5") for run, other in PAIRS), ("demo", "demo-clip", "recall@1")]

Verdicts = set[tuple[int, str, str]]
"""(claim, run or runs, outcome)."""


def verdicts(page: str) -> Verdicts:
    """Those that Overview or Lesson show, read from their HTML."""
    pattern = r'aria-label="Claim (\d) on ([^"]+)".*?<span class="lens-badge[^"]*">([^<]+)</span>'
    return {(int(claim), html.unescape(on), outcome) for claim, on, outcome in re.findall(pattern, page, re.S)}


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[2]}")
def case(request: pytest.FixtureRequest, demo_store: Store) -> tuple[str, str, str, Verdicts]:
    """Two runs, a metric, and what the command says."""
    run, other, metric = request.param
    done = CliRunner().invoke(command_line, ["claims", run, other, "--metric", metric, "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)["claims"]
    return run, other, metric, {(one["claim"], one["on"], one["outcome"]) for one in printed}


def test_overview_lesson_and_exhibits_say_what_the_command_says(case: tuple[str, str, str, Verdicts]) -> None:
    run, other, metric, printed = case
    assert {claim for claim, _, _ in printed} == {1, 2, 3, 4}
    chosen = {} if metric == "recall@5" else {"metric": metric}
    assert verdicts(texts(show("overview", run=run, other=other, **chosen))) == printed
    for at, step in enumerate(STEPS, 1):
        if step.claim:
            page = texts(show("lesson", run=run, other=other, step=str(at), answer="true", **chosen))
            mine = {one for one in printed if one[0] == step.claim}
            # A step that has nothing to show on these runs says why in the place of its verdicts.
            nothing = {outcome for _, _, outcome in mine} == {"cannot be said"} and "pure modality" in page
            assert verdicts(page) == (set() if nothing else mine), step.title
    for question in QUESTIONS:
        option = {"x-metric": metric} if not question.column else {}
        page = texts(show("exhibits", run=run, other=other, exhibit=question.exhibit, **option))
        mine = {one for one in printed if one[0] == question.number}
        left_out = {name for name in (run, other) if f"<b>{name}</b>" in page.partition("Left out")[2]}
        assert exhibit_verdicts(page, question.number) == {one for one in mine if one[1] not in left_out}


def exhibit_verdicts(page: str, claim: int) -> Verdicts:
    """The verdicts on the claim that an exhibit's page shows."""
    pattern = r'aria-label="Claim on ([^"]+)".*?<span class="lens-badge[^"]*">([^<]+)</span>'
    return {(claim, html.unescape(on), outcome) for on, outcome in re.findall(pattern, page, re.S)}
