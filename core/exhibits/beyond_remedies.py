"""Every training-free remedy against the raw cosine and against ReAlign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.exhibits.shared.agreement import points, with_detectable
from core.exhibits.shared.records import Exhibit, Outcome, Verdict
from core.exhibits.shared.rows import each_run, joined, need_pairs
from core.questions import remedies
from core.questions.comparisons import holm
from core.run import Run


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Every training-free remedy against the raw cosine; gain in recall@1, p corrected over the table of each run
    (Holm)."""
    return joined([(run, remedies.remedies(run).rename(columns={"kind": "remedy_kind"})) for run in runs])


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Per run the best remedy and how many raise recall, and how many do better than ReAlign, both after Holm's
    correction."""
    verdicts = []
    for name, rows in each_run(table):
        others = rows[rows["remedy_kind"] != "baseline"]
        better = int(((others["p_holm"] < 0.05) & (others["gain"] > 0)).sum())
        worse = int(((others["p_holm"] < 0.05) & (others["gain"] < 0)).sum())
        best = others.loc[others["gain"].idxmax()]
        outcome: Outcome = (
            "agrees"
            if best["gain"] > 0 and best["p_holm"] < 0.05
            else "disagrees"
            if not better and worse
            else "not clear"
        )
        why = (
            f"{better} of {len(others)} remedies raise recall@1 and {worse} lower it (Holm-corrected p < 0.05); best:"
            f" {best['remedy']}, "
        )
        why += f"{points(best['gain'])} (95% interval {100 * best['gain_low']:+.1f} to {100 * best['gain_high']:+.1f}, "
        why += f"p {best['p_holm']:.2g}), the best of several is favoured by choice"
        difference: dict[str, Any] = {"difference": best["gain"], "low": best["gain_low"], "high": best["gain_high"]}
        n = int(best["queries"])
        verdict = Verdict(on=name, outcome=outcome, why=why, p_value=float(best["p_holm"]), n=n, **difference)
        verdicts.append(with_detectable(verdict, n, f"{n:,} queries"))
        verdicts.append(_beyond_realign(name, others))
    return tuple(verdicts)


def _beyond_realign(name: str, rows: pd.DataFrame) -> Verdict:
    """Whether any remedy does better than ReAlign: paired, corrected over those compared (Holm)."""
    rows = rows[rows["setting"] != "realign"]
    corrected = holm(rows["beyond_realign_p"].tolist())
    better = rows[(corrected < 0.05) & (rows["beyond_realign"] > 0)]
    best = rows.loc[rows["beyond_realign"].idxmax()]
    why = f"{len(better)} of {len(rows)} others do better than ReAlign (paired recall@1, Holm-corrected p < 0.05); "
    why += f"the best: {best['remedy']}, {points(best['beyond_realign'])} "
    why += f"(95% interval {100 * best['beyond_realign_low']:+.1f} to {100 * best['beyond_realign_high']:+.1f})"
    n, ends = int(best["queries"]), (float(best["beyond_realign_low"]), float(best["beyond_realign_high"]))
    outcome: Outcome = "agrees" if len(better) else "not clear"
    verdict = Verdict(on=name, outcome=outcome, why=why, low=ends[0], high=ends[1], n=n)
    return with_detectable(verdict, n, f"{n:,} queries")


EXHIBIT = Exhibit(
    version=2,  # 2: the note on runs with final vectors only names both kinds
    name="remedies",
    title="Training-free remedies",
    claim="Which training-free remedy raises recall, and does any beat ReAlign?",
    definition=(
        "Transforms: centring, closing the modality gap (Liang et al. 2022), removing the direction between "
        "the means, all-but-the-top (Mu & Viswanath 2018), PCA, ZCA, ReAlign, automatic shrinkage. Score "
        "corrections with a bank of support queries: CSLS (Conneau et al. 2018), inverted softmax (Smith et "
        "al. 2017), QB-Norm (Bogolin et al. 2022). Other stored layers, poolings, token masks, states "
        "before the final norm or before the last MLP (FreeRet, arXiv 2509.24621), and prompts, a hierarchical one "
        "(arXiv 2508.00955) and FreeRet's among them. "
        "McNemar's exact test against the raw cosine, corrected over the table (Holm 1979)."
    ),
    rule=(
        "Agrees where the best remedy's gain is above 0 with a corrected p below 0.05; disagrees where none "
        "is and some lower recall, else not clear; the best of several is favoured by choice. Beyond "
        "ReAlign: agrees where at least one remedy's paired gain over it is above 0 with a p below 0.05 "
        "corrected over all of them, else not clear."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_pairs,
    needs="relevant pairs; other layers, poolings, masks, norms, sublayers and prompts where they are to be compared",
    kept=False,
)
