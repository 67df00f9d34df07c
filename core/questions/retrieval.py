"""Retrieval under variants: how good, what changed, for which queries.

Everything is exact (no approximate index); statistics of transforms come from where the variant says (docs/study.md
section 6).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.analysis.retrieval.one_query import similarities
from core.analysis.variants import VariantSpec, make_step
from core.analysis.variants import gain_split as gain_split_variants
from core.errors import UserError
from core.questions import inside
from core.questions.answers import (
    answer,
    cached_table,
    fit_data,
    fitted,
    item_frame,
    query_clusters,
    transformed,
    variant_of,
)
from core.questions.comparisons import PairedGain, RecallRow, rank_under
from core.questions.ranked import Contest, Place, Rankings, place_of, ranks_of, side_by_side
from core.records import SIDE_OF_PART, Part
from core.run import Run
from core.store import Draft

SIMILARITIES = 16
"""Queries whose similarities stay in memory, per run."""
BETAS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)
Kind = Literal["all", "failing", "fixed", "broken"]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A variant's evaluation on the test pairs.

    `ranks` is (n_queries,) int64: rank of the first relevant candidate, 1 is best, 0 where the query has none in the
    pool.
    """

    variant: str
    evaluation: science.Evaluation
    ranks: np.ndarray
    notes: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two variants on the same queries; `fixed` and `broken` are query rows whose hit@k changed."""

    before: Evaluated
    after: Evaluated
    table: pd.DataFrame
    fixed: np.ndarray
    broken: np.ndarray
    k: int = 1


def evaluate(run: Run, variant: str | VariantSpec = "none") -> Evaluated:
    """Recall@1/5/10, MRR, nDCG@10 with 95% bootstrap intervals over queries (docs/study.md section 7)."""
    spec = variant_of(run, variant)

    def write(draft: Draft) -> None:
        started = time.perf_counter()
        ranked = science.rank_variant(fitted(run, spec), fit_data(run), run.qrels("test").pairs)
        draft.facts |= {"notes": list(fitted(run, spec).notes), "seconds": time.perf_counter() - started}
        for key, values in ranked.arrays().items():
            draft.save(key, values)

    def read() -> Evaluated:
        # Ranks are on disk, metrics are not: reading them back is cheap, ranking a large pool is not.
        folder = answer(run, "evaluate", {"variant": spec.explicit()}, write, inside.keys(run, spec))
        ranked, facts = science.Ranked.from_arrays(folder.array, query_clusters(run)), folder.facts
        return Evaluated(str(spec), science.evaluate(ranked), ranked.first, tuple(facts["notes"]), facts["seconds"])

    return run.memo(("evaluation", spec), read)


def chance(run: Run, k: int = 1) -> float:
    """Expected recall@k of a random ranking of this run's candidates, 0-1."""
    queries, candidates = len(run.corpus.items("queries")), len(run.corpus.items("candidates"))
    pairs = np.unique(run.qrels("test").pairs, axis=0)
    return science.recall_by_chance(np.bincount(pairs[:, 0], minlength=queries), candidates, k)


def chance_levels(run: Run) -> dict[int, float]:
    """k -> expected recall@k of a random ranking, 0-1, for k = 1, 5, 10; {} where there is nothing to retrieve."""
    if "candidates" not in run.parts or not len(run.qrels("test")):
        return {}
    return {k: chance(run, k) for k in (1, 5, 10)}


def compare(
    run: Run, before: str | VariantSpec = "none", after: str | VariantSpec = "realign", k: int = 1
) -> Comparison:
    """Two variants, paired query by query.

    `table`: DataFrame[metric, before, before_low, before_high, after, after_low, after_high, difference,
    difference_low, difference_high, p_value, test, n]; intervals are 95% bootstrap, p is McNemar's exact test (recall)
    or random sign flips; queries that share an answer are drawn and flipped together.
    """
    a, b = evaluate(run, before), evaluate(run, after)
    changes = science.fixed_and_broken(a.ranks, b.ranks, k)
    rows = [_compared(metric, a.evaluation, b.evaluation) for metric in science.METRICS]
    return Comparison(a, b, pd.DataFrame(rows), changes.fixed, changes.broken, k)


def _compared(metric: science.Metric, a: science.Evaluation, b: science.Evaluation) -> dict[str, Any]:
    paired = science.paired_difference(a, b, metric)
    return {
        "metric": metric,
        "before": a.value(metric),
        "before_low": a.ci95[metric][0],
        "before_high": a.ci95[metric][1],
        "after": b.value(metric),
        "after_low": b.ci95[metric][0],
        "after_high": b.ci95[metric][1],
        "difference": paired.difference,
        "difference_low": paired.low,
        "difference_high": paired.high,
        "p_value": paired.p_value,
        "test": paired.test,
        "n": paired.n,
    }


