"""The study's printed numbers, and those of them that speak of the same model and data as a run.

A run matches a printed row where it has the same model, the same data set and task, unquantised weights, the study's
prompts and the study's embedding: the mean over all tokens of the last layer, the projected embedding, or a fine-tuned
retriever's own. Anything else is no comparison of like with like, and is left apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from math import isnan, nan, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.analysis.retrieval import independent_interval, smallest_difference
from core.exhibits.shared.agreement import Z, same
from core.exhibits.shared.records import Outcome, Verdict
from core.exhibits.shared.rows import TUNED, kind
from core.models.table import find
from core.records import EmbeddingView

if TYPE_CHECKING:
    import pandas as pd

    from core.run import Run

PRINTED_AS = {
    "qwen2-vl-7b": "Qwen2-VL-7B",
    "qwen3-vl-8b": "Qwen3-VL-8B",
    "paligemma2-3b": "PaliGemma2-3B",
    "chameleon-7b": "Chameleon-7B",
    "clip-vit-b32": "CLIP ViT-B/32",
    "siglip2-b16-512": "SigLIP2 B/16-512",
    "gme-qwen2-vl-7b": "GME (Qwen2-VL-7B)",
    "vlm2vec-qwen2-vl-7b": "VLM2Vec (Qwen2-VL-7B)",
}
"""Known model -> its name in the study's tables. Table 9's CLIP and SigLIP are of a variant it does not state: no run
is theirs."""
BESIDE = (
    "run",
    "setting",
    "metric",
    "live",
    "live_low",
    "live_high",
    "printed",
    "printed_error",
    "difference",
    "difference_low",
    "difference_high",
    "margin",
    "outcome",
    "note",
)
MARGINS = {"recall": 2.0, "jaccard": 0.05, "triple": 0.05, "concepts_for_99pct_energy_percent": 1.0}
"""How far a live number may lie from a printed one and still be the same, in the study's units: points of recall, parts
of an overlap, per cent of the concepts. Times and memory of an unnamed GPU have no such margin."""
QUERIES: Mapping[tuple[str, int], int] = {
    ("CIRR", 7): 4170,
    ("EDIS", 3): 3241,
    ("Fashion200K", 1): 1719,
    ("Fashion200K", 4): 4889,
    ("FashionIQ", 7): 6003,
    ("InfoSeek", 6): 11323,
    ("InfoSeek", 8): 17593,
    ("MSCOCO", 1): 24809,
    ("MSCOCO", 4): 5000,
    ("NIGHTS", 5): 2120,
    ("OVEN", 6): 50004,
    ("OVEN", 8): 14741,
    ("VisualNews", 1): 19995,
    ("VisualNews", 4): 20000,
    ("WebQA", 2): 2455,
    ("WebQA", 3): 2511,
}
"""Test queries of M-BEIR (Wei et al. 2024) by (data set, task), which the study evaluates: `num_queries` of the test
split in the task statistics (`mteb/descriptive_stats/Image/Any2AnyRetrieval`) of the package mteb 2.26.24."""
SUBSETS = {"Figure 4": 3000}
"""Queries of an exhibit that the study made on a part of the test queries."""
RULE = (
    "Each printed number is held against the live one by equivalence: the 95% interval of their difference, with both"
    " sampling errors, within the margin; agrees: all are, disagrees: all lie beyond it."
)


@cache
def _all() -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(Path(__file__).parent / "reported.csv")


def reported(title: str) -> pd.DataFrame:
    """The study's printed numbers of one exhibit: model, dataset, task, setting, metric, value (as printed), note."""
    table = _all()
    return table[table["exhibit"] == title].drop(columns="exhibit").reset_index(drop=True)


def data_set(run: Run) -> str | None:
    """The study's name of the run's data, from the last parts of the corpus path; None for data the study does not
    know."""
    spec = run.spec.corpus
    if spec.source == "coco-caption":
        return "COCO-Caption"
    if spec.source != "mbeir" or not spec.path:
        return None
    known = list(_all()["dataset"].dropna().unique())
    for part in reversed(Path(spec.path.replace(":", "/")).parts[-3:]):
        if named := [name for name in known if _letters(name) in _letters(part)]:
            return max(named, key=len)
    return None


def printed_model(run: Run) -> str | None:
    """The study's name of the run's model, or None."""
    known = find(run.model_name) or find(run.spec.model.name)
    return PRINTED_AS.get(known.name) if known else None


def why_apart(run: Run) -> str:
    """Why no printed number speaks of this run; empty where one may."""
    if printed_model(run) is None:
        return "the study printed nothing for this model"
    if data_set(run) is None:
        return "the study printed nothing for these data"
    return "" if kind(run) == TUNED else _unlike(run)


def _unlike(run: Run) -> str:
    """What the study did otherwise with the same model and data; empty for nothing."""
    if run.spec.model.quantisation != "none":
        return f"the run's weights are in {run.spec.model.quantisation}"
    if run.view.pooling != "projected" and run.view != EmbeddingView():
        return f"the run's first view is {run.view}, the study's is the mean over all tokens of the last layer"
    return "" if run.preset in {"study", ""} else f"the run uses the prompts of preset {run.preset!r}"


