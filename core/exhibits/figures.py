"""The figures: runs in, one tidy table out. Ratios are 0-1; intervals are 95% bootstrap over queries unless a docstring
says otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from core.exhibits import resampled
from core.exhibits.rows import CONTRASTIVE, gain, head, partner, recalls
from core.exhibits.views import stored
from core.questions import modality, retrieval
from core.questions.concepts import table as concept_table
from core.questions.views import evaluate_view
from core.run import Run

HELD = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Shares of energy of Figure 3."""
MASKS = 'masks = ["all", "no-image", "no-prompt"]'
LAYERS = "layers = [-1, 1, 3, 5] (any index of hidden_states, -1 first)"


def models_compared(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Figure 1: raw recall of each run; gain: the paired difference to the contrastive run on the same corpus,
    `against`."""
    rows = []
    for run in runs:
        mine, other = retrieval.evaluate(run).evaluation, partner(run, runs, CONTRASTIVE)
        theirs = mine if other is None or other is run else retrieval.evaluate(other).evaluation
        against = "" if theirs is mine or other is None else other.name
        rows.append(head(run) | recalls(mine) | {"metric": metric, "against": against} | gain(theirs, mine, metric))
    return pd.DataFrame(rows)


def modality_density(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 2: concepts (share of those with a score) and energy (share) per bin of the modality score (Eq 4).

    share_text (score > 0.9), share_image (< 0.1), share_between: of the `scored` concepts, with Wilson 95% intervals
    over concepts.
    """
    frames = []
    for run in runs:
        found = modality.scores(run)
        counts = found.histogram["concepts"].to_numpy()
        scored = int(counts.sum())
        shares = {
            "text": found.share_text,
            "image": found.share_image,
            "between": 1 - found.share_text - found.share_image,
        }
        frame = pd.DataFrame({
            "left": found.histogram["left"], "right": found.histogram["right"], "count": counts,
            "share_of_concepts": counts / max(1, scored), "share_of_energy": found.histogram["energy"],
        })  # fmt: skip
        values: dict[str, float] = {"scored": scored, "undefined": found.undefined, "dead": found.dead}
        for name, share in shares.items():
            low, high = _wilson(share, scored)
            values |= {f"share_{name}": share, f"share_{name}_low": low, f"share_{name}_high": high}
        frames.append(frame.assign(**head(run), **values))
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {
        "notes": [
            "Measured on the test queries and candidates; concepts that never fire have no score and are in no share."
        ]
    }
    return table


def energy_concentration(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 3: the fewest concepts that hold 50 ... 99.9% of the energy (Eq 3), as a share of all; intervals by
    bootstrap over items."""
    rows = []
    for run in runs:
        energy = concept_table(run)["energy"].to_numpy()
        drawn = resampled.energies(run)
        alive = int((energy > 0).sum())
        for held in HELD:
            needed = resampled.concepts_needed(energy[None, :], held)[0]
            low, high = resampled.interval(needed / len(energy), resampled.concepts_needed(drawn, held) / len(energy))
            shares = {"share": needed / len(energy), "share_low": max(0.0, low), "share_high": min(1.0, high)}
            sizes = {"concepts": len(energy), "alive": alive, "share_of_alive": needed / max(1, alive)}
            rows.append(head(run) | {"energy_held": held, "needed": int(needed)} | shares | sizes)
    table = pd.DataFrame(rows)
    table.attrs = {"notes": [f"Energy of the test queries and candidates, each item once. {resampled.HOW}"]}
    return table


def token_masks(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Figure 4: recall with all tokens, without image tokens, without the prompt's tokens."""
    return by_view(runs, "mask", MASKS, metric)


def layers(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Figure 5: recall of every stored layer, the last one last."""
    table = by_view(runs, "layer", LAYERS, metric)
    depth = table["layer"].where(table["layer"] >= 0, np.inf)
    return (
        table.assign(depth=depth)
        .sort_values(["variant", "depth"], kind="stable")
        .drop(columns="depth")
        .reset_index(drop=True)
    )


def beta_sweep(runs: Sequence[Run], metric: str = "recall@5", statistics: str = "per-side") -> pd.DataFrame:
    """Figure 6: recall against the shrinkage beta, at the run's eps; gain: the paired difference to the raw
    embeddings."""
    rows = []
    for run in runs:
        raw, eps = retrieval.evaluate(run).evaluation, run.spec.whitening.eps
        rows.append(
            head(run) | {"variant": "none", "beta": np.nan} | recalls(raw) | {"metric": metric} | gain(raw, raw, metric)
        )
        for beta in retrieval.BETAS:
            found = retrieval.evaluate(run, f"realign(beta={beta},eps={eps},statistics={statistics})").evaluation
            rows.append(
                head(run)
                | {"variant": "realign", "beta": beta}
                | recalls(found)
                | {"metric": metric}
                | gain(raw, found, metric)
            )
    table = pd.DataFrame(rows)
    table.attrs = {
        "notes": [f"Mean and covariance: {statistics}. The first row of a run is the raw embedding, without beta."]
    }
    return table


def by_view(runs: Sequence[Run], field: str, setting: str, metric: str = "recall@5") -> pd.DataFrame:
    """Recall, raw and with ReAlign, of every stored view that differs from the first in `field` only.

    gain: the paired difference to the first view under the same variant.
    """
    rows = []
    for run in runs:
        views = stored(run, field, setting)
        for variant in ("none", "realign"):
            base = evaluate_view(run, views[0], variant)
            for view in views:
                found = base if view == views[0] else evaluate_view(run, view, variant)
                setting_ = {field: getattr(view, field), "variant": variant}
                rows.append(head(run) | setting_ | recalls(found) | {"metric": metric} | gain(base, found, metric))
    table = pd.DataFrame(rows)
    table.attrs = {"notes": ["ReAlign: beta 0.1, mean and covariance of each side's own test rows of that view."]}
    return table


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson 95% interval of a share of n; NaN for none."""
    if not n:
        return float("nan"), float("nan")
    found = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
