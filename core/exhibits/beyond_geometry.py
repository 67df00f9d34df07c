"""The shape of the embeddings raw, centred and with ReAlign, beside their recall."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import direction
from core.exhibits.shared.records import Exhibit, Outcome, Verdict
from core.exhibits.shared.rows import each_run, joined, need_pairs
from core.exhibits.shared.words import WORDS
from core.questions import geometry
from core.run import Run


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Shape before and after; change from raw with a jackknife 95% interval over queries, recall@1 with its paired
    one."""
    table = joined([(run, geometry.shape(run)) for run in runs])
    hubs = [
        f"{WORDS[row.variant]}: {row.text or row.id} in {row.occurrences} of {_queries(run)} top-10 lists "
        f"({row.expected:.0f} expected)"
        for run in runs
        for row in geometry.hubs(run, n=2).itertuples()
    ]
    table.attrs = {"notes": [f"worst hubs: {'; '.join(hubs)}"]}
    return table


def _queries(run: Run) -> int:
    return len(run.corpus.items("queries"))


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether fewer hubs and a larger d' come with more recall: each variant against raw."""
    verdicts = []
    for name, rows in each_run(table):
        for variant in [v for v in rows["variant"].drop_duplicates() if v != "none"]:
            by_measure = rows[rows["variant"] == variant].set_index("measure")
            signs = {m: _sign(by_measure.loc[m]) for m in ("hubness (skewness of N_10)", "d'", "recall@1")}
            expected = {"hubness (skewness of N_10)": -1, "d'": +1, "recall@1": +1}
            agree = [signs[m] == expected[m] for m in signs]
            outcome: Outcome = (
                "agrees" if all(agree) else "disagrees" if signs["recall@1"] == -1 and any(agree) else "not clear"
            )
            words = "; ".join(f"{m} {by_measure.loc[m, 'change']:+.3g} ({_ends(by_measure.loc[m])})" for m in signs)
            verdicts.append(
                Verdict(
                    on=name,
                    outcome=outcome,
                    why=f"{WORDS[variant]} minus raw: {words}",
                    n=int(by_measure["queries"].iloc[0]),
                )
            )
    return tuple(verdicts)


def _sign(row: pd.Series) -> int:
    outcome = direction(row["change_low"], row["change_high"], +1, row["change_p"])
    return 1 if outcome == "agrees" else -1 if outcome == "disagrees" else 0


def _ends(row: pd.Series) -> str:
    return f"{row['change_low']:+.3g} to {row['change_high']:+.3g}"


EXHIBIT = Exhibit(
    name="geometry",
    title="Geometry before and after",
    claim="Do fewer hubs and better separated pairs come with more recall?",
    definition=(
        "Modality gap (Liang et al. 2022), mean cosines, effective rank (Roy & Vetterli 2007) and "
        "participation ratio of the covariance's eigenvalues, hubness as skewness of N_10 (Radovanovic et "
        "al. 2010), alignment and uniformity (Wang & Isola 2020; uniformity over at most 20,000 sampled "
        "pairs), d' of matching against all other pairs; raw, centred, ReAlign. Intervals of differences: "
        "delete-a-group jackknife over queries, the pool and the fitted variant held fixed."
    ),
    rule=(
        "Agrees where hubness falls, d' rises and recall@1 rises, each with an interval that leaves out 0 "
        "and p below 0.05; disagrees where recall falls although one of the two improves; else not clear."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_pairs,
    needs="relevant pairs",
    kept=False,
)
