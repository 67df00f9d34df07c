"""Write a run as plain files that need nothing of this project to be read.

queries.parquet candidates.parquet qrels.parquet   items (id, modality, text), pairs (query-id, corpus-id, score)
queries.npy candidates.npy                         raw pooled embeddings, fp32
codes_queries.npz codes_candidates.npz             scipy CSR, embedding units; dictionary.npy (c, d);
                                                   concepts.parquet (all c rows)
offset_queries.npy offset_candidates.npy           (1, d) or (n, d): what codes do not carry, h = z D + offset + error
support_queries.parquet support_queries.npy ...    the same files of the support split, where there is one: statistics,
                                                   removals and labels are fitted on it
whitening.safetensors                              ReAlign with the run's beta, eps and statistics
manifest.json                                      where everything came from
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.commands.options import expression
from core.errors import UserError
from core.questions.answers import fitted, side_of
from core.questions.labels import PARTS_OF
from core.records import Part, Split
from core.run import Run
from core.store import MANIFEST


def export_run(run: Run, out: Path) -> list[Path]:
    """Write the export into `out` (made if missing, files of the same name replaced); returns the paths.

    Raises:
        UserError: `out` exists and is no folder.
    """
    if out.exists() and not out.is_dir():
        raise UserError("cannot export", got=f"{out}, a file", allowed="a folder")
    out.mkdir(parents=True, exist_ok=True)
    for part in run.parts:
        _items(run, part).to_parquet(out / f"{part}.parquet", index=False)
        np.save(out / f"{part}.npy", np.asarray(run.embeddings(part), dtype=np.float32), allow_pickle=False)
    _qrels(run, "test").to_parquet(out / "qrels.parquet", index=False)
    if run.has_support:
        _qrels(run, "support").to_parquet(out / "support_qrels.parquet", index=False)
    if run.sae is not None:
        _sae(run, out)
    _whitening(run, out / "whitening.safetensors")
    (out / MANIFEST).write_text(json.dumps(_manifest(run), indent=1, ensure_ascii=False))
    return sorted(p for p in out.iterdir() if p.is_file())


def _items(run: Run, part: Part) -> pd.DataFrame:
    items = run.corpus.items(part)
    return pd.DataFrame({"id": list(items.ids), "modality": list(items.modality), "text": list(items.texts)})


def _qrels(run: Run, split: Split) -> pd.DataFrame:
    qrels = run.qrels(split)
    queries, candidates = (run.corpus.items(part).ids for part in PARTS_OF[split])
    return pd.DataFrame(
        {
            "query-id": [queries[i] for i in qrels.query_rows],
            "corpus-id": [candidates[i] for i in qrels.candidate_rows],
            "score": np.ones(len(qrels), dtype=np.int64),
        }
    )


def _sae(run: Run, out: Path) -> None:
    from core.questions import concepts

    np.save(out / "dictionary.npy", np.asarray(run.need_sae().dictionary, dtype=np.float32), allow_pickle=False)
    for part in run.parts:
        prefix = "support_" if part.startswith("support_") else ""
        side = part.removeprefix("support_")
        sp.save_npz(out / f"{prefix}codes_{side}.npz", sp.csr_matrix(run.codes(part)))
        offset = np.asarray(run.offset(part), dtype=np.float32)
        np.save(out / f"{prefix}offset_{side}.npy", offset, allow_pickle=False)
    concepts.table(run).to_parquet(out / "concepts.parquet", index=False)


def _whitening(run: Run, path: Path) -> None:
    from safetensors.numpy import save_file

    variant = fitted(run, expression(run.spec.whitening, "realign"))
    tensors = {}
    for part in ("queries", "candidates"):
        side, name = side_of(variant, part), "query" if part == "queries" else "candidate"
        tensors[f"{name}.mean"] = np.ascontiguousarray(side.mean, dtype=np.float32)
        tensors[f"{name}.matrix"] = np.ascontiguousarray(side.matrix, dtype=np.float32)
    save_file(tensors, path, metadata={"variant": str(variant.spec), "run": run.name, "model": run.model_name})


def _manifest(run: Run) -> dict[str, object]:
    facts = run.folder.manifest
    return {
        "run": run.name,
        "key": run.key,
        "view": str(run.view),
        "whitening": expression(run.spec.whitening, "realign"),
        **{name: facts[name] for name in ("spec", "parents", "versions", "created")},
    }
