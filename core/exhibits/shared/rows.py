"""Pieces of rows that exhibits share: which run, its recalls with intervals, the paired difference to another setting;
and what a run must have to take part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.config import Family
from core.errors import NotAvailable
from core.exhibits.shared.records import Option
from core.questions.alternates import OWN, Alternate, held, own, sources
from core.questions.comparisons import RECALLS, PairedGain, RecallRow
from core.run import Run

METRIC = Option(
    name="metric",
    default="recall@5",
    allowed=RECALLS,
    help="The recall that differences are taken of.",
)
STATISTICS = Option(
    name="statistics",
    default="per-side",
    allowed=("per-side", "support", "shared", "candidates"),
    help=(
        "Rows that mean and covariance come from: each side's own, queries from the support split, both together, or"
        " the candidates."
    ),
)
DICTIONARY = Option(
    name="dictionary",
    default=OWN,
    help="Whose concepts: the run's own SAE, or another one by its name in `exhibit dictionaries`.",
)
MLLM, CONTRASTIVE, TUNED, UNKNOWN = "multimodal LLM", "contrastive", "fine-tuned retriever", "unknown"
KINDS: dict[Family, str] = {
    "generative": MLLM,
    "contrastive": CONTRASTIVE,
    "tuned": TUNED,
    "unknown": UNKNOWN,
}
"""The families of models as exhibits name them."""


def kind(run: Run) -> str:
    """What the run's model is, in words: a fact of the run (`Run.family`), never inferred from its embeddings."""
    return KINDS[run.family]


def head(run: Run) -> dict[str, Any]:
    """run, model, kind, task: the first columns of every exhibit."""
    return {"run": run.name, "model": run.model_name, "kind": kind(run), "task": run.spec.corpus.task}


def recalls(e: science.Evaluation) -> dict[str, Any]:
    """The columns of a `RecallRow`: recall@1, @5, @10 with 95% intervals, queries, candidates."""
    return RecallRow.of_evaluation(e).columns()


def gain(before: science.Evaluation, after: science.Evaluation, metric: str, name: str = "gain") -> dict[str, Any]:
    """The columns of a `PairedGain`: after - before on the same queries; NaN for a setting against itself."""
    if before is after:
        return PairedGain.nothing().columns(name)
    return PairedGain.between([before.ranked], [after.ranked], metric).columns(name)


def corrected(base: science.Evaluation, others: Sequence[science.Evaluation], metric: str) -> list[float]:
    """p of each of several settings against one, corrected for having looked at all of them (max-T); NaN for the one
    against itself."""
    tested = [other for other in others if other is not base]
    if not tested:
        return [np.nan] * len(others)
    before = science.per_query(base.ranked, metric)
    differences = np.column_stack([science.per_query(other.ranked, metric) - before for other in tested])
    p_values = iter(science.max_t(differences, clusters=base.ranked.clusters).tolist())
    return [np.nan if other is base else next(p_values) for other in others]


def sae_named(run: Run, name: str) -> Alternate:
    """A dictionary at hand by its name; NotAvailable where there is none of that name."""
    if name == OWN:
        return own(run)
    at_hand = [OWN, *(source.name for source in sources(run))]
    if name not in at_hand:
        raise NotAvailable(f"run {run.name!r} has no dictionary {name!r}", allowed=", ".join(at_hand))
    # Listing the dictionaries at hand hashes their files: once per process is enough.
    return held(run, name)


def _sae_names(run: Run) -> list[str]:
    return [source.name for source in sources(run) if source.kind == "sae"]


def other_saes(runs: Sequence[Run]) -> list[str]:
    """SAEs beside their own that all of the runs have."""
    names = [run.memo(("other saes",), partial(_sae_names, run)) for run in runs]
    return [name for name in names[0] if all(name in others for others in names[1:])]


def need_pairs(run: Run) -> None:
    """NotAvailable for a run without relevant pairs: nothing can be retrieved."""
    if not len(run.qrels("test")):
        raise NotAvailable(
            f"run {run.name!r} has no relevant pairs, so there is nothing to retrieve",
            todo="add qrels or captions to its corpus and run it again",
        )


def partner(run: Run, runs: Sequence[Run], of_kind: str) -> Run | None:
    """The run of that kind on the same corpus, so that queries can be paired; None where there is none."""
    same = run.folder.facts["corpus"]
    return next((other for other in runs if kind(other) == of_kind and other.folder.facts["corpus"] == same), None)


def joined(tables: Sequence[tuple[Run, pd.DataFrame]]) -> pd.DataFrame:
    """The runs' tables as one, with their notes, each once."""
    notes = list(dict.fromkeys(note for _, table in tables for note in table.attrs.get("notes", ())))
    plain = [table.assign(**head(run)) for run, table in tables]
    for table in plain:
        table.attrs = {}
    whole = pd.concat(plain, ignore_index=True)
    whole.attrs = {"notes": notes}
    return whole


def need_sae(run: Run) -> None:
    """NotAvailable without an SAE."""
    run.need_sae()


def need_sae_and_pairs(run: Run) -> None:
    """NotAvailable without an SAE or without pairs."""
    run.need_sae()
    need_pairs(run)


def need_modalities(run: Run) -> None:
    """NotAvailable without an SAE, or where no item is a pure image or none a pure text: Eq 4 has nothing to divide."""
    run.need_sae()
    modalities = {str(m) for part in ("queries", "candidates") for m in set(run.corpus.items(part).modality)}
    if missing := {"text", "image"} - modalities:
        raise NotAvailable(
            f"run {run.name!r} has no item that is a pure {' or '.join(sorted(missing))}, so no concept has a modality"
            " score (Eq 4)",
            got=", ".join(sorted(modalities)),
            todo="choose a run of task 1 or 4",
        )


def each_run(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(run, its rows) in the table's order."""
    for name in table["run"].drop_duplicates():
        yield str(name), table[table["run"] == name]


def named_runs(table: pd.DataFrame) -> str:
    """The runs of a table, as a verdict on all of them names them."""
    return ", ".join(map(str, table["run"].drop_duplicates()))
