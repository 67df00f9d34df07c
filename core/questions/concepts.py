"""The concepts of a run: the table of all, and one concept in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.concepts import measures as science
from core.analysis.concepts.labels import agreement
from core.errors import NotAvailable, UserError
from core.questions.answers import cached_table, item_frame
from core.questions.labels import RULE, TEST_PARTS, attributes, has_truth, label_all, test_codes
from core.records import Item, Part, TokenRole
from core.run import Run
from core.waiting import about_to_compute

SORTS = {"energy": "energy", "modality": "modality_score", "bridge": "bridge", "attribution": "attribution"}
BINS = 24


@dataclass(frozen=True, eq=False)
class ConceptCard:
    """One concept in full; see `concept` for the columns."""

    concept: int
    label: str
    figures: dict[str, float]
    images: pd.DataFrame
    texts: pd.DataFrame
    histogram: pd.DataFrame
    co_firing: pd.DataFrame
    truth: pd.DataFrame
    n_items: int
    n_firing: int


@dataclass(frozen=True, eq=False)
class Heat:
    """Where in one item a concept comes from.

    `grid` (rows, cols) per image patch, or None; `tokens` (text, role, value) of every token that is not an image
    patch. `mean` over all tokens is the SAE's pre-activation of the mean-pooled item (an identity, since the encoder is
    linear before its ReLU; not for a dual encoder, whose embedding is no mean of its tokens).
    """

    grid: np.ndarray | None
    tokens: list[tuple[str, TokenRole, float]]
    mean: float


def table(run: Run) -> pd.DataFrame:
    """All c concepts: concept, energy, energy_image, energy_text, modality_score, bridge, attribution, frequency,
    label, label_f1, label_chance, label_n.

    Energy, modality and frequency over queries and candidates (Eqs 3, 4); bridge and attribution over the test pairs
    (Eqs 5, 6). The label is chosen on the support split and scored on the test split (`labels.Labels`); attrs["labels"]
    says so.
    """

    def compute() -> pd.DataFrame:
        frame = science.concept_table(
            run.codes("queries"),
            run.codes("candidates"),
            run.corpus.items("queries").modality,
            run.corpus.items("candidates").modality,
            run.qrels("test").pairs,
            run.need_sae().dictionary,
        )
        labels = label_all(run)
        frame = pd.concat([frame, labels.table], axis=1)
        frame.attrs = {"labels": labels.source}
        return frame

    run.need_sae()
    return run.memo(("concept_table",), lambda: cached_table(run, "concepts", {"labels": RULE}, compute))


def top(run: Run, sort: str = "energy", n: int = 20) -> pd.DataFrame:
    """The first `n` concepts by energy, modality, bridge or attribution, largest first; undefined values last, ties by
    index."""
    frame = table(run)
    return (
        frame.sort_values(SORTS[sort], ascending=False, kind="stable", na_position="last")
        .head(n)
        .reset_index(drop=True)
    )


def concept(run: Run, k: int, n_items: int = 24) -> ConceptCard:
    """Everything shown of concept `k`.

    images, texts: DataFrame[part, row, id, modality, text, activation], the items that fire most, of either test part.
    histogram: DataFrame[left, right, modality, count] of activations above zero, in embedding units.
    co_firing: DataFrame[concept, label, together, jaccard]; truth: DataFrame[attribute, kind, precision, recall, f1].

    Raises:
        UserError: no such concept.
    """
    check_concept(run, k)
    frame = table(run)
    column = _column(run, k)
    row = frame.iloc[k]
    figures = {name: float(row[name]) for name in frame.columns if name not in ("concept", "label")}
    modality = np.concatenate([np.asarray(run.corpus.items(p).modality, dtype=str) for p in TEST_PARTS])
    return ConceptCard(
        concept=k,
        label=str(row["label"]),
        figures=figures | _ranks(frame, k),
        images=_firing(run, column, np.char.find(modality, "image") >= 0, n_items),
        texts=_firing(run, column, modality == "text", n_items),
        histogram=_histogram(column, modality, {name for p in TEST_PARTS for name in run.corpus.items(p).by_modality}),
        co_firing=_co_firing(run, k, frame),
        truth=_truth(run, k),
        n_items=len(column),
        n_firing=int((column > 0).sum()),
    )


def check_concept(run: Run, k: int) -> None:
    """UserError unless 0 <= k < c."""
    width = run.need_sae().width
    if not 0 <= k < width:
        raise UserError("no such concept", got=k, allowed=f"0 to {width - 1}")


def _ranks(frame: pd.DataFrame, k: int) -> dict[str, float]:
    return {
        f"{name}_rank": float(frame[column].rank(ascending=False, method="min").iloc[k])
        for name, column in SORTS.items()
    }


def _column(run: Run, k: int) -> np.ndarray:
    """(n_queries + n_candidates,) activations of one concept, without a copy of the codes."""
    parts = []
    for part in TEST_PARTS:
        codes = run.codes(part)
        rows, values = science.column(codes, k)
        whole = np.zeros(codes.shape[0], dtype=codes.dtype)
        whole[rows] = values
        parts.append(whole)
    return np.concatenate(parts)


def _firing(run: Run, column: np.ndarray, keep: np.ndarray, n: int) -> pd.DataFrame:
    """The n items with the highest activation among `keep`, each text and image once."""
    fires = np.flatnonzero(keep & (column > 0))
    order = fires[np.argsort(-column[fires], kind="stable")[:n]]
    n_queries = len(run.corpus.items("queries"))
    frames = []
    for at in order:
        part, row = _locate(int(at), n_queries)
        frames.append(item_frame(run, part, [row]).assign(part=part, activation=float(column[at])))
    columns = ["part", "row", "id", "modality", "text", "activation"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _locate(at: int, n_queries: int) -> tuple[Part, int]:
    return ("queries", at) if at < n_queries else ("candidates", at - n_queries)


def _histogram(column: np.ndarray, modality: np.ndarray, names: set[str]) -> pd.DataFrame:
    columns = ["left", "right", "modality", "count"]
    if not (column > 0).any():
        return pd.DataFrame(columns=columns)
    edges = np.linspace(0, float(column.max()), BINS + 1)
    rows: list[tuple[Any, ...]] = []
    fires = np.flatnonzero(column > 0)
    of_each, values = modality[fires], column[fires]
    for name in sorted(names):
        counts, _ = np.histogram(values[of_each == name], bins=edges)
        rows += [(a, b, name, int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _co_firing(run: Run, k: int, frame: pd.DataFrame) -> pd.DataFrame:
    together = science.co_firing([run.codes(part) for part in TEST_PARTS], k, top=12)
    labels = frame["label"].to_numpy()[together.concepts]
    return pd.DataFrame(
        {"concept": together.concepts, "label": labels, "together": together.items, "jaccard": together.jaccard}
    )


def _truth(run: Run, k: int, n: int = 8) -> pd.DataFrame:
    columns = ["attribute", "kind", "precision", "recall", "f1"]
    if not has_truth(run):
        return pd.DataFrame(columns=columns)
    known = attributes(run)
    match = agreement(test_codes(run)[:, [k]], known)
    best = np.argsort(-match.f1[0], kind="stable")[:n]
    parts = [known.names[i].partition(":") for i in best if match.f1[0, i] > 0]
    best = best[match.f1[0, best] > 0]
    figures = [m[0, best] for m in (match.precision, match.recall, match.f1)]
    return pd.DataFrame(dict(zip(columns, ([p[2] for p in parts], [p[0] for p in parts], *figures), strict=True)))


def top_tokens(run: Run, k: int, n: int = 10) -> list[tuple[str, float]]:
    """Tokens of the model's own output head with the largest inner product with dictionary row D_k (the logit lens).

    Raises:
        NotAvailable: the model has no output head.
    """
    check_concept(run, k)
    about_to_compute()
    return run.adapter().top_tokens(np.asarray(run.need_sae().dictionary[k : k + 1]), n)[0]


def heat(run: Run, k: int, part: Part, row: int) -> Heat:
    """Per patch and per token: the SAE's pre-activation of concept `k` on that token's own hidden state, before the
    Top-K.

    Raises:
        NotAvailable: own embeddings, or a run that came without its model.
    """
    check_concept(run, k)
    if missing := run.no_model():  # said before its pictures are looked for, which may have stayed too
        raise missing
    return heat_of(run, k, run.corpus.items(part).item(row))


def heat_of(run: Run, k: int, item: Item) -> Heat:
    """The same for any item, stored or not."""
    from core.sae import concept_values

    check_concept(run, k)
    about_to_compute()
    adapter = run.adapter()
    if not adapter.has_token_states:
        raise NotAvailable(f"{run.model_name} gives no token states", todo="choose a run of a model with tokens")
    tokens = adapter.token_states([item], run.view.place)
    values = concept_values(run.sae_folder, k, tokens.states.astype(np.float64))
    is_patch = np.array([role == "image" for role in tokens.role])
    grid = tokens.grids[0]
    patches = values[is_patch]
    fits = grid is not None and grid[0] * grid[1] == len(patches)
    words: list[tuple[str, TokenRole, float]] = [
        (t, r, float(v)) for t, r, v in zip(tokens.text, tokens.role, values, strict=True) if r != "image"
    ]
    return Heat(patches.reshape(grid) if fits else None, words, float(values.mean()))
