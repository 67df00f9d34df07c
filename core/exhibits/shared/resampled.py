"""How far measures of concepts hang on the items they were measured on: the measures on redrawn items and pairs
(bootstrap).

In: a run. Out: arrays (draws, c), seeded, float64. Items of both sides are redrawn together for energy, matching pairs
for attribution and bridge; the two redraws are independent. A redraw leaves rare concepts out, so that its percentiles
lie off: `interval` takes only its spread.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, vstack

from core.analysis.concepts.measures import jaccard, top_share, triple_overlap
from core.questions.alternates import OWN, Alternate, own
from core.questions.answers import query_clusters
from core.records import Part
from core.run import Run

DRAWS = 200
TEST_PARTS: tuple[Part, Part] = ("queries", "candidates")
MEASURES = ("energy", "attribution", "bridge")
PAIR_BLOCK = 64
HOW = (
    f"Intervals: ±1.96 standard errors over {DRAWS} redraws of items (energy) and of matching pairs (attribution,"
    " bridge; those of a query, and of queries that share an answer, together)."
)


def interval(value: float, *drawn: np.ndarray) -> tuple[float, float]:
    """value +- 1.96 standard errors, those of several independent draws (draws,) added in squares: a normal 95%
    interval."""
    spread = 1.96 * float(np.sqrt(sum(np.var(draws, ddof=1) for draws in drawn)))
    return value - spread, value + spread


def energies(run: Run, draws: int = DRAWS, seed: int = 0, of: Alternate | None = None) -> np.ndarray:
    """(draws, c) energy (Eq 3) on redrawn items, queries and candidates together; `of`: another dictionary than the
    run's own."""
    of = of or own(run)
    codes = vstack([csr_array(of.codes[part]) for part in TEST_PARTS], format="csr").astype(np.float64)
    return np.stack([weights @ codes for weights in _weights(codes.shape[0], draws, seed)])


def attributions_and_bridges(
    run: Run, draws: int = DRAWS, seed: int = 1, of: Alternate | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two (draws, c): attribution (Eq 6) and the bridge diagonal (Eq 5) on redrawn matching pairs of the test split."""
    attributed, bridged = per_pair(run, of)
    n, clusters = attributed.shape[0], _pair_clusters(run)
    both = [(weights @ attributed, weights @ bridged) for weights in _weights(n, draws, seed, clusters)]
    first, second = zip(*both, strict=True)
    return np.stack(first), np.stack(second)


def per_pair(run: Run, of: Alternate | None = None) -> tuple[csr_array, csr_array]:
    """Two (p, c) sparse: z_q * (M z_c) + z_c * (M z_q) and z_q * z_c * ||D_k||^2 of every matching pair; their means
    are Eqs 6 and 5."""
    of = of or own(run)
    dictionary = np.asarray(of.dictionary, dtype=np.float64)
    pairs = run.qrels("test").pairs
    left = csr_array(of.codes["queries"])[pairs[:, 0]].astype(np.float64)
    right = csr_array(of.codes["candidates"])[pairs[:, 1]].astype(np.float64)
    attributed = []
    for start in range(0, len(pairs), PAIR_BLOCK):
        q, c = left[start : start + PAIR_BLOCK], right[start : start + PAIR_BLOCK]
        attributed.append(csr_array(_dotted(q, c @ dictionary, dictionary) + _dotted(c, q @ dictionary, dictionary)))
    norms = np.einsum("cd,cd->c", dictionary, dictionary)
    return vstack(attributed, format="csr"), csr_array(left.multiply(right).multiply(norms[None, :]))


def overlaps(tops: dict[str, np.ndarray]) -> list[float]:
    """Jaccard overlaps of three top sets (Eq 7): energy & attribution, energy & bridge, attribution & bridge, all
    three."""
    e, a, b = (tops[name] for name in MEASURES)
    return [jaccard(e, a), jaccard(e, b), jaccard(a, b), triple_overlap(e, a, b)]


def drawn_overlaps(run: Run, share: float, of: Alternate | None = None) -> np.ndarray:
    """(draws, 4) overlaps of the top shares, each draw with its own energies, attributions and bridges."""

    def draw() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (energies(run, of=of), *attributions_and_bridges(run, of=of))

    # A specification curve asks for many shares of the same draws.
    drawn = run.memo(("drawn measures", OWN if of is None else of.name), draw, limit=2)
    return np.array([overlaps(_tops(dict(zip(MEASURES, row, strict=True)), share)) for row in zip(*drawn, strict=True)])


def concepts_needed(values: np.ndarray, share: float) -> np.ndarray:
    """Of each row (draws, c): the fewest concepts that hold `share` of its sum; 0 where the sum is 0."""
    share_held = np.cumsum(-np.sort(-values, axis=1), axis=1)
    return np.where(share_held[:, -1] > 0, (share_held < share * (1 - 1e-12) * share_held[:, -1:]).sum(axis=1) + 1, 0)


def _tops(measures: dict[str, np.ndarray], share: float) -> dict[str, np.ndarray]:
    return {name: top_share(values, share) for name, values in measures.items()}


def _dotted(codes: csr_array, rows: np.ndarray, dictionary: np.ndarray) -> csr_array:
    """(p, c): codes[i, k] * (D_k . rows[i]) where the concept fires."""
    at = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
    dots = np.einsum("nd,nd->n", dictionary[codes.indices], rows[at])
    return csr_array((codes.data * dots, codes.indices, codes.indptr), shape=codes.shape)


def _pair_clusters(run: Run) -> np.ndarray:
    """(p,) number of each test pair's cluster: pairs of one query, and of queries that share an answer, go together."""
    queries, labels = run.qrels("test").pairs[:, 0], query_clusters(run)
    return np.unique(queries if labels is None else labels[queries], return_inverse=True)[1]


def _weights(n: int, draws: int, seed: int, clusters: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """How often each of n rows is drawn, over all drawn: one (n,) array per draw, summing to 1. Rows of one cluster are
    drawn together."""
    rng = np.random.default_rng(seed)
    groups = n if clusters is None else int(clusters.max()) + 1
    for _ in range(draws):
        drawn = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        weights = drawn if clusters is None else drawn[clusters]
        yield weights / weights.sum()
