"""The golden run: a small run on own embeddings, and what every question answers on it.

    python -m tests.golden.make embeddings     write the items, their embeddings and the SAE again (seeded)
    python -m tests.golden.make                write the answers again

A number that changes needs a new version: of the stage in `core/fingerprint.py` (`answer` for questions), or of the
exhibit. Answers under an old version would otherwise be returned from caches for ever. So the answers are written again
only where the versions beside them have changed; test_golden.py compares.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core import pipeline
from core.config import parse_spec
from core.exhibits import EXHIBITS, show_exhibit
from core.fingerprint import STAGES
from core.run import Run
from core.store import Store
from tests.golden import asked

HERE = Path(__file__).parent
EMBEDDINGS, SAE, ANSWERS = HERE / "embeddings", HERE / "sae", HERE / "answers.json"
QUERIES, CANDIDATES, SUPPORT, WIDTH, CONCEPTS, K = 56, 60, 48, 24, 48, 6
THINGS = ("fox", "owl", "boat", "pear", "drum", "tram", "lily", "kite")
PLACES = ("snow", "beach", "night")
WHOLE = 64
"""Arrays with more values are written as their size, sums and first values."""


def write_embeddings() -> None:
    """Items that show one thing at one place: an embedding is their sum, a direction of its modality, and noise.

    Two pairs of queries share their answer, one query has two, and one has none in the pool.
    """
    rng = np.random.default_rng(20)
    things, places = (rng.standard_normal((len(names), WIDTH)) for names in (THINGS, PLACES))
    modality = {"image": rng.standard_normal(WIDTH) * 1.5, "text": rng.standard_normal(WIDTH) * 1.5}
    EMBEDDINGS.mkdir(exist_ok=True)
    shown = {}
    for part, n in (("candidates", CANDIDATES), ("support_candidates", SUPPORT)):
        what = np.column_stack([rng.integers(len(THINGS), size=n), rng.integers(len(PLACES), size=n)])
        shown[part] = what
        query = "queries" if part == "candidates" else "support_queries"
        shown[query] = what[: QUERIES if part == "candidates" else SUPPORT]
    for part, what in shown.items():
        kind = "text" if part.endswith("candidates") else "image"
        rows = things[what[:, 0]] + 0.7 * places[what[:, 1]] + modality[kind]
        rows += 0.9 * rng.standard_normal(rows.shape) * (1 + np.arange(WIDTH) / WIDTH)
        np.save(EMBEDDINGS / f"{part}.npy", rows.astype(np.float32))
        texts = [f"a {THINGS[t]} in {PLACES[p]}" if kind == "text" else "" for t, p in what]
        frame = pd.DataFrame({"id": [f"{part[0]}{i}" for i in range(len(what))], "modality": kind, "text": texts})
        frame.to_csv(EMBEDDINGS / f"{part}.csv", index=False)
    right = [(q, q) for q in range(QUERIES - 1)]
    right[1], right[3] = (1, 0), (3, 2)
    pairs = [*right, (5, QUERIES + 1)]
    for name, rows_ in (("qrels", pairs), ("support_qrels", [(i, i) for i in range(SUPPORT)])):
        mark = ("q", "c") if name == "qrels" else ("s", "s")
        frame = pd.DataFrame(
            [{"query-id": f"{mark[0]}{q}", "corpus-id": f"{mark[1]}{c}", "score": 1} for q, c in rows_]
        )
        frame.to_csv(EMBEDDINGS / f"{name}.csv", index=False)


def write_sae() -> None:
    """An SAE trained on the golden embeddings, as sae-lens writes it."""
    with tempfile.TemporaryDirectory() as folder:
        sae = {"width": CONCEPTS, "k": K, "steps": 400, "batch": 32, "learning_rate": 3e-3}
        run = pipeline.run(parse_spec(spec() | {"sae": sae}), Store(Path(folder)))
        SAE.mkdir(exist_ok=True)
        for name in ("cfg.json", "sae_weights.safetensors"):
            (SAE / name).write_bytes((run.sae_folder.path / name).read_bytes())


def spec() -> dict[str, Any]:
    """The golden run's spec, as a spec file holds it."""
    return tomllib.loads(f"""
        name = "golden"
        [corpus]
        source = "embeddings"
        path = "{EMBEDDINGS.as_posix()}"
        [model]
        family = "generative"
        [sae]
        source = "{SAE.as_posix()}"
    """)


def golden_run(store: Store) -> Run:
    """The golden run in a store."""
    return pipeline.run(parse_spec(spec()), store)


