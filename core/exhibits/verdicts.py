"""What each exhibit of the study says about its claim: the exhibit's table in, verdicts out, by the rules of
agreement.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from core.exhibits.agreement import beyond_draws, by_direction, by_sameness, cannot, direction, percent, points
from core.exhibits.registry import About, Outcome, Verdict
from core.exhibits.rows import CONTRASTIVE, MLLM, TUNED

Rows = Iterator[tuple[str, pd.DataFrame]]
FEW = 0.1
"""Share of all concepts that counts as few (the study prints 2.3 to 7.9%)."""
WIDE = (0.1, 0.9)
"""The range of shrinkage that counts as wide."""
NEEDS_TUNED = (
    f"needs a multimodal LLM and a {TUNED} on the same corpus: a spec with the same [corpus] and "
    '[model] name = "gme-qwen2-vl-7b", `retrieval-lens run SPEC.toml`, then name both runs'
)
NEEDS_BOTH = (
    "needs a multimodal LLM and a contrastive run on the same corpus: a spec with the same [corpus] and "
    '[model] name = "clip-vit-b32", `retrieval-lens run SPEC.toml`, then name both runs'
)


def _about(kind: str) -> About:
    """The study's claims on removal and whitening speak of multimodal LLMs; other models stand beside."""
    return "claim" if kind == MLLM else "beside"


def _each(table: pd.DataFrame) -> Rows:
    """(run, its rows) in the table's order."""
    for name in table["run"].drop_duplicates():
        yield str(name), table[table["run"] == name]


