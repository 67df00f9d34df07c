"""What each exhibit beyond the study says to its question: the exhibit's table in, verdicts out, by the rules of
agreement.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from core.analysis.retrieval.evaluation import safe_from
from core.exhibits.agreement import SMALL, beyond_draws, by_direction, by_sameness, cannot, direction, percent, points
from core.exhibits.beyond_tables import WORDS
from core.exhibits.registry import Outcome, Verdict
from core.questions.comparisons import holm

SHARE = 0.01
"""The share of concepts that the study removes."""
RANK = 4
"""Directions at which the curve over the rank is judged."""
AFTER = {"none": "raw", "center": "after centring", "realign": "after ReAlign"}


def _each(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for name in table["run"].drop_duplicates():
        yield str(name), table[table["run"] == name]


def removal_controls(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """At the study's share, or at 4 directions: above no removal, and above random concepts, raw and after centring and
    ReAlign."""
    found = []
    share = (table["share"] == SHARE).any()
    at = table["share"] == SHARE if share else table["rank"] == RANK
    removed = (
        f"the top {SHARE:.0%} by attribution"
        if share
        else f"{RANK} directions of the top {100 * table['share'].max():g}%"
    )
    for name, rows in _each(table[(table["removal"] == "top attribution") & at]):
        for row in rows.to_dict("records"):
            what, after = f"{row['metric']} without {removed}", AFTER[row["then"]]
            found.append(by_direction(name, f"{what}, {after}, minus no removal", row, +1))
            beyond = by_direction(name, f"{what}, {after}, minus random concepts", row, +1, "beyond_random")
            found.append(beyond_draws(beyond, row[row["metric"]], _draws(table, row)))
    return tuple(found)


def _draws(table: pd.DataFrame, row: dict[str, Any]) -> list[float]:
    """The lowest and the highest draw of the random concepts beside a row."""
    beside = (table["removal"] == "random concepts") & (
        table[["run", "then", "amount"]] == [row["run"], row["then"], row["amount"]]
    ).all(axis=1)
    control = table[beside].iloc[0]
    return [float(control["draw_lowest"]), float(control["draw_highest"])]


def whitening_sources(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether whitening adds to centring, per-side statistics to shared ones, and support statistics cost little."""
    found = []
    for name, rows in _each(table):
        for row in rows.to_dict("records"):
            if row["label"].startswith("ReAlign against centring alone"):
                found.append(by_direction(name, "recall@1 of ReAlign minus centring alone", row, +1))
            if row["label"] == "+ a mean per side":
                found.append(by_direction(name, "recall@1 of a mean per side minus one common mean", row, +1))
            if row["label"] == "ReAlign, queries from the support split":
                what = "recall@1 of ReAlign, query statistics from the support split minus the test queries'"
                whole = row["recall@1"] - row["gain"]
                nothing = f"{what}: with the test queries' it reaches {percent(whole)}, there is nothing to lose"
                found.append(cannot(name, nothing) if whole < SMALL else by_sameness(name, what, row))
    return tuple(found)


