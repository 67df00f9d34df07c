"""Claims are the exhibits' own verdicts: on the six demo runs of demo-mllm and demo-clip, for every metric."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from core.commands.cli import app
from core.errors import SpecError
from core.exhibits import EXHIBITS, show_exhibit
from core.exhibits.claims import QUESTIONS, claims
from core.run import Run

pytestmark = pytest.mark.demo
PAIRS = (("demo", "demo-clip"), ("demo-task1", "demo-clip-task1"), ("demo-task7", "demo-clip-task7"))
KEYS = ["claim", "exhibit", "on", "outcome", "metric", "value", "low", "high", "n", "settings", "depends_on", "gate"]


@pytest.mark.parametrize("metric", ["recall@1", "recall@5", "recall@10"])
@pytest.mark.parametrize("pair", PAIRS)
def test_claims_are_the_exhibits_verdicts(pair: tuple[str, str], metric: str, runs: Mapping[str, Run]) -> None:
    chosen = [runs[name] for name in pair]
    judged = claims(chosen, metric, curves="cached")
    for question in QUESTIONS:
        options = {"metric": metric} if any(o.name == "metric" for o in EXHIBITS[question.exhibit].options) else {}
        shown = show_exhibit(question.exhibit, chosen, **options)
        expected = [(v.on, v.outcome, v.why) for v in shown.verdicts if v.about == "claim"]
        expected += [(left.run, "cannot be said", left.why) for left in shown.left_out]
        assert [(c.on, c.outcome, c.why) for c in judged if c.claim == question.number] == expected
        assert {c.exhibit for c in judged if c.claim == question.number} == {question.exhibit}


def test_the_claims_name_four_exhibits_in_the_studys_order(runs: Mapping[str, Run]) -> None:
    judged = claims([runs["demo"], runs["demo-clip"]], curves="cached")
    assert list(dict.fromkeys((c.claim, c.exhibit) for c in judged)) == [
        (1, "figure-2"), (2, "table-1"), (3, "table-2"), (4, "table-3"),
    ]  # fmt: skip
    assert {c.metric for c in judged if c.claim in (3, 4)} == {"recall@5"}


def test_the_command_prints_them_and_nothing_else(runs: Mapping[str, Run], demo_store: object) -> None:
    result = CliRunner().invoke(app, ["claims", "demo", "demo-clip", "--metric", "recall@1", "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert list(printed) == ["claims"]
    expected = [claim.to_json() for claim in claims([runs["demo"], runs["demo-clip"]], "recall@1")]
    assert printed["claims"] == json.loads(json.dumps(expected))
    assert all(list(claim) == KEYS for claim in printed["claims"])


def test_no_other_metric() -> None:
    """Refused before any run is looked at."""
    with pytest.raises(SpecError, match=r"metric.*recall@51.*recall@5"):
        claims([], "recall@51")
