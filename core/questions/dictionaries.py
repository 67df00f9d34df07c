"""The study's conclusions under other dictionaries: how well each stands for the embeddings, and what it says of them.

Every figure is measured on the same test items with the same code, whatever the dictionary: the run's own SAE, others
of the same model, or plain directions (alternates.py). What holds for one dictionary only is a finding about that
dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.arrays import unit_rows
from core.analysis.concepts import measures
from core.analysis.concepts.modality_split import IMAGE_BELOW, TEXT_ABOVE
from core.analysis.concepts.stability import NEARLY_SAME, SAME, match, span_overlap
from core.analysis.retrieval.evaluation import Ranked
from core.analysis.retrieval.ranking import rank_relevant
from core.questions.alternates import OWN, Alternate, alternate, names
from core.questions.answers import cached_table
from core.questions.comparisons import compared, ranking_bytes, tidy
from core.questions.concepts import table as concept_table
from core.questions.fidelity import of_dictionary
from core.questions.labels import TEST_PARTS
from core.questions.removal import removed, spelled_out
from core.questions.retrieval import evaluate
from core.run import Run
from core.threads import at_once

TOP_SHARE = 0.01
ENERGY = 0.99


def sae_fidelity(run: Run) -> pd.DataFrame:
    """One row per dictionary at hand: DataFrame[dictionary, kind, fitted_on, concepts, l0, dead_share,
    explained_variance, explained_queries, explained_candidates, explained_images, explained_texts, recall_kept,
    explained_in_training, trained_rows, recall@1, recall@1_low, ..., gain, gain_low, gain_high, gain_p, queries].

    explained_variance: of the pooled test embeddings, per dimension; explained_images, explained_texts: of the items of
        that modality, NaN where there are none; recall_kept: recall@5 of the reconstructions over the embeddings' own;
        explained_in_training: at the end of training, of `trained_rows`
    ("tokens": token states); recall: of the reconstructions z D + u in the place of the embeddings; gain: its paired
    difference to the embeddings' own.
    """
    return _rows(run, "dictionary-fidelity", _fidelity)


def conclusions(run: Run) -> pd.DataFrame:
    """What each dictionary says: DataFrame[dictionary, kind, fitted_on, concepts, alive, scored, share_text,
    share_image, concepts_for_99, share_for_99, top, overlap_energy_attribution, overlap_energy_bridge,
    overlap_attribution_bridge, overlap_all, rank, recall@1, ..., gain, gain_low, gain_high, gain_p, beyond_random,
    beyond_random_low, beyond_random_high, beyond_random_p, queries, own_cosine, own_above_07, own_above_09, own_span,
    own_span_by_chance].

    share_text, share_image: of the `scored` concepts with a modality score (Eq 4), those above 0.9 and below 0.1.
        share_for_99: of all
    concepts, the strongest that hold 99% of the energy (Eq 3). overlap_*: of the `top` (1%) sets (Eq 7). recall after
    removing the top 1% by attribution (Eqs 8-10), chosen on support pairs where there are any; gain: to no removal;
    beyond_random: to random active concepts of equal number. own_*: agreement with the run's own SAE
    (stability.py): mean of the largest cosine of each concept that fires, the shares above 0.7 and 0.9, and the mean
    squared cosine of the spans of the two top-1% sets beside what chance gives; NaN for itself and for a run without an
    SAE.
    """
    return _rows(run, "dictionary-conclusions", _conclusions)


Measure = Callable[[Run, Alternate], dict[str, Any]]


def _row(run: Run, dictionary: Alternate, measure: Measure) -> pd.DataFrame:
    return tidy([measure(run, dictionary)], notes=list(dictionary.notes))


def _rows(run: Run, question: str, measure: Measure) -> pd.DataFrame:
    """One cached answer per dictionary, so that a further one costs only itself."""

    def row(name: str) -> pd.DataFrame:
        dictionary = alternate(run, name)
        arguments = {"dictionary": dict(dictionary.identity), **spelled_out(run, (TOP_SHARE,), "none")}
        return cached_table(run, question, arguments, partial(_row, run, dictionary, measure))

    frames = at_once(row, names(run), ranking_bytes(run))
    notes = [_note(frame["dictionary"][0], note) for frame in frames for note in frame.attrs["notes"]]
    for frame in frames:
        frame.attrs = {}
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {"notes": notes}
    return table


def _note(name: str, note: str) -> str:
    """A note under the dictionary's name, which need not begin with its kind again: `ICA directions: not converged
    ...`."""
    kind = name.partition(" ")[0].lower()
    return f"{name}: {note.removeprefix(f'{kind}: ')}"


def _head(other: Alternate) -> dict[str, Any]:
    return {
        "dictionary": other.name,
        "kind": other.kind,
        "fitted_on": other.fitted_on,
        "concepts": len(other.dictionary),
    }


def _fidelity(run: Run, other: Alternate) -> dict[str, Any]:
    measured = of_dictionary(run, other)
    columns = {
        "l0": "L0",
        "dead_share": "dead share",
        "explained_variance": "explained variance",
        "explained_queries": "explained variance, queries",
        "explained_candidates": "explained variance, candidates",
    }
    trained = {
        "explained_in_training": other.trained.get("explained_variance", np.nan),
        "trained_rows": other.trained.get("rows", ""),
    }
    ranked = _ranked(run, {part: other.reconstruction(part) for part in TEST_PARTS})
    return (
        _head(other)
        | {column: measured.value(name) for column, name in columns.items()}
        | {f"explained_{words}": measured.explained.get(words, np.nan) for words in ("images", "texts")}
        | {"recall_kept": measured.kept()}
        | trained
        | compared([ranked], {"gain": [evaluate(run).evaluation.ranked]})
    )


def _ranked(run: Run, rows: dict[Any, np.ndarray]) -> Ranked:
    queries, candidates = (unit_rows(np.asarray(rows[part], dtype=np.float64)) for part in TEST_PARTS)
    return rank_relevant(queries, candidates, run.qrels("test").pairs)


def _conclusions(run: Run, other: Alternate) -> dict[str, Any]:
    table = other.measures(run)
    return _head(other) | _of_concepts(table) | _removal(run, other) | _agreement(run, other, table)


def _of_concepts(table: pd.DataFrame) -> dict[str, Any]:
    scored = table["modality_score"].dropna()
    needed = measures.concepts_for_energy(table["energy"].to_numpy(), ENERGY)
    tops = {name: measures.top_share(table[name].to_numpy(), TOP_SHARE) for name in ("energy", "attribution", "bridge")}
    return {
        "alive": int((table["energy"] > 0).sum()),
        "scored": len(scored),
        "share_text": float((scored > TEXT_ABOVE).mean()),
        "share_image": float((scored < IMAGE_BELOW).mean()),
        "concepts_for_99": needed,
        "share_for_99": needed / len(table),
        "top": len(tops["energy"]),
        "overlap_energy_attribution": measures.jaccard(tops["energy"], tops["attribution"]),
        "overlap_energy_bridge": measures.jaccard(tops["energy"], tops["bridge"]),
        "overlap_attribution_bridge": measures.jaccard(tops["attribution"], tops["bridge"]),
        "overlap_all": measures.triple_overlap(*tops.values()),
    }


def _removal(run: Run, other: Alternate) -> dict[str, Any]:
    """Recall without the top concepts by attribution, against no removal and against random concepts of equal
    number."""
    data = other.data(run)
    top = removed(run, "top attribution", TOP_SHARE, data=data)
    random = removed(run, "random concepts", TOP_SHARE, data=data)
    baselines = {"gain": [evaluate(run).evaluation.ranked], "beyond_random": random.ranked}
    return {"rank": top.ranks[0]} | compared(top.ranked, baselines)


def _agreement(run: Run, other: Alternate, table: pd.DataFrame) -> dict[str, float]:
    """How much of the dictionary is in the run's own SAE: concepts that fire, and the spans of the two top sets by
    attribution."""
    nothing = dict.fromkeys(
        ("own_cosine", "own_above_07", "own_above_09", "own_span", "own_span_by_chance"), float("nan")
    )
    if run.sae is None or other.name == OWN:
        return nothing
    matched = match(other.dictionary, run.sae.dictionary, (table["energy"] > 0).to_numpy())
    mine = run.sae.dictionary[measures.top_share(concept_table(run)["attribution"].to_numpy(), TOP_SHARE)]
    theirs = other.dictionary[measures.top_share(table["attribution"].to_numpy(), TOP_SHARE)]
    spans = span_overlap(theirs, mine)
    return {
        "own_cosine": matched.mean(),
        "own_above_07": matched.share_above(NEARLY_SAME),
        "own_above_09": matched.share_above(SAME),
        "own_span": spans.mean_squared,
        "own_span_by_chance": spans.by_chance,
    }
