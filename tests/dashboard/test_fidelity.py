"""How far concepts can be trusted: the same figures on every page, and a word where the gate closes."""

from __future__ import annotations

from math import nan

import pytest
from dashboard_driver import healthy, show, texts

from core.exhibits.shared import gate
from core.questions import fidelity as questions
from core.run import Run
from dashboard import words
from dashboard.parts import fidelity, widgets

VALUES = {
    "explained variance of images": 0.912,
    "explained variance of texts": 0.4,
    "dead share": 0.25,
    "L0": 31.96,
    "recall@5 of the embedding": 0.5,
    "recall@5 of the reconstruction": 0.45,
    "recall@5 kept": 0.9,
}


def test_figures_are_written_per_modality() -> None:
    assert fidelity.written(VALUES, "recall@5") == {
        "active per item (L0)": "32.0",
        "explained variance of images": "91.2%",
        "of texts": "40.0%",
        "never fire": "25.0%",
        "Recall@5 kept by reconstructions": "90.0% (45.0% of 50.0%)",
    }
    assert "Recall@5 kept by reconstructions" not in fidelity.written(VALUES | {"recall@5 kept": nan}, "recall@5")


def test_only_a_dictionary_that_fails_is_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(widgets, "html", drawn.append)
    fidelity.at_gate(gate.Checked("", "least 50% explained"))
    assert drawn == []
    fidelity.at_gate(gate.Checked("the SAE of <r> explains 40.0% of the variance of texts", "least 50% explained"))
    assert "cannot be said" in drawn[0] and "&lt;r&gt; explains 40.0%" in drawn[0]


@pytest.mark.parametrize("page", ["concepts", "modality", "similarity", "exhibits"])
def test_every_page_on_concepts_shows_them(page: str, run: Run) -> None:
    app = show(page, run="small", **({"exhibit": "figure-2"} if page == "exhibits" else {}))
    healthy(app, page)
    found = questions.fidelity(run)
    shown = texts(app)
    for label, of in (("explained variance of images", "images"), ("of texts", "texts")):
        assert f"<span>{label} <b>{words.percent(found.explained[of])}</b></span>" in shown
    assert f"{words.percent(found.kept('recall@5'))} (" in shown
    if page == "exhibits":
        assert "least 50% explained of each modality, least 50% of the recall kept" in shown
        again = texts(show(page, run="small", exhibit="figure-2", **{"x-least_explained": "1.0"}))
        assert "Verdicts on concepts cannot be given: the SAE of small does not stand for the embeddings" in again