def of_run(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The printed rows that speak of the run's model, data set and task (rows without a task fit any)."""
    if why_apart(run):
        return table.iloc[:0]
    here = (table["model"] == printed_model(run)) & (table["dataset"] == data_set(run))
    return table[here & (table["task"].isna() | (table["task"] == run.spec.corpus.task))]


def beside(title: str, runs: Sequence[Run], measured: pd.DataFrame) -> pd.DataFrame:
    """Live beside printed, in the units of the study: DataFrame[run, setting, metric, live, ..., inside, note].

    difference: live minus printed, with the 95% interval that both sampling errors give it; `outcome`: whether that
    interval lies within the margin (agrees), beyond it (disagrees), or across its edge. The printed recall's error is
    that of its own number of queries where it is known, else the live one's is taken twice.
    """
    import pandas as pd

    table, rows = reported(title), []
    for run in runs:
        live = measured[measured["run"] == run.name].set_index(["setting", "metric"])
        for row in of_run(table, run).itertuples():
            if (row.setting, row.metric) in live.index:
                rows.append(_beside(run, row, live.loc[(row.setting, row.metric)], title))
    return pd.DataFrame(rows, columns=list(BESIDE))


def _beside(run: Run, row: Any, live: pd.Series, title: str) -> tuple[object, ...]:
    value, low, high = (float(live[name]) for name in ("value", "low", "high"))
    error = (high - low) / (2 * Z)
    theirs, how = printed_error(row.metric, float(row.value), data_set(run), run.spec.corpus.task, title, error)
    margin = next((m for name, m in MARGINS.items() if row.metric.startswith(name)), nan)
    apart = value - row.value
    ends = independent_interval(apart, (error, theirs))
    outcome = "cannot be said" if isnan(margin) or isnan(low) else same(*ends, margin)
    limit = run.spec.corpus.limit
    parts = (
        row.note if isinstance(row.note, str) else "",
        how,
        f"live on the first {limit} queries" if limit else "",
    )
    note = "; ".join(part for part in parts if part)
    return (
        *(run.name, row.setting, row.metric, value, low, high, row.value, theirs),
        *(apart, *ends, margin, outcome, note),
    )


def printed_error(
    metric: str, value: float, data: str | None, task: int, title: str, live_error: float
) -> tuple[float, str]:
    """The standard error of a printed number in its own unit, and how it is known where that must be said.

    A recall in per cent over n queries: 100 sqrt(p (1 - p) / n).
    """
    n = SUBSETS.get(title, QUERIES.get((data or "", task)))
    if metric.startswith("recall") and n:
        p = min(1.0, max(0.0, value / 100))
        return 100 * sqrt(p * (1 - p) / n), ""
    return live_error, "the printed number's own error is not known: the live one's is taken for it"


def verdicts(title: str, runs: Sequence[Run], table: pd.DataFrame) -> tuple[Verdict, ...]:
    """One verdict per run on the printed numbers; one for all runs the study printed nothing for."""
    judged = [_verdict(run, table[table["run"] == run.name]) for run in runs if (table["run"] == run.name).any()]
    apart = [run for run in runs if not (table["run"] == run.name).any()]
    if reported(title).empty:
        return (
            Verdict(
                on="all runs",
                outcome="cannot be said",
                about="printed",
                why="the study prints no numbers for this exhibit",
            ),
        )
    if apart:
        why = "; ".join(
            dict.fromkeys(
                why_apart(run) or f"nothing printed here for {data_set(run)}, task {run.spec.corpus.task}"
                for run in apart
            )
        )
        judged.append(
            Verdict(on=", ".join(run.name for run in apart), outcome="cannot be said", about="printed", why=why)
        )
    return tuple(judged)


def _verdict(run: Run, table: pd.DataFrame) -> Verdict:
    judged = table[table["outcome"] != "cannot be said"]
    counts, n = judged["outcome"].value_counts(), len(judged)
    agrees, disagrees = int(counts.get("agrees", 0)), int(counts.get("disagrees", 0))
    furthest = table.loc[table["difference"].abs().idxmax()]
    most = f"largest difference {furthest['difference']:+.4g} ({furthest['setting']}, {furthest['metric']})"
    if not n:
        return Verdict(
            on=run.name, outcome="cannot be said", about="printed", why=f"nothing to hold it against; {most}"
        )
    outcome: Outcome = "agrees" if agrees == n else "disagrees" if disagrees == n else "not clear"
    why = f"{agrees} of {n} live numbers are the printed ones within the margin, {disagrees} are not; {most}"
    if outcome != "not clear":
        return Verdict(on=run.name, outcome=outcome, about="printed", why=why, n=len(table))
    widest = judged.loc[(judged["difference_high"] - judged["difference_low"]).idxmax()]
    error = float(widest["difference_high"] - widest["difference_low"]) / (2 * Z)
    smallest = smallest_difference(error)
    why += f"; the smallest difference that both samples show in 4 of 5 cases: {smallest:.3g} ({widest['metric']})"
    return Verdict(on=run.name, outcome=outcome, about="printed", why=why, n=len(table))


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
