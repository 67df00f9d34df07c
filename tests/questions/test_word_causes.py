"""Whether a concept causes a word: cases, shares and verdicts, on a small run and by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import torch

from core.analysis.variants import parse_variant
from core.errors import NotAvailable
from core.exhibits import beyond_word_causes
from core.questions import inside, word_causes
from core.run import Run


@pytest.fixture(scope="module")
def run(small_runs: Mapping[str, Run]) -> Run:
    return small_runs["small"]


def test_the_probability_is_the_models_own(run: Run) -> None:
    """By a pass of the model without anything of this project but its inputs."""
    adapter, item = run.adapter(), run.corpus.items("queries").item(0)
    inputs, _, _ = adapter.inputs([item], answer=True)
    with torch.inference_mode():
        p = adapter.model(**inputs).logits[0, -1].float().softmax(0)
    best = int(p.argmax())
    word = adapter.tokenizer.decode([best]).strip()
    raw = word_causes.probability(run, [item], word, parse_variant("none"))
    assert raw == pytest.approx(float(p[best]), rel=1e-3)
    off = parse_variant("inside(layer=-1,5=@40)")
    other = word_causes.probability(run, [item], word, off)
    changed = inside.model_under(run, off)
    inputs, _, _ = changed.inputs([item], answer=True)
    with torch.inference_mode():
        p = changed.model(**inputs).logits[0, -1].float().softmax(0)
    assert other == pytest.approx(float(p[best]) if p[best] >= p.topk(256).values[-1] else 0.0, rel=1e-3)
    assert other != pytest.approx(raw, rel=1e-3)


def test_cases_are_things_with_a_concept_of_their_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_causes, "CONVINCING", 0.999)
    table = word_causes.word_causes(run, -1, items=1)
    own = table[table["kind"] == "own"]
    assert 0 < table.attrs["named"] == len(own) and (own["control"] == own["concept"]).all()
    codes, queries = run.codes("queries"), run.corpus.items("queries")
    for case in own.itertuples():
        showing = [r for r in range(len(queries)) if case.thing in queries.truth(r)["things"]]
        firing = np.flatnonzero(codes[:, [case.concept]].toarray()[:, 0] > 0)
        assert set(firing) == set(showing), "an F1 of 1 on the queries at least"
    matched = table[table["kind"] == "matched"]
    assert (matched.groupby("thing")["control"].nunique() == word_causes.MATCHED).all()
    assert not (matched["control"] == matched["concept"]).any()
    np.testing.assert_allclose(table["fall"], 1 - table["off"] / table["raw"])
    assert (table["lowered"] == (table["fall"] >= word_causes.FALL)).all()


def cases(kind: str, falls: list[float], things: str) -> pd.DataFrame:
    rows = [{"kind": kind, "thing": thing, "fall": f} for thing, f in zip(things, falls, strict=True)]
    return pd.DataFrame(rows).assign(raw=0.5, off=lambda t: 0.5 * (1 - t["fall"]), lowered=lambda t: t["fall"] >= 0.1)


def test_shares_by_hand_and_the_verdicts_that_follow() -> None:
    table = pd.concat(
        [cases("own", [0.6, 0.2, 0.1, 0.05, 0.9], "abcde"), cases("matched", [0.2, 0.0, 0.0, -0.1], "aabb")],
        ignore_index=True,
    )
    shares = word_causes.shares(table).set_index("kind")
    assert shares.loc["own", "share_lowered"] == pytest.approx(0.8)
    assert shares.loc["own", "share_halved"] == pytest.approx(0.4)
    assert shares.loc["matched", "share_lowered"] == pytest.approx(0.25), "a: one of two, b: none of two"
    assert shares.loc["matched", "share_any_fall"] == pytest.approx(0.25)
    shown = shares.reset_index().rename(columns=beyond_word_causes.COLUMNS | {"kind": "switched"})
    verdicts = beyond_word_causes.judge(shown.assign(run="r", part=beyond_word_causes.SHARES))
    assert [v.outcome for v in verdicts] == ["agrees", "disagrees"]
    assert "80.0% of cases" in verdicts[0].why and "25.0% of cases" in verdicts[1].why


def test_a_run_that_cannot_take_part_says_why(small_runs: Mapping[str, Run]) -> None:
    with pytest.raises(NotAvailable, match="nothing to change inside"):
        word_causes.word_causes(small_runs["small-clip"])
    with pytest.raises(NotAvailable, match="no SAE reads layer 2"):
        word_causes.word_causes(small_runs["small"], 2)
