"""Which remedy should be used on this run? Chosen on some queries, scored once on others.

1. Rows. Choose on the support split and its labels, score on the test queries. A run without a labelled support split
   is cut in two: half of the test queries, whole clusters of them, to choose on, the other half to score on.
2. Choose. Every remedy is cross-validated: fitted on the queries of all folds but one, ranked on that one; queries that
   share an answer stay in one fold. Of those within one standard error of the best (Hastie et al. 2009, section 7.10)
   the simplest is taken, if its gain over raw is clear after a correction for having tried them all (max-T); else raw.
   Without labels only centring can be argued for: it takes means and nothing else.
3. Score. The one chosen is fitted on the rows it was chosen on, and on the pool, and evaluated once.
4. Beside it: what it costs per query, what becomes of candidates that the fit has not seen, and when to fit again
   (`core/analysis/retrieval/drift.py`).

Remedies are affine: what is exported treats one new query without the others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.analysis.retrieval import Ranked, max_t, per_query
from core.analysis.variants import FittedVariant
from core.analysis.variants.fitdata import RowSet
from core.analysis.variants.portable import arrays_of
from core.errors import NotAvailable, UserError
from core.questions.answers import cached_table, cached_table_if_there, explicit, fitted
from core.questions.choosing import (
    FEWEST,
    FOLDS,
    Rows,
    behind,
    common_share,
    cost,
    cross_validated,
    drift_of,
    half_fitted,
    rank_scored,
    rows_of,
    unlike_halves,
)
from core.questions.comparisons import PairedGain, RecallRow, compared, tidy
from core.questions.remedies import TRANSFORMS
from core.questions.statistics import with_support
from core.run import Run

Labels = Literal["support", "none"]
RAW = "none"
BETAS = (0.9, 0.5, 0.3, 0.1, 0.03, 0.01)
"""Of ReAlign, from the least whitening to the most."""
BY_CHANCE = 3.0
"""Times what chance gives from which on a mean counts as one."""
CLEAR = 0.05
"""p below which a gain is clear."""


@dataclass(frozen=True)
class Score:
    """The chosen remedy on the queries it was not chosen on; ratios 0-1, 95% intervals."""

    raw: float
    """Recall@1 of the raw embeddings."""
    recall: float
    """Recall@1 of the remedy."""
    low: float
    high: float
    gain: float
    """Over raw, paired."""
    gain_low: float
    gain_high: float
    p: float
    queries: int
    candidates: int

    @property
    def clear(self) -> bool:
        """Whether the gain is above 0 beyond chance."""
        return self.gain_low > 0 and self.p < CLEAR


@dataclass(frozen=True)
class Cost:
    """What treating one query takes, measured on the machine that computed this."""

    microseconds: float
    """Median of single queries, through the exported lines."""
    numbers: int
    """float64 numbers to keep, both sides."""


@dataclass(frozen=True)
class NewCandidates:
    """Recall@1 with a fit that has seen half of the pool, against one that has seen all of it."""

    change: float
    low: float
    high: float
    seen: int
    """Candidates whose rows were in the fit."""
    of: int
    """Candidates of the pool."""


@dataclass(frozen=True)
class Drift:
    """When to fit again; and, for scale, what a drift that is known does to this run."""

    limit: float
    """Figure at which to fit again; 1 is no drift."""
    queries: int
    """Of the fit."""
    halves: float | None
    """The figure between the halves on either side of the median of the first principal axis."""
    change: float | None
    """Of Recall@1 on one of them with the statistics of the other in place of its own; None without labels."""
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Recommendation:
    """A remedy, or the advice to keep the raw embeddings, with everything it rests on."""

    labels: Labels
    remedy: str
    """The chosen one, in words."""
    variant: str
    """As the tool writes it."""
    in_run: bool
    """Whether that is a variant of the run itself; one fitted on half of the test queries is not."""
    use: bool
    """False: keep raw."""
    why: str
    chosen_on: str
    scored_on: str
    table: pd.DataFrame
    """Cross-validation, simplest remedy first: remedy, variant, recall@1, ..., gain, gain_low, gain_high, gain_p,
    p_max_t, behind (recall@1 below the best), behind_error, queries. Empty without labels."""
    score: Score | None
    """None where there are no relevant pairs to score on."""
    cost: Cost
    new_candidates: NewCandidates | None
    drift: Drift | None
    """None for raw: nothing is fitted."""
    notes: tuple[str, ...]

    @property
    def advice(self) -> str:
        """The answer in one line."""
        return f"use {self.remedy}" if self.use else "keep raw"

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        plain: dict[str, Any] = {"advice": self.advice, "use": self.use, "remedy": self.remedy, "variant": self.variant}
        plain |= {"labels": self.labels, "why": self.why, "chosen_on": self.chosen_on, "scored_on": self.scored_on}
        for name in ("score", "cost", "new_candidates", "drift"):
            record = getattr(self, name)
            plain[name] = None if record is None else asdict(record)
        return plain | {"cross_validation": self.table.to_dict("records"), "notes": list(self.notes)}


def recommend(run: Run, labels: Labels = "support") -> Recommendation:
    """The remedy for this run.

    Args:
        labels: "support": choose with relevant pairs, of the support split or of half of the test queries; "none":
            without any. Pairs of the test split score it either way, where there are some.

    Raises:
        NotAvailable: no queries and candidates, too few of them, or no relevant pairs to choose by.
    """
    _check(run, labels)
    arguments = _arguments(run, labels)
    return _read(cached_table(run, "recommend", arguments, lambda: _compute(run, labels)))


def stored(run: Run, labels: Labels = "support") -> Recommendation | None:
    """The same if it is in the cache; computes nothing."""
    table = cached_table_if_there(run, "recommend", _arguments(run, labels))
    return None if table is None else _read(table)


def remedy_of(run: Run, recommendation: Recommendation) -> FittedVariant:
    """What is to be applied: the chosen variant as it was scored, or raw where that is the advice."""
    variant = recommendation.variant if recommendation.use else RAW
    rows = rows_of(run, recommendation.labels == "support")
    return fitted(run, variant) if rows.whole else rank_scored(run, rows, variant)[1]


def remedies_for(run: Run) -> list[tuple[str, str]]:
    """(words, variant) of every remedy that is tried, the simplest first: raw, a mean, a few directions, whitening."""
    eps, words = run.spec.whitening.eps, {variant: words for words, variant in TRANSFORMS}
    simple = ["center", "close-gap", "remove-mean-direction", "all-but-top"]
    tried = [("raw", RAW), *((words[name], name) for name in simple)]
    if run.sae is not None:
        tried += [("top 1% concepts removed", "remove-top"), ("top 1% removed, centring", "remove-top+center")]
    tried += [("scaling per dimension", f"scale-dims(eps={eps})")]
    tried += [(f"ReAlign, beta {beta:g}", f"realign(beta={beta},eps={eps})") for beta in BETAS]
    tried += [(words[name], f"{name[:-1]},eps={eps})" if "(" in name else f"{name}(eps={eps})") for name in _AUTO]
    return [*tried, ("PCA whitening, the pool's axes", f"pca(eps={eps},statistics=candidates)")]


_AUTO = ("auto", "auto(method=oas)", "zca")


def _check(run: Run, labels: Labels) -> None:
    if labels not in ("support", "none"):
        raise UserError("unknown labels", got=repr(labels), allowed="support, none")
    if not {"queries", "candidates"} <= set(run.parts):
        raise NotAvailable(f"run {run.name!r} has no retrieval task", todo="give it queries and candidates")
    rows = rows_of(run, labels == "support")
    if labels == "support" and not len(rows.choose.pairs if rows.choose.pairs is not None else ()):
        raise NotAvailable(
            f"run {run.name!r} has no relevant pairs to choose by", todo="add qrels, or choose with --labels none"
        )
    if len(rows.choose.queries) < FEWEST:
        raise NotAvailable("too few queries to choose on", got=len(rows.choose.queries), allowed=f"at least {FEWEST}")


def _arguments(run: Run, labels: Labels) -> dict[str, Any]:
    return {"labels": labels, "folds": FOLDS, "variants": explicit(run, *(variant for _, variant in remedies_for(run)))}


def _compute(run: Run, labels: Labels) -> pd.DataFrame:
    rows = rows_of(run, labels == "support")
    words, table, why, notes = _by_labels(run, rows) if labels == "support" else _without(run, rows)
    variant = str(with_support(run, dict(remedies_for(run))[words]))
    scored, fit = rank_scored(run, rows, variant)
    score = None
    if rows.score.pairs is not None and len(rows.score.pairs):
        score = _score(scored, rank_scored(run, rows, RAW)[0])
    use = variant != RAW and (score is None or score.clear)
    if variant != RAW and not use:
        why += "; on the queries it was not chosen on its gain over raw is not clear"
    new = half_fitted(run, rows, variant) if variant != RAW and score else None
    gain = PairedGain.between([scored], [new[0]], "recall@1") if new else None
    facts = {
        "labels": labels,
        "remedy": words,
        "variant": variant,
        "in_run": rows.whole,
        "use": use,
        "why": why,
        "chosen_on": rows.chosen_on if labels == "support" else f"rows of {rows.chosen_on}, no labels",
        "scored_on": rows.scored_on if score else "nothing: no relevant pairs",
        "score": None if score is None else asdict(score),
        "cost": asdict(Cost(cost(fit, rows), sum(a.size for a in arrays_of(fit).values()))),
        "new": None
        if not new or not gain
        else asdict(NewCandidates(gain.difference, gain.low, gain.high, new[1], scored.n_candidates)),
        "drift": None if variant == RAW else asdict(_drift(run, rows, variant, labels)),
        "notes": [*notes, *rows.notes, *fit.notes],
    }
    return tidy(table.to_dict("records"), **facts)


def _by_labels(run: Run, rows: Rows) -> tuple[str, pd.DataFrame, str, list[str]]:
    """The remedy chosen by cross-validation, its table, and why."""
    tried = remedies_for(run)
    ranked = cross_validated(run, rows, [variant for _, variant in tried])
    hits = np.column_stack([per_query(one, "recall@1") for one in ranked])
    p = max_t(hits[:, 1:] - hits[:, :1], clusters=ranked[0].clusters)
    best = int(hits.mean(axis=0).argmax())
    lag, error = behind(hits, best, ranked[0].clusters)
    lines: list[dict[str, Any]] = []
    for i, (words, variant) in enumerate(tried):
        line = compared([ranked[i]], {"gain": [ranked[0]]})
        line["gain_p"] = np.nan if i == 0 else line["gain_p"]
        more = {"p_max_t": np.nan if i == 0 else float(p[i - 1]), "behind": lag[i], "behind_error": error[i]}
        lines.append({"remedy": words, "variant": str(with_support(run, variant))} | line | more)
    near = [i for i in range(len(tried)) if lag[i] <= error[i]]
    clear = [i for i in near if lines[i]["gain_low"] > 0 and lines[i]["p_max_t"] < CLEAR]
    if 0 in near or not clear:
        why = f"none of {len(tried) - 1} remedies is clearly better than raw in {FOLDS}-fold cross-validation"
        return tried[0][0], pd.DataFrame(lines), why, []
    chosen = clear[0]
    ahead = "" if chosen == best else f" (the best is {tried[best][0]})"
    why = (
        f"the simplest of {len(clear)} within one standard error of the best of {len(tried) - 1} remedies in"
        f" {FOLDS}-fold cross-validation{ahead}"
    )
    return tried[chosen][0], pd.DataFrame(lines), why, []


def _without(run: Run, rows: Rows) -> tuple[str, pd.DataFrame, str, list[str]]:
    """What can be said without labels: whether the rows of a side have a direction in common that centring takes."""
    name = next(words for words, variant in remedies_for(run) if variant == "center")
    sides: tuple[RowSet, ...] = ("queries", "candidates")
    far = {side: common_share(rows.choose, side) for side in sides}
    text = "; ".join(f"{100 * share:.0f}% of the squared length of the {side}" for side, (share, _) in far.items())
    note = "without labels nothing says that whitening beyond the means would help, or how much"
    if any(times > BY_CHANCE for _, times in far.values()):
        why = f"the rows of a side have a part in common ({text}); centring takes it away"
        return name, pd.DataFrame(), why, [note]
    return "raw", pd.DataFrame(), f"the means are not far from what chance gives ({text})", [note]


def _score(after: Ranked, before: Ranked) -> Score:
    row, gain = RecallRow.of([after]), PairedGain.between([before], [after], "recall@1")
    recall, raw = (RecallRow.of([ranked]).recalls["recall@1"] for ranked in (after, before))
    return Score(
        raw=raw.value,
        recall=recall.value,
        low=recall.low,
        high=recall.high,
        gain=gain.difference,
        gain_low=gain.low,
        gain_high=gain.high,
        p=gain.p_value,
        queries=row.queries,
        candidates=row.candidates,
    )


def _drift(run: Run, rows: Rows, variant: str, labels: Labels) -> Drift:
    record = drift_of(rows.choose.queries, rows.clusters if labels == "support" else None)
    if labels == "none":
        return Drift(record.limit, record.n, None, None, None, None)
    figure, own, stale = unlike_halves(run, rows, variant)
    gain = PairedGain.between([own], [stale], "recall@1")
    return Drift(record.limit, record.n, figure, gain.difference, gain.low, gain.high)


def _read(table: pd.DataFrame) -> Recommendation:
    """The record of a stored answer."""
    facts = table.attrs
    return Recommendation(
        labels=facts["labels"],
        remedy=facts["remedy"],
        variant=facts["variant"],
        in_run=facts["in_run"],
        use=facts["use"],
        why=facts["why"],
        chosen_on=facts["chosen_on"],
        scored_on=facts["scored_on"],
        table=table,
        score=None if facts["score"] is None else Score(**facts["score"]),
        cost=Cost(**facts["cost"]),
        new_candidates=None if facts["new"] is None else NewCandidates(**facts["new"]),
        drift=None if facts["drift"] is None else Drift(**facts["drift"]),
        notes=tuple(facts["notes"]),
    )
