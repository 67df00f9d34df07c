"""Figure 2: which modality concepts and their energy belong to, beside what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import binomtest

from core.analysis.concepts import modality_split as science
from core.exhibits.shared import gate
from core.exhibits.shared.agreement import cannot, direction, of_mllm, percent, points, with_detectable
from core.exhibits.shared.records import Exhibit, Option, Value, Verdict
from core.exhibits.shared.rows import (
    CONTRASTIVE,
    DICTIONARY,
    each_run,
    head,
    kind,
    need_modalities,
    other_saes,
    sae_named,
)
from core.questions.alternates import OWN
from core.questions.labels import TEST_PARTS
from core.questions.modality import BINS
from core.run import Run

ALL, EQUAL = "all", "equal"
DRAWS = 20
"""Draws of equally many items."""
LEAST = (1, 10, 30, 100)
MAJORITY, LEAD = "half", "image"
"""What text must be more than to dominate: a half of the concepts, or the image concepts. The study says "most"."""
HALF = 0.5


def compute(
    runs: Sequence[Run],
    least: int = 1,
    counted: str = "once",
    items: str = ALL,
    dictionary: str = OWN,
    shuffles: int = 50,
    dominates: str = MAJORITY,
) -> pd.DataFrame:
    """Figure 2: concepts (share of those with a score) and energy (share) per bin of the modality score (Eq 4).

    share_text (score > 0.9), share_image (< 0.1), share_between: of the `scored` concepts, those that fire on `least`
    items or more, each counted once or by energy. null_text, null_image: the mean shares with modality shuffled over
    the items, null_*_low and _high the middle 95% of the shuffles. Energy is the sum of the means on texts and on
    images, so that both modalities weigh alike. items "equal": as many texts as images, the mean of 20 draws.
    """
    frames = [
        _split(run, least, cast(science.Counted, counted), items, dictionary, shuffles).assign(
            dominates=dominates, **head(run)
        )
        for run in runs
    ]
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {
        "notes": [
            "Measured on the test queries and candidates that are pure texts or images; a concept that never fires has"
            " no score and is in no share. Energy weighs both modalities alike."
        ]
    }
    return table


@dataclass(frozen=True, eq=False)
class _Items:
    codes: sp.csr_array
    is_text: np.ndarray


def _pure(run: Run, dictionary: str) -> _Items:
    """Codes of the pure texts and images of both test parts."""
    chosen = sae_named(run, dictionary)
    modality = np.concatenate([np.asarray(run.corpus.items(part).modality, dtype=str) for part in TEST_PARTS])
    pure = np.isin(modality, ["text", "image"])
    codes = sp.vstack([sp.csr_array(chosen.codes[part]) for part in TEST_PARTS], format="csr")
    return _Items(codes[np.flatnonzero(pure)], modality[pure] == "text")


def _split(run: Run, least: int, counted: science.Counted, items: str, dictionary: str, shuffles: int) -> pd.DataFrame:
    """Bins of one run with the shares and their chance level in every row."""
    pure = _pure(run, dictionary)
    sets = [pure]
    if items == EQUAL:
        sets = [_Items(pure.codes[rows], pure.is_text[rows]) for rows in science.balanced(pure.is_text, DRAWS)]
    scores = [science.modality_scores(one.codes, one.is_text, least) for one in sets]
    scored = round(float(np.mean([len(one.score) for one in scores])))
    values: dict[str, Any] = {"least": least, "counted": counted, "items": items, "dictionary": dictionary}
    values |= {"scored": scored, "dead": int((pure.codes.sum(axis=0) == 0).sum())} | _shares(scores, counted, scored)
    first = sets[0]

    def of_shuffled(is_text: np.ndarray) -> science.Shares:
        return science.shares(science.modality_scores(first.codes, is_text, least), counted)

    null = science.shuffled(first.is_text, of_shuffled, shuffles)
    for side in ("text", "image"):
        drawn = [getattr(one, side) for one in null] or [np.nan]
        low, high = np.percentile(drawn, [2.5, 97.5])
        values |= {f"null_{side}": np.mean(drawn), f"null_{side}_low": low, f"null_{side}_high": high}
    edges = np.linspace(0, 1, BINS + 1)
    counts = [np.histogram(one.score, bins=edges)[0] for one in scores]
    count = counts[0] if len(counts) == 1 else np.mean(counts, axis=0)
    energy = np.mean([np.histogram(s.score, bins=edges, weights=s.weight / s.weight.sum())[0] for s in scores], axis=0)
    bins = {
        "left": edges[:-1],
        "right": edges[1:],
        "count": count,
        "share_of_concepts": count / max(1e-12, count.sum()),
    }
    return pd.DataFrame(bins | {"share_of_energy": energy}).assign(**values)


def _shares(scores: Sequence[science.Scores], counted: science.Counted, scored: int) -> dict[str, float]:
    """The shares, means over draws of items, with intervals over concepts: Wilson's, or redrawn concepts by energy."""
    every = [science.shares(one, counted) for one in scores]
    redrawn = [science.share_intervals(one, counted) for one in scores]
    values: dict[str, float] = {}
    for name in ("text", "image", "between", "lead"):
        share = float(np.mean([getattr(one, name) for one in every]))
        by_wilson = counted == "once" and name != "lead"
        low, high = _wilson(share, scored) if by_wilson else np.mean([one[name] for one in redrawn], axis=0)
        values |= {f"share_{name}": share, f"share_{name}_low": float(low), f"share_{name}_high": float(high)}
    return values


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson 95% interval of a share of n; NaN for none."""
    if not n:
        return float("nan"), float("nan")
    ends = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 2: more than half of the concepts at the text end (multimodal LLM), or between the ends (contrastive)."""
    return tuple(verdict for name, rows in each_run(table) for verdict in _modality(name, rows.iloc[0]))


