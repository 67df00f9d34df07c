"""Exports that mteb and sentence-transformers read back.

mteb (`--layout mteb`), TASK being the run's task of mteb, else its name:
  embeddings/TASK/query, embeddings/TASK/document   its embedding cache: `CachedEmbeddingWrapper(model, "embeddings")`
                                                    finds every vector and never asks the model
  TASK_predictions.json                             its predictions: the first 1000 of every query, cosines
  dataset/                                          the data set as its loader reads it, for a run of other data

sentence-transformers (`--layout sentence-transformers`):
  queries.jsonl corpus.jsonl qrels/test.tsv         a BEIR folder: the dicts of its InformationRetrievalEvaluator
  queries.npy candidates.npy                        vectors in the order of these lines
  Information-Retrieval_evaluation_RUN_predictions.jsonl   as that evaluator writes them

Vectors are the raw pooled ones, or those of a variant. Equal scores rank by descending id, as in mteb.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.analysis import retrieval as science
from core.corpus.mteb_tasks import ITEMS, require_mteb
from core.corpus.tables import ItemTable
from core.errors import UserError
from core.questions.answers import transformed, variant_of
from core.records import Part
from core.run import Run

Layout = Literal["plain", "mteb", "sentence-transformers"]
SIDES: dict[Part, tuple[str, str]] = {"queries": ("query", "queries"), "candidates": ("document", "corpus")}
"""Part -> folder of mteb's cache, configuration of its data sets."""
ROWS_AT_ONCE = 64
DATASET, EMBEDDINGS = "dataset", "embeddings"


def write_mteb(run: Run, variant: str, out: Path) -> None:
    """Embedding cache, predictions and, for data that mteb has not, the data set, into `out`.

    Raises:
        UserError: mteb is not installed, or there are items without text and picture, which its cache cannot name.
    """
    require_mteb()
    benchmark = run.corpus.benchmark
    name = benchmark.get("task", run.name)
    for part, (folder, _) in SIDES.items():
        _cache(run, variant, part, out / EMBEDDINGS / name / folder)
    place = (benchmark.get("subset", "default"), benchmark.get("split", "test"))
    _predictions(run, variant, out / f"{name}_predictions.json", place)
    if not benchmark:
        _dataset(run, out / DATASET)


def write_sentence_transformers(run: Run, variant: str, out: Path) -> None:
    """A BEIR folder, the vectors and the predictions, into `out`. An item without text has an empty one."""
    for part, (_, name) in SIDES.items():
        items = run.corpus.items(part)
        lines = ({"_id": i, "text": text or ""} for i, text in zip(items.ids, items.texts, strict=True))
        _json_lines(out / f"{name}.jsonl", lines)
        np.save(out / f"{part}.npy", vectors_of(run, variant, part), allow_pickle=False)
    (out / "qrels").mkdir()
    pairs = (f"{query}\t{candidate}\t{score}\n" for query, candidate, score in _pairs(run))
    (out / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(pairs), encoding="utf-8")
    texts = run.corpus.items("queries").texts
    predicted: Iterator[Mapping[str, object]] = (
        {"query_id": query, "query": text or "", "results": [{"corpus_id": c, "score": s} for c, s in scores.items()]}
        for text, (query, scores) in zip(texts, ranked(run, variant), strict=True)
    )
    _json_lines(out / f"Information-Retrieval_evaluation_{run.name}_predictions.jsonl", predicted)


def vectors_of(run: Run, variant: str, part: Part) -> np.ndarray:
    """(n, d) float32: raw pooled for the variant `none`, else unit rows under the variant."""
    spec = variant_of(run, variant)
    rows = transformed(run, spec, part) if spec.steps else run.embeddings(part)
    return np.asarray(rows, dtype=np.float32)