def gain_split(run: Run) -> pd.DataFrame:
    """Where whitening's gain comes from: none -> center -> scale-dims -> zca -> realign, each against the one before.

    DataFrame[variant, label, recall@1, recall@1_low, recall@1_high, ..., mrr, gain, gain_low, gain_high, gain_p,
    queries]; gain is the paired recall@1 difference to the row before, NaN in the first.
    """
    whitening = run.spec.whitening
    steps = gain_split_variants(whitening.beta, whitening.eps, whitening.statistics)
    evaluated = [evaluate(run, spec) for spec in steps.values()]
    rows: list[dict[str, Any]] = []
    for label, now, before in zip(steps, evaluated, [None, *evaluated[:-1]], strict=True):
        gain = PairedGain.nothing()
        if before is not None:
            gain = PairedGain.between([before.evaluation.ranked], [now.evaluation.ranked], "recall@1")
        row = {"variant": now.variant, "label": label} | RecallRow.of_evaluation(now.evaluation).columns()
        rows.append(row | {"mrr": now.evaluation.mrr} | gain.columns())
    return pd.DataFrame(rows)


def beta_sweep(run: Run, statistics: str = "per-side", metric: str = "recall@5") -> pd.DataFrame:
    """Figure 6: recall against shrinkage beta, at the run's eps.

    DataFrame[beta, recall@1, recall@1_low, recall@1_high, ..., queries, candidates, mrr, gain, gain_low, gain_high,
    gain_p]; gain: the paired difference of `metric` to the raw embeddings.
    """
    eps = run.spec.whitening.eps
    steps = {beta: VariantSpec((make_step("realign", beta=beta, eps=eps, statistics=statistics),)) for beta in BETAS}

    def compute() -> pd.DataFrame:
        raw = evaluate(run).evaluation.ranked
        return pd.DataFrame([{"beta": beta} | _sweep_point(run, spec, raw, metric) for beta, spec in steps.items()])

    arguments = {"variants": [spec.explicit() for spec in steps.values()], "metric": metric}
    return cached_table(run, "beta-sweep", arguments, compute)


def _sweep_point(run: Run, spec: VariantSpec, raw: science.Ranked, metric: str) -> dict[str, Any]:
    # Not by `evaluate`: eleven rankings that nothing else asks for would fill the cache.
    ranked, _ = rank_under(run, spec)
    evaluated = science.evaluate(ranked)
    gain = PairedGain.between([raw], [ranked], metric)
    return RecallRow.of_evaluation(evaluated).columns() | {"mrr": evaluated.mrr} | gain.columns()


def query_list(
    run: Run,
    before: str | VariantSpec = "none",
    after: str | VariantSpec = "realign",
    kind: Kind = "all",
    search: str = "",
    limit: int = 200,
) -> pd.DataFrame:
    """Queries with their ranks before and after: DataFrame[row, id, modality, text, rank_before, rank_after].

    kind: all; failing (missed at 1 after); fixed / broken (hit at 1 changed). `search` filters by text, id or a
        relevant candidate's
    text. attrs["total"] says how many there are before `limit`.
    """
    a, b = evaluate(run, before), evaluate(run, after)
    changes = science.fixed_and_broken(a.ranks, b.ranks)
    rows = {
        "all": np.arange(len(a.ranks)),
        "failing": np.flatnonzero(b.ranks != 1),
        "fixed": changes.fixed,
        "broken": changes.broken,
    }
    if kind not in rows:
        raise UserError("unknown kind of queries", got=repr(kind), allowed=", ".join(rows))
    matching = [r for r in rows[kind] if not search or search.lower() in _haystack(run, int(r))]
    frame = item_frame(run, "queries", matching[:limit])
    frame["rank_before"], frame["rank_after"] = a.ranks[matching[:limit]], b.ranks[matching[:limit]]
    frame.attrs = {"total": len(matching)}
    return frame


def _haystack(run: Run, row: int) -> str:
    queries, candidates = run.corpus.items("queries"), run.corpus.items("candidates")
    partners = " ".join(candidates.texts[c] or "" for c in run.qrels("test").relevant(row))
    return f"{queries.ids[row]} {queries.texts[row] or ''} {partners}".lower()


def rankings(
    run: Run,
    query_row: int,
    before: str | VariantSpec = "none",
    after: str | VariantSpec = "realign",
    top: int = 10,
) -> Rankings:
    """The top candidates of one query under both variants, side by side; `rank_other` is the candidate's rank in the
    other list."""
    _check_row(run, "queries", query_row)
    relevant = set(run.qrels("test").relevant(query_row).tolist())
    return side_by_side(
        run, similarities_of(run, before, query_row), similarities_of(run, after, query_row), relevant, top
    )


