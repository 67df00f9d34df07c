"""Which kinds of tokens carry the concepts that hold most of all attribution: the item, or the frame around it?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared import gate
from core.exhibits.shared.agreement import percent
from core.exhibits.shared.records import About, Exhibit, Option, Outcome, Verdict
from core.exhibits.shared.rows import each_run, joined, need_sae_and_pairs
from core.questions import token_split
from core.run import Run

HALF = 0.5
"""The share at which the answer changes sides."""
NAMES = {"image": "image patches", "text": "own words", "prompt": "instruction", "template": "chat template"}


def compute(runs: Sequence[Run], pairs: int = 64, concepts: int = 2) -> pd.DataFrame:
    """A row per concept and kind of token: its share of the concept's attribution, with its interval over pairs."""
    tables = [(run, token_split.concept_kinds(run, pairs, concepts)) for run in runs]
    shown = [(run, one.assign(named=[_named(row) for row in one.to_dict("records")])) for run, one in tables]
    whole = joined(shown)
    whole.attrs["notes"] += [
        f"{run.name}: {table['pairs'].iloc[0]} matching pairs, one of each of as many queries sampled of"
        f" {table.attrs['of_queries']:,}; the first {concepts} concepts hold"
        f" {percent(float(table['of_attribution'].iloc[-1]))} of all attribution"
        for run, table in tables
    ]
    return whole


def _named(row: dict[str, object]) -> str:
    return str(row["label"]) if row["concept"] == -1 else f"{row['concept']} · {row['label']}"


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether the instruction and the chat template, which are the same for all items, carry more than half; these
    concepts together, then each alone."""
    verdicts = []
    for name, rows in each_run(table):
        together = rows["concept"] == -1
        for is_all in (True, False):
            for named, mine in rows[together == is_all].groupby("named", sort=False):
                row = mine.iloc[0]
                value, low, high = (float(row[f"frame{end}"]) for end in ("", "_low", "_high"))
                outcome: Outcome = "agrees" if low > HALF else "disagrees" if high < HALF else "not clear"
                tokens = float(mine[mine["token_kind"].isin(["prompt", "template"])]["token_share"].sum())
                each = ", ".join(
                    f"{NAMES[kind]} {percent(share)}"
                    for kind, share, of_tokens in zip(
                        mine["token_kind"], mine["share"], mine["token_share"], strict=True
                    )
                    if of_tokens > 0
                )
                why = (
                    f"of the attribution of {named} ({percent(float(row['of_attribution']))} of all), instruction and"
                    f" chat template carry {percent(value)} (95% interval {percent(low)} to {percent(high)}, n ="
                    f" {int(row['pairs'])} pairs), being {percent(tokens)} of the tokens: {each}"
                )
                about: About = "claim" if is_all else "beside"
                verdicts.append(
                    Verdict(
                        on=name,
                        outcome=outcome,
                        why=why,
                        about=about,
                        value=value,
                        low=low,
                        high=high,
                        n=int(row["pairs"]),
                    )  # fmt: skip
                )
    return tuple(verdicts)


def check(run: Run) -> None:
    """NotAvailable without an SAE, pairs, or embeddings that are a mean over token states."""
    need_sae_and_pairs(run)
    token_split.check(run)


EXHIBIT = Exhibit(
    name="token-split",
    title="Which tokens carry the loudest concepts",
    claim="Do the instruction and the chat template carry the concepts that hold most attribution?",
    definition=(
        "An embedding is the mean of the states of its tokens, and a concept's code of it, where it fires, the mean of"
        " its pre-activations on them (the encoder's row times the state, plus the bias): so the attribution of a"
        " concept (Eq 6) splits over the tokens of both items, here summed by kind. What the encoder cut off stands in"
        " the offset. token_share is the share of each kind of all tokens. Sampled matching pairs, the concepts of"
        " largest attribution over all pairs; intervals: bootstrap over pairs."
    ),
    rule=(
        "Agrees where instruction and chat template together carry more than half, with the whole 95% interval;"
        f" disagrees where less. All these concepts together; each alone beside it. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=check,
    options=(
        Option(name="pairs", default=64, low=5, high=1000, help="Matching pairs, one of each of as many queries."),
        Option(name="concepts", default=2, low=1, high=50, help="Concepts of largest attribution."),
        *gate.OPTIONS,
    ),
    needs="an SAE, relevant pairs, and a model whose embedding is the mean of its token states",
    on_sae=True,
    gate=True,
    kept=False,
)