def support_size(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """From how many support queries on the gain over raw is safe."""
    found = []
    for name, rows in _each(table):
        for variant, mine in rows.groupby("variant", sort=False):
            size = safe_from(mine["size"].tolist(), mine["gain_worst"].tolist())
            most, last = int(mine["size"].max()), mine.iloc[-1]
            safe = f"safe from {size:,} support queries on" if size else "not safe at any size"
            why = (
                f"{WORDS[variant]}: {safe} (of {most:,}; from there on every draw's 95% interval of the gain over raw"
                " lies above 0); "
            )
            why += "with all of them "
            why += (
                f"{points(last['gain'])} of recall@1 ({100 * last['gain_low']:+.1f} to {100 * last['gain_high']:+.1f})"
            )
            outcome: Outcome = "agrees" if size else "disagrees" if last["gain_high"] < 0 else "not clear"
            found.append(Verdict(on=name, outcome=outcome, why=why, n=int(last["queries"])))
    return tuple(found)


def remedies(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Per run the best remedy and how many raise recall, and how many do better than ReAlign, both after Holm's
    correction."""
    found = []
    for name, rows in _each(table):
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
        found.append(
            Verdict(
                on=name, outcome=outcome, why=why, p_value=float(best["p_holm"]), n=int(best["queries"]), **difference
            )
        )
        found.append(_beyond_realign(name, others))
    return tuple(found)


def _beyond_realign(name: str, rows: pd.DataFrame) -> Verdict:
    """Whether any remedy does better than ReAlign: paired, corrected over those compared (Holm)."""
    rows = rows[rows["setting"] != "realign"]
    corrected = holm(rows["beyond_realign_p"].tolist())
    better = rows[(corrected < 0.05) & (rows["beyond_realign"] > 0)]
    best = rows.loc[rows["beyond_realign"].idxmax()]
    why = f"{len(better)} of {len(rows)} others do better than ReAlign (paired recall@1, Holm-corrected p < 0.05); "
    why += f"the best: {best['remedy']}, {points(best['beyond_realign'])} "
    why += f"(95% interval {100 * best['beyond_realign_low']:+.1f} to {100 * best['beyond_realign_high']:+.1f})"
    return Verdict(on=name, outcome="agrees" if len(better) else "not clear", why=why, n=int(best["queries"]))


def geometry(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether fewer hubs and a larger d' come with more recall: each variant against raw."""
    found = []
    for name, rows in _each(table):
        for variant in [v for v in rows["variant"].drop_duplicates() if v != "none"]:
            by_measure = rows[rows["variant"] == variant].set_index("measure")
            signs = {m: _sign(by_measure.loc[m]) for m in ("hubness (skewness of N_10)", "d'", "recall@1")}
            expected = {"hubness (skewness of N_10)": -1, "d'": +1, "recall@1": +1}
            agree = [signs[m] == expected[m] for m in signs]
            outcome: Outcome = (
                "agrees" if all(agree) else "disagrees" if signs["recall@1"] == -1 and any(agree) else "not clear"
            )
            words = "; ".join(f"{m} {by_measure.loc[m, 'change']:+.3g} ({_ends(by_measure.loc[m])})" for m in signs)
            found.append(
                Verdict(
                    on=name,
                    outcome=outcome,
                    why=f"{WORDS[variant]} minus raw: {words}",
                    n=int(by_measure["queries"].iloc[0]),
                )
            )
    return tuple(found)


def _sign(row: pd.Series) -> int:
    outcome = direction(row["change_low"], row["change_high"], +1, row["change_p"])
    return 1 if outcome == "agrees" else -1 if outcome == "disagrees" else 0


def _ends(row: pd.Series) -> str:
    return f"{row['change_low']:+.3g} to {row['change_high']:+.3g}"


def failing_concepts(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """The largest number of concepts switched off, chosen on the support split: above the variant as it is, and above
    random ones."""
    found = []
    for name, rows in _each(table[(table["part"] == "switched off") & (table["choice"] == "deciding")]):
        row = rows.loc[rows["count"].idxmax()].to_dict()
        what = f"recall@1 without the {int(row['count'])} concepts that decide most failures"
        found.append(by_direction(name, f"{what}, minus all concepts", row, +1))
        found.append(by_direction(name, f"{what}, minus without random ones", row, +1, "beyond_random"))
    return tuple(found)


def dictionary_conclusions(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """For each of the study's conclusions in how many dictionaries it holds."""
    return tuple(_held(name, rows, words, holds) for name, rows in _each(table) for words, holds in CONCLUSIONS.items())


TEXT = "more than half of the concepts speak text (score above 0.9)"


CONCLUSIONS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    TEXT: lambda t: t["share_text"] > 0.5,
    "a tenth of the concepts holds 99% of the energy": lambda t: t["share_for_99"] < 0.1,
    "more than half of the three top sets is common": lambda t: t["overlap_all"] > 0.5,
    "removing the top 1% by attribution raises recall@1 (interval above 0)": lambda t: t["gain_low"] > 0,
    "it does better than removing random concepts (interval above 0)": lambda t: t["beyond_random_low"] > 0,
}
"""The study's conclusions as yes or no for one dictionary. Thresholds are ours: the study shows plots and prints 2.3 to
7.9% (Figure 3) and overlaps of 0.55 to 0.65 (Table 1) for multimodal LLMs."""


def _held(name: str, rows: pd.DataFrame, words: str, holds: Callable[[pd.DataFrame], pd.Series]) -> Verdict:
    if words == TEXT and not rows["scored"].any():
        return cannot(name, f"{words}: no concept has a score, the run lacks pure images or pure texts")
    yes = rows[holds(rows)]["dictionary"].tolist()
    outcome: Outcome = "agrees" if len(yes) == len(rows) else "disagrees" if not yes else "not clear"
    which = f": {', '.join(yes)}" if yes and len(yes) < len(rows) else ""
    return Verdict(
        on=name, outcome=outcome, why=f"{words}: in {len(yes)} of {len(rows)} dictionaries{which}", n=len(rows)
    )


def sae_fidelity(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether reconstructions retrieve as well as the embeddings, for the dictionary that explains most and the run's
    first."""
    found = []
    for name, rows in _each(table):
        best = rows.loc[rows["explained_variance"].idxmax()]
        for row in rows[(rows.index == rows.index[0]) | (rows.index == best.name)].to_dict("records"):
            how = f"explained variance {row['explained_variance']:.2f}"
            what = f"recall@1 of the reconstructions of {row['dictionary']} ({how}) minus the embeddings'"
            embeddings = row["recall@1"] - row["gain"]
            nothing = f"{what}: the embeddings themselves reach {percent(embeddings)}, there is nothing to lose"
            found.append(cannot(name, nothing) if embeddings < SMALL else by_sameness(name, what, row))
    return tuple(found)
