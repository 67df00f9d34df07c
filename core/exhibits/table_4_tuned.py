"""Table 4: multimodal LLMs with ReAlign beside fine-tuned retrievers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import by_direction, cannot
from core.exhibits.shared.measured import recalls_of
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import METRIC, TUNED, named_runs, need_pairs
from core.exhibits.shared.tables import against, realigned
from core.exhibits.shared.words import NEEDS_TUNED, PAIRED, REALIGN, RECALL
from core.run import Run


def compute(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 4: multimodal LLMs with ReAlign beside fine-tuned retrievers as they are; gain: to the fine-tuned run on
    the same corpus."""
    return against(runs, TUNED, metric)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 4: a multimodal LLM with ReAlign above the fine-tuned retriever on its corpus."""
    what = "{metric} with ReAlign minus {against}'s, raw"
    verdicts = [
        by_direction(f"{row['run']}, {row['against']}", what.format(**row), row, +1) for row in realigned(table)
    ]
    return tuple(verdicts) or (cannot(named_runs(table), NEEDS_TUNED),)


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Table 4: fine-tuned retrievers as they are, others with ReAlign."""
    tuned, others = table[(table["kind"] == TUNED) & (table["variant"] == "none")], table[table["kind"] != TUNED]
    tables = [
        recalls_of(tuned, "variant", {"none": "fine-tuned"}),
        recalls_of(others, "variant", {"realign": "realign"}),
    ]
    return pd.concat(tables, ignore_index=True)


EXHIBIT = Exhibit(
    name="table-4",
    title="Table 4",
    claim="With ReAlign, a zero-shot multimodal LLM competes with fine-tuned retrievers.",
    definition=f"{RECALL} {REALIGN} Paired differences to a fine-tuned retriever on the same corpus, as it is.",
    rule=f"{PAIRED}. Difference: multimodal LLM with ReAlign minus fine-tuned retriever.",
    version=2,
    variants=("none", "realign"),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_pairs,
    together=True,
    options=(METRIC,),
    needs="relevant pairs; for the verdict a multimodal LLM and a fine-tuned retriever on the same corpus",
    contradictions=("OVEN is called task 7 here; elsewhere it is tasks 6 and 8.",),
)
