"""Do the linear contributions, which every page shows, rank concepts as they matter to a similarity?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.analysis.explanations.faithfulness import NODES, PERMUTATIONS
from core.exhibits.shared import gate
from core.exhibits.shared.agreement import LEVEL, direction, same
from core.exhibits.shared.records import About, Exhibit, Option, Outcome, Verdict
from core.exhibits.shared.rows import each_run, joined, need_sae_and_pairs
from core.questions import faithfulness
from core.run import Run

CLOSE = 0.1
"""The linear contributions do as well as Shapley values where they fall short by less than this share of what these
gain over random orders."""
SMALLEST_GAP = 1e-9
"""A breach of completeness below this is rounding, and differs between machines."""


def compute(runs: Sequence[Run], pairs: int = 60, variant: str = "none") -> pd.DataFrame:
    """A row per method: areas under the deletion and the insertion curve, and paired differences to random orders and
    to Shapley values."""
    tables = [(run, faithfulness.faithfulness(run, pairs, variant)) for run in runs]
    whole = joined([(run, table.assign(variant=variant)) for run, table in tables])
    whole.attrs["notes"] += [_note(run, table) for run, table in tables]
    return whole


def _note(run: Run, table: pd.DataFrame) -> str:
    facts = table.attrs
    sampled = (
        f"{table['pairs'].iloc[0]} matching pairs, one of each of as many queries sampled of {facts['of_queries']:,}"
    )
    fall = f"{facts['players']:.1f} concepts active on either item; all of them together add {facts['fall']:+.4f}"
    gap = float(table.set_index("method")["worst_gap"][faithfulness.GRADIENTS])
    axioms = f"completeness of integrated gradients within {max(gap, SMALLEST_GAP):.0e}"
    left = f"; no gradients through token states: {facts['why_no_tokens']}" if facts["why_no_tokens"] else ""
    return f"{run.name}: {sampled}; {fall}; {axioms}{left}"


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether the order of the linear contributions beats random orders; beside it, whether it does as well as that of
    Shapley values."""
    verdicts = []
    for name, rows in each_run(table):
        by_method: dict[str, dict[str, Any]] = {row["method"]: row for row in rows.to_dict("records")}
        linear, shapley = by_method[faithfulness.LINEAR], by_method[faithfulness.SHAPLEY]
        low, high, p = (float(linear[f"beyond_random_{end}"]) for end in ("low", "high", "p"))
        what = "area between insertion and deletion, linear contributions minus random orders"
        verdicts.append(_verdict(name, what, linear, "beyond_random", direction(low, high, +1, p), "claim"))
        margin = CLOSE * abs(float(shapley["beyond_random"]))
        outcome = same(float(linear["beyond_shapley_low"]), float(linear["beyond_shapley_high"]), margin)
        what = f"the same minus Shapley values, as good within ±{margin:.4f}"
        verdicts.append(_verdict(name, what, linear, "beyond_shapley", outcome, "beside"))
    return tuple(verdicts)


def _verdict(on: str, what: str, row: dict[str, Any], name: str, outcome: Outcome, about: About) -> Verdict:
    value, low, high, p = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high", "_p"))
    n = int(row["pairs"])
    why = f"{what}: {value:+.4f} (95% interval {low:+.4f} to {high:+.4f}, p {p:.4f}, n = {n} pairs)"
    return Verdict(on=on, outcome=outcome, why=why, about=about, value=value, low=low, high=high, p_value=p, n=n)


EXHIBIT = Exhibit(
    name="faithfulness",
    title="Are the contributions faithful?",
    claim="Do the linear contributions rank concepts as they matter to a similarity?",
    definition=(
        "Concepts active on either item of a matching pair are switched off one after the other in the order of a score"
        " (deletion), or put in (insertion), and the cosine is taken anew each time. Area: mean cosine along the curve."
        " Scores: the linear contributions of the Similarity page; Shapley values over the active concepts"
        f" ({PERMUTATIONS} random orders, efficient in each; mean_error is their standard error); integrated gradients"
        f" from no active concept to all of them ({NODES} Gauss-Legendre points; Sundararajan et al. 2017) through the"
        " pooled row, and with the concepts added in every token state of the embedding's layer, behind which only the"
        f" pooling lies; {faithfulness.RANDOM_ORDERS} random orders. Intervals: bootstrap over pairs."
    ),
    rule=(
        "Agrees where insertion minus deletion of the linear contributions lies above that of random orders: the paired"
        f" 95% interval leaves 0 out and p < {LEVEL}. Beside it: as good as Shapley values where the interval of the"
        f" difference lies within {CLOSE:.0%} of what these gain over random orders. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_sae_and_pairs,
    options=(
        Option(name="pairs", default=60, low=5, high=1000, help="Matching pairs, one of each of as many queries."),
        Option(
            name="variant",
            default="none",
            allowed=("none", "center", "realign"),
            help="Under which variant the similarity is taken.",
        ),
        *gate.OPTIONS,
    ),
    needs="an SAE and relevant pairs; a model with token states for gradients through them",
    on_sae=True,
    gate=True,
    kept=False,
)
