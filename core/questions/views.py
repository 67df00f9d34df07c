"""Evaluation of what a run stores beside its first view: other layers, poolings and token masks, and next words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.analysis import retrieval as science
from core.analysis.variants import FitData, VariantSpec, fit_variant
from core.config import Place
from core.questions.answers import answer, query_clusters, variant_of
from core.records import EmbeddingView
from core.run import Run
from core.store import Draft

Sides = tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]
"""Gives the rows of the queries, gives those of the candidates."""


def evaluate_view(run: Run, view: EmbeddingView, variant: str | VariantSpec = "none") -> science.Evaluation:
    """Retrieval with one stored view of a run under a variant that needs no codes."""
    spec = variant_of(run, variant)
    sides: Sides = (lambda: run.embeddings("queries", view), lambda: run.embeddings("candidates", view))
    return evaluate_rows(run, "evaluate-view", {"view": str(view), "variant": spec.explicit()}, spec, sides)


def evaluate_rows(
    run: Run,
    question: str,
    arguments: Mapping[str, Any],
    variant: VariantSpec,
    sides: Sides,
    made_from: Sequence[str] = (),
) -> science.Evaluation:
    """Retrieval with other embeddings of the run's queries and candidates, cached under a question and its arguments.

    `sides`: give (n, d) queries and candidates; called only where the answer is not cached. `made_from`: as in
    `answers.answer`.
    """

    def write(draft: Draft) -> None:
        queries, candidates = (side() for side in sides)
        data = FitData(
            queries=queries,
            candidates=candidates,
            query_modality=run.corpus.items("queries").modality,
            candidate_modality=run.corpus.items("candidates").modality,
        )
        ranked = science.rank_variant(fit_variant(variant, data), data, run.qrels("test").pairs)
        for key, values in ranked.arrays().items():
            draft.save(key, values)

    folder = answer(run, question, arguments, write, made_from)
    return science.evaluate(science.Ranked.from_arrays(folder.array, query_clusters(run)))


def evaluate_words(run: Run, place: Place) -> science.Evaluation:
    """Retrieval with the stored next-word distributions at a place, as learned sparse retrievers score: by the dot
    product of the square roots of their largest probabilities."""

    def write(draft: Draft) -> None:
        queries, candidates = run.words("queries", place), run.words("candidates", place)
        ranked = science.rank_relevant(queries, candidates, run.qrels("test").pairs)
        for key, values in ranked.arrays().items():
            draft.save(key, values)

    folder = answer(run, "evaluate-words", {"place": place}, write)
    return science.evaluate(science.Ranked.from_arrays(folder.array, query_clusters(run)))
