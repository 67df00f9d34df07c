"""`export --layout`: what mteb and sentence-transformers read back gives the run's own numbers.

Both libraries are used as their users do: mteb's loader, embedding cache and evaluation on a run of pictures and
captions; the InformationRetrievalEvaluator of sentence-transformers on its files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.commands.cli import app
from core.questions import leaderboard
from core.run import open_run
from core.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")  # of these two libraries and of what they import
VARIANT = "realign"


def export(store: Store, run: str, out: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["export", run, "--out", str(out), *words])


def agree(mine: dict[str, float], theirs: dict[str, float]) -> None:
    for name, value in mine.items():
        digits = value if name.startswith("mrr") else round(value, 5)
        assert theirs[name] == pytest.approx(digits, abs=1e-9), name


@pytest.mark.parametrize("variant", ["none", VARIANT])
def test_mteb_scores_the_data_set_and_the_vectors_as_the_run_does(
    variant: str, small_store: Store, tmp_path: Path
) -> None:
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.models.cache_wrappers import CachedEmbeddingWrapper

    done = export(small_store, "small", tmp_path / "out", "--layout", "mteb", "--variant", variant)
    assert done.exit_code == 0, done.output

    class Task(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="small",
            dataset={"path": str(tmp_path / "out" / "dataset"), "revision": "main"},
            description="A run of this project.",
            type="Any2AnyRetrieval",
            category="i2t",
            modalities=["image", "text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

    class Nobody:
        """An encoder that must not be asked."""

        mteb_model_meta = ModelMeta.create_empty({"name": "tests/nobody", "revision": "1"})

        def encode(self, *_: Any, **__: Any) -> np.ndarray:
            raise AssertionError("a vector is missing in the cache")

        def similarity(self, one: Any, other: Any) -> np.ndarray:
            sides = [np.asarray(side, dtype=np.float64) for side in (one, other)]
            one, other = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
            return (one @ other.T).astype(np.float32)

        similarity_pairwise = similarity

    model = CachedEmbeddingWrapper(Nobody(), tmp_path / "out" / "embeddings")
    theirs = Task().evaluate(model, "test", encode_kwargs={"show_progress_bar": False})["default"]
    mine = leaderboard.payload(open_run("small", small_store), variant)["scores"]
    agree(mine, dict(theirs))
    assert 0 < mine["ndcg_at_10"] < 1
    predicted = json.loads((tmp_path / "out" / "small_predictions.json").read_text())
    assert set(predicted) == {"mteb_model_meta", "default"} and len(predicted["default"]["test"]) == 50


def test_sentence_transformers_reads_queries_corpus_pairs_and_vectors(small_store: Store, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    out = tmp_path / "out"
    done = export(small_store, "small-task1", out, "--layout", "sentence-transformers")
    assert done.exit_code == 0, done.output
    items = {
        name: {line["_id"]: line["text"] for line in map(json.loads, (out / f"{name}.jsonl").read_text().splitlines())}
        for name in ("queries", "corpus")
    }
    relevant: dict[str, set[str]] = {}
    for line in (out / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, candidate, _ = line.split("\t")
        relevant.setdefault(query, set()).add(candidate)
    vectors = {name: np.load(out / f"{name}.npy") for name in ("queries", "candidates")}

    class Stored(torch.nn.Module):
        """What the evaluator asks of a model: vectors of the queries, in their order."""

        similarity_fn_name, similarity = "cosine", None

        def encode_query(self, texts: list[str], **_: Any) -> torch.Tensor:
            assert texts == [items["queries"][name] for name in items["queries"] if name in relevant]
            return torch.from_numpy(vectors["queries"][[name in relevant for name in items["queries"]]])

    from sentence_transformers.util import cos_sim

    evaluator = InformationRetrievalEvaluator(
        items["queries"], items["corpus"], relevant, name=open_run("small-task1", small_store).name,
        score_functions={"cosine": cos_sim}, accuracy_at_k=[1, 5, 10], precision_recall_at_k=[1, 5, 10],
        ndcg_at_k=[10], mrr_at_k=[10], map_at_k=[100], write_predictions=True,
    )  # fmt: skip
    theirs = evaluator.compute_all_metrics(
        Stored(), corpus_embeddings=torch.from_numpy(vectors["candidates"]), output_path=str(tmp_path)
    )["cosine"]
    mine = leaderboard.payload(open_run("small-task1", small_store), "none")["scores"]
    for k in (1, 5, 10):
        assert theirs["accuracy@k"][k] == pytest.approx(mine[f"hit_rate_at_{k}"])
        assert theirs["recall@k"][k] == pytest.approx(mine[f"recall_at_{k}"])
    assert theirs["ndcg@k"][10] == pytest.approx(mine["ndcg_at_10"], abs=1e-6)
    assert theirs["mrr@k"][10] == pytest.approx(mine["mrr_at_10"])
    name = "Information-Retrieval_evaluation"
    written = [json.loads(line) for line in next(tmp_path.glob(f"{name}*_cosine.jsonl")).read_text().splitlines()]
    ours = [json.loads(line) for line in (out / f"{name}_small-task1_predictions.jsonl").read_text().splitlines()]
    assert [line["query_id"] for line in written] == [line["query_id"] for line in ours]
    for one, other in zip(written, ours, strict=True):
        assert set(one) == set(other)
        found = [r["score"] for r in other["results"][: len(one["results"])]]
        assert [r["score"] for r in one["results"]] == pytest.approx(found, abs=1e-5)


def test_our_own_reader_takes_the_layout_of_sentence_transformers(small_store: Store, tmp_path: Path) -> None:
    """It is a BEIR folder; pictures have no text there, so a corpus of captions is read."""
    from core.config import CorpusSpec
    from core.corpus import inspect_corpus

    assert export(small_store, "small", tmp_path / "out", "--layout", "sentence-transformers").exit_code == 0
    report = inspect_corpus(CorpusSpec(source="beir", path=str(tmp_path / "out"), max_bad_share=1))
    assert report.candidates == len(open_run("small", small_store).corpus.items("candidates"))


def test_layouts_replace_each_other_and_leave_other_things_alone(small_store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for layout in ("mteb", "sentence-transformers", "plain", "mteb", "mteb"):
        done = export(small_store, "small-clip", out, "--layout", layout)
        assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "dataset", "embeddings", "manifest.json", "small-clip_predictions.json",
    ]  # fmt: skip
    (out / "mine").mkdir()
    done = export(small_store, "small-clip", out, "--layout", "mteb")
    assert done.exit_code == 1 and "holds other things" in done.output
    assert (out / "dataset" / "corpus.parquet").is_file()


def test_a_variant_needs_a_layout(small_store: Store, tmp_path: Path) -> None:
    done = export(small_store, "small", tmp_path / "out", "--variant", VARIANT)
    assert done.exit_code == 1 and "a plain export holds raw embeddings; got --variant realign" in done.output
