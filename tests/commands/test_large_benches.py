"""Benchmarks of a large run at a tiny size: real stages on a corpus whose structure is known."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from core.commands.benches.large_run import large_run, large_store
from core.commands.benches.world import EVERYWHERE, Size
from core.questions import retrieval
from core.run import open_run


@pytest.fixture(autouse=True)
def bare_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh process runs the main module again; tests of pages leave a page's script in its place."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


def test_sizes() -> None:
    assert Size.of(100_000) == Size(100_000, 5_000, 2_000, 1_024, 32_768, 50)
    assert Size.of(1_000_000, 256).queries == 5_000
    assert Size.of(100).queries == 5


def test_a_large_run_is_made_measured_and_holds_what_was_planted(tmp_path: Path) -> None:
    steps = list(large_run(200, 256, tmp_path))
    assert [step.what for step in steps][:6] == [
        "source files written", "ingest", "own embeddings taken in", "SAE taken in", "codes", "the run, all stages"
    ]  # fmt: skip
    assert all(step.seconds > 0 for step in steps)
    run = open_run("large", large_store(tmp_path))
    assert {part: len(run.embeddings(part)) for part in run.parts} == {
        "queries": 10, "candidates": 200, "support_queries": 10, "support_candidates": 20
    }  # fmt: skip
    codes = run.codes("candidates")
    assert codes.shape == (200, 32_768)
    assert np.diff(codes.indptr).max() <= 50
    # What fires on every item was planted in every item; of 32,768 concepts in 256 dimensions the SAE finds most.
    fires = np.bincount(codes.indices, minlength=32_768) / 200
    assert np.median(fires[:EVERYWHERE]) > 10 * np.median(fires[fires > 0])
    # Scene n has query n and the candidates 2 n and 2 n + 1.
    pairs = run.qrels("test").pairs
    assert {tuple(pair) for pair in pairs.tolist()} == {(n, 2 * n + i) for n in range(10) for i in (0, 1)}
    assert retrieval.evaluate(run, "none").evaluation.recall[10] > 3 * retrieval.chance(run, 10)
