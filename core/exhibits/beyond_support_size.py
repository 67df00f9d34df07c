"""How many support queries the statistics of the query side need."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.analysis.retrieval.evaluation import safe_from
from core.exhibits.shared.agreement import points, with_detectable
from core.exhibits.shared.records import Exhibit, Outcome, Verdict
from core.exhibits.shared.rows import each_run, joined, need_pairs
from core.exhibits.shared.words import WORDS
from core.questions import statistics
from core.run import Run


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Recall and gain over raw (recall@1) by the number of support queries that query statistics come from."""
    table = joined([(run, statistics.support_size(run)) for run in runs])
    table.attrs = {
        "notes": [
            "sizes below all of the support split: mean over three draws, beside the lowest of their own lower bounds"
        ]
    }
    return table


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """From how many support queries on the gain over raw is safe."""
    verdicts = []
    for name, rows in each_run(table):
        for variant, mine in rows.groupby("variant", sort=False):
            size = safe_from(mine["size"].tolist(), mine["gain_worst"].tolist())
            most, last = int(mine["size"].max()), mine.iloc[-1]
            safe = f"safe from {size:,} support queries on" if size else "not safe at any size"
            why = (
                f"{WORDS[variant]}: {safe} (of {most:,}; from there on every draw's 95% interval of the gain over raw"
                " lies above 0); "
            )
            why += "with all of them "
            why += (
                f"{points(last['gain'])} of recall@1 ({100 * last['gain_low']:+.1f} to {100 * last['gain_high']:+.1f})"
            )
            outcome: Outcome = "agrees" if size else "disagrees" if last["gain_high"] < 0 else "not clear"
            n, ends = int(last["queries"]), (float(last["gain_low"]), float(last["gain_high"]))
            verdict = Verdict(on=name, outcome=outcome, why=why, low=ends[0], high=ends[1], n=n)
            verdicts.append(with_detectable(verdict, n, f"{n:,} queries"))
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="support-size",
    title="How many support queries",
    claim="Are query statistics from a support split safe, and from how many queries on?",
    definition=(
        "Centring and ReAlign with the query side's mean and covariance from n random support queries (three "
        "draws, each larger one containing the smaller), candidates from the pool. Gain: paired difference "
        "of recall@1 to raw."
    ),
    rule=(
        "Safe from the smallest n from which on the lower 95% bound of every draw's gain stays above 0: "
        "agrees where there is one, disagrees where with all support queries the interval of the gain lies "
        "below 0, else not clear."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_pairs,
    needs="a support split and relevant pairs",
    kept=False,
)
