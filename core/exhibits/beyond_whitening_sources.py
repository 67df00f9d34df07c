"""Which ingredient of ReAlign its gain comes from, and whose statistics it needs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import SMALL, by_direction, by_sameness, cannot, percent
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import each_run, joined, need_pairs
from core.exhibits.shared.words import PAIRED_YES
from core.questions import statistics
from core.run import Run


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Each ingredient of ReAlign against the setting without it; gain in recall@1."""
    return joined([(run, statistics.whitening_sources(run)) for run in runs])


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether whitening adds to centring, per-side statistics to shared ones, and support statistics cost little."""
    verdicts = []
    for name, rows in each_run(table):
        for row in rows.to_dict("records"):
            if row["label"].startswith("ReAlign against centring alone"):
                verdicts.append(by_direction(name, "recall@1 of ReAlign minus centring alone", row, +1))
            if row["label"] == "+ a mean per side":
                verdicts.append(by_direction(name, "recall@1 of a mean per side minus one common mean", row, +1))
            if row["label"] == "ReAlign, queries from the support split":
                what = "recall@1 of ReAlign, query statistics from the support split minus the test queries'"
                whole = row["recall@1"] - row["gain"]
                nothing = f"{what}: with the test queries' it reaches {percent(whole)}, there is nothing to lose"
                verdicts.append(cannot(name, nothing) if whole < SMALL else by_sameness(name, what, row))
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="whitening-sources",
    title="Where whitening's gain comes from",
    claim="Does whitening add to centring each side, and is a mean per side what matters?",
    definition=(
        "Each ingredient of ReAlign (Eqs 11-12) against the setting without it: a common mean, a mean per "
        "side, scaling, rotation, shrinkage; statistics of the query side from the test queries without "
        "labels, the support split, the candidates, or both sides together; shrinkage of 0.1 against Ledoit "
        "& Wolf (2004) and OAS (Chen et al. 2010)."
    ),
    rule=(
        f"{PAIRED_YES}. Differences: ReAlign minus centring alone; a mean per side minus one common mean. Support "
        "statistics: agrees where the interval of the difference to the test queries' lies within ±2 points."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_pairs,
    needs="relevant pairs; a support split for its rows",
    kept=False,
)
