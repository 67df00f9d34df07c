"""Does a concept cause the word? Where it is known what a picture shows, the concept of a thing is switched off inside
the model, and the probability of the thing's word is read where the model answers.

In: a run of a world whose truth is known, with a model that answers. 1. Of every thing that concept is taken whose
firing on the run's items has the best F1 with the thing, if that is 0.5 or more. 2. Up to `ITEMS` pictures that show
the thing, drawn by seed, are encoded raw, without the concept at any token (factor 0, inside the model at the layer of
its SAE), and without each control. 3. A case is one thing (with one control): the mean over its pictures of the
probability of the first token of its word; it is lowered where it falls by `FALL` of itself or more.

Controls: `matched`, concepts that fire about as often and as strongly over all items; `beside`, concepts that fire on
these very pictures about as strongly, which is harder to pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from core.analysis.concepts.labels import agreement
from core.analysis.concepts.matching import matched_draws
from core.analysis.retrieval.resampling import bootstrap_means
from core.analysis.variants import VariantSpec
from core.errors import NotAvailable
from core.models.answer import WORD_VIEWS, as_sparse
from core.questions.answers import cached_table
from core.questions.comparisons import tidy
from core.questions.inside import check_model, identities, layer_saes, model_under
from core.questions.labels import CONVINCING, TEST_PARTS, attributes, has_truth, test_codes
from core.records import Item, Part
from core.run import Run
from core.waiting import checkpoint

ITEMS = 4
MATCHED, BESIDE = 3, 1
"""Controls of a thing, of each kind."""
FALL = 0.1
"""Share of itself by which a probability must fall to count as lowered. Set before anything was measured."""
KINDS = ("own", "matched", "beside")


def word_causes(run: Run, layer: int = -1, items: int = ITEMS, seed: int = 0) -> pd.DataFrame:
    """The probability of a thing's word with and without a concept, thing by thing.

    DataFrame[thing, concept, f1, kind, control, pictures, raw, off, fall, lowered]: `kind` is one of `KINDS`, `control`
    the concept that was switched off (of kind own: `concept` itself), `raw` and `off` mean probabilities, `fall` the
    share of `raw` that is lost. attrs: things (of the world), named (those with a concept), layer, tokens.

    Raises:
        NotAvailable: no truth, no model that answers, or no codes at that layer.
    """
    _check(run, layer)
    arguments: dict[str, Any] = {"layer": layer, "items": items, "seed": seed, "fall": FALL, "least_f1": CONVINCING}
    arguments |= {"controls": [MATCHED, BESIDE], "dictionaries": identities(run)}
    return cached_table(run, "word-causes", arguments, lambda: _compute(run, layer, items, seed))


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Share of cases in which the word's probability was lowered, 0-1: DataFrame[kind, cases, things, share_lowered,
    share_lowered_low, share_lowered_high, share_halved, share_any_fall, raw, off], 95% bootstrap over things."""
    rows = []
    for kind in KINDS:
        mine = table[table["kind"] == kind]
        if not len(mine):
            continue
        by_thing = mine.groupby("thing")["lowered"].mean().to_numpy(float)[:, None]
        low, high = (float(ends[0]) for ends in bootstrap_means(by_thing))
        falls = mine["fall"].to_numpy(float)
        rows.append(
            {"kind": kind, "cases": len(mine), "things": mine["thing"].nunique()}
            | {"share_lowered": float(by_thing.mean()), "share_lowered_low": low, "share_lowered_high": high}
            | {"share_halved": float((falls >= 0.5).mean()), "share_any_fall": float((falls > 0).mean())}
            | {"raw": float(mine["raw"].mean()), "off": float(mine["off"].mean())}
        )
    return pd.DataFrame(rows)


def _check(run: Run, layer: int) -> None:
    check_model(run)
    if not has_truth(run):
        raise NotAvailable(
            "nobody knows what the items of this run show", got=run.name, allowed="runs of the demo world"
        )
    if layer not in layer_saes(run):
        raise NotAvailable(f"no SAE reads layer {layer}", got=run.name, allowed=", ".join(map(str, layer_saes(run))))
    if not run.adapter().vocabulary:
        raise NotAvailable(f"{run.model_name} predicts no words", todo="choose a run of a model that generates")


