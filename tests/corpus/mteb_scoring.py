"""mteb's own evaluation of given vectors: a task with its data set in memory, and an encoder that looks them up."""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import ModelMeta


def metadata(name: str, path: str = "nobody/nothing", **others: Any) -> TaskMetadata:
    """What mteb asks to be told of a task."""
    return TaskMetadata(
        name=name,
        dataset={"path": path, "revision": "0" * 40},
        description="Vectors of a test.",
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        **others,
    )


class Vectors:
    """An encoder of mteb's protocol: the vector of each text as it was given, compared by dot product."""

    mteb_model_meta = ModelMeta.create_empty({"name": "tests/vectors", "revision": "1"})

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors, self.asked = vectors, 0

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        self.asked += 1
        return np.stack([self.vectors[text] for batch in inputs for text in batch["text"]])

    def similarity(self, one: Any, other: Any) -> np.ndarray:
        return np.asarray(one) @ np.asarray(other).T

    def similarity_pairwise(self, one: Any, other: Any) -> np.ndarray:
        return (np.asarray(one) * np.asarray(other)).sum(1)


def scores(
    queries: dict[str, np.ndarray],
    candidates: dict[str, np.ndarray],
    qrels: dict[str, dict[str, int]],
    **rules: bool,
) -> dict[str, float]:
    """What mteb prints for these vectors; texts are the ids. `rules`: attributes of the task."""

    class Task(AbsTaskRetrieval):
        pass

    Task.metadata = metadata("Vectors")
    task = Task()
    for name, value in rules.items():
        setattr(task, name, value)
    items = {
        name: Dataset.from_dict({"id": list(side), "text": [f"{name} {i}" for i in side]})
        for name, side in (("queries", queries), ("corpus", candidates))
    }
    task.dataset = {"default": {"test": items | {"relevant_docs": qrels, "top_ranked": None}}}
    task.data_loaded = True
    texts = {f"queries {i}": v for i, v in queries.items()} | {f"corpus {i}": v for i, v in candidates.items()}
    return dict(task.evaluate(Vectors(texts), "test", encode_kwargs={"show_progress_bar": False})["default"])
