"""The gate: no verdict on concepts where the dictionary does not stand for the embeddings; hand-made dictionaries."""

from __future__ import annotations

import json
from math import nan
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from core.exhibits import EXHIBITS, beyond_dictionaries
from core.exhibits.shared import curve, gate, show
from core.exhibits.shared.gate import Standing, Thresholds, gated
from core.exhibits.shared.records import Exhibit, Settings, Verdict
from core.questions.fidelity import Fidelity

SPOKEN = Verdict(on="r", outcome="agrees", why="numbers", difference=0.1, low=0.05, high=0.15, n=10, detectable=0.2)
ON_CONCEPTS = {
    "figure-2",
    "figure-3",
    "table-1",
    "table-2",
    "failures",
    "removal-controls",
    "mediation",
    "modality-bias",
    "inside",
    "faithfulness",
    "token-split",
}


def standing(images: float = 0.9, texts: float = 0.9, kept: float = 0.9, **more: Any) -> Standing:
    """A dictionary that explains so much of each modality and keeps so much of the recall."""
    explained = {"images": images, "texts": texts}
    return Standing(
        **{"run": "r", "dictionary": "own SAE", "metric": "recall@5"} | more, explained=explained, kept=kept
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (standing(texts=0.4), "explains 40.0% of the variance of texts, less than 50%"),
        (standing(images=-0.65), "explains -65.0% of the variance of images, less than 50%"),
        (standing(kept=0.49), "its reconstructions keep 49.0% of recall@5, less than 50%"),
    ],
)
def test_a_dictionary_that_does_not_stand_for_the_embeddings_says_nothing(found: Standing, why: str) -> None:
    verdict = gated(SPOKEN, [found], Thresholds())
    assert verdict.outcome == "cannot be said" and why in verdict.why and verdict.why.endswith("beside it: numbers")
    assert (verdict.difference, verdict.low, verdict.high, verdict.n) == (0.1, 0.05, 0.15, 10), "the numbers stay"
    assert "least 50% explained of each modality, least 50% of the recall kept" in verdict.gate


@pytest.mark.parametrize("found", [standing(), standing(texts=0.5, kept=0.5), standing(kept=nan), standing(images=nan)])
def test_at_the_thresholds_a_verdict_stands_and_shows_them(found: Standing) -> None:
    verdict = gated(SPOKEN, [found], Thresholds())
    assert (verdict.outcome, verdict.why) == ("agrees", "numbers")
    assert "of texts" in verdict.gate and "least 50%" in verdict.gate


def test_the_thresholds_are_settings() -> None:
    weak = standing(texts=0.4)
    least = Thresholds.of({"least_explained": 0.3, "share": 0.01})
    assert least == Thresholds(explained=0.3, kept=gate.LEAST_KEPT)
    assert gated(SPOKEN, [weak], least).outcome == "agrees"
    assert gated(SPOKEN, [standing(kept=0.7)], Thresholds(kept=0.8)).outcome == "cannot be said"


def test_every_dictionary_that_a_verdict_rests_on_must_pass() -> None:
    both = Verdict(on="r, other", outcome="disagrees", why="numbers")
    weak, fine = standing(texts=0.4, run="other"), standing()
    assert gated(both, [fine, weak], Thresholds()).outcome == "cannot be said"
    assert gated(SPOKEN, [fine, weak], Thresholds()).outcome == "agrees", "it does not speak of the other run"


def test_printed_numbers_and_what_cannot_be_said_stay_as_they_are() -> None:
    printed = Verdict(on="r", outcome="agrees", why="equal", about="printed")
    unsaid = Verdict(on="r", outcome="cannot be said", why="no partner")
    assert [gated(one, [standing(texts=0.1)], Thresholds()) for one in (printed, unsaid)] == [printed, unsaid]


@pytest.mark.parametrize("name", sorted(ON_CONCEPTS))
def test_exhibits_on_concepts_have_the_gate_and_its_options(name: str) -> None:
    exhibit = EXHIBITS[name]
    assert exhibit.gate and exhibit.on_sae and gate.RULE in exhibit.rule
    options = exhibit.read_options({"least_explained": "0.3"})
    assert (options["least_explained"], options["least_kept"]) == (0.3, 0.5)
    assert not {"least_explained", "least_kept"} & set(exhibit.computed(options)), "its tables do not hang on them"


def test_no_other_exhibit_on_an_sae_is_without_it() -> None:
    assert (
        {e.name for e in EXHIBITS.values() if e.on_sae} == ON_CONCEPTS == {e.name for e in EXHIBITS.values() if e.gate}
    )


