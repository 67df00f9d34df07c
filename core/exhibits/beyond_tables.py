"""Tables of the exhibits the study leaves out: one run in, the answer of one question out, in the columns exhibits
share.

Ratios are 0-1; intervals are 95% bootstrap over queries unless a docstring says otherwise. The questions keep their own
answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.errors import NotAvailable
from core.exhibits.rows import head
from core.questions import controls, dictionaries, failures, geometry, remedies, statistics
from core.run import Run

THENS = ("none", "center", "realign")
RECALLS = ("recall@1", "recall@5", "recall@10")


def removal_controls(
    runs: Sequence[Run], along: str = "share", then: str = "all", metric: str = "recall@5"
) -> pd.DataFrame:
    """Removal and its controls along the removed share, or along the rank r of the largest share; gain and
    beyond_random in `metric`.

    amount: per cent of the concepts, or directions; 0 is no removal.

    gain: to the same rows without removal; beyond_random: to the mean of random concepts of equal number.
    """
    frames, sources = [], set()
    for run in runs:
        for after in THENS if then == "all" else (then,):
            found = controls.removal_controls(run, after)
            sources.add(found.attrs["fitted_on"])
            frames.append(
                _with_recalls(found[found["curve"].isin(["none", along])], metric).assign(then=after, **head(run))
            )
    table = pd.concat(frames, ignore_index=True).drop(columns="curve")
    table.insert(0, "amount", 100 * table["share"] if along == "share" else table["rank"])
    table.attrs = {
        "notes": [f"attribution and energy measured on {source} pairs" for source in sorted(sources)] + [DRAWS]
    }
    return table


WORDS = {"none": "raw", "center": "centred", "realign": "ReAlign"}
DRAWS = "rows with several draws are the mean over draws, query by query, beside the lowest and the highest draw"


def _with_recalls(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """From one row per recall to one row with all three recalls; everything else of `metric`."""
    point = ["curve", "share", "rank", "kind"]
    chosen = found[found["metric"] == metric].rename(
        columns={"value": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
    )
    for other in RECALLS:
        if other != metric:
            rows = found[found["metric"] == other][[*point, "value", "low", "high"]]
            rows = rows.rename(columns={"value": other, "low": f"{other}_low", "high": f"{other}_high"})
            chosen = chosen.merge(rows, on=point, validate="one_to_one")
    recalls = [name for recall in RECALLS for name in (recall, f"{recall}_low", f"{recall}_high")]
    gains = [f"{name}{end}" for name in ("gain", "beyond_random") for end in ("", "_low", "_high", "_p")]
    ordered = chosen.rename(columns={"kind": "removal"}).assign(queries=found.attrs["queries"])
    return ordered[
        [
            "curve",
            "share",
            "concepts",
            "rank",
            "removal",
            "draws",
            *recalls,
            "metric",
            *gains,
            "draw_lowest",
            "draw_highest",
            "queries",
        ]
    ]


def whitening_sources(runs: Sequence[Run]) -> pd.DataFrame:
    """Each ingredient of ReAlign against the setting without it; gain in recall@1."""
    return joined([(run, statistics.whitening_sources(run)) for run in runs])


def support_size(runs: Sequence[Run]) -> pd.DataFrame:
    """Recall and gain over raw (recall@1) by the number of support queries that query statistics come from."""
    table = joined([(run, statistics.support_size(run)) for run in runs])
    table.attrs = {
        "notes": [
            "sizes below all of the support split: mean over three draws, beside the lowest of their own lower bounds"
        ]
    }
    return table


def remedy_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Every training-free remedy against the raw cosine; gain in recall@1, p corrected over the table of each run
    (Holm)."""
    return joined([(run, remedies.remedies(run).rename(columns={"kind": "remedy_kind"})) for run in runs])


def geometry_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Shape before and after; change from raw with a jackknife 95% interval over queries, recall@1 with its paired
    one."""
    table = joined([(run, geometry.shape(run)) for run in runs])
    hubs = [
        f"{WORDS[row.variant]}: {row.text or row.id} in {row.occurrences} of {_queries(run)} top-10 lists "
        f"({row.expected:.0f} expected)"
        for run in runs
        for row in geometry.hubs(run, n=2).itertuples()
    ]
    table.attrs = {"notes": [f"worst hubs: {'; '.join(hubs)}"]}
    return table


def _queries(run: Run) -> int:
    return len(run.corpus.items("queries"))


def joined(found: Sequence[tuple[Run, pd.DataFrame]]) -> pd.DataFrame:
    """The runs' tables as one, with their notes, each once."""
    notes = list(dict.fromkeys(note for _, table in found for note in table.attrs.get("notes", ())))
    plain = [table.assign(**head(run)) for run, table in found]
    for table in plain:
        table.attrs = {}
    whole = pd.concat(plain, ignore_index=True)
    whole.attrs = {"notes": notes}
    return whole


def failing_concepts(runs: Sequence[Run], variant: str = "none", listed: int = 15) -> pd.DataFrame:
    """The concepts that decide most failures of the test queries, and what switching off those chosen on the support
    split does."""
    found = []
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
        found.append((run, table))
    return joined(found)


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


def dictionary_conclusions(runs: Sequence[Run]) -> pd.DataFrame:
    """What each dictionary at hand says of the study's conclusions; gain in recall@1."""
    return joined([(run, dictionaries.conclusions(run).rename(columns={"kind": "dictionary_kind"})) for run in runs])


def sae_fidelity(runs: Sequence[Run]) -> pd.DataFrame:
    """How well each dictionary at hand stands for the embeddings; gain: its reconstructions' recall@1 minus the
    embeddings'."""
    return joined([(run, dictionaries.sae_fidelity(run).rename(columns={"kind": "dictionary_kind"})) for run in runs])