def models_compared(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 1: each multimodal LLM below the contrastive run on its corpus."""
    rows = table[(table["kind"] == MLLM) & (table["against"] != "")]
    found = [
        by_direction(f"{r['run']}, {r['against']}", f"{r['metric']} of {r['model']} minus {r['against']}'s", r, -1)
        for r in rows.to_dict("records")
    ]
    return tuple(found) or (cannot(_names(table), NEEDS_BOTH),)


def modality_density(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 2: more than half of the concepts at the text end (multimodal LLM), or between the ends (contrastive)."""
    return tuple(_modality(name, rows.iloc[0]) for name, rows in _each(table))


def _modality(name: str, row: pd.Series) -> Verdict:
    end, where = ("between", "between 0.1 and 0.9") if row["kind"] == CONTRASTIVE else ("text", "above 0.9")
    share, low, high = (float(row[f"share_{end}{x}"]) for x in ("", "_low", "_high"))
    if not row["scored"]:
        return cannot(name, "no concept has a modality score: the run lacks pure images or pure texts")
    outcome = direction(low - 0.5, high - 0.5, +1)
    why = (
        f"{percent(share)} of {int(row['scored']):,} concepts score {where} (95% interval {100 * low:.1f} to"
        f" {100 * high:.1f}%); "
    )
    why += f"above 0.9: {percent(row['share_text'])}, below 0.1: {percent(row['share_image'])}"
    return Verdict(on=name, outcome=outcome, why=why, n=int(row["scored"]))


def energy_concentration(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 3: 99% of the energy in less than a tenth of the concepts."""
    return tuple(_few(row) for row in table[table["energy_held"] == 0.99].to_dict("records"))


def _few(row: Mapping[str, Any]) -> Verdict:
    outcome = direction(row["share_low"] - FEW, row["share_high"] - FEW, -1)
    interval = f"95% interval {100 * row['share_low']:.1f} to {100 * row['share_high']:.1f}%"
    why = (
        f"{row['needed']:,} of {row['concepts']:,} concepts hold 99% of the energy: {percent(row['share'])}"
        f" ({interval}); "
    )
    why += f"{percent(row['share_of_alive'])} of the {row['alive']:,} that fire"
    return Verdict(on=str(row["run"]), outcome=outcome, why=why, n=int(row["concepts"]))


def token_masks(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 4: without image tokens about the same, without the prompt lower; raw embeddings."""
    found = []
    for name, rows in _each(table[table["variant"] == "none"]):
        by_mask = {row["mask"]: row for row in rows.to_dict("records")}
        if row := by_mask.get("no-image"):
            found.append(by_sameness(name, f"{row['metric']} without image tokens", row))
        if row := by_mask.get("no-prompt"):
            found.append(by_direction(name, f"{row['metric']} without the prompt's tokens", row, -1))
    return tuple(found)


def layers(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 5: the best other layer below the last; raw embeddings."""
    return _first_is_best(table, "layer", "layer {}", "the last layer")


def pooling(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 5: the best other pooling below the mean; raw embeddings."""
    return _first_is_best(table, "pooling", "{} pooling", "mean pooling")


def _first_is_best(table: pd.DataFrame, column: str, named: str, first: str) -> tuple[Verdict, ...]:
    found = []
    for name, rows in _each(table[table["variant"] == "none"]):
        others = rows[rows["gain"].notna()]
        best = others.loc[others["gain"].idxmax()].to_dict()
        found.append(
            by_direction(
                name, f"{best['metric']} of the best other, {named.format(best[column])}, minus {first}'s", best, -1
            )
        )
    return tuple(found)


def beta_sweep(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 6: above raw at every beta from 0.1 to 0.9."""
    found = []
    for name, rows in _each(table[table["variant"] != "none"]):
        wide = rows[rows["beta"].between(*WIDE)]
        outcomes = [direction(row["gain_low"], row["gain_high"], +1, row["gain_p"]) for row in wide.to_dict("records")]
        above, below = outcomes.count("agrees"), outcomes.count("disagrees")
        outcome: Outcome = "agrees" if above == len(wide) else "disagrees" if not above and below else "not clear"
        best, only = rows.loc[rows["gain"].idxmax()], rows[rows["beta"] == 1].iloc[0]
        why = (
            f"{above} of {len(wide)} betas from 0.1 to 0.9 lie above raw (interval above 0, p < 0.05), {below} below; "
        )
        why += f"best on these queries: beta {best['beta']:g}, {points(best['gain'])} of {best['metric']}; "
        why += f"centring alone (beta 1): {100 * only['gain']:+.1f}"
        about = _about(best["kind"])
        found.append(
            Verdict(
                on=name,
                outcome=outcome,
                about=about,
                why=f"{why} (n = {int(best['queries']):,} queries)",
                n=int(best["queries"]),
            )
        )
    return tuple(found)


def overlaps(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 1: the overlap of all three sets above that of the contrastive run."""
    rows = table[(table["measures"] == "all three") & (table["kind"] == MLLM) & (table["against"] != "")]
    return tuple(_overlap(row) for row in rows.to_dict("records")) or (cannot(_names(table), NEEDS_BOTH),)


def _overlap(row: Mapping[str, Any]) -> Verdict:
    low, high = 100 * row["gain_low"], 100 * row["gain_high"]
    why = (
        f"overlap of all three {percent(row['overlap'])}, {row['against']}'s {percent(row['overlap'] - row['gain'])}:"
        " difference "
    )
    why += f"{100 * row['gain']:+.1f} points (95% interval {low:+.1f} to {high:+.1f}; sets of {row['set_size']})"
    outcome = direction(row["gain_low"], row["gain_high"], +1)
    return Verdict(
        on=f"{row['run']}, {row['against']}",
        outcome=outcome,
        why=why,
        difference=row["gain"],
        low=row["gain_low"],
        high=row["gain_high"],
    )


def removal(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 2: above no removal; and, what the study does not ask, above the removal of random concepts."""
    found = []
    for name, rows in _each(table):
        top = rows[rows["removal"] == "top attribution"].iloc[0].to_dict()
        found.append(by_direction(name, f"{top['metric']} after removal", top, +1, about=_about(top["kind"])))
        what = f"{top['metric']} after removal, minus the mean of random removals"
        draws = rows.loc[rows["removal"].str.startswith("random concepts, draw"), top["metric"]].tolist()
        found.append(
            beyond_draws(by_direction(name, what, top, +1, "beyond_random", "beside"), top[top["metric"]], draws)
        )
    return tuple(found)


def realign(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 3: ReAlign above raw; and, what the study does not ask, above centring alone."""
    found = []
    for row in table[table["variant"] == "realign"].to_dict("records"):
        found.append(
            by_direction(row["run"], f"{row['metric']} with ReAlign minus raw", row, +1, about=_about(row["kind"]))
        )
        what = f"{row['metric']} with ReAlign minus centring alone"
        found.append(by_direction(row["run"], what, row, +1, "beyond_centring", "beside"))
    return tuple(found)


def whitenings(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 8: ReAlign above PCA, above ZCA."""
    rows = table[table["variant"].isin(["pca", "zca"])].to_dict("records")
    return tuple(
        by_direction(
            row["run"],
            f"{row['metric']} of ReAlign minus {row['variant'].upper()}",
            row,
            +1,
            "realign_ahead",
            _about(row["kind"]),
        )
        for row in rows
    )


def fine_tuned(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 4: a multimodal LLM with ReAlign above the fine-tuned retriever on its corpus."""
    what = "{metric} with ReAlign minus {against}'s, raw"
    found = [by_direction(f"{row['run']}, {row['against']}", what.format(**row), row, +1) for row in _realigned(table)]
    return tuple(found) or (cannot(_names(table), NEEDS_TUNED),)


def contrastive(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 9: ReAlign narrows the gap to the contrastive run as it is; what is left of it is said."""
    found = []
    for row in _realigned(table):
        left = f"{row['metric']}: ReAlign narrows the gap to {row['against']}, leaving {100 * row['gain']:+.1f} points"
        left += f" ({100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f}), by"
        found.append(by_direction(f"{row['run']}, {row['against']}", left, row, +1, "narrowed"))
    return tuple(found) or (cannot(_names(table), NEEDS_BOTH),)


def _realigned(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table[(table["variant"] == "realign") & (table["against"] != "")].to_dict("records")


def cost(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 7: the ratio of ReAlign to similarities below 1 in all repeats."""
    return tuple(_cost(row) for row in table[table["shapes"] == "the run's"].to_dict("records"))


def _cost(row: Mapping[str, Any]) -> Verdict:
    outcome = direction(row["ratio_low"] - 1, row["ratio_high"] - 1, -1)
    shape = f"{row['queries']:,} queries, {row['candidates']:,} candidates, d = {row['dimensions']:,}"
    why = (
        f"ReAlign {1000 * row['realign_seconds']:.1f} ms, similarities {1000 * row['similarity_seconds']:.1f} ms: ratio"
        f" {row['ratio']:.2f} "
    )
    why += f"(least and most of {row['repeats']} repeats {row['ratio_low']:.2f} to {row['ratio_high']:.2f}; {shape})"
    return Verdict(on=str(row["run"]), outcome=outcome, why=why, n=int(row["repeats"]))


def _names(table: pd.DataFrame) -> str:
    return ", ".join(map(str, table["run"].drop_duplicates()))
