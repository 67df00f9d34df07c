"""The two things every question needs: the arrays of a run as the analysis wants them, and a cache for answers.

An answer is a folder of the "answer" stage, keyed by (run, question, arguments): tables as parquet, arrays as `.npy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.retrieval import shared_answers
from core.analysis.variants import FitData, FittedVariant, VariantSpec, fit_variant, parse_variant
from core.analysis.variants.transform import SideTransform, transform
from core.fingerprint import stage_key
from core.records import SIDE_OF_PART, Part
from core.run import Run
from core.store import Draft, Folder

LEAN_FITS = 8
"""Fitted variants kept in memory per run; each holds two d x d matrices."""


def answer(run: Run, question: str, arguments: Mapping[str, Any], write: Callable[[Draft], None]) -> Folder:
    """The cached answer, or `write(draft)` it now."""
    spec = {"question": question, "arguments": dict(arguments)}
    return run.store.build("answer", f"{run.name}-{question}", spec, (run.key,), write)


def cached_table(
    run: Run, question: str, arguments: Mapping[str, Any], compute: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """A table answer; its `attrs` (plain JSON) are kept with it."""

    def write(draft: Draft) -> None:
        table = compute()
        draft.facts["attrs"] = dict(table.attrs)
        table.attrs = {}
        table.to_parquet(draft.path / "table.parquet", index=False)

    return _read_table(answer(run, question, arguments, write))


def cached_table_if_there(run: Run, question: str, arguments: Mapping[str, Any]) -> pd.DataFrame | None:
    """A table answer that was computed before; None where there is none yet."""
    key = stage_key("answer", {"question": question, "arguments": dict(arguments)}, (run.key,))
    folder = run.store.find("answer", key)
    return None if folder is None else _read_table(folder)


def _read_table(folder: Folder) -> pd.DataFrame:
    table = pd.read_parquet(folder.path / "table.parquet")
    table.attrs = dict(folder.facts["attrs"])
    return table


def fit_data(run: Run) -> FitData:
    """Everything a variant may be fitted on: embeddings, codes and pairs of test and support."""
    if "fit_data" not in run._memo:
        run._memo["fit_data"] = _fit_data(run)
    return run._memo["fit_data"]


def _fit_data(run: Run) -> FitData:
    parts = run.parts

    def embeddings(part: Part) -> np.ndarray | None:
        return run.embeddings(part) if part in parts else None

    def codes(part: Part) -> Any:
        return run.codes(part) if run.sae is not None and part in parts else None

    return FitData(
        queries=run.embeddings("queries"),
        candidates=run.embeddings("candidates"),
        pairs=run.qrels("test").pairs,
        query_codes=codes("queries"),
        candidate_codes=codes("candidates"),
        support_queries=embeddings("support_queries"),
        support_candidates=embeddings("support_candidates"),
        support_pairs=run.qrels("support").pairs if run.has_support else None,
        support_query_codes=codes("support_queries"),
        support_candidate_codes=codes("support_candidates"),
        dictionary=run.sae.dictionary if run.sae is not None else None,
    )


def query_clusters(run: Run) -> np.ndarray | None:
    """Test queries that share a relevant candidate, by number (n,); None where none do."""
    if "query_clusters" not in run._memo:
        run._memo["query_clusters"] = shared_answers(run.qrels("test").pairs, len(run.corpus.items("queries")))
    return run._memo["query_clusters"]


def variant_of(run: Run, text: str) -> VariantSpec:
    """Parse a variant expression; a bare name is looked up among the variants kept with the run first."""
    kept = run.spec.variants
    return parse_variant(kept.get(text, text))


def fitted(run: Run, text: str) -> FittedVariant:
    """The variant fitted on this run; the last few are kept in memory."""
    spec = variant_of(run, text)
    memo = run._memo.setdefault("fitted", {})
    if str(spec) not in memo:
        if len(memo) >= LEAN_FITS:
            memo.pop(next(iter(memo)))
        memo[str(spec)] = fit_variant(spec, fit_data(run))
    return memo[str(spec)]


def side_of(variant: FittedVariant, part: Part) -> SideTransform:
    """The transform of a part's side."""
    return variant.query if SIDE_OF_PART[part] == "query" else variant.candidate


def transformed(run: Run, text: str, part: Part) -> np.ndarray:
    """(n, d_out) fp32 unit rows of a part under a variant."""
    memo = run._memo.setdefault("transformed", {})
    mark = (str(variant_of(run, text)), part)
    if mark not in memo:
        if len(memo) >= 2 * LEAN_FITS:
            memo.pop(next(iter(memo)))
        side = side_of(fitted(run, text), part)
        edits = bool(side.edits)
        memo[mark] = transform(
            run.embeddings(part),
            side,
            run.codes(part) if edits else None,
            run.need_sae().dictionary if edits else None,
        )
    return memo[mark]


def item_frame(run: Run, part: Part, rows: np.ndarray | list[int]) -> pd.DataFrame:
    """DataFrame[row, id, modality, text] of some rows of a part."""
    items = run.corpus.items(part)
    rows = [int(r) for r in rows]
    return pd.DataFrame(
        {
            "row": pd.Series(rows, dtype="int64"),
            "id": pd.Series([str(items.ids[r]) for r in rows], dtype="object"),
            "modality": pd.Series([str(items.modality[r]) for r in rows], dtype="object"),
            "text": pd.Series([items.texts[r] or "" for r in rows], dtype="object"),
        }
    )
