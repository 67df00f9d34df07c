"""Places and prompts as remedies: runs of a tiny model on captioned pictures, their table against numpy."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import CorpusSpec, EmbeddingSpec, ModelSpec, RunSpec, SaeSpec
from core.pipeline import run
from core.questions.remedies import prompt_lines, prompt_partners, remedies
from core.records import EmbeddingView
from core.run import Run
from core.store import Store

N = 12
VIEWS = {
    "before the final norm": EmbeddingView(norm="before"),
    "attention output, before the MLP": EmbeddingView(sublayer="attention"),
}


@pytest.fixture(scope="module")
def runs(llava_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The study's prompts at every place, and two training-free prompts as their makers read them."""
    folder, store = tmp_path_factory.mktemp("pictures"), Store(tmp_path_factory.mktemp("cache"))
    with open(folder / "captions.csv", "w", newline="") as listing:
        rows = csv.writer(listing)
        rows.writerow(["file", "caption"])
        for n in range(N):
            pixels = np.random.default_rng(n).integers(0, 255, (36, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{n:02}.png")
            rows.writerow([f"{n:02}.png", f"{'A red fox sleeps.' if n % 2 else 'Two boats on a lake'} number {n}"])
    places = EmbeddingSpec(norms=("after", "before"), sublayers=("block", "attention"), cross=False)
    specs = {"study": places, "freeret": EmbeddingSpec(sublayers=("block", "attention"))}
    spec = RunSpec(
        corpus=CorpusSpec(source="folder", path=str(folder)),
        model=ModelSpec(name=str(llava_folder), dtype="float32", family="generative"),
        sae=SaeSpec(source="none"),
    )
    return {
        name: run(replace(spec, name=name, model=replace(spec.model, preset=name), embedding=embedding), store)
        for name, embedding in specs.items()
    }


def recall(own: Run, view: EmbeddingView) -> float:
    sides = []
    for part in ("queries", "candidates"):
        rows = np.asarray(own.embeddings(part, view), np.float64)  # type: ignore[arg-type]
        sides.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    best = (sides[0] @ sides[1].T).argmax(1)
    return float(np.mean([best[q] in own.qrels("test").relevant(q) for q in range(len(best))]))


def test_places_and_prompts_are_rows_of_the_table(runs: dict[str, Run]) -> None:
    own, other = runs["study"], runs["freeret"]
    assert other.views == (EmbeddingView(-1, "last"), EmbeddingView(-1, "last", sublayer="attention"))
    table = remedies(own).set_index("remedy")
    for words, view in VIEWS.items():
        assert table.loc[words, "recall@1"] == pytest.approx(recall(own, view))
        assert table.loc[words, "kind"] == {"norm": "final norm"}.get(
            "norm" if view.norm == "before" else "", "sublayer"
        )
        assert f"{words} with ReAlign" in table.index
    assert [partner.name for partner in prompt_partners(own)] == ["freeret"]
    for view in other.views:
        row = table.loc[f"prompts freeret, {view.words}"]
        assert row["recall@1"] == pytest.approx(recall(other, view)) and row["kind"] == "prompt"
    views = [own.embeddings("queries", view) for view in (own.view, *VIEWS.values())]
    assert min(np.abs(a - b).max() for a, b in zip(views, views[1:], strict=False)) > 1e-3


def test_notes_name_the_prompts_that_are_missing(runs: dict[str, Run]) -> None:
    notes = remedies(runs["study"]).attrs["notes"]
    assert any("study-hierarchical.toml" in note for note in notes)
    assert not any("study-freeret.toml" in note or "norms = " in note for note in notes)
    assert 'sublayers = ["block", "attention"]' in prompt_lines(runs["study"], "freeret")
