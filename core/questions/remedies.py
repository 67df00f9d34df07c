"""Everything that can be done to the embeddings or scores of a run without training, in one table with corrected tests.

Transforms are fitted on rows without labels; score corrections on a bank of other queries (the support split where
there is one, else the test queries themselves, which is said); layers, poolings, token masks, states before the final
norm or before an MLP, and prompts are other embeddings of the same items. Every row is held against the raw cosine, and
against ReAlign, on the same queries: paired difference of recall@1, its 95% interval, McNemar's exact test, and for the
first Holm's correction over the whole table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.retrieval import Ranked
from core.analysis.retrieval.corrections import (
    BankSource,
    fit_correction,
    parse_correction,
    rank_relevant_corrected,
)
from core.analysis.variants import VariantSpec
from core.analysis.variants.transform import transform
from core.captions import Request
from core.config import Place
from core.questions.answers import cached_table, explicit, fit_data, fitted, transformed, variant_of
from core.questions.comparisons import compared, holm, statistics_words, tidy
from core.questions.inside import under
from core.questions.own_words import OwnWords, all_cached_captions, evaluate_captions, own_words_apply
from core.questions.retrieval import evaluate
from core.questions.view_choices import PLACES, VIEW_KINDS, VIEW_SETTINGS, called, differs_in
from core.questions.views import evaluate_view, evaluate_words
from core.records import EmbeddingView
from core.run import Run, list_runs

RAW = "raw cosine"
TRANSFORMS = (
    ("centring per side", "center"),
    ("modality gap closed (translation)", "close-gap"),
    ("direction between the means removed", "remove-mean-direction"),
    ("all-but-the-top", "all-but-top"),
    ("PCA whitening, shared", "pca"),
    ("ZCA whitening", "zca"),
    ("ReAlign", "realign"),
    ("ReAlign, Ledoit-Wolf shrinkage", "auto"),
    ("ReAlign, OAS shrinkage", "auto(method=oas)"),
)
CORRECTIONS = (("CSLS", "csls"), ("inverted softmax", "inverted-softmax"), ("QB-Norm", "qb-norm"))
PROMPTS = {
    "chat": "",
    "hierarchical": "",
    "freeret": '; [embedding] sublayers = ["block", "attention"]',
}
"""Prompts that training-free work compares, and what else their specs ask for."""
READING = "reading"
"""Kind of a row that reads behind the answer header (`core/models/answer.py`)."""
OWN_WORDS = "own words"
"""Kind of a row whose pictures are what the model says of them (`own_words.py`)."""
SAID: dict[Request, str] = {"caption": "pictures in the model's own words", "questions": "pictures as its questions"}
BEFORE_CORRECTION = (("", "none"), (" after centring", "center"), (" after ReAlign", "realign"))


def remedies(run: Run) -> pd.DataFrame:
    """DataFrame[remedy, kind, setting, recall@1, recall@1_low, ..., gain, gain_low, gain_high, gain_p, beyond_realign,
    ..., p_holm, fitted_on, queries].

    kind: baseline, transform, score correction, layer, pooling, token mask, reading, own words, prompt. gain: recall@1
    against the raw cosine of the run's first view; beyond_realign: against ReAlign of that view; p_holm: of the gain,
    over all rows but the baseline. `seconds`, where captions are stored: what the model took to write and embed them
    when they were made; NaN for rows that cost no further pass.
    attrs["notes"]: what cannot be compared here and how to add it.
    """
    partners = prompt_partners(run)
    whitening = run.spec.whitening
    arguments = {
        "partners": [p.key for p in partners],
        "beta": whitening.beta,
        "eps": whitening.eps,
        "transforms": explicit(run, *(variant for _, variant in TRANSFORMS)),
    }
    arguments |= {
        "corrections": [parse_correction(text).explicit() for _, text in CORRECTIONS],
        "views": [kind for kind in VIEW_KINDS if kind not in PLACES or _stores(run, kind)],
        "before_correction": explicit(run, *(variant for _, variant in BEFORE_CORRECTION)),
        "against": explicit(run, "none", "realign"),
    }
    said = list(all_cached_captions(run)) if own_words_apply(run) else []
    if said:
        arguments["captions"] = [own.keys for own in said]
    return cached_table(run, "remedies", arguments, lambda: _table(run, partners, said))


def _table(run: Run, partners: list[Run], said: list[OwnWords]) -> pd.DataFrame:
    raw, realign = (evaluate(run, variant).evaluation.ranked for variant in ("none", "realign"))
    settings = (
        *_transforms(run),
        *_corrections(run),
        *_views(run),
        *_words(run),
        *_own_words(run, said),
        *_prompts(run, partners),
    )
    baselines = {"gain": [raw], "beyond_realign": [realign]}
    rows = [
        head | compared([ranked], baselines)
        for head, ranked in ((_head(RAW, "baseline", "none", "nothing"), raw), *settings)
    ]
    table = tidy(rows, notes=_notes(run, partners, said))
    table.loc[0, "gain_p"] = np.nan
    table["p_holm"] = holm(table["gain_p"].to_numpy())
    last = [name for name in ("seconds", "fitted_on", "queries") if name in table]
    return table[[*(c for c in table.columns if c not in last), *last]]


Row = tuple[dict[str, Any], Ranked]


def _transforms(run: Run) -> Iterator[Row]:
    for remedy, variant in TRANSFORMS:
        yield (
            _head(remedy, "transform", variant, statistics_words(run, variant)),
            evaluate(run, variant).evaluation.ranked,
        )


def _corrections(run: Run) -> Iterator[Row]:
    source: BankSource = "support" if "support_queries" in run.parts else "test"
    for words, variant in BEFORE_CORRECTION:
        queries, candidates = transformed(run, variant, "queries"), transformed(run, variant, "candidates")
        bank, before = query_bank(run, variant), "" if variant == "none" else f"{statistics_words(run, variant)}; "
        for remedy, text in CORRECTIONS:
            record = fit_correction(text, bank, candidates, source=source)
            ranked = rank_relevant_corrected(record, queries, candidates, run.qrels("test").pairs)
            yield (
                _head(
                    remedy + words,
                    "score correction",
                    f"{variant} / {text}",
                    before + record.notes[0].partition(": ")[2],
                ),
                ranked,
            )


def query_bank(run: Run, variant: str | VariantSpec) -> np.ndarray:
    """(b, d) unit rows of queries other than the test queries under a variant; the test queries where there are no
    others."""
    spec = variant_of(run, variant)
    if "support_queries" not in run.parts:
        return transformed(run, spec, "queries")
    data, side = fit_data(under(run, spec)), fitted(run, spec).query
    rows, codes = data.rows("support")
    return transform(rows, side, codes, data.dictionary, modality=data.support_query_modality)


def _views(run: Run) -> Iterator[Row]:
    """Other layers, poolings and token masks, raw and with ReAlign, as far as they are stored."""
    for view in run.views[1:]:
        if field := differs_in(run.view, view):
            kind, words = VIEW_KINDS[field], called(field, view)
            if field == "pooling" and view.pooling == "answer":
                kind, words = READING, "read where the answer begins"
            for variant, suffix in (("none", ""), ("realign", " with ReAlign")):
                head = _head(words + suffix, kind, f"{view} / {variant}", statistics_words(run, variant))
                yield head, evaluate_view(run, view, variant).ranked


def _words(run: Run) -> Iterator[Row]:
    """Next words, where they are stored."""
    names: dict[Place, str] = {
        "answer": "next words where the answer begins",
        "last": "next words at the last token",
    }
    for place in run.spec.embedding.words:
        yield _head(names[place], READING, f"words at {place}", "nothing"), evaluate_words(run, place).ranked


def _own_words(run: Run, said: list[OwnWords]) -> Iterator[Row]:
    """Pictures in the model's own words, where it was asked for them; their cost stands in every row."""
    for own in said:
        for view in own.views:
            place = "" if view == own.views[0] else ", read where the answer begins"
            for variant, suffix in (("none", ""), ("realign", " with ReAlign")):
                setting = f"{own.request} / {view} / {variant}"
                head = _head(f"{SAID[own.request]}{place}{suffix}", OWN_WORDS, setting, statistics_words(run, variant))
                yield head | {"seconds": own.seconds}, evaluate_captions(run, own, view, variant).ranked


