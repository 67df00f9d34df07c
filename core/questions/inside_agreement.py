"""Is an edit of the pooled row what the model would make of it? Concepts switched off there and inside the model,
compared.

In: a run whose rows are the mean, or the last, of token states that its own SAE reads. 1. Some test queries, drawn by
seed, and the candidates that answer them. 2. The concepts that contribute most (Eq 6), and for each a random other one
that fires about as often and as strongly. 3. Each is switched off on the pooled row, h - z_k(h) D_k, and inside the
model, at every token of the layer the run reads: there nothing follows but the pooling, so that one pass over the items
serves all concepts: h - w z_k(tokens) D_k, w being the weights of the pooling. Out: what either does to recall and to
the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float

from core.analysis import retrieval as science
from core.analysis.arrays import unit_rows
from core.analysis.concepts.matching import matched_draws
from core.errors import NotAvailable
from core.models.pooling import kept_tokens
from core.questions.answers import cached_table
from core.questions.comparisons import PairedGain, tidy
from core.questions.concepts import table as concept_table
from core.questions.inside import check_model
from core.records import Part
from core.run import Run
from core.sae.inside import TokenCodes
from core.waiting import about_to_compute, checkpoint

QUERIES, CONCEPTS = 300, 24
LINEAR = ("mean", "last")
"""Poolings that are a weighted sum of token states."""
BATCH = 64
EDITS = ("pooled", "inside")
RESAMPLES = 2000


def check(run: Run) -> None:
    """Refuse a run whose edits cannot be compared.

    Raises:
        NotAvailable: no SAE, no pairs, no model to change inside, or a pooling that is no sum.
    """
    run.need_sae()
    check_model(run)
    if not len(run.qrels("test")):
        raise NotAvailable(f"run {run.name!r} has no relevant pairs, so there is nothing to retrieve")
    if run.view.pooling not in LINEAR:
        raise NotAvailable(
            "edits of the pooled row and inside are compared where pooling is a sum over tokens",
            got=f"pooling {run.view.pooling!r}",
            allowed=" or ".join(map(repr, LINEAR)),
        )


def inside_agreement(run: Run, concepts: int = CONCEPTS, queries: int = QUERIES, seed: int = 0) -> pd.DataFrame:
    """What switching a concept off does, on the pooled row and inside the model, concept by concept.

    DataFrame[concept, label, chosen, gain_pooled, gain_pooled_low, gain_pooled_high, gain_pooled_p, gain_inside, ...,
    shift_pooled, shift_inside, queries, candidates]: `chosen` "contributing" or "matched"; gains are paired changes of
    recall@1; shifts are 1 - cosine of a row before and after, mean over queries and candidates. attrs: pooling, layer.

    Raises:
        NotAvailable: see `check`.
    """
    check(run)
    arguments = {"concepts": concepts, "queries": queries, "seed": seed}
    return cached_table(run, "inside-agreement", arguments, lambda: _compute(run, concepts, queries, seed))


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation over concepts of what the two edits do, and the size of their effects.

    DataFrame[chosen, of, correlation, correlation_low, correlation_high, size_pooled, size_inside, concepts]: `of` is
    "recall@1" or "shift"; the interval is a 95% bootstrap over concepts; sizes are mean absolute changes. NaN where an
    edit changes nothing anywhere.
    """
    rows: list[dict[str, Any]] = []
    for chosen, mine in table.groupby("chosen", sort=False):
        for of, name in ("recall@1", "gain"), ("shift", "shift"):
            pair = mine[[f"{name}_{edit}" for edit in EDITS]].to_numpy(float)
            value, low, high = spearman(pair)
            sizes = np.abs(pair).mean(axis=0)
            rows.append(
                {"chosen": chosen, "of": of, "correlation": value, "correlation_low": low, "correlation_high": high}
                | {"size_pooled": float(sizes[0]), "size_inside": float(sizes[1]), "concepts": len(mine)}
            )
    return pd.DataFrame(rows)


def spearman(pair: Float[np.ndarray, "n 2"], seed: int = 0) -> tuple[float, float, float]:
    """Rank correlation of two columns with a 95% interval: percentiles over bootstrap draws of rows; NaN without
    variance."""
    from scipy.stats import rankdata

    def one(rows: np.ndarray) -> float:
        ranks = np.column_stack([rankdata(rows[:, 0]), rankdata(rows[:, 1])])
        return float(np.corrcoef(ranks.T)[0, 1]) if (ranks.std(axis=0) > 0).all() else np.nan

    value, rng = one(pair), np.random.default_rng(seed)
    if np.isnan(value):
        return np.nan, np.nan, np.nan
    draws = np.array([one(pair[rng.integers(0, len(pair), len(pair))]) for _ in range(RESAMPLES)])
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return value, float(low), float(high)


