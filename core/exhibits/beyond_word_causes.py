"""The concept of a thing switched off inside the model: does the word for it become less probable?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.errors import NotAvailable
from core.exhibits.shared.agreement import percent
from core.exhibits.shared.records import Exhibit, Option, Verdict
from core.exhibits.shared.rows import each_run, joined
from core.questions import inside
from core.questions import word_causes as question
from core.questions.labels import has_truth
from core.run import Run

LEAST_OWN, MOST_MATCHED = 0.8, 0.1
"""The bars: share of cases in which the word is lowered without its own concept, and without matched ones."""
SHARES, THINGS = "share of cases", "thing by thing"
COLUMNS = {"lowered": "lowered", "raw": "raw_probability", "off": "off_probability", "fall": "share_fall"}


def compute(runs: Sequence[Run], layer: int = -1, pictures: int = question.ITEMS, seed: int = 0) -> pd.DataFrame:
    """In how many cases the word is lowered, without its own concept and without controls; then thing by thing."""
    tables = []
    for run in runs:
        table = question.word_causes(run, layer, pictures, seed)
        if table.empty:
            raise NotAvailable(f"no concept of layer {layer} stands for a thing in run {run.name!r}")
        known = table.attrs
        whole = pd.concat(
            [question.shares(table).assign(part=SHARES), table.assign(part=THINGS).drop(columns="lowered")],
            ignore_index=True,
        ).rename(columns=COLUMNS | {"kind": "switched"})
        whole.attrs = {
            "notes": [
                f"{run.name}: {known['named']} of {known['things']} things have a concept of layer {layer} with F1 0.5"
                f" or more; lowered: by a tenth of itself or more; changed at {known['tokens']} tokens"
            ]
        }
        tables.append((run, whole))
    return joined(tables)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Own concepts against the first bar, matched ones against the second; those that fire beside it stand beside."""
    verdicts = []
    for name, rows in each_run(table[table["part"] == SHARES]):
        for row in rows.to_dict("records"):
            share, low, high = (float(row[f"share_lowered{end}"]) for end in ("", "_low", "_high"))
            own = row["switched"] == "own"
            agrees = share >= LEAST_OWN if own else share <= MOST_MATCHED
            bar = f"the bar is {LEAST_OWN:.0%} or more" if own else f"the bar is {MOST_MATCHED:.0%} or less"
            what = {
                "own": "the concept of the thing",
                "matched": "random concepts of like frequency and energy",
                "beside": "other concepts that fire on the same pictures",
            }[row["switched"]]
            verdicts.append(
                Verdict(
                    on=name,
                    outcome="agrees" if agrees else "disagrees",
                    about="beside" if row["switched"] == "beside" else "claim",
                    why=(
                        f"without {what} the word is lowered in {percent(share)} of cases (95% interval {percent(low)}"
                        f" to {percent(high)}, {int(row['things'])} things, {int(row['cases'])} cases); mean"
                        f" probability {percent(row['raw_probability'])} to {percent(row['off_probability'])}; {bar}"
                    ),
                    value=share,
                    low=low,
                    high=high,
                    n=int(row["cases"]),
                )
            )
    return tuple(verdicts)


def check(run: Run) -> None:
    """NotAvailable without truth, or without a model to change inside."""
    inside.check_model(run)
    if not has_truth(run):
        raise NotAvailable(f"nobody knows what the items of run {run.name!r} show", allowed="runs of the demo world")


EXHIBIT = Exhibit(
    name="word-causes",
    title="Concepts that cause a word",
    claim="Does switching off the concept of a thing inside the model make the word for that thing less probable?",
    definition=(
        "Of every thing of the demo world the concept whose firing has the best F1 with it, 0.5 or more. It is switched"
        " off inside the model, at every token of the SAE's layer, the SAE's error kept; read is the probability of the"
        " thing's word where the model answers, mean over pictures that show it. A case is lowered where that falls by"
        " a tenth of itself or more. Controls: random concepts matched in frequency and energy over all items; other"
        " concepts that fire on the same pictures."
    ),
    rule=(
        f"Agrees where the word is lowered in {LEAST_OWN:.0%} of cases or more, and for matched concepts in"
        f" {MOST_MATCHED:.0%} or less; concepts that fire on the same pictures stand beside it."
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=check,
    options=(
        Option(name="layer", default=-1, low=-1000, high=1000, help="Whose SAE, an index into hidden_states."),
        Option(name="pictures", default=question.ITEMS, low=1, high=1000, help="Pictures of each thing, at most."),
        Option(name="seed", default=0, low=0, high=10**6, help="Of the draws."),
    ),
    needs="known truth, an SAE and a model that generates",
    kept=False,
)