def _stores(run: Run, field: str) -> bool:
    """Whether a run stores more than one value of a field of its views."""
    return len({getattr(view, field) for view in run.views}) > 1


def prompt_partners(run: Run) -> list[Run]:
    """Other runs of this cache with the same corpus and model and another prompt preset, by name; with the same first
    view, or with that which their prompts are made for."""
    partners = [
        other
        for other in list_runs(run.store)
        if other.key != run.key
        and other.folder.facts["corpus"] == run.folder.facts["corpus"]
        and other.model_name == run.model_name
        and other.preset != run.preset
        and (other.view == run.view or other.view == _made_for(other.preset, run.view))
        and other.folder.facts["encode"] != run.folder.facts["encode"]
    ]
    return sorted(partners, key=lambda other: (other.preset, other.name))


def _made_for(preset: str, view: EmbeddingView) -> EmbeddingView:
    """`view` with the pooling that a style of prompts is made for, over all tokens."""
    from core.models.prompts import STYLES

    return replace(view, pooling=STYLES[preset].pooling, mask="all") if preset in STYLES else view


def _prompts(run: Run, partners: list[Run]) -> Iterator[Row]:
    """The first view of runs with other prompts, and the same read elsewhere in the last layer, raw and with
    ReAlign."""
    for other in partners:
        first = other.view
        for view in (one for one in other.views if one == first or differs_in(first, one) in PLACES):
            place = "" if view == run.view else f", {view.words}"
            for variant, suffix in (("none", ""), ("realign", " with ReAlign")):
                setting = f"{other.name} / {variant}" if view == first else f"{other.name} / {view} / {variant}"
                words = f"prompts {other.preset}{place}{suffix}"
                head = _head(words, "prompt", setting, statistics_words(other, variant))
                own = evaluate(other, variant).evaluation if view == first else evaluate_view(other, view, variant)
                yield head, own.ranked


