"""The tables: runs in, one tidy table out. Ratios are 0-1; intervals are 95% bootstrap over queries unless a docstring
says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.exhibits import resampled
from core.exhibits.figures import by_view
from core.exhibits.rows import CONTRASTIVE, MLLM, TUNED, gain, head, kind, mean_gain, partner, recalls
from core.questions import modality, retrieval
from core.questions.retrieval import Evaluated
from core.run import Run

WHITENINGS = ("none", "center", "pca", "zca", "realign")
POOLINGS = 'poolings = ["mean", "last", "max", "min"]'


def overlaps(runs: Sequence[Run], share: float = 0.01) -> pd.DataFrame:
    """Table 1: overlap of the top share by energy, attribution and bridge (Eq 7); set_size concepts in each set.

    Intervals: standard errors by bootstrap over items (energy) and matching pairs (attribution, bridge). gain:
        difference to the
    contrastive run among `runs` that has the same corpus, the two drawn independently; it has no p.
    """
    drawn = {run.key: resampled.drawn_overlaps(run, share) for run in runs}
    rows = []
    for run in runs:
        found, other = modality.overlaps(run, share), partner(run, runs, CONTRASTIVE)
        other = None if other is run else other
        theirs = modality.overlaps(other, share)["overlap"] if other else None
        for i, row in enumerate(found.itertuples()):
            low, high = resampled.interval(row.overlap, drawn[run.key][:, i])
            values = {
                "measures": row.measures,
                "overlap": row.overlap,
                "overlap_low": max(0.0, low),
                "overlap_high": min(1.0, high),
            }
            sizes = {"set_size": row.n, "concepts": run.need_sae().width, "pairs": len(run.qrels("test"))}
            apart = (
                _apart(row.overlap, drawn[run.key][:, i], theirs.iloc[i], drawn[other.key][:, i]) if other else _apart()
            )
            rows.append(head(run) | values | sizes | {"against": other.name if other else ""} | apart)
    table = pd.DataFrame(rows)
    table.attrs = {"notes": [f"Energy of all test items, attribution and bridge over the test pairs. {resampled.HOW}"]}
    return table


def _apart(mine: float = np.nan, drawn: Any = np.nan, theirs: float = np.nan, other: Any = np.nan) -> dict[str, float]:
    """The difference of two overlaps, with the interval of two independent draws; NaN without a partner."""
    low, high = (np.nan, np.nan) if np.isnan(mine) else resampled.interval(mine - theirs, drawn, other)
    return {"gain": mine - theirs, "gain_low": low, "gain_high": high}


def removal(
    runs: Sequence[Run], share: float = 0.01, then: str = "none", draws: int = 3, metric: str = "recall@5"
) -> pd.DataFrame:
    """Table 2 with the control it lacks: recall without the top share by attribution (Eqs 8-10), and without as many
    random concepts.

    gain: paired difference to no removal; beyond_random: to the mean of the random draws, query by query. `then`
        follows the removal.
    """
    frames = [_removal(run, share, then, draws, metric) for run in runs]
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {"notes": [note for frame in frames for note in frame.attrs["notes"]]}
    return table


def _removal(run: Run, share: float, then: str, draws: int, metric: str) -> pd.DataFrame:
    count = max(1, round(share * run.need_sae().width))
    base = retrieval.evaluate(run, then)
    top = retrieval.evaluate(run, _chain(f"remove-top(share={share})", then))
    random = [
        retrieval.evaluate(run, _chain(f"remove-random(count={count},seed={seed})", then)) for seed in range(draws)
    ]
    mean = np.mean([science.per_query(r.evaluation.ranked, metric) for r in random], axis=0)
    hits = {name: science.per_query(e.evaluation.ranked, metric) for name, e in (("base", base), ("top", top))}
    fixed = {"share": share, "removed": count, "then": then}
    rows = [{"removal": "none"} | recalls(base.evaluation) | gain(base.evaluation, base.evaluation, metric)]
    rows.append(
        {"removal": "top attribution"} | recalls(top.evaluation) | gain(base.evaluation, top.evaluation, metric)
    )
    rows[-1] |= mean_gain(hits["top"] - mean, "beyond_random")
    for seed, found in enumerate(random):
        rows.append(
            {"removal": f"random concepts, draw {seed + 1}"}
            | recalls(found.evaluation)
            | gain(base.evaluation, found.evaluation, metric)
        )
    rows.append({"removal": f"mean of {draws} random draws"} | _mean_recalls(random) | mean_gain(mean - hits["base"]))
    table = pd.DataFrame([head(run) | fixed | {"metric": metric} | row for row in rows])
    table.attrs = {"notes": list(dict.fromkeys(top.notes))}
    return table


def _mean_recalls(found: Sequence[Evaluated]) -> dict[str, Any]:
    """Recalls averaged over several evaluations of the same queries, query by query."""
    values: dict[str, Any] = {}
    for metric in ("recall@1", "recall@5", "recall@10"):
        mean = np.mean([science.per_query(e.evaluation.ranked, metric) for e in found], axis=0)
        low, high = science.bootstrap_means(mean[:, None])
        values |= {metric: float(mean.mean()), f"{metric}_low": float(low[0]), f"{metric}_high": float(high[0])}
    return values | {"queries": found[0].evaluation.queries, "candidates": found[0].evaluation.candidates}


def _chain(*steps: str) -> str:
    return "+".join(step for step in steps if step != "none") or "none"


def realign(runs: Sequence[Run], metric: str = "recall@5", statistics: str = "per-side") -> pd.DataFrame:
    """Table 3: recall raw, centred and with ReAlign; gain: to raw, beyond_centring: to centring alone."""
    return _variants(runs, ("none", _with("center", statistics), _with("realign", statistics)), metric)


def whitenings(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 8: centring, PCA, ZCA, ReAlign; gain: to raw, realign_ahead: ReAlign minus the row's variant, query by
    query."""
    table = _variants(runs, WHITENINGS, metric)
    ahead = []
    for run in runs:
        best = retrieval.evaluate(run, "realign").evaluation
        ahead += [gain(retrieval.evaluate(run, v).evaluation, best, metric, "realign_ahead") for v in WHITENINGS]
    joined = pd.concat(
        [table.drop(columns=[c for c in table if c.startswith("beyond_centring")]), pd.DataFrame(ahead)], axis=1
    )
    joined.attrs = table.attrs
    return joined


