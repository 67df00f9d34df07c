"""Figure 6: retrieval against the shrinkage of ReAlign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from core.analysis.retrieval import smallest_difference
from core.exhibits.shared.agreement import Z, direction, of_mllm, points
from core.exhibits.shared.measured import recalls_of
from core.exhibits.shared.records import Exhibit, Outcome, Verdict
from core.exhibits.shared.rows import METRIC, STATISTICS, corrected, each_run, gain, head, need_pairs, recalls
from core.exhibits.shared.words import RECALL
from core.questions import retrieval
from core.run import Run

WIDE = (0.1, 0.9)
"""The range of shrinkage that counts as wide."""


def compute(runs: Sequence[Run], metric: str = "recall@5", statistics: str = "per-side") -> pd.DataFrame:
    """Figure 6: recall against the shrinkage beta, at the run's eps; gain: the paired difference to the raw embeddings;
    gain_p_max: its p corrected for all betas (max-T)."""
    frames = []
    for run in runs:
        raw = retrieval.evaluate(run).evaluation
        first = {"beta": np.nan} | recalls(raw) | gain(raw, raw, metric) | {"gain_p_max": np.nan}
        swept = retrieval.beta_sweep(run, statistics, metric).drop(columns="mrr")
        eps = run.spec.whitening.eps
        every = [
            retrieval.evaluate(run, f"realign(beta={beta},eps={eps},statistics={statistics})").evaluation
            for beta in swept["beta"]
        ]
        swept = swept.assign(gain_p_max=corrected(raw, every, metric))
        frame = pd.concat([pd.DataFrame([first]), swept], ignore_index=True)
        frames.append(frame.assign(variant=["none"] + ["realign"] * len(swept), metric=metric, **head(run)))
    table = pd.concat(frames, ignore_index=True)
    gains = ["gain", "gain_low", "gain_high", "gain_p", "gain_p_max"]
    firsts = [*head(runs[0]), "variant", "beta"]
    between = [name for name in table if name not in (*firsts, "metric", *gains)]
    table = table[[*firsts, *between, "metric", *gains]]
    table.attrs = {
        "notes": [f"Mean and covariance: {statistics}. The first row of a run is the raw embedding, without beta."]
    }
    return table


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 6: above raw at every beta from 0.1 to 0.9."""
    verdicts: list[Verdict] = []
    for name, rows in each_run(table[table["variant"] != "none"]):
        wide = rows[rows["beta"].between(*WIDE)]
        outcomes = [
            direction(row["gain_low"], row["gain_high"], +1, row["gain_p_max"]) for row in wide.to_dict("records")
        ]
        above, below = outcomes.count("agrees"), outcomes.count("disagrees")
        outcome: Outcome = "agrees" if above == len(wide) else "disagrees" if not above and below else "not clear"
        best, only = rows.loc[rows["gain"].idxmax()], rows[rows["beta"] == 1].iloc[0]
        why = f"{above} of {len(wide)} betas from 0.1 to 0.9 lie above raw (interval above 0, p < 0.05"
        why += f" corrected for all betas), {below} below; "
        why += f"best on these queries: beta {best['beta']:g}, {points(best['gain'])} of {best['metric']}; "
        why += f"centring alone (beta 1): {100 * only['gain']:+.1f}"
        verdict = Verdict(
            on=name,
            outcome=outcome,
            why=f"{why} (n = {int(best['queries']):,} queries)",
            n=int(best["queries"]),
        )
        if outcome == "not clear":
            error = float((wide["gain_high"] - wide["gain_low"]).max()) / (2 * Z)
            smallest = smallest_difference(error, verdict.n)
            said = f"; the smallest difference that they show in 4 of 5 samples: {100 * smallest:.1f} points"
            verdict = replace(verdict, detectable=smallest, why=verdict.why + said)
        verdicts += of_mllm(verdict, best["kind"])
    return tuple(verdicts)


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 6."""
    return recalls_of(table, "beta", {beta: f"beta={beta:g}" for beta in table["beta"].dropna()})


EXHIBIT = Exhibit(
    name="figure-6",
    title="Figure 6",
    claim="Whitening helps over a wide range of shrinkage.",
    definition=(
        f"{RECALL} ReAlign with shrinkage beta (Eq 11) from 0, full whitening, to 1, centring alone; paired "
        "differences to raw."
    ),
    rule=(
        "Agrees where the paired 95% interval of the gain over raw lies above 0 with p below 0.05 at every "
        "beta from 0.1 to 0.9, disagrees where it does at none and lies below with such a p at some, else "
        "not clear; p is corrected for all betas (max-T over sign flips)."
    ),
    variants=("none", "realign"),
    compute=compute,
    judge=judge,
    measured=measured,
    version=2,
    check=need_pairs,
    options=(METRIC, STATISTICS),
    needs="relevant pairs",
    contradictions=("Eq 12 whitens the plain mean, the released code the L2-normalised one; here it is the code's.",),
)
