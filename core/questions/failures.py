"""Which concepts make which queries fail, and whether switching them off helps.

A query fails where its first candidate is irrelevant. The margin between its best relevant candidate and that one is a
sum of terms, one per concept (docs/study.md section 4); a concept decides a failure if without its term the wrong
candidate would no longer win. Concepts to switch off are chosen on the support split, where there is one, and judged on
the test queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.concepts.measures import frequency
from core.analysis.explanations import failures as science
from core.analysis.retrieval.evaluation import per_query
from core.analysis.retrieval.ranking import Ranked
from core.analysis.subspaces import random_concepts
from core.analysis.variants import VariantSpec, fit_variant, make_step
from core.analysis.variants.fitdata import FitData
from core.analysis.variants.transform import SideTransform, transform
from core.errors import NotAvailable
from core.questions.answers import cached_table, fit_data, item_frame, side_of, variant_of
from core.questions.comparisons import compared, rank_under, tidy
from core.questions.concepts import check_concept, table
from core.questions.inside import under
from core.records import Part, Split
from core.run import Run

COUNTS = (1, 5, 20)
SEEDS = (0, 1, 2)
PARTS: dict[Split, tuple[Part, Part]] = {
    "test": ("queries", "candidates"),
    "support": ("support_queries", "support_candidates"),
}
TERMS = ("margin", "concept_sum", "offset", "query_error", "candidate_error")


@dataclass(frozen=True, eq=False)
class Failures:
    """The failures of one split under a variant: rows of `PARTS[split]`, margins as sums, and what every concept has to
    do with them."""

    split: Split
    queries: int
    """Queries with a relevant candidate in the pool: the denominator of the failure rate."""
    summary: science.FailureSummary


def failing_concepts(run: Run, variant: str | VariantSpec = "none", split: Split = "test") -> pd.DataFrame:
    """Concepts by how many failures they decide, most first: DataFrame[concept, label, modality_score, decided,
    share_of_failures, largest, term_mean, failures, queries].

    share_of_failures: decided over failures, 0-1; one failure may be decided by several concepts or by none. largest:
        failures in which the
    concept has the most negative term. term_mean: its mean term over all failures, in units of cosine; negative speaks
    for the wrong candidates. Concepts that decide nothing are left out. attrs: failures, queries, undecided (failures
    no single concept decides), margin, concept_sum, offset, query_error, candidate_error (means over failures).

    Raises:
        NotAvailable: a run without an SAE, or without that split.
    """
    run.need_sae()
    spec = variant_of(run, variant)
    arguments = {"variant": spec.explicit(), "split": split}
    return cached_table(run, "failing-concepts", arguments, lambda: _ranked_concepts(run, spec, split))


def decided_by(run: Run, concept: int, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """The test queries whose failure a concept decides, its most negative term first: DataFrame[row, id, modality,
    text, term, margin, right, right_text, wrong, wrong_text]; right and wrong are candidate rows.

    Raises:
        UserError: no such concept.
    """
    check_concept(run, concept)
    spec = variant_of(run, variant)
    arguments = {"concept": concept, "variant": spec.explicit()}
    return cached_table(run, "decided-by", arguments, lambda: _decided(run, concept, spec))


def switched_off(run: Run, variant: str | VariantSpec = "none", counts: Sequence[int] = COUNTS) -> pd.DataFrame:
    """Recall on the test queries with the concepts that decide most failures scaled to 0, beside random active concepts
    of equal number.

    DataFrame[count, choice, draws, concepts, recall@1, recall@1_low, ..., gain, gain_low, gain_high, gain_p,
    beyond_random, ..., queries, draw_lowest, draw_highest]; choice: "deciding" or "random"; draw_*: recall@1 of the
    worst and the best draw. gain: to the variant with nothing switched off;
    beyond_random: to the mean of the draws. attrs: chosen_on ("support", or "test" where there is no support split:
    then the gain is optimistic), variant.
    """
    run.need_sae()
    spec = variant_of(run, variant)
    split: Split = "support" if run.has_support else "test"
    arguments = {
        "variant": spec.explicit(),
        "counts": list(counts),
        "seeds": list(SEEDS),
        "chosen_on": split,
    }
    return cached_table(run, "switched-off", arguments, lambda: _switch(run, spec, tuple(counts), split))


def failures(run: Run, variant: str | VariantSpec = "none", split: Split = "test") -> Failures:
    """Find the failures of a split and decompose their margins; not kept."""
    _need_split(run, split)
    spec = variant_of(run, variant)
    rows_of = under(run, spec)
    fitted = fit_variant(spec, fit_data(rows_of))
    queries, candidates = PARTS[split]
    of_query, of_candidate = (side_rows(rows_of, part, side_of(fitted, part)) for part in (queries, candidates))
    dictionary = run.need_sae().dictionary
    rows = [
        transform(side.rows, side.transform, side.codes, dictionary, modality=side.modality)
        for side in (of_query, of_candidate)
    ]
    failing = science.failing(rows[0], rows[1], run.qrels(split).pairs)
    summary = science.summarise_failures(of_query, of_candidate, failing, dictionary)
    return Failures(split, len(np.unique(run.qrels(split).query_rows)), summary)


def side_rows(run: Run, part: Part, fitted: SideTransform) -> science.SideRows:
    """The items of a part, with what a fitted variant does to them."""
    modality = run.corpus.items(part).modality
    return science.SideRows(run.embeddings(part), run.codes(part), fitted, run.offset(part), modality)


def _need_split(run: Run, split: Split) -> None:
    if split == "support" and not run.has_support:
        raise NotAvailable(
            f"run {run.name!r} has no support split", got="queries and candidates alone", todo="use the test split"
        )


def _data(run: Run, split: Split) -> FitData:
    """Rows, codes and pairs of a split as the test side of a FitData."""
    _need_split(run, split)
    queries, candidates = PARTS[split]
    return FitData(
        queries=run.embeddings(queries),
        candidates=run.embeddings(candidates),
        pairs=run.qrels(split).pairs,
        query_codes=run.codes(queries),
        candidate_codes=run.codes(candidates),
        dictionary=run.need_sae().dictionary,
    )


def _ranked_concepts(run: Run, variant: VariantSpec, split: Split) -> pd.DataFrame:
    failed = failures(run, variant, split)
    summary, n = failed.summary, len(failed.summary.failures)
    order = ranked_by_failures(summary)
    known = table(run)
    frame = pd.DataFrame(
        {
            "concept": order,
            "label": known["label"].to_numpy()[order],
            "modality_score": known["modality_score"].to_numpy()[order],
            "decided": summary.decided[order],
            "share_of_failures": summary.decided[order] / max(1, n),
            "largest": summary.largest[order],
            "term_mean": summary.term_mean[order],
            "failures": n,
            "queries": failed.queries,
        }
    )
    means = {name: float(getattr(summary, name).mean()) if n else None for name in TERMS}
    undecided = int((np.diff(summary.deciding.indptr) == 0).sum())
    frame.attrs = {
        "failures": n,
        "queries": failed.queries,
        "undecided": undecided,
        "centred_codes": summary.centred_codes,
    } | means
    return frame


def ranked_by_failures(summary: science.FailureSummary) -> np.ndarray:
    """Concepts that decide a failure, most failures first; ties by the sum of their terms (most negative first), then
    by index."""
    order = np.lexsort((np.arange(len(summary.decided)), summary.term_sum, -summary.decided))
    return order[summary.decided[order] > 0]


def _decided(run: Run, concept: int, variant: VariantSpec) -> pd.DataFrame:
    summary = failures(run, variant).summary
    at = summary.decided_by(concept)
    query, right, wrong = summary.failures[at].T
    terms = np.asarray(summary.deciding[:, [concept]].toarray())[at, 0]
    texts = run.corpus.items("candidates").texts
    named = {name: [texts[int(c)] or "" for c in rows] for name, rows in (("right_text", right), ("wrong_text", wrong))}
    return item_frame(run, "queries", query).assign(
        term=terms, margin=summary.margin[at], right=right, wrong=wrong, **named
    )


def _switch(run: Run, variant: VariantSpec, counts: tuple[int, ...], split: Split) -> pd.DataFrame:
    order = ranked_by_failures(failures(run, variant, split).summary)
    before = [_edited(run, variant, ())]
    data = _data(run, split)
    pool = np.flatnonzero(frequency(data.query_codes, data.candidate_codes) > 0)
    rows: list[dict[str, Any]] = []
    for count in [c for c in counts if c <= min(len(order), len(pool))]:
        random = [_edited(run, variant, tuple(random_concepts(pool, count, seed).tolist())) for seed in SEEDS]
        chosen = [_edited(run, variant, tuple(order[:count].tolist()))]
        named = ", ".join(str(k) for k in order[:count])
        deciding = compared(chosen, {"gain": before, "beyond_random": random})
        rows.append({"count": count, "choice": "deciding", "draws": 1, "concepts": named} | deciding)
        each = [float(per_query(ranked, "recall@1").mean()) for ranked in random]
        rows.append(
            {"count": count, "choice": "random", "draws": len(SEEDS), "concepts": ""}
            | compared(random, {"gain": before})
            | {"draw_lowest": min(each), "draw_highest": max(each)}
        )
    return tidy(rows, chosen_on=split, variant=str(variant))


def _edited(run: Run, variant: VariantSpec, concepts: tuple[int, ...]) -> Ranked:
    """The test queries ranked with these concepts scaled to 0 before the variant."""
    edits = (make_step("set", concepts=tuple((k, 0.0) for k in sorted(concepts))),) if concepts else ()
    return rank_under(run, VariantSpec(edits).then(variant))[0]