def _head(remedy: str, kind: str, setting: str, fitted_on: str) -> dict[str, Any]:
    return {"remedy": remedy, "kind": kind, "setting": setting, "fitted_on": fitted_on}


def _notes(run: Run, partners: list[Run], said: list[OwnWords]) -> list[str]:
    """What has no row here, and what would add it."""
    if run.view.pooling == "projected":
        return [
            "layers, poolings, token masks and prompts do not apply to final vectors (of a dual encoder, or a"
            " sentence-transformers model)"
        ]
    notes = []
    stored = {differs_in(run.view, view) for view in run.views[1:]}
    for field, setting in VIEW_SETTINGS.items():
        if field not in stored:
            notes.append(
                f"one {field} is stored: put {setting} and cross = false under [embedding] of the spec and run it again"
            )
    if not said and own_words_apply(run):
        notes.append(
            f"the model was not asked to describe the pictures: `retrieval-lens captions {run.name}` does, and says how"
            " long it takes"
        )
    for own in said:
        notes.append(
            f"{SAID[own.request]}: {own.pictures:,} pictures, {own.seconds:,.0f} seconds on the machine that made them"
        )
    tried = {run.preset, *(other.preset for other in partners)}
    notes += [prompt_lines(run, preset) for preset in PROMPTS if preset not in tried]
    if "support_queries" not in run.parts:
        notes.append(
            "no support split: the bank of the score corrections is the test queries themselves (transductive)"
        )
    return notes


def prompt_lines(run: Run, preset: str = "chat") -> str:
    """The spec and the command that add a run of the same corpus and model with other prompts, in one line."""
    corpus, name = run.spec.corpus, f"{run.name}-{preset}"
    named = {name: getattr(corpus, name) for name in ("path", "split", "language")}
    place = "".join(f"; {name} = {json.dumps(value)}" for name, value in named.items() if value)
    of_corpus = f'[corpus] source = "{corpus.source}"{place}; task = {corpus.task}'
    spec = f'name = "{name}"; {of_corpus}; [model] name = "{run.spec.model.name}"; preset = "{preset}"'
    spec += PROMPTS[preset]
    return (
        f"no run with prompts {preset} in this cache; these lines as {name}.toml add one ({spec}), then `retrieval-lens"
        f" run {name}.toml`"
    )