def _modality(name: str, row: pd.Series) -> tuple[Verdict, ...]:
    end, where = ("between", "between 0.1 and 0.9") if row["kind"] == CONTRASTIVE else ("text", "above 0.9")
    share, low, high = (float(row[f"share_{end}{x}"]) for x in ("", "_low", "_high"))
    scored = int(row["scored"])
    if not scored:
        return (cannot(name, f"no concept fires on {row['least']} pure texts or images"),)
    what = f"of {scored:,} scored concepts" if row["counted"] == "once" else f"of the energy of {scored:,} concepts"
    why = f"{percent(share)} {what} {'score' if row['counted'] == 'once' else 'scores'} {where} (95% interval"
    why += f" {100 * low:.1f} to {100 * high:.1f}%); above 0.9: {percent(row['share_text'])}, below 0.1:"
    why += f" {percent(row['share_image'])}"
    if not np.isnan(row["null_text"]):
        why += f"; with modality shuffled over items {percent(row['null_text'])} and {percent(row['null_image'])}"
    outcome = direction(low - HALF, high - HALF, +1)
    if row["dominates"] == LEAD and row["kind"] != CONTRASTIVE:
        share, low, high = (float(row[f"share_lead{x}"]) for x in ("", "_low", "_high"))
        outcome = direction(low, high, +1)
        why += f"; text minus image {points(share)} ({100 * low:+.1f} to {100 * high:+.1f})"
    verdict = Verdict(on=name, outcome=outcome, why=why, value=share, low=low, high=high, n=scored)
    verdict = with_detectable(verdict, None, f"{scored:,} concepts")
    return (verdict,) if row["kind"] == CONTRASTIVE else of_mllm(verdict, row["kind"])


def grid(runs: Sequence[Run]) -> list[dict[str, Value]]:
    """Least firings, the two ways to count, the two sets of items and, where the claim is that text dominates, the two
    readings of it, all crossed; and other SAEs, counted both ways."""
    rules = (MAJORITY,) if all(kind(run) == CONTRASTIVE for run in runs) else (MAJORITY, LEAD)
    own: list[dict[str, Value]] = [
        {"least": least, "counted": counted, "items": items, "dominates": dominates}
        for least, counted, items, dominates in product(LEAST, ("once", "energy"), (ALL, EQUAL), rules)
    ]
    others: list[dict[str, Value]] = [
        {"dictionary": name, "counted": counted} for name in other_saes(runs) for counted in ("once", "energy")
    ]
    return [chosen | {"shuffles": 0} for chosen in (*own, *others)]


EXHIBIT = Exhibit(
    name="figure-2",
    title="Figure 2",
    claim="Most concepts of multimodal LLMs score near 1, text; contrastive models are balanced.",
    definition=(
        "Modality score (Eq 4): mean activation on texts over the sum of the means on texts and on images, 1 "
        "= text, 0 = image. A concept that never fires has none. Shares are of the concepts that have a "
        "score; beside them the shares that are left when modality is shuffled over the items."
    ),
    rule=(
        "A multimodal LLM agrees where the 95% interval of the share of concepts above 0.9 lies above "
        "a half (option dominates: above that of image concepts), a contrastive model where that of the share from 0.1 "
        "to 0.9 does; below it disagrees; it depends where settings contradict each other. Intervals over concepts "
        f"(Wilson; by energy: redrawn concepts). The thresholds are ours: the study shows a plot. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    check=need_modalities,
    on_sae=True,
    gate=True,
    version=2,
    options=(
        Option(name="least", default=1, low=1, high=1_000_000, help="Items that a concept must fire on to be scored."),
        Option(name="counted", default="once", allowed=("once", "energy"), help="Each concept once, or by its energy."),
        Option(
            name="items", default=ALL, allowed=(ALL, EQUAL), help="All items, or as many texts as images (20 draws)."
        ),
        DICTIONARY,
        Option(
            name="dominates",
            default=MAJORITY,
            allowed=(MAJORITY, LEAD),
            help="Text dominates where its share lies above a half, or above that of image concepts.",
        ),
        Option(name="shuffles", default=50, low=0, high=1000, help="Shuffles of modality over items."),
        *gate.OPTIONS,
    ),
    grid=grid,
    needs="an SAE, pure images and pure texts",
    contradictions=("K of the SAE is not given; whether the pooled embedding is normalised before it neither.",),
)
