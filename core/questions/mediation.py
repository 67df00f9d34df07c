"""What share of a removal's change of recall is the shift of the two means (`core/analysis/retrieval/mediation.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.analysis.retrieval import Ranked, per_query, rank_relevant
from core.analysis.retrieval.mediation import SETTINGS, mediated, setting_rows
from core.analysis.retrieval.resampling import sign_flip
from core.questions.answers import cached_table, explicit, fit_data, fitted
from core.questions.comparisons import PairedGain, RecallRow, tidy
from core.run import Run

PARTS = ("through the means", "through the rows")


def mediation(run: Run, share: float = 0.01, metric: str = "recall@5") -> pd.DataFrame:
    """Recall in six settings of one removal, and its change of `metric` taken apart.

    DataFrame[setting, recall@1, recall@1_low, ..., queries, candidates, gain, gain_low, gain_high, gain_p, of_change,
    of_change_low, of_change_high, beyond_half, beyond_half_low, beyond_half_high, beyond_half_p]: a row for each of
    `SETTINGS`, gain being the paired difference of `metric` to raw; then a row for each of `PARTS`, gain being the part
    of the removal's change and of_change its share. beyond_half, in the row of the means: their part minus that of the
    rows, signed so that it is above 0 where the means explain more than half of the change, whichever way recall went.
    Shares and beyond_half are NaN where the interval of the change holds 0. attrs: directions, fitted_on.

    `share` of all concepts is removed, those of largest attribution (Eqs 6, 8-10).

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()
    arguments = {"removal": explicit(run, f"remove-top(share={share})"), "metric": metric}
    return cached_table(run, "mediation", arguments, lambda: _mediation(run, share, metric))


def _mediation(run: Run, share: float, metric: str) -> pd.DataFrame:
    basis = fitted(run, f"remove-top(share={share})").query.removed_basis
    directions = np.zeros((0, run.embeddings("queries").shape[1])) if basis is None else basis
    ranked = {setting: _ranked(run, directions, setting) for setting in SETTINGS}
    rows: list[dict[str, Any]] = []
    for setting, now in ranked.items():
        gain = PairedGain.nothing() if setting == "raw" else PairedGain.between([ranked["raw"]], [now], metric)
        rows.append({"setting": setting} | RecallRow.of([now]).columns() | gain.columns())
    per = {setting: per_query(now, metric) for setting, now in ranked.items()}
    clusters = ranked["raw"].clusters
    apart = mediated(per["raw"], per["means alone"], per["rows alone"], per["removal"], clusters)
    tests = (apart.through_means, apart.through_rows)
    for name, part, each in zip(PARTS, apart.parts(), tests, strict=True):
        paired = PairedGain(part.change, part.low, part.high, sign_flip(each, clusters=clusters))
        ends = {"of_change": part.share, "of_change_low": part.share_low, "of_change_high": part.share_high}
        rows.append({"setting": name} | paired.columns() | ends)
    if not np.isnan(rows[-1]["of_change"]):
        # Of a gain the means explain more than the rows where they retrieve better alone; of a loss, where worse.
        before, after = ("rows alone", "means alone") if apart.total.mean() > 0 else ("means alone", "rows alone")
        rows[-2] |= PairedGain.between([ranked[before]], [ranked[after]], metric).columns("beyond_half")
    return tidy(rows, directions=len(directions), fitted_on=fit_data(run).pair_codes().source)


def _ranked(run: Run, basis: np.ndarray, setting: str) -> Ranked:
    queries, candidates = (setting_rows(run.embeddings(part), basis, setting) for part in ("queries", "candidates"))
    return rank_relevant(queries, candidates, run.qrels("test").pairs)