def answers(run: Run) -> dict[str, Any]:
    """Every entry of `asked`, and every exhibit, as plain JSON."""
    found = {name: plain(ask(run)) for name, ask in asked.QUESTIONS.items()}
    for name in EXHIBITS:
        if name not in asked.EXHIBITS_LEFT_OUT:
            shown = show_exhibit(name, [run])
            found[f"exhibit {name}"] = plain(
                {"table": asked.stable(shown.table), "left_out": [left.why for left in shown.left_out]}
            )
    return found


def versions() -> dict[str, int]:
    """What must change with a number: the stages' versions, and the exhibits'."""
    return dict(STAGES) | {f"exhibit {name}": exhibit.version for name, exhibit in EXHIBITS.items()}


def plain(value: Any) -> Any:  # noqa: PLR0911 - one line per kind of value
    """Records, tables and arrays as JSON; long arrays as what sees every value and their order."""
    if isinstance(value, pd.DataFrame):
        return {str(column): plain(value[column].to_numpy()) for column in value} | {"attrs": plain(value.attrs)}
    if sp.issparse(value):
        whole = value.tocsr()
        return [plain(part) for part in (whole.data, whole.indices, whole.indptr)]
    if isinstance(value, np.ndarray):
        return _array(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name not in asked.NOT_NUMBERS}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if key not in asked.NOT_NUMBERS}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value) if isinstance(value, float) and not np.isfinite(value) else value


def _array(value: np.ndarray) -> Any:
    if value.size <= WHOLE or value.dtype.kind not in "fiub":
        return [plain(item) for item in value.tolist()]
    flat = value.astype(np.float64).ravel()
    known = np.where(np.isfinite(flat), flat, 0.0)
    weights = 1 + np.arange(len(known)) % 97
    numbers = {"sum": known.sum(), "size_of": np.abs(known).sum(), "weighted": (np.abs(known) * weights).sum()}
    counts = {"shape": list(value.shape), "undefined": int(np.sum(~np.isfinite(flat)))}
    return counts | {name: float(number) for name, number in numbers.items()} | {"first": plain(value.ravel()[:8])}


def main() -> None:
    """Write the answers, or the embeddings and the SAE."""
    if sys.argv[1:] == ["embeddings"]:
        write_embeddings()
        write_sae()
        return
    with tempfile.TemporaryDirectory() as folder:
        found = answers(golden_run(Store(Path(folder))))
    if ANSWERS.is_file():
        before = json.loads(ANSWERS.read_text(encoding="utf-8"))
        other = changed(before["answers"], {name: found.get(name) for name in before["answers"]})
        if other and before["versions"] == versions():
            raise SystemExit(f"{RAISE}\n" + "\n".join(other[:20]))
    text = json.dumps({"versions": versions(), "answers": found}, indent=0, sort_keys=True, allow_nan=False)
    ANSWERS.write_text(text + "\n", encoding="utf-8")


RAISE = (
    "numbers changed and no version did: raise STAGES['answer'] in core/fingerprint.py (or the stage, or the exhibit's"
    " `version`), so that no cache returns the old ones; then `python -m tests.golden.make`"
)


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Where answers to the questions differ, each by how exactly it is computed."""
    missing = [f"/{name}: only in one" for name in sorted(before.keys() ^ after.keys())]
    return missing + [
        line
        for name in sorted(before.keys() & after.keys())
        for line in differences(before[name], after[name], f"/{name}", asked.FLOAT32.get(name, 1e-9))
    ]


def differences(before: Any, after: Any, path: str = "", close: float = 1e-9) -> list[str]:
    """Where two plain answers differ by more than 1e-9, relative to the larger of the two (absolute below 1e-3)."""
    if isinstance(before, dict) and isinstance(after, dict):
        missing = [f"{path}/{key}: only in one" for key in sorted(before.keys() ^ after.keys())]
        both = sorted(before.keys() & after.keys())
        return missing + [line for key in both for line in differences(before[key], after[key], f"{path}/{key}", close)]
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return [f"{path}: {len(before)} values before, {len(after)} now"]
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}/{i}", close)]
    if isinstance(before, float) and isinstance(after, float | int):
        if abs(before - after) <= close * max(abs(before), abs(after), 1e-3):
            return []
        return [f"{path}: {before!r} before, {after!r} now"]
    return [] if before == after else [f"{path}: {before!r} before, {after!r} now"]


if __name__ == "__main__":
    main()
