"""What this project and mteb make of the same tasks, in a process whose hub is on the loopback.

`python mteb_probe.py FOLDER`: FOLDER is empty; HF_ENDPOINT names the hub. Prints one JSON object, which
`test_corpus_mteb.py` looks at. A process of its own, since the hub's clients read the address once, when they are
imported.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
import mteb_scoring
import numpy as np
from mteb.models.cache_wrappers import CachedEmbeddingWrapper
from mteb.models.cache_wrappers.cache_backends.faiss_cache import FaissCache

from core import pipeline
from core.commands.export import export_run
from core.config import CorpusSpec, ModelSpec, RunSpec, SaeSpec
from core.corpus import Corpus, build_corpus
from core.errors import CorpusError
from core.questions import leaderboard, retrieval
from core.store import Store

NAMES = ("NFCorpus", "MintakaRetrieval", "MSCOCOI2TRetrieval")
KWARGS = {"encode_kwargs": {"show_progress_bar": False}}


class Seeded(mteb_scoring.Vectors):
    """A vector per text, the same in every process; two documents share one, so that they tie."""

    def __init__(self) -> None:
        super().__init__({})

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        self.asked += 1
        return np.stack([self.vector(text) for batch in inputs for text in batch["text"]])

    def vector(self, text: str) -> np.ndarray:
        seed = sum(text.replace("iron", "sleep").encode())
        vector = np.random.default_rng(seed).normal(size=6).astype(np.float32)
        return vector / np.linalg.norm(vector)


class Dumb(Seeded):
    """Whoever has all vectors asks no model."""

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        raise AssertionError("a vector is missing")


def seen(corpus: Corpus) -> dict[str, Any]:
    """What a corpus holds."""
    qrels = corpus.qrels()
    sides = {part: corpus.items(part) for part in ("queries", "candidates")}
    pictures = [row for row, kind in enumerate(sides["queries"].modality) if kind == "image"]
    return {
        "task": corpus.task,
        "benchmark": dict(corpus.benchmark),
        "ids": {part: items.ids for part, items in sides.items()},
        "texts": {part: items.texts for part, items in sides.items()},
        "pairs": sorted(
            (sides["queries"].ids[q], sides["candidates"].ids[c], int(g))
            for (q, c), g in zip(qrels.pairs, qrels.grades, strict=True)
        ),
        "sizes": [list(sides["queries"].item(row).picture.size) for row in pictures],
        "bad": len(corpus.report.bad),
    }


def refusal(**spec: Any) -> str:
    try:
        build_corpus(CorpusSpec(**spec), store)
    except CorpusError as error:
        return str(error)
    return "none"


def run_of(spec: CorpusSpec, name: str) -> Any:
    made = RunSpec(name=name, corpus=spec, model=ModelSpec(name="own-embeddings"), sae=SaeSpec(source="none"))
    return pipeline.run(made, store)


def mteb_says(model: Any, **others: Any) -> dict[str, float]:
    """mteb's own numbers of the task of texts."""
    return dict(mteb.get_task("NFCorpus").evaluate(model, "test", **KWARGS, **others)["default"])


def both(root: Path) -> dict[str, Any]:
    """The same vectors through mteb's files in both directions, each time with the numbers they give."""
    caches = {"numpy": root / "numpy", "faiss": root / "faiss"}
    predictions = root / "predictions"
    said = mteb_says(CachedEmbeddingWrapper(Seeded(), caches["numpy"]), prediction_folder=predictions)
    cached = CachedEmbeddingWrapper(Seeded(), caches["faiss"], cache_backend=FaissCache)
    mteb_says(cached)
    cached.close()
    found: dict[str, Any] = {"mteb": said}
    spec = CorpusSpec(source="mteb:NFCorpus")
    for name, path in {**caches, "predictions": predictions}.items():
        run = run_of(replace(spec, path=str(path)), f"of-{name}")
        found[name] = leaderboard.payload(run, "none")
    own = run_of(replace(spec, path=str(caches["numpy"])), "of-numpy")
    found["study"] = retrieval.payload(own, "none")["recall"]
    export_run(own, root / "out", "mteb")
    out = root / "out"
    found["read back"] = mteb_says(CachedEmbeddingWrapper(Dumb(), out / "embeddings"))
    task = mteb.get_task("NFCorpus").convert_to_reranking(out, top_k=1000)
    found["to rerank"] = task.dataset["default"]["test"]["top_ranked"]
    ours = json.loads((out / "NFCorpus_predictions.json").read_text())["default"]["test"]
    theirs = json.loads((predictions / "NFCorpus_predictions.json").read_text())["default"]["test"]
    found["ranking"] = {query: list(scores) for query, scores in ours.items()}
    found["predictions differ"] = max(abs(ours[q][d] - theirs[q][d]) for q in theirs for d in theirs[q])
    found["others"] = refusal(source="mteb:MSCOCOI2TRetrieval", path=str(caches["numpy"]))
    return found


root = Path(sys.argv[1])
store = Store(root / "cache")
warnings.simplefilter("ignore")
languages = {"MintakaRetrieval": "deu-Latn"}
specs = {name: CorpusSpec(source=f"mteb:{name}", language=languages.get(name)) for name in NAMES}
result: dict[str, Any] = {name: seen(build_corpus(spec, store)) for name, spec in specs.items()}
result["train"] = seen(build_corpus(CorpusSpec(source="mteb:NFCorpus", split="train"), store))
result["limit"] = seen(build_corpus(CorpusSpec(source="mteb:NFCorpus", limit=2), store))
result["no split"] = refusal(source="mteb:NFCorpus", split="dev")
result["no data set"] = refusal(source="mteb:SciFact")
result["files"] = both(root)
sys.stdout.write(json.dumps(result) + "\n")