def ranked(run: Run, variant: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Every query's id with its first 1000 candidates and their cosines, best first."""
    queries, candidates = (run.corpus.items(part).ids for part in SIDES)
    asked, pool = (transformed(run, variant, part) for part in SIDES)
    top = science.rank_top_k(asked, pool, science.DEPTHS[-1], ties=science.places_by_id(candidates))
    for query, found, scores in zip(queries, top.candidates, top.scores, strict=True):
        yield query, {candidates[row]: float(score) for row, score in zip(found, scores, strict=True)}


def _pairs(run: Run) -> Iterator[tuple[str, str, int]]:
    """Query id, candidate id and grade of every test pair."""
    qrels = run.qrels("test")
    queries, candidates = (run.corpus.items(part).ids for part in SIDES)
    for (query, candidate), grade in zip(qrels.pairs, qrels.grades, strict=True):
        yield queries[query], candidates[candidate], int(grade)


def _cache(run: Run, variant: str, part: Part, folder: Path) -> None:
    """One side of mteb's `NumpyCache`: bare float32 rows, and the row of each item's hash."""
    folder.mkdir(parents=True)
    rows = vectors_of(run, variant, part)
    index: dict[str, int] = {}
    for row, name in enumerate(_hashes(run, part)):
        index.setdefault(name, row)  # items of equal content share a vector there
    rows.tofile(folder / "vectors.npy")
    (folder / "index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")
    (folder / "dimension").write_text(str(rows.shape[1]), encoding="utf-8")


def _hashes(run: Run, part: Part) -> Iterator[str]:
    """mteb's hash of each item, in row order."""
    folder = next((f for f in run.store.folders("mteb") if f.key in run.corpus.folder.manifest["parents"]), None)
    items = run.corpus.items(part)
    if folder is not None and "query.parquet" in folder.manifest["files"]:
        from core.corpus.mteb_files import item_hashes

        table = "query" if part == "queries" else "corpus"
        ids = pq.read_table(folder.file(f"{table}.parquet"), columns=["id"]).column(0).to_pylist()
        known = dict(zip(ids, item_hashes(folder, table), strict=True))
        yield from (known[name] for name in items.ids)
        return
    kinds = _columns(items)
    for row in range(len(items)):
        yield _hash(items, row, kinds)


def _columns(items: ItemTable) -> tuple[str, ...]:
    """Columns of a side in mteb: text, image, or both where some items have either."""
    return tuple(name for name in ("text", "image") if any(name in modality for modality in items.by_modality))


def _hash(items: ItemTable, row: int, columns: tuple[str, ...]) -> str:
    from mteb._content_hashes import hash_image

    text, picture = items.texts[row], items.picture_file(row)
    if (text is None and picture is None) or (picture is None and "text" not in columns):
        got = f"item {items.ids[row]!r} of own embeddings, without text"
        raise UserError(
            "mteb's cache names vectors by text or picture", got=got, todo="give the items texts, or --layout plain"
        )
    name = hashlib.sha256((text or "").encode()).hexdigest() if "text" in columns else ""
    return name + (hash_image(_decoded(picture)) if picture is not None else "")


def _decoded(data: bytes) -> Any:
    """The picture as `datasets` gives it to mteb."""
    from datasets import Image

    return Image().decode_example({"bytes": data, "path": None})


def _predictions(run: Run, variant: str, path: Path, place: tuple[str, str]) -> None:
    """Written query by query: of a large run it is larger than memory should hold."""
    meta = {"model_name": run.model_name, "revision": run.key}
    subset, split = map(json.dumps, place)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f'{{"mteb_model_meta": {json.dumps(meta)}, {subset}: {{{split}: {{')
        for number, (query, scores) in enumerate(ranked(run, variant)):
            stream.write(f"{', ' if number else ''}{json.dumps(query)}: {json.dumps(scores)}")
        stream.write("}}}")


def _dataset(run: Run, folder: Path) -> None:
    """Three configurations as mteb's data sets have them: corpus, queries, default (the pairs)."""
    folder.mkdir()
    for part, (_, name) in SIDES.items():
        items = run.corpus.items(part)
        with pq.ParquetWriter(folder / f"{name}.parquet", _schema(_columns(items)), compression="zstd") as table:
            for first in range(0, len(items), ROWS_AT_ONCE):
                rows = [_row(items, row) for row in range(first, min(first + ROWS_AT_ONCE, len(items)))]
                table.write_table(pa.Table.from_pylist(rows, schema=_schema(_columns(items))))
    lines = [dict(zip(("query-id", "corpus-id", "score"), pair, strict=True)) for pair in _pairs(run)]
    pq.write_table(pa.Table.from_pylist(lines), folder / "qrels.parquet")
    configurations = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {file}.parquet\n"
        for name, file in (("corpus", "corpus"), ("queries", "queries"), ("default", "qrels"))
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configurations}---\n", encoding="utf-8")


def _schema(columns: tuple[str, ...]) -> pa.Schema:
    """Id and the side's columns, with what `datasets` looks for to know that image is pictures."""
    fields = [field for field in ITEMS if field.name in ("id", *columns)]
    features: dict[str, dict[str, str]] = {
        field.name: {"_type": "Image"} if field.name == "image" else {"dtype": "string", "_type": "Value"}
        for field in fields
    }
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _row(items: ItemTable, row: int) -> dict[str, Any]:
    picture = items.picture_file(row)
    return {
        "id": items.ids[row],
        "text": items.texts[row] or "",
        "image": None if picture is None else {"bytes": picture, "path": None},
    }


def _json_lines(path: Path, lines: Iterator[Mapping[str, object]]) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        for line in lines:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
