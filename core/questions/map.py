"""Both sides of a run in the plane: UMAP of the unit rows under a variant on exact neighbours, and how far modalities
mix among those."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from core.analysis.retrieval.neighbours import Mixing, mixing, neighbours
from core.analysis.variants import VariantSpec
from core.questions.answers import answer, cached_table, cached_table_if_there, item_frame, transformed, variant_of
from core.questions.labels import TEST_PARTS
from core.records import Part
from core.run import Run
from core.store import Draft, Folder

MOST_POINTS = 100_000
"""Items on a map; of a larger run they are taken evenly."""
NEIGHBOURS, SEED = 15, 0
"""UMAP counts the item itself as its first neighbour."""
NEAREST = 10
"""Neighbours of each item that `modality_mixing` looks at."""
FEWEST = 5
"""Items from which on UMAP is asked."""
SECONDS = {"fixed": 25.0, "neighbours": 6e-11, "layout": 1.6e-3}
"""Rough rates of two cores: to import and compile UMAP; per pair of items and dimension; per item of the layout."""


def points(run: Run, variant: str | VariantSpec = "none") -> pd.DataFrame:
    """DataFrame[part, row, id, modality, x, y, group, background, text]: queries, then candidates, at most 100,000.

    Larger runs are taken evenly; `attrs` says how many are shown of how many. UMAP (umap-learn) of the 15 nearest by
    cosine, itself included, found exactly; seeded, so the same every time; distances between far clusters mean nothing.
    """
    spec = variant_of(run, variant)

    def compute() -> pd.DataFrame:
        rows = shown_rows(run)
        nearest = _nearest(run, spec)
        unit = np.concatenate([transformed(run, spec, part)[rows[part]] for part in TEST_PARTS])
        frame = pd.concat([_items(run, part, rows[part]) for part in TEST_PARTS], ignore_index=True)
        frame[["x", "y"]] = layout(unit, nearest.array("rows"), nearest.array("cosines"))
        frame.attrs = {"shown": len(frame), "of": items(run), "variant": spec.explicit()}
        return frame

    return cached_table(run, "map", _arguments(spec), compute)


def positions(run: Run, variant: str | VariantSpec = "none") -> np.ndarray:
    """(n, 2) float32: x and y of `points`, without what makes that table large."""
    return points(run, variant)[["x", "y"]].to_numpy(dtype=np.float32)


def is_cached(run: Run, variant: str | VariantSpec = "none") -> bool:
    """Whether `points` would answer from the cache."""
    return cached_table_if_there(run, "map", _arguments(variant_of(run, variant))) is not None


def seconds(run: Run) -> float:
    """About how long `points` takes where nothing is cached, by rates measured on two cores."""
    n = min(items(run), MOST_POINTS)
    width = run.embeddings("queries").shape[1]
    return SECONDS["fixed"] + SECONDS["neighbours"] * n * n * width + SECONDS["layout"] * n


def modality_mixing(run: Run, variant: str | VariantSpec = "none") -> Mixing:
    """Share of each item's ten nearest neighbours that are of another modality, and the share to be expected where
    modality does not matter; over the items of the map, which are all of a run of up to 100,000.

    The interval draws items that match together as one.
    """
    spec = variant_of(run, variant)

    def compute() -> pd.DataFrame:
        found, _ = mixing(_nearest(run, spec).array("rows")[:, :NEAREST], kinds(run), _scenes(run))
        return pd.DataFrame([vars(found)])

    table = cached_table(run, "modality-mixing", _arguments(spec) | {"nearest": NEAREST}, compute)
    return Mixing(**{str(name): value for name, value in table.to_dict("records")[0].items()})


def shown_rows(run: Run) -> dict[Part, np.ndarray]:
    """Rows of each part that a map shows: all, or evenly spread ones of a larger run."""
    total = items(run)
    kept: dict[Part, np.ndarray] = {}
    for part in TEST_PARTS:
        n = _size(run, part)
        keep = n if total <= MOST_POINTS else max(min(n, 1), n * MOST_POINTS // total)
        kept[part] = np.linspace(0, n - 1, keep).round().astype(int)
    return kept


def places(run: Run) -> np.ndarray:
    """(n,) int64: the place of every point, as `selection` counts items: queries first, then candidates."""
    rows = shown_rows(run)
    return np.concatenate([rows["queries"], _size(run, "queries") + rows["candidates"]]).astype(np.int64)


def items(run: Run) -> int:
    """Queries and candidates."""
    return sum(_size(run, part) for part in TEST_PARTS)


def kinds(run: Run) -> np.ndarray:
    """Modality of every point."""
    rows = shown_rows(run)
    found = [np.asarray(run.corpus.items(part).modality)[rows[part]] for part in TEST_PARTS if len(rows[part])]
    return np.concatenate(found)


def layout(unit: np.ndarray, nearest: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """(n, 2) float64: UMAP of unit rows (n, d) whose nearest others are known, nearest first."""
    n = len(unit)
    if n < FEWEST:
        return np.asarray(np.pad(unit, ((0, 0), (0, 2)))[:, :2], dtype=np.float64)
    itself = np.arange(n)[:, None]
    known = np.hstack([itself, nearest]).astype(np.int32)
    far = np.hstack([np.zeros((n, 1)), 1 - cosines]).clip(0).astype(np.float32)
    with warnings.catch_warnings():
        # At import it names optional parts it lacks; at fit it says that a seed makes it single-threaded, as we want.
        warnings.simplefilter("ignore")
        import umap

        fitted = umap.UMAP(
            n_neighbors=known.shape[1],
            metric="cosine",
            random_state=SEED,
            init="pca",
            precomputed_knn=(known, far, None),
        )
        return np.asarray(fitted.fit_transform(unit), dtype=np.float64)


def _size(run: Run, part: Part) -> int:
    return len(run.corpus.items(part)) if part in run.parts else 0


def _arguments(spec: VariantSpec) -> dict[str, Any]:
    return {
        "variant": spec.explicit(), "neighbours": NEIGHBOURS, "exact": True, "seed": SEED, "most": MOST_POINTS,
    }  # fmt: skip


def _nearest(run: Run, spec: VariantSpec) -> Folder:
    """Nearest others of every point: arrays rows (n, k) int32 and cosines (n, k) float32."""

    def write(draft: Draft) -> None:
        rows = shown_rows(run)
        unit = np.concatenate([transformed(run, spec, part)[rows[part]] for part in TEST_PARTS if len(rows[part])])
        found = neighbours(unit, NEIGHBOURS - 1)
        draft.save("rows", found.rows.astype(np.int32))
        draft.save("cosines", found.cosines)

    arguments = {"variant": spec.explicit(), "k": NEIGHBOURS - 1, "most": MOST_POINTS}
    return answer(run, "map-neighbours", arguments, write)


def _scenes(run: Run) -> np.ndarray | None:
    """A number per point: items that match, directly or by others in between, have the same; None where none do."""
    rows, pairs = shown_rows(run), run.qrels("test").pairs
    if not len(pairs):
        return None
    n, total = _size(run, "queries"), items(run)
    edges = sp.coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], n + pairs[:, 1])), shape=(total, total))
    scene = connected_components(edges, directed=False)[1]
    shown = scene[np.concatenate([rows["queries"], n + rows["candidates"]])]
    return np.unique(shown, return_inverse=True)[1].astype(np.int64)


def _items(run: Run, part: Part, rows: np.ndarray) -> pd.DataFrame:
    frame = item_frame(run, part, rows).assign(part=part)
    truths = [run.corpus.items(part).truth(int(row)) or {} for row in rows]
    frame["group"] = [(t.get("groups") or [""])[0] for t in truths]
    frame["background"] = [t.get("background", "") for t in truths]
    return frame
