"""Concepts switched off on the pooled row and inside the model: do the two edits agree?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.exhibits.shared import gate
from core.exhibits.shared.agreement import cannot, direction, percent, points
from core.exhibits.shared.records import Exhibit, Option, Verdict
from core.exhibits.shared.rows import each_run, joined
from core.questions import inside_agreement as question
from core.run import Run

CONCEPTS, AGREEMENT = "concept off", "agreement of the edits"


def compute(
    runs: Sequence[Run], concepts: int = question.CONCEPTS, queries: int = question.QUERIES, seed: int = 0
) -> pd.DataFrame:
    """Change of recall@1 and of the rows when a concept is switched off on the pooled row, and inside the model; then
    the agreement of the two over concepts."""
    tables = []
    for run in runs:
        table = question.inside_agreement(run, concepts, queries, seed)
        of = question.agreement(table)
        named = [f"{row.concept} {row.label}".strip() for row in table.itertuples()]
        whole = pd.concat(
            [table.assign(part=CONCEPTS, named=named).drop(columns="label"), of.assign(part=AGREEMENT)],
            ignore_index=True,
        )
        whole.attrs = {"notes": [_note(run, table)]}
        tables.append((run, whole))
    return joined(tables)


def _note(run: Run, table: pd.DataFrame) -> str:
    first = table.iloc[0]
    return (
        f"{run.name}: {int(first['queries']):,} queries and the {int(first['candidates']):,} candidates that answer"
        f" them; raw cosine; layer {table.attrs['layer']}, {table.attrs['pooling']} pooling"
    )


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Rank correlation over the contributing concepts of the two changes of recall above 0; that of the matched ones
    and of the shifts beside it."""
    verdicts = []
    for name, rows in each_run(table[table["part"] == AGREEMENT]):
        for row in rows.to_dict("records"):
            claim = row["chosen"] == "contributing" and row["of"] == "recall@1"
            verdicts.append(_verdict(name, row, claim))
    return tuple(verdicts)


def _verdict(name: str, row: dict[str, Any], claim: bool) -> Verdict:
    value, low, high = (float(row[f"correlation{end}"]) for end in ("", "_low", "_high"))
    size = points if row["of"] == "recall@1" else percent
    what = (
        f"{row['of']} over {int(row['concepts'])} {row['chosen']} concepts: rank correlation {value:.2f} (95% interval"
        f" {low:.2f} to {high:.2f}); mean absolute change {size(row['size_pooled']).lstrip('+')} on the pooled row,"
        f" {size(row['size_inside']).lstrip('+')} inside"
    )
    if pd.isna(value):
        return cannot(name, f"{row['of']}, {row['chosen']} concepts: an edit changes nothing")
    return Verdict(
        on=name,
        outcome=direction(low, high, +1),
        why=what,
        about="claim" if claim else "beside",
        value=value,
        low=low,
        high=high,
        n=int(row["concepts"]),
    )


EXHIBIT = Exhibit(
    name="inside",
    title="Edits of the pooled row and inside the model",
    claim="Is switching a concept off on the pooled row what switching it off inside the model does?",
    definition=(
        "Pooled: h' = h - z_k D_k, z the codes of the pooled row h. Inside: h_t' = h_t - z_k(h_t) D_k of every token t"
        " of the layer the run reads, the SAE's error kept, then pooled as ever. Concepts: those of largest attribution"
        " (Eq 6), and for each a random one matched in frequency and energy. Change of recall@1 on a sample of queries"
        " and the candidates that answer them; shift: 1 - cosine of a row before and after."
    ),
    rule=(
        "Agrees where the 95% bootstrap interval of Spearman's correlation over the contributing concepts, of the"
        " change of recall@1 by either edit, lies above 0; disagrees where it lies below. Matched concepts and shifts"
        f" stand beside it. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=question.check,
    options=(
        Option(name="concepts", default=question.CONCEPTS, low=4, high=200, help="Contributing concepts."),
        Option(name="queries", default=question.QUERIES, low=20, high=100_000, help="Queries drawn."),
        Option(name="seed", default=0, low=0, high=10**6, help="Of the draws."),
        *gate.OPTIONS,
    ),
    needs="an SAE, relevant pairs and a model whose token states are pooled by a sum",
    on_sae=True,
    gate=True,
    kept=False,
)
