"""Text or image: the modality split of concepts, how concentrated their energy is, and whether the top concepts
coincide."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from core.analysis.concepts import measures as science
from core.analysis.concepts.modality_split import IMAGE_BELOW, TEXT_ABOVE
from core.questions.alternates import Alternate
from core.questions.concepts import table
from core.run import Run

BINS = 20
MEASURES = ("energy", "attribution", "bridge")
CURVE_POINTS = 400


@dataclass(frozen=True, eq=False)
class ModalityScores:
    """The distribution of modality scores over concepts that have one. Shares are of those concepts, or of their
    energy.

    Energy here is the mean on texts plus the mean on images, so that both modalities weigh alike however many items
    there are of each.
    """

    histogram: pd.DataFrame
    alive: int
    dead: int
    undefined: int
    share_text: float
    share_image: float
    energy_share_text: float
    energy_share_image: float
    by_energy: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Cumulative:
    """Energy held by the strongest concepts: curve DataFrame[share_of_concepts, share_of_energy]; `share_for_99` of all
    c concepts."""

    curve: pd.DataFrame
    share_for_99: float
    concepts_for_99: int
    n_concepts: int


def scores(run: Run) -> ModalityScores:
    """Histogram (20 bins over 0-1) of modality scores (Eq 4), by count and by energy.

    alive: concepts that fire at all; dead: the rest; undefined: alive but without a score (only on items that hold
        both).
    """
    frame = table(run)
    alive = frame[frame["energy"] > 0]
    scored = alive.dropna(subset=["modality_score"])
    values = scored["modality_score"].to_numpy()
    energy = (scored["energy_text"] + scored["energy_image"]).to_numpy()  # both modalities weigh alike
    edges = np.linspace(0, 1, BINS + 1)
    count, _ = np.histogram(values, bins=edges)
    weight, _ = np.histogram(values, bins=edges, weights=energy)
    total = float(energy.sum()) or np.nan
    is_text, is_image = values > TEXT_ABOVE, values < IMAGE_BELOW
    return ModalityScores(
        histogram=pd.DataFrame({"left": edges[:-1], "right": edges[1:], "concepts": count, "energy": weight / total}),
        alive=len(alive),
        dead=len(frame) - len(alive),
        undefined=len(alive) - len(scored),
        share_text=float(is_text.mean()) if len(scored) else np.nan,
        share_image=float(is_image.mean()) if len(scored) else np.nan,
        energy_share_text=float(energy[is_text].sum() / total),
        energy_share_image=float(energy[is_image].sum() / total),
        by_energy=scored[["concept", "label", "energy", "modality_score"]]
        .sort_values("energy", ascending=False)
        .reset_index(drop=True),
    )


def cumulative_energy(run: Run) -> Cumulative:
    """Figure 3: share of energy held by the strongest concepts, and the share of all concepts that holds 99%."""
    energy = table(run)["energy"].to_numpy()
    share_held = science.cumulative_energy(energy)
    needed = science.concepts_for_energy(energy, 0.99)
    at = np.unique(np.geomspace(1, len(share_held), CURVE_POINTS).round().astype(int))
    curve = pd.DataFrame({"share_of_concepts": at / len(share_held), "share_of_energy": share_held[at - 1]})
    return Cumulative(curve, needed / len(share_held), needed, len(share_held))


def overlaps(run: Run, share: float = 0.01, of: Alternate | None = None) -> pd.DataFrame:
    """Table 1: Jaccard overlap of the top-`share` concepts by energy, attribution and bridge (Eq 7).

    DataFrame[measures, overlap, n]; n = max(1, round(share c)) concepts in each set. `of`: another dictionary than the
    run's own.
    """
    frame = table(run) if of is None else of.measures(run)
    tops = {m: science.top_share(frame[m].to_numpy(), share) for m in MEASURES}
    rows = [(f"{a} & {b}", science.jaccard(tops[a], tops[b])) for a, b in combinations(MEASURES, 2)]
    rows.append(("all three", science.triple_overlap(*tops.values())))
    return pd.DataFrame(rows, columns=["measures", "overlap"]).assign(n=len(tops["energy"]))
