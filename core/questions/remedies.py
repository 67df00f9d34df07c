"""Everything that can be done to the embeddings or scores of a run without training, in one table with corrected tests.

Transforms are fitted on rows without labels; score corrections on a bank of other queries (the support split where
there is one, else the test queries themselves, which is said); layers, poolings, token masks and prompts are other
embeddings of the same items. Every row is held against the raw cosine, and against ReAlign, on the same queries: paired
difference of recall@1, its 95% interval, McNemar's exact test, and for the first Holm's correction over the whole
table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from core.questions.own_words import OwnWords, all_cached_captions, evaluate_captions, own_words_apply
from core.questions.retrieval import evaluate
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
VIEW_KINDS = {"layer": "layer", "pooling": "pooling", "mask": "token mask"}
"""Field of a view -> what a row that differs in it is called."""
VIEW_SETTINGS = {
    "layer": "layers = [1, 2, 3, -1]",
    "pooling": 'poolings = ["mean", "last", "max", "min"]',
    "mask": 'masks = ["all", "no-image", "no-prompt"]',
}
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
        "views": list(VIEW_KINDS),
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
    data, side = fit_data(run), fitted(run, spec).query
    rows, codes = data.rows("support")
    return transform(rows, side, codes, data.dictionary, modality=data.support_query_modality)


def _views(run: Run) -> Iterator[Row]:
    """Other layers, poolings and token masks, raw and with ReAlign, as far as they are stored."""
    for view in run.views[1:]:
        if field := _field(run.view, view):
            kind, words = VIEW_KINDS[field], f"{field} {getattr(view, field)}"
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


def _field(first: EmbeddingView, view: EmbeddingView) -> str:
    """The single field in which a view differs from the first; empty for more than one. An answer has no other mask."""
    fields = [name for name in VIEW_KINDS if name != "mask" or view.pooling != "answer"]
    changed = [name for name in fields if getattr(view, name) != getattr(first, name)]
    return changed[0] if len(changed) == 1 else ""


def prompt_partners(run: Run) -> list[Run]:
    """Other runs of this cache with the same corpus, model and first view and another prompt preset, by name."""
    partners = [
        other
        for other in list_runs(run.store)
        if other.key != run.key
        and other.folder.facts["corpus"] == run.folder.facts["corpus"]
        and other.model_name == run.model_name
        and other.view == run.view
        and other.preset != run.preset
        and other.folder.facts["encode"] != run.folder.facts["encode"]
    ]
    return sorted(partners, key=lambda other: (other.preset, other.name))


def _prompts(run: Run, partners: list[Run]) -> Iterator[Row]:
    for other in partners:
        for variant, suffix in (("none", ""), ("realign", " with ReAlign")):
            head = _head(
                f"prompts {other.preset}{suffix}",
                "prompt",
                f"{other.name} / {variant}",
                statistics_words(other, variant),
            )
            yield head, evaluate(other, variant).evaluation.ranked


def _head(remedy: str, kind: str, setting: str, fitted_on: str) -> dict[str, Any]:
    return {"remedy": remedy, "kind": kind, "setting": setting, "fitted_on": fitted_on}


def _notes(run: Run, partners: list[Run], said: list[OwnWords]) -> list[str]:
    """What has no row here, and what would add it."""
    if run.view.pooling == "projected":
        return ["layers, poolings, token masks and prompts do not apply to the projected embeddings of a dual encoder"]
    notes = []
    stored = {_field(run.view, view) for view in run.views[1:]}
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
    if not partners:
        notes.append(prompt_lines(run))
    if "support_queries" not in run.parts:
        notes.append(
            "no support split: the bank of the score corrections is the test queries themselves (transductive)"
        )
    return notes


def prompt_lines(run: Run) -> str:
    """The spec and the command that add a run of the same corpus and model with the bare prompts, in one line."""
    corpus, name = run.spec.corpus, f"{run.name}-chat"
    named = {name: getattr(corpus, name) for name in ("path", "split", "language")}
    place = "".join(f"; {name} = {json.dumps(value)}" for name, value in named.items() if value)
    of_corpus = f'[corpus] source = "{corpus.source}"{place}; task = {corpus.task}'
    spec = f'name = "{name}"; {of_corpus}; [model] name = "{run.spec.model.name}"; preset = "chat"'
    return (
        f"no run with other prompts in this cache; these lines as {name}.toml add one ({spec}), then `retrieval-lens"
        f" run {name}.toml`"
    )
