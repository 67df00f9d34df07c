"""The two things every question needs: the arrays of a run as the analysis wants them, and a cache for answers.

An answer is a folder of the "answer" stage, keyed by (run, question, arguments): tables as parquet, arrays as `.npy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.arrays import Codes
from core.analysis.engine import available, computing_on
from core.analysis.retrieval import shared_answers
from core.analysis.variants import FitData, FittedVariant, VariantSpec, fit_variant, parse_variant
from core.analysis.variants.transform import SideTransform, transform
from core.artefact import origins_of
from core.fingerprint import canonical, stage_key
from core.questions.inside import identities, inside_of, under
from core.records import SIDE_OF_PART, Part
from core.run import Run
from core.store import Draft, Folder
from core.waiting import about_to_compute

LEAN_FITS = 8
"""Fitted variants kept in memory per run; each holds two d x d matrices."""
TRANSFORMED_BYTES = 2**29
"""About so much memory per run is left to rows that are transformed, large pools apart."""
QUICK_WIDTH = 1024
"""Dimensions up to which a fit takes a fraction of a second, whoever waits."""


def answer(
    run: Run,
    question: str,
    arguments: Mapping[str, Any],
    write: Callable[[Draft], None],
    made_from: Sequence[str] = (),
) -> Folder:
    """The cached answer, or `write(draft)` it now.

    `made_from`: keys of folders it rests on beside the run's, so that they stay as long as it does.

    Raises:
        NotCached: it would have to be computed, and only what is cached was asked for.
    """
    spec = _spec(run, question, arguments)
    parents, origins = (run.key, *made_from), origins_of((run.folder,))
    folder = run.store.find("answer", stage_key("answer", spec, parents), origins)
    if folder is not None:
        return folder
    about_to_compute()

    def write_there(draft: Draft) -> None:
        with computing_for(run):
            write(draft)

    return run.store.build("answer", f"{run.name}-{question}", spec, parents, write_there, origins=origins)


def computing_for(run: Run) -> AbstractContextManager[None]:
    """Within: the analysis computes where the run's `[compute]` says, if that is there."""
    chosen = run.spec.compute
    return computing_on(chosen.device if available(chosen.device) else "auto", chosen.block_mib)


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
    folder = answer_if_there(run, question, arguments)
    return None if folder is None else _read_table(folder)


def answer_if_there(run: Run, question: str, arguments: Mapping[str, Any]) -> Folder | None:
    """The cached answer; None where there is none yet."""
    key = stage_key("answer", _spec(run, question, arguments), (run.key,))
    return run.store.find("answer", key, origins_of((run.folder,)))


def _spec(run: Run, question: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer hangs on; under a variant that changes the model, the dictionaries of its layers too, for the
    run's key knows of one alone."""
    spec = {"question": question, "arguments": dict(arguments)}
    return spec | ({"dictionaries": identities(run)} if "inside(" in canonical(spec) else {})


def _read_table(folder: Folder) -> pd.DataFrame:
    table = pd.read_parquet(folder.file("table.parquet"))
    table.attrs = dict(folder.facts["attrs"])
    return table


def fit_data(run: Run) -> FitData:
    """Everything a variant may be fitted on: embeddings, codes and pairs of test and support."""

    def embeddings(part: Part) -> np.ndarray | None:
        return run.embeddings(part) if part in run.parts else None

    def codes(part: Part) -> Codes | None:
        return run.codes(part) if run.sae is not None and part in run.parts else None

    def modality(part: Part) -> np.ndarray | None:
        return run.corpus.items(part).modality if part in run.parts else None

    def collect() -> FitData:
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
            query_modality=modality("queries"),
            candidate_modality=modality("candidates"),
            support_query_modality=modality("support_queries"),
            support_candidate_modality=modality("support_candidates"),
            inside=inside_of(run),
        )

    return run.memo(("fit_data",), collect)


def query_clusters(run: Run) -> np.ndarray | None:
    """Test queries that share a relevant candidate, by number (n,); None where none do."""
    return run.memo(
        ("query_clusters",), lambda: shared_answers(run.qrels("test").pairs, len(run.corpus.items("queries")))
    )


def variant_of(run: Run, variant: str | VariantSpec) -> VariantSpec:
    """The spec of a variant that a page or a command names: a text is parsed, a spec is returned as it is.

    A bare name means the variant of that name in the run's spec file, where it has one. Every public question calls
    this once, at its border, and passes the spec on.
    """
    if isinstance(variant, VariantSpec):
        return variant
    return parse_variant(run.spec.variants.get(variant, variant))


def explicit(run: Run, *variants: str | VariantSpec) -> list[str]:
    """Variants with every option written out, as keys of answers hold them: a changed default is another answer."""
    return [variant_of(run, variant).explicit() for variant in variants]


def fitted(run: Run, variant: str | VariantSpec) -> FittedVariant:
    """The variant fitted on this run; the last few fits stay in memory."""
    spec = variant_of(run, variant)

    def fit() -> FittedVariant:
        if run.embeddings("queries").shape[1] > QUICK_WIDTH:
            about_to_compute()
        data = fit_data(under(run, spec))
        with computing_for(run):
            return fit_variant(spec, data)

    return run.memo(("fitted", spec), fit, limit=LEAN_FITS)


def side_of(variant: FittedVariant, part: Part) -> SideTransform:
    """The transform of a part's side."""
    return variant.query if SIDE_OF_PART[part] == "query" else variant.candidate


def transformed(run: Run, variant: str | VariantSpec, part: Part) -> np.ndarray:
    """(n, d_out) fp32 unit rows of a part under a variant."""
    spec = variant_of(run, variant)

    def compute() -> np.ndarray:
        side, rows = side_of(fitted(run, spec), part), under(run, spec)
        # Only edits change a row through its codes; a run without an SAE has none to give.
        codes, dictionary = (rows.codes(part), run.need_sae().dictionary) if side.edits else (None, None)
        modality = run.corpus.items(part).modality if side.by_modality else None
        embeddings = rows.embeddings(part)
        with computing_for(run):
            return transform(embeddings, side, codes, dictionary, modality=modality)

    return run.memo(("transformed", spec, part), compute, limit=_kept(run))


def _kept(run: Run) -> int:
    """How many transformed parts stay in memory: both sides of two variants at least, and twice as many as fits where
    that is little."""
    rows, width = run.embeddings("candidates").shape if "candidates" in run.parts else (1, 1)
    size = max(1, rows * width * np.dtype(np.float32).itemsize)
    return min(2 * LEAN_FITS, max(4, 2 * TRANSFORMED_BYTES // size))


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
