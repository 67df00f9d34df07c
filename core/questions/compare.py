"""Two sides beside each other, each a run and a variant: metrics, who finds what, similarities, shape.

Where both runs ask the same queries of the same candidates (`pairing`), everything is paired query by query; else the
numbers stand beside each other, each with its own interval, and nothing is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.analysis.variants import VariantSpec
from core.errors import UserError
from core.questions import geometry
from core.questions.answers import item_frame, variant_of
from core.questions.labels import TEST_PARTS
from core.questions.ranked import Rankings, side_by_side
from core.questions.retrieval import Evaluated, evaluate, similarities_of
from core.run import Run

Kind = Literal["all", "both", "only first", "only second", "neither"]
KINDS: tuple[Kind, ...] = ("all", "both", "only first", "only second", "neither")
SHOWN_MEASURES = (
    "modality gap",
    "mean cosine across",
    "mean cosine within queries",
    "mean cosine within candidates",
    "effective rank, queries",
    "effective rank, candidates",
    "hubness (skewness of N_10)",
    "candidates in no top-10 list",
    "mean cosine of matching pairs",
    "mean cosine of other pairs",
    "d'",
)


@dataclass(frozen=True, eq=False)
class Sides:
    """Both evaluations and one row per metric.

    `table`: DataFrame[metric, first, first_low, first_high, second, second_low, second_high, difference,
    difference_low, difference_high, p_value, test, n]; difference is second - first on the same queries, NaN with an
    empty test where they do not pair. `why_not`: "" where they pair, else the reason.
    """

    first: Evaluated
    second: Evaluated
    table: pd.DataFrame
    why_not: str


def pairing(first: Run, second: Run) -> str:
    """ "" where both runs ask the same queries of the same candidates with the same relevant pairs; else why not, one
    clause."""
    for part in TEST_PARTS:
        mine, theirs = first.corpus.items(part), second.corpus.items(part)
        if len(mine) != len(theirs):
            return f"{first.name} has {len(mine):,} {part}, {second.name} has {len(theirs):,}"
        if mine.content != theirs.content:
            return f"both have {len(mine):,} {part}, but not the same ones"
    if not np.array_equal(_sorted(first), _sorted(second)):
        return "the same items, but other pairs are relevant"
    return ""


def _sorted(run: Run) -> np.ndarray:
    return np.unique(run.qrels("test").pairs, axis=0)


def compare(
    first: Run, second: Run, variant: str | VariantSpec = "none", other_variant: str | VariantSpec = "none"
) -> Sides:
    """Recall@1/5/10, MRR and nDCG@10 of both sides with 95% intervals; paired where the queries are the same.

    Intervals are bootstrap over queries; p is McNemar's exact test (recall) or random sign flips.
    """
    a, b, why_not = evaluate(first, variant), evaluate(second, other_variant), pairing(first, second)
    table = pd.DataFrame([_row(metric, a.evaluation, b.evaluation, paired=not why_not) for metric in science.METRICS])
    return Sides(a, b, table, why_not)


def _row(metric: science.Metric, a: science.Evaluation, b: science.Evaluation, paired: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"metric": metric}
    for name, side in (("first", a), ("second", b)):
        low, high = side.ci95[metric]
        row |= {name: side.value(metric), f"{name}_low": low, f"{name}_high": high, f"{name}_n": side.queries}
    if not paired:
        return (
            row
            | dict.fromkeys(("difference", "difference_low", "difference_high", "p_value"), np.nan)
            | {"test": "", "n": 0}
        )
    change = science.paired_difference(a, b, metric)
    bounds = {"difference_low": change.low, "difference_high": change.high, "p_value": change.p_value}
    return row | {"difference": change.difference} | bounds | {"test": change.test, "n": change.n}


def outcomes(
    first: Run, second: Run, variant: str | VariantSpec = "none", other_variant: str | VariantSpec = "none", k: int = 1
) -> pd.DataFrame:
    """Who has a relevant candidate in the top k: DataFrame[kind, queries, share]; kinds both, only first, only second,
    neither.

    Raises:
        UserError: the runs do not ask the same queries.
    """
    masks = _masks(first, second, variant_of(first, variant), variant_of(second, other_variant), k)
    n = len(masks["all"])
    rows = [
        (kind, int(masks[kind].sum()), float(masks[kind].mean()) if n else np.nan) for kind in KINDS if kind != "all"
    ]
    table = pd.DataFrame(rows, columns=["kind", "queries", "share"])
    table.attrs = {"n": n, "k": k}
    return table


def query_list(
    first: Run,
    second: Run,
    variant: str | VariantSpec = "none",
    other_variant: str | VariantSpec = "none",
    kind: Kind = "all",
    k: int = 1,
    limit: int = 100,
) -> pd.DataFrame:
    """Queries on which the two sides differ most: DataFrame[row, id, modality, text, rank_first, rank_second].

    Order: the largest |log(rank_first / rank_second)| first; queries with nothing to find last. attrs["total"]: how
        many before `limit`.

    Raises:
        UserError: unknown kind, or the runs do not ask the same queries.
    """
    if kind not in KINDS:
        raise UserError("unknown kind of queries", got=repr(kind), allowed=", ".join(KINDS))
    of_first, of_second = variant_of(first, variant), variant_of(second, other_variant)
    rows = np.flatnonzero(_masks(first, second, of_first, of_second, k)[kind])
    a, b = evaluate(first, of_first).ranks[rows], evaluate(second, of_second).ranks[rows]
    distance = np.abs(np.log(np.maximum(a, 1)) - np.log(np.maximum(b, 1)))
    order = np.lexsort((rows, -distance))[:limit]
    frame = item_frame(first, "queries", rows[order])
    frame["rank_first"], frame["rank_second"] = a[order], b[order]
    frame.attrs = {"total": len(rows)}
    return frame


def rankings(
    first: Run,
    second: Run,
    query_row: int,
    variant: str | VariantSpec = "none",
    other_variant: str | VariantSpec = "none",
    top: int = 10,
) -> Rankings:
    """The best candidates of one query on both sides; `rank_other` is the rank on the other side.

    Raises:
        UserError: no such query, or the runs do not ask the same queries.
    """
    _need_pairing(first, second)
    rows = len(first.corpus.items("queries"))
    if not 0 <= query_row < rows:
        raise UserError("no such query", got=query_row, allowed=f"0 to {rows - 1}")
    relevant = set(first.qrels("test").relevant(query_row).tolist())
    a, b = similarities_of(first, variant, query_row), similarities_of(second, other_variant, query_row)
    return side_by_side(first, a, b, relevant, top)


def shape(
    first: Run, second: Run, variant: str | VariantSpec = "none", other_variant: str | VariantSpec = "none"
) -> pd.DataFrame:
    """The shape of both sides: DataFrame[measure, first, second]; measures of `core.questions.geometry.shape`."""
    columns = {
        name: _shape_of(run, v) for name, run, v in (("first", first, variant), ("second", second, other_variant))
    }
    return pd.DataFrame(
        [{"measure": m, **{name: values[m] for name, values in columns.items()}} for m in SHOWN_MEASURES]
    )


def _shape_of(run: Run, variant: str | VariantSpec) -> dict[str, float]:
    table = geometry.shape(run, (variant,))
    return dict(zip(table["measure"], table["value"], strict=True))


def similarities(
    first: Run, second: Run, variant: str | VariantSpec = "none", other_variant: str | VariantSpec = "none"
) -> pd.DataFrame:
    """Cosines of matching and of other pairs: DataFrame[side, left, right, positive, negative]; shares per bin, each
    column sums to 1.

    attrs: per side "first" and "second" the d_prime, n_positive and n_negative.
    """
    frames, attrs = [], {}
    for name, run, v in (("first", first, variant), ("second", second, other_variant)):
        shares = geometry.similarities(run, (v,))
        attrs[name] = next(iter(shares.attrs.values()))
        frames.append(shares.drop(columns="variant").assign(side=name))
    table = pd.concat(frames, ignore_index=True)
    table.attrs = attrs
    return table


def teaching_query(run: Run, other: Run | None = None, variant: str | VariantSpec = "center") -> int:
    """The first of `teaching_queries`."""
    return teaching_queries(run, other, variant, 1)[0]


def teaching_queries(
    run: Run, other: Run | None = None, variant: str | VariantSpec = "center", limit: int = 20
) -> list[int]:
    """Rows of queries that show most: missed raw, found first under the variant, found first raw by the other run (if
    it pairs).

    Of those that fit, the ones of median raw rank come first: neither just missed nor hopeless. Where none fits,
        conditions are dropped
    from the last on; [0] at worst.
    """
    raw = evaluate(run, "none").ranks
    conditions = [raw > 1, evaluate(run, variant).ranks == 1]
    if other is not None and not pairing(run, other):
        conditions.append(evaluate(other, "none").ranks == 1)
    for n in range(len(conditions), 0, -1):
        rows = np.flatnonzero(np.all(conditions[:n], axis=0))
        if len(rows):
            ordered = rows[np.argsort(raw[rows], kind="stable")]
            from_middle = np.argsort(np.abs(np.arange(len(rows)) - len(rows) // 2), kind="stable")
            return [int(row) for row in ordered[from_middle][:limit]]
    return [0]


def _masks(first: Run, second: Run, variant: VariantSpec, other_variant: VariantSpec, k: int) -> dict[Kind, np.ndarray]:
    _need_pairing(first, second)
    ranks = evaluate(first, variant).ranks, evaluate(second, other_variant).ranks
    a, b = ((r > 0) & (r <= k) for r in ranks)
    return {
        "all": np.ones(len(a), bool),
        "both": a & b,
        "only first": a & ~b,
        "only second": ~a & b,
        "neither": ~a & ~b,
    }


def _need_pairing(first: Run, second: Run) -> None:
    if why_not := pairing(first, second):
        raise UserError(
            "these runs do not ask the same queries of the same candidates",
            got=why_not,
            allowed="runs of one corpus and task",
        )
