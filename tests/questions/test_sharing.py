"""What sessions of one process share of a run: every value is made once, and a variant's text is parsed once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest

from core.analysis.variants import VariantSpec, expression, parse_variant
from core.config import OWN_MODEL, CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.pipeline import run as make_run
from core.questions import answers, compare, geometry, retrieval
from core.questions.answers import LEAN_FITS, fitted, transformed, variant_of
from core.run import Run
from core.store import Store

N, WIDTH = 30, 6


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Own embeddings: N queries, N candidates, one right for each; nothing of it is cached."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "own"
    folder.mkdir()
    right = rng.standard_normal((N, WIDTH)).astype(np.float32)
    np.save(folder / "queries.npy", right + 0.8 * rng.standard_normal((N, WIDTH)).astype(np.float32))
    np.save(folder / "candidates.npy", right)
    for part, letter in (("queries", "q"), ("candidates", "c")):
        items = {"id": [f"{letter}{i}" for i in range(N)], "modality": "text", "text": [f"text {i}" for i in range(N)]}
        pd.DataFrame(items).to_parquet(folder / f"{part}.parquet")
    pairs = {"query-id": [f"q{i}" for i in range(N)], "corpus-id": [f"c{i}" for i in range(N)], "score": 1}
    pd.DataFrame(pairs).to_parquet(folder / "qrels.parquet")
    spec = RunSpec(
        name="own",
        corpus=CorpusSpec(source="embeddings", path=str(folder)),
        model=ModelSpec(name=OWN_MODEL),
        sae=SaeSpec(source="none"),
        variants={"mine": "center+zca"},
    )
    return make_run(spec, Store(tmp_path / "cache"))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are parsed from here on, by whatever name a module knows `parse_variant`."""
    original, texts = expression.parse_variant, []

    def counting(text: str) -> VariantSpec:
        texts.append(text)
        return original(text)

    for module in [m for name, m in sys.modules.items() if name.startswith("core.")]:
        for name, value in list(vars(module).items()):
            if value is original:
                monkeypatch.setattr(module, name, counting)
    return texts


def test_an_uncached_evaluation_parses_its_variant_once(run: Run, parsed: list[str]) -> None:
    evaluated = retrieval.evaluate(run, "realign(beta=0.5)")
    assert parsed == ["realign(beta=0.5)"] and evaluated.variant == "realign(beta=0.5)"
    retrieval.evaluate(run, parse_variant("zca"))
    assert parsed == ["realign(beta=0.5)"], "a spec is taken as it is"


@pytest.mark.parametrize(
    "ask",
    [
        lambda run: retrieval.compare(run, "center", "zca"),
        lambda run: retrieval.rankings(run, 3, "center", "zca"),
        lambda run: retrieval.query_list(run, "center", "zca"),
        lambda run: compare.query_list(run, run, "center", "zca"),
        lambda run: geometry.hubs(run, ("center", "zca")),
    ],
    ids=["compare", "rankings", "query list", "two runs", "hubs"],
)
def test_a_question_parses_each_variant_once(run: Run, parsed: list[str], ask) -> None:
    ask(run)
    assert sorted(parsed) == ["center", "zca"]


def test_payload_parses_once(run: Run, parsed: list[str]) -> None:
    assert retrieval.payload(run, "realign(beta=0.5)")["beta"] == 0.5
    assert parsed == ["realign(beta=0.5)"]


def test_a_name_of_the_spec_file_is_its_chain(run: Run) -> None:
    assert variant_of(run, "mine") == parse_variant("center+zca") == variant_of(run, parse_variant("center+zca"))


def test_threads_that_ask_for_one_variant_fit_it_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, begun, fit = [], Barrier(6), answers.fit_variant

    def counting(spec: VariantSpec, data: object) -> object:
        fits.append(str(spec))
        return fit(spec, data)

    monkeypatch.setattr(answers, "fit_variant", counting)

    def ask(i: int) -> retrieval.Evaluated:
        begun.wait(20)
        return retrieval.evaluate(run, ("zca", "center")[i % 2])

    with ThreadPoolExecutor(6) as pool:
        evaluations = list(pool.map(ask, range(6)))
    assert sorted(fits) == ["center", "zca"]
    assert all(evaluations[i] is evaluations[i % 2] for i in range(6))


def test_no_more_fits_stay_than_allowed(run: Run) -> None:
    variants = [f"realign(beta={beta})" for beta in np.linspace(0.05, 0.95, 2 * LEAN_FITS + 3).round(2)]
    first = fitted(run, variants[0])
    for variant in variants:
        for part in ("queries", "candidates"):
            transformed(run, variant, part)
    assert len(run._memos.get("fitted", dict)) == LEAN_FITS
    assert len(run._memos.get("transformed", dict)) == 2 * LEAN_FITS
    again = fitted(run, variants[0])
    assert again is not first and np.array_equal(again.query.matrix, first.query.matrix)