def place(run: Run, query_row: int, candidate_row: int, variant: str | VariantSpec = "none") -> Place:
    """Rank and similarity of one candidate for one query."""
    _check_row(run, "queries", query_row)
    _check_row(run, "candidates", candidate_row)
    similarity = similarities_of(run, variant, query_row)
    return place_of(
        similarity, ranks_of(similarity), candidate_row, set(run.qrels("test").relevant(query_row).tolist())
    )


def contest(run: Run, query_row: int, variant: str | VariantSpec = "none") -> Contest:
    """Right against wrong: who should stand first and who does, or comes next."""
    _check_row(run, "queries", query_row)
    similarity = similarities_of(run, variant, query_row)
    ranks, relevant = ranks_of(similarity), set(run.qrels("test").relevant(query_row).tolist())
    best = np.argsort(ranks)
    right = next((int(r) for r in best if int(r) in relevant), None)
    wrong = next((int(r) for r in best if int(r) not in relevant), None)
    return Contest(*(None if row is None else place_of(similarity, ranks, row, relevant) for row in (right, wrong)))


def candidate_list(
    run: Run, query_row: int, variant: str | VariantSpec = "none", search: str = "", limit: int = 100
) -> pd.DataFrame:
    """A query's ranking, filtered by text, id or a matching query's text: DataFrame[row, id, modality, text, rank,
    similarity, relevant].

    attrs["total"] says how many there are before `limit`.
    """
    _check_row(run, "queries", query_row)
    similarity = similarities_of(run, variant, query_row)
    ranks, relevant = ranks_of(similarity), set(run.qrels("test").relevant(query_row).tolist())
    words = search.lower()
    matching = np.argsort(ranks)
    if words:
        texts = _candidate_haystacks(run)
        matching = np.array([r for r in matching if words in texts[r]], dtype=np.int64)
    frame = item_frame(run, "candidates", matching[:limit])
    at = frame["row"].to_numpy()
    frame = frame.assign(
        rank=ranks[at], similarity=similarity[at].astype(float), relevant=[int(r) in relevant for r in at]
    )
    frame.attrs = {"total": len(matching)}
    return frame


def _candidate_haystacks(run: Run) -> list[str]:
    """Per candidate what a search looks through, lower case."""

    def compute() -> list[str]:
        queries, candidates = run.corpus.items("queries"), run.corpus.items("candidates")
        texts = [f"{name} {text or ''}" for name, text in zip(candidates.ids, candidates.texts, strict=True)]
        for query, candidate in run.qrels("test").pairs:
            texts[candidate] += f" {queries.texts[query] or ''}"
        return [text.lower() for text in texts]

    return run.memo(("candidate_haystacks",), compute)


def _check_row(run: Run, part: Part, row: int) -> None:
    """UserError unless the part has that row."""
    rows = len(run.corpus.items(part))
    if not 0 <= row < rows:
        raise UserError(f"no such {SIDE_OF_PART[part]}", got=row, allowed=f"0 to {rows - 1}")


def similarities_of(run: Run, variant: str | VariantSpec, query_row: int) -> np.ndarray:
    """(n_candidates,) cosines of one query under a variant, summed in float64, as float32; the last few are kept."""
    spec = variant_of(run, variant)

    def compute() -> np.ndarray:
        return similarities(transformed(run, spec, "queries")[query_row], transformed(run, spec, "candidates"))

    # A page asks several questions of one query: its rankings, who stands first, where one candidate stands.
    return run.memo(("similarities", spec, query_row), compute, limit=SIMILARITIES)


def payload(run: Run, variant: str | VariantSpec) -> dict[str, Any]:
    """What `evaluate --json` prints."""
    spec = variant_of(run, variant)
    evaluated = evaluate(run, spec)
    whitening = next((step for step in reversed(spec.steps) if step.kind.stage == "affine"), None)
    options = dict(whitening.options) if whitening else {}
    return {
        "run": run.name,
        "transform": whitening.name if whitening else "none",
        "beta": options.get("beta"),
        "eps": options.get("eps"),
        "variant": evaluated.variant,
        "statistics": options.get("statistics"),
        **evaluated.evaluation.to_json(),
        "notes": list(evaluated.notes),
    }


def payload_table(payload: dict[str, Any]) -> pd.DataFrame:
    """The same as a table: metric, value, 95% interval; ratios 0-1."""
    values = {f"recall@{k}": v for k, v in payload["recall"].items()} | {m: payload[m] for m in ("mrr", "ndcg@10")}
    rows = [(name, value, *payload["ci95"][name]) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "ci95 low", "ci95 high"])