def pooling(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 5: mean, last, max, min pooling; gain: to the run's first pooling."""
    return by_view(runs, "pooling", POOLINGS, metric)


def fine_tuned(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 4: multimodal LLMs with ReAlign beside fine-tuned retrievers as they are; gain: to the fine-tuned run on
    the same corpus."""
    return _against(runs, TUNED, metric)


def contrastive(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 9: every run raw and with ReAlign; gain: of a multimodal LLM, to the contrastive run on the same corpus as
    it is."""
    return _against(runs, CONTRASTIVE, metric)


def _against(runs: Sequence[Run], baseline: str, metric: str) -> pd.DataFrame:
    """Rows (run, variant) with the difference of multimodal LLMs to the raw embeddings of a run of kind `baseline`,
    `against`.

    narrowed: what ReAlign adds to that difference; it equals ReAlign's paired gain, since the baseline stays as it is.
    """
    rows, notes = [], []
    for run in runs:
        raw, other = retrieval.evaluate(run).evaluation, partner(run, runs, baseline) if kind(run) == MLLM else None
        theirs = retrieval.evaluate(other).evaluation if other else None
        for variant in ("none", "realign"):
            evaluated = retrieval.evaluate(run, variant)
            found, notes = evaluated.evaluation, [*notes, *evaluated.notes]
            apart = gain(theirs, found, metric) if theirs else gain(raw, raw, metric)
            named = {"variant": variant} | recalls(found) | {"metric": metric, "against": other.name if other else ""}
            rows.append(head(run) | named | apart | gain(raw, found, metric, "narrowed"))
    table = pd.DataFrame(rows)
    table.attrs = {"notes": list(dict.fromkeys(notes))}
    return table


def _variants(runs: Sequence[Run], variants: Sequence[str], metric: str) -> pd.DataFrame:
    """Rows (run, variant): recalls, gain to raw, beyond_centring to the second variant; notes of how each was
    fitted."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for run in runs:
        found = [retrieval.evaluate(run, variant) for variant in variants]
        for variant, one in zip(variants, found, strict=True):
            named = {"variant": variant.partition("(")[0]} | recalls(one.evaluation) | {"metric": metric}
            centred = gain(found[1].evaluation, one.evaluation, metric, "beyond_centring")
            rows.append(head(run) | named | gain(found[0].evaluation, one.evaluation, metric) | centred)
            notes += one.notes
    table = pd.DataFrame(rows)
    table.attrs = {"notes": list(dict.fromkeys(notes))}
    return table


def _with(name: str, statistics: str) -> str:
    """The step, its statistics named where they are not the default."""
    return name if statistics == "per-side" else f"{name}(statistics={statistics})"