# -- on a run, with the measurement replaced -------------------------------------------------------------------------


def fidelity(texts: float) -> Fidelity:
    rows = {"explained variance of images": 0.9, "explained variance of texts": texts}
    rows |= {f"recall@{k} kept": 0.9 for k in (1, 5, 10)}
    return Fidelity(
        pd.DataFrame([(name, value, 7) for name, value in rows.items()], columns=["figure", "value", "n"]), "", ""
    )


def exhibit(**more: Any) -> Exhibit:
    def compute(runs: list[Any], dictionary: str = "own SAE") -> pd.DataFrame:
        return pd.DataFrame([{"run": run.name, "model": "m", "task": 4, "dictionary": dictionary} for run in runs])

    def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
        return tuple(Verdict(on=name, outcome="agrees", why="numbers", difference=0.1, n=10) for name in table["run"])

    from core.exhibits.shared.rows import DICTIONARY

    return Exhibit(
        name="made", title="Made", claim="c", definition="d", compute=compute, judge=judge, kept=False, gate=True,
        on_sae=True, options=(DICTIONARY, *gate.OPTIONS), group="beyond", **more,
    )  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose own SAE explains 90% of its texts, and another one of it 40%."""
    monkeypatch.setattr(gate, "sae_named", lambda run, name: name)
    monkeypatch.setattr(gate, "of_dictionary", lambda run, name: fidelity(0.9 if name == "own SAE" else 0.4))
    return SimpleNamespace(name="r", key="k", spec=SimpleNamespace(corpus=SimpleNamespace(task=4)), family="generative")


def test_showing_an_exhibit_goes_through_the_gate(run: Any) -> None:
    (own,), (weak,) = (show.show(exhibit(), [run], {"dictionary": name}).verdicts for name in ("own SAE", "weak"))
    assert (own.outcome, weak.outcome) == ("agrees", "cannot be said")
    assert "weak on r does not stand for the embeddings: explains 40.0% of the variance of texts" in weak.why
    (again,) = show.show(exhibit(), [run], {"dictionary": "weak", "least_explained": 0.4}).verdicts
    assert again.outcome == "agrees"
    shown = show.show(exhibit(), [run], {"dictionary": "weak"}).fidelity.set_index("figure")["value"]
    assert shown["explained variance of texts"] == 0.4, "the figures are those of the dictionary that was chosen"


def test_a_setting_whose_dictionary_fails_is_marked_and_counts_on_no_side(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = exhibit(grid=lambda runs: [{}, {"dictionary": "weak"}])
    monkeypatch.setattr(curve, "siblings", lambda runs: [])
    monkeypatch.setattr(curve, "cached_table", lambda run, question, arguments, compute: compute())
    settings = curve.curve(made, [run], made.read_options({}))
    assert settings is not None
    assert [(one.outcome, bool(one.barred)) for one in settings] == [("agrees", False), ("cannot be said", True)]
    assert settings[1].value == 0.1 and "least_explained" not in settings[1].choices
    found = curve.survived(SPOKEN, settings)
    assert found.settings == Settings(1, 1, 1)
    assert "agrees in 1 of 1 settings, disagrees in 0, 1 not counted (their dictionary fails the gate)" in found.why
    assert list(curve.table_of(settings)["barred"].astype(bool)) == [False, True]
    lenient = curve.curve(made, [run], made.read_options({"least_explained": 0.4}))
    assert lenient is not None and not any(one.barred for one in lenient)


def test_dictionaries_that_fail_do_not_count_among_the_others() -> None:
    columns = {
        "run": "r",
        "scored": 9,
        "share_of_alive": 0.1,
        "overlap_all": 0.1,
        "gain_low": -1.0,
        "beyond_random_low": -1.0,
    }
    table = pd.DataFrame(
        [
            columns | {"dictionary": "own SAE", "share_text": 0.9, "barred": ""},
            columns | {"dictionary": "weak", "share_text": 0.1, "barred": "explains 40.0% of the variance of texts"},
        ]
    )
    speak_text = beyond_dictionaries.judge(table)[0]
    assert (speak_text.outcome, speak_text.n) == ("agrees", 1)
    assert "not counted, for they fail the gate: weak explains 40.0% of the variance of texts" in speak_text.why
    assert {v.outcome for v in beyond_dictionaries.judge(table.assign(barred="x"))} == {"cannot be said"}


def test_what_the_curve_keeps_survives_json() -> None:
    from dataclasses import asdict

    one = standing(kept=nan)
    assert Standing(**json.loads(json.dumps(asdict(one)))).words == one.words
