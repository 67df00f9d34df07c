"""Both sides of a run in the plane: UMAP of the unit rows under a variant, cached."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from core.analysis.variants import VariantSpec
from core.questions.answers import cached_table, cached_table_if_there, item_frame, transformed, variant_of
from core.questions.labels import TEST_PARTS
from core.records import Part
from core.run import Run

MOST_POINTS = 5000
NEIGHBOURS, SEED = 15, 0


def points(run: Run, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """DataFrame[part, row, id, modality, x, y, group, background, text]: queries and candidates, at most 5,000 in all.

    Larger runs are sampled evenly; `attrs` says how many are shown of how many. UMAP (umap-learn) with 15 neighbours on
    cosine distance, seeded, so the same every time; distances between far clusters mean nothing.
    """
    spec = variant_of(run, variant)
    name = spec.explicit()

    def compute() -> pd.DataFrame:
        rows = {part: _even(len(run.corpus.items(part)), run) for part in TEST_PARTS}
        unit = np.concatenate([transformed(run, spec, part)[rows[part]] for part in TEST_PARTS])
        frame = pd.concat([_items(run, part, rows[part]) for part in TEST_PARTS], ignore_index=True)
        frame[["x", "y"]] = _umap(unit)
        frame.attrs = {"shown": len(frame), "of": sum(len(run.corpus.items(p)) for p in TEST_PARTS), "variant": name}
        return frame

    return cached_table(
        run, "map", {"variant": name, "neighbours": NEIGHBOURS, "seed": SEED, "most": MOST_POINTS}, compute
    )


def is_cached(run: Run, variant: str | VariantSpec = "none") -> bool:
    """Whether `points` would answer from the cache."""
    arguments = {
        "variant": variant_of(run, variant).explicit(),
        "neighbours": NEIGHBOURS,
        "seed": SEED,
        "most": MOST_POINTS,
    }
    return cached_table_if_there(run, "map", arguments) is not None


def _even(n: int, run: Run) -> np.ndarray:
    """Rows spread evenly over a part, so that both parts together stay below MOST_POINTS."""
    total = sum(len(run.corpus.items(part)) for part in TEST_PARTS)
    keep = n if total <= MOST_POINTS else max(1, n * MOST_POINTS // total)
    return np.linspace(0, n - 1, keep).round().astype(int)


def _items(run: Run, part: Part, rows: np.ndarray) -> pd.DataFrame:
    frame = item_frame(run, part, rows).assign(part=part)
    truths = [run.corpus.items(part).truth(int(row)) or {} for row in rows]
    frame["group"] = [(t.get("groups") or [""])[0] for t in truths]
    frame["background"] = [t.get("background", "") for t in truths]
    return frame


def _umap(unit: np.ndarray) -> np.ndarray:
    neighbours = min(NEIGHBOURS, len(unit) - 1)
    with warnings.catch_warnings():
        # At import it names optional parts it lacks; at fit it says that a seed makes it single-threaded, as we want.
        warnings.simplefilter("ignore")
        import umap

        fitted = umap.UMAP(n_neighbors=neighbours, metric="cosine", random_state=SEED, init="pca").fit_transform(unit)
    return np.asarray(fitted, dtype=np.float64)