def _compute(run: Run, number: int, queries: int, seed: int) -> pd.DataFrame:
    frame, dictionary = concept_table(run), run.need_sae().dictionary
    top = frame.sort_values("attribution", ascending=False, kind="stable")["concept"].to_numpy(int)[:number].tolist()
    frequency, energy = (frame[name].to_numpy(float) for name in ("frequency", "energy"))
    matched = matched_draws(top, frequency, energy, 1, seed)[0].tolist()
    pairs, rows = _sample(run, queries, seed)
    concepts = [*top, *matched]
    raw = {part: np.asarray(run.embeddings(part)[rows[part]], np.float64) for part in rows}
    pooled = {part: sp.csr_array(run.codes(part))[rows[part]][:, concepts].toarray() for part in rows}
    inside = {part: pooled_token_codes(run, part, rows[part], concepts) for part in rows}
    baseline, table = _ranked(raw, pairs), []
    for at, k in enumerate(concepts):
        checkpoint()
        row: dict[str, Any] = {"concept": k, "label": str(frame["label"].iloc[k])}
        row |= {"chosen": "contributing" if at < len(top) else "matched"}
        shifts = {}
        for name, codes in zip(EDITS, (pooled, inside), strict=True):
            edited = {part: raw[part] - codes[part][:, [at]] * dictionary[k].astype(np.float64) for part in raw}
            row |= PairedGain.between([baseline], [_ranked(edited, pairs)], "recall@1").columns(f"gain_{name}")
            moved = [1.0 - (unit_rows(raw[part]) * unit_rows(edited[part])).sum(axis=1) for part in raw]
            shifts[f"shift_{name}"] = float(np.concatenate(moved).mean())
        table.append(row | shifts | {part: len(rows[part]) for part in rows})
    return tidy(table, pooling=run.view.pooling, layer=run.view.layer)


def _sample(run: Run, number: int, seed: int) -> tuple[np.ndarray, dict[Part, np.ndarray]]:
    """(p, 2) relevant pairs among the drawn rows, and the rows: queries that have an answer, and all their answers."""
    pairs = run.qrels("test").pairs
    answered = np.unique(pairs[:, 0])
    queries = np.sort(np.random.default_rng(seed).permutation(answered)[:number])
    pairs = pairs[np.isin(pairs[:, 0], queries)]
    candidates = np.unique(pairs[:, 1])
    found = np.column_stack([np.searchsorted(queries, pairs[:, 0]), np.searchsorted(candidates, pairs[:, 1])])
    return found, {"queries": queries, "candidates": candidates}


def pooled_token_codes(run: Run, part: Part, rows: np.ndarray, concepts: list[int]) -> Float[np.ndarray, "n m"]:
    """Activations of concepts on the token states of some items, pooled as the run pools the states: what switching a
    concept off inside takes away, as a multiple of its dictionary row."""
    import torch

    about_to_compute()
    adapter, items, sae = run.adapter(), run.corpus.items(part), run.need_sae()
    codes_of = TokenCodes(run.sae_folder.checked(), sae.input, concepts)
    out = np.empty((len(rows), len(concepts)))
    # Neighbours in length go together, so that little is padded.
    order = np.argsort([len(items.texts[row] or "") for row in rows.tolist()], kind="stable")
    for start in range(0, len(rows), BATCH):
        checkpoint()
        batch = order[start : start + BATCH]
        tokens = adapter.token_states([items.item(int(row)) for row in rows[batch]], run.view.place)
        with torch.inference_mode():
            codes = codes_of(torch.from_numpy(np.ascontiguousarray(tokens.states))).numpy().astype(np.float64)
        keep = kept_tokens(tokens, run.view.mask)
        for at, row in enumerate(batch):
            mine = codes[keep & (tokens.item == at)]
            out[row] = mine[-1] if run.view.pooling == "last" else mine.mean(axis=0)
    return out


def _ranked(rows: dict[Part, np.ndarray], pairs: np.ndarray) -> science.Ranked:
    queries, candidates = (unit_rows(rows[part]).astype(np.float32) for part in ("queries", "candidates"))
    return science.rank_relevant(queries, candidates, pairs)
