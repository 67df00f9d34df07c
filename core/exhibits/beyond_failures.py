"""Which concepts decide failing queries, and what switching them off does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.errors import NotAvailable
from core.exhibits.shared import gate
from core.exhibits.shared.agreement import beyond_draws, by_direction
from core.exhibits.shared.records import Exhibit, Option, Verdict
from core.exhibits.shared.rows import each_run, joined, need_sae_and_pairs
from core.exhibits.shared.words import PAIRED_YES, THENS
from core.questions import failures
from core.run import Run


def compute(runs: Sequence[Run], variant: str = "none", listed: int = 15) -> pd.DataFrame:
    """The concepts that decide most failures of the test queries, and what switching off those chosen on the support
    split does."""
    tables = []
    for run in runs:
        table = failures.failing_concepts(run, variant)
        if table.empty:
            raise NotAvailable(
                f"no single concept decides any of the {table.attrs['failures']} failures of run {run.name!r}"
            )
        known, off = table.attrs, failures.switched_off(run, variant)
        rows = table.head(listed).assign(part="concept", variant=variant)
        rows["named"] = [f"{row.concept} {row.label}".strip() for row in rows.itertuples()]
        rows = rows.drop(columns="label")
        table = pd.concat([rows, off.assign(part="switched off", variant=variant)], ignore_index=True)
        table.attrs = {"notes": _of_failures(known, off)}
        tables.append((run, table))
    return joined(tables)


def _of_failures(known: dict[str, Any], off: pd.DataFrame) -> list[str]:
    terms = ", ".join(
        f"{name.replace('_', ' ')} {known[name]:+.4f}" for name in failures.TERMS if known[name] is not None
    )
    chosen = off.attrs["chosen_on"]
    warning = "" if chosen == "support" else ": there is no support split, so that the gain is optimistic"
    return [
        (
            f"{known['failures']} of {known['queries']} queries fail; no single concept decides {known['undecided']} of"
            f" these; mean over failures: {terms}"
        ),
        f"concepts to switch off were chosen on {chosen} failures{warning}",
    ]


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """The largest number of concepts switched off, chosen on the support split: above the variant as it is, and above
    random ones."""
    verdicts = []
    for name, rows in each_run(table[table["part"] == "switched off"]):
        most = rows[rows["count"] == rows["count"].max()].set_index("choice")
        row, random = most.loc["deciding"].to_dict(), most.loc["random"]
        what = f"recall@1 without the {int(row['count'])} concepts that decide most failures"
        verdicts.append(by_direction(name, f"{what}, minus all concepts", row, +1))
        beyond = by_direction(name, f"{what}, minus without random ones", row, +1, "beyond_random")
        verdicts.append(beyond_draws(beyond, row["recall@1"], [random["draw_lowest"], random["draw_highest"]]))
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="failures",
    title="Concepts that decide failures",
    claim="Do few concepts decide which queries fail, and does switching them off raise recall?",
    definition=(
        "For each query whose first candidate is irrelevant, the margin between its best relevant candidate "
        "and that one, as a sum of one term per concept (docs/study.md section 4). A concept decides a "
        "failure if without its term the margin would be at least 0. Switched off: its activation scaled to "
        "0 on both sides; chosen on the support split where there is one."
    ),
    rule=(
        f"{PAIRED_YES}. Differences: with the most concepts switched off, minus none, and minus random active "
        f"concepts of equal number; the second must also lie beyond every draw. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_sae_and_pairs,
    options=(
        Option(name="variant", default="none", allowed=THENS, help="The variant whose failures are explained."),
        Option(name="listed", default=15, low=1, high=200, help="Concepts listed."),
        *gate.OPTIONS,
    ),
    needs="an SAE and relevant pairs",
    on_sae=True,
    gate=True,
    kept=False,
)
