"""How well dictionaries rebuild the embeddings, and how well the reconstructions retrieve."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import SMALL, by_sameness, cannot, percent
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import each_run, joined, need_pairs
from core.questions import dictionaries
from core.run import Run


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """How well each dictionary at hand stands for the embeddings; gain: its reconstructions' recall@1 minus the
    embeddings'."""
    return joined([(run, dictionaries.sae_fidelity(run).rename(columns={"kind": "dictionary_kind"})) for run in runs])


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether reconstructions retrieve as well as the embeddings, for the dictionary that explains most and the run's
    first."""
    verdicts = []
    for name, rows in each_run(table):
        best = rows.loc[rows["explained_variance"].idxmax()]
        for row in rows[(rows.index == rows.index[0]) | (rows.index == best.name)].to_dict("records"):
            how = f"explained variance {row['explained_variance']:.2f}"
            what = f"recall@1 of the reconstructions of {row['dictionary']} ({how}) minus the embeddings'"
            embeddings = row["recall@1"] - row["gain"]
            nothing = f"{what}: the embeddings themselves reach {percent(embeddings)}, there is nothing to lose"
            verdicts.append(cannot(name, nothing) if embeddings < SMALL else by_sameness(name, what, row))
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="sae-fidelity",
    title="How well dictionaries stand for the embeddings",
    claim="Do dictionaries rebuild the pooled embeddings well enough to retrieve with?",
    definition=(
        "Explained variance per dimension, 1 - SSE/SST, of the pooled test embeddings, beside what the SAE "
        "reached at the end of its training on its own rows (token states, pooled embeddings or a mixture); "
        "recall of the reconstructions z D + u in the place of the embeddings."
    ),
    rule=(
        "Agrees where the paired 95% interval of the reconstructions' recall@1 minus the embeddings' lies "
        "within ±2 points, disagrees where it lies outside, else not clear; judged for the first dictionary "
        "and the one that explains most, where the embeddings reach 2% themselves."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_pairs,
    needs="relevant pairs",
    kept=False,
)