def codes_at(run: Run, layer: int) -> sp.csr_array:
    """(n, c) codes of queries then candidates by the SAE of a layer, of the run's pooled rows at that layer.

    Raises:
        NotAvailable: the run stores no such rows.
    """
    sae = layer_saes(run)[layer]
    if run.sae is not None and layer == run.view.layer:
        return test_codes(run)
    from core.sae import SaeEncoder

    view = replace(run.view, layer=layer)
    encoder = SaeEncoder(sae.folder(), sae.input)
    return sp.csr_array(sp.vstack([encoder.encode(run.embeddings(part, view)).codes for part in TEST_PARTS]))


def _compute(run: Run, layer: int, number: int, seed: int) -> pd.DataFrame:
    codes, known = codes_at(run, layer), attributes(run)
    columns = [i for i, name in enumerate(known.names) if name.startswith("thing:")]
    f1 = agreement(codes, known).f1[:, columns]
    best, n = f1.argmax(axis=0), codes.shape[0]
    frequency = np.asarray((codes > 0).sum(axis=0)).ravel() / n
    energy = np.asarray(codes.multiply(codes).sum(axis=0)).ravel() / n
    shown, rng = sp.csc_array(known.table), np.random.default_rng(seed)
    pictures = _pictures(run)
    rows: list[dict[str, Any]] = []
    for at, column in enumerate(columns):
        concept, name = int(best[at]), known.names[column].partition(":")[2]
        having = np.intersect1d(shown[:, [column]].nonzero()[0], pictures)
        if f1[concept, at] < CONVINCING or not len(having):
            continue
        checkpoint()
        chosen = np.sort(rng.permutation(having)[:number])
        matched = matched_draws([concept], frequency, energy, MATCHED, seed)[:, 0].tolist()
        beside = _beside(codes, chosen, concept, [concept, *matched])
        rows += _cases(
            run, layer, name, chosen, {"own": [concept], "matched": matched, "beside": beside}, f1[concept, at]
        )
    return tidy(rows, things=len(columns), named=len({row["thing"] for row in rows}), layer=layer, tokens="all")


def _pictures(run: Run) -> np.ndarray:
    """Rows, among queries then candidates, of items that are a picture alone."""
    kinds = np.concatenate([np.asarray(run.corpus.items(part).modality, dtype=str) for part in TEST_PARTS])
    return np.flatnonzero(kinds == "image")


def _beside(codes: sp.csr_array, rows: np.ndarray, concept: int, never: Sequence[int]) -> list[int]:
    """Concepts that fire on at least half of these items, those whose mean activation is nearest to the concept's."""
    here = codes[rows].toarray()
    often = np.flatnonzero((here > 0).mean(axis=0) >= 0.5)
    often = often[~np.isin(often, never)]
    distance = np.abs(here[:, often].mean(axis=0) - here[:, concept].mean())
    return [int(k) for k in often[np.argsort(distance, kind="stable")[:BESIDE]]]


def _cases(
    run: Run, layer: int, thing: str, rows: np.ndarray, off: dict[str, list[int]], f1: float
) -> list[dict[str, Any]]:
    items = [_item(run, int(row)) for row in rows]
    raw = probability(run, items, thing, VariantSpec())
    cases = []
    for kind, concepts in off.items():
        for k in concepts:
            p = probability(run, items, thing, VariantSpec().with_inside(k, 0.0, layer))
            fall = 1.0 - p / raw if raw > 0 else np.nan
            cases.append(
                {"thing": thing, "concept": off["own"][0], "f1": float(f1), "kind": kind, "control": k}
                | {"pictures": len(items), "raw": raw, "off": p, "fall": fall, "lowered": bool(fall >= FALL)}
            )
    return cases


def _item(run: Run, row: int) -> Item:
    n = len(run.corpus.items("queries"))
    part: Part = "queries" if row < n else "candidates"
    return run.corpus.items(part).item(row if row < n else row - n)


def probability(run: Run, items: Sequence[Item], word: str, spec: VariantSpec) -> float:
    """Mean probability, over items, of the first token of ` word` where the model answers the run's own prompts; 0
    where it is not among the 256 most probable."""
    adapter, view = model_under(run, spec), WORD_VIEWS["answer"]
    token = adapter.tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0]  # type: ignore[attr-defined]
    roots = as_sparse(adapter.embed(items, [view])[view], adapter.vocabulary)
    return float((roots[:, [token]].toarray().astype(np.float64) ** 2).mean())
