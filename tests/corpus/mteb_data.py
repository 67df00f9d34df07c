"""Three tiny data sets laid out as the hub holds those of mteb: one of texts, one of two languages, one of pictures.

Owner, name, configurations, splits and columns are those that the tasks NFCorpus, MintakaRetrieval and
MSCOCOI2TRetrieval of mteb ask for; the content is ours.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pictures import encoded, picture

GRADES = {"q0": {"d0": 2, "d1": 1}, "q1": {"d2": 1}, "q2": {"d3": 1, "d4": 2, "d0": 1}}
"""Relevance of NFCorpus here: several answers, two grades."""
WORDS = ["heart", "diet", "vitamin", "cancer", "iron", "sleep"]


def write_all(root: Path) -> None:
    """The three data sets below `root`, OWNER/NAME each."""
    _texts(root / "mteb" / "nfcorpus")
    _languages(root / "mteb" / "MintakaRetrieval")
    _pictures(root / "mteb" / "mbeir_mscoco_task3")


def _texts(repo: Path) -> None:
    """JSON lines with `_id` and titles, one of them empty; a query that no line of the test qrels names."""
    documents = [
        {"_id": f"d{n}", "title": "" if n == 3 else f"On {word}", "text": f"{word} and health. "}
        for n, word in enumerate(WORDS)
    ]
    queries = [{"_id": f"q{n}", "text": f"what of {word}?"} for n, word in enumerate(WORDS[:4])]
    pairs = [{"query-id": q, "corpus-id": d, "score": s} for q, grades in GRADES.items() for d, s in grades.items()]
    train = [{"query-id": "q3", "corpus-id": "d5", "score": 1}]
    files = {"corpus/corpus.jsonl": documents, "queries/queries.jsonl": queries, "qrels/test.jsonl": pairs}
    for name, lines in (files | {"qrels/train.jsonl": train}).items():
        _write(repo / name, "\n".join(json.dumps(line) for line in lines) + "\n")
    configurations = {
        "default": {"test": "qrels/test.jsonl", "train": "qrels/train.jsonl"},
        "corpus": {"corpus": "corpus/corpus.jsonl"},
        "queries": {"queries": "queries/queries.jsonl"},
    }
    _write(repo / "README.md", _card(configurations))


def _languages(repo: Path) -> None:
    """Parquet per language, as mteb writes its data sets anew: `de-corpus`, `de-queries`, `de-qrels`."""
    configurations = {}
    for language, greeting in (("de", "Hallo"), ("es", "Hola")):
        tables = {
            "corpus": {"id": ["a", "b", "c"], "title": ["", "", ""], "text": [f"{greeting} {n}" for n in range(3)]},
            "queries": {"id": ["x", "y"], "text": [f"{greeting}? 0", f"{greeting}? 1"]},
            "qrels": {"query-id": ["x", "y"], "corpus-id": ["a", "b"], "score": [1, 1]},
        }
        for name, columns in tables.items():
            path = f"{language}-{name}/test-00000-of-00001.parquet"
            configurations[f"{language}-{name}"] = {"test": path}
            _table(repo / path, pa.table(columns))
    _write(repo / "README.md", _card(configurations))


def _pictures(repo: Path) -> None:
    """The layout of M-BEIR in mteb: queries are pictures, candidates captions; columns id, modality, text, image."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("id", pa.string()), ("modality", pa.string()), ("text", pa.string()), ("image", image)])
    shown = [{"bytes": encoded(picture(n)), "path": None} for n in range(4)]
    queries = [{"id": f"9:{n}", "modality": "image", "text": None, "image": one} for n, one in enumerate(shown)]
    captions = [{"id": f"9:c{n}", "modality": "text", "text": f"picture {n // 2}", "image": None} for n in range(8)]
    pairs = {
        "query-id": [f"9:{n // 2}" for n in range(8)],
        "corpus-id": [f"9:c{n}" for n in range(8)],
        "score": [1] * 8,
    }
    tables = {
        "query": pa.Table.from_pylist(queries, schema=schema),
        "corpus": pa.Table.from_pylist(captions, schema=schema),
        "qrels": pa.table(pairs),
    }
    configurations = {}
    for name, table in tables.items():
        path = f"{name}/test-00000-of-00001.parquet"
        configurations[name] = {"test": path}
        _table(repo / path, table if name == "qrels" else _with_pictures(table))
    _write(repo / "README.md", _card(configurations))


def _with_pictures(table: pa.Table) -> pa.Table:
    """The table with what `datasets` writes into the head of a file: that its column image is pictures."""
    features = {name: {"dtype": "string", "_type": "Value"} for name in ("id", "modality", "text")}
    head = {"info": {"features": features | {"image": {"_type": "Image"}}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(head)})


def _table(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _card(configurations: dict[str, dict[str, str]]) -> str:
    """A data set card whose head says which files are which configuration."""
    lines = ["---", "configs:"]
    for name, splits in configurations.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", ""])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
