"""What is asked of the golden run: every public question, with its default and with other arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from core.questions import (
    alternates,
    compare,
    comparisons,
    concepts,
    dictionaries,
    failures,
    fidelity,
    geometry,
    labels,
    leaderboard,
    live,
    mediation,
    modality,
    recommend,
    remedies,
    removal,
    retrieval,
    similarity,
    statistics,
    views,
)
from core.questions.recommend import Labels
from core.run import Run

ROW = 7
"""The query that is looked at."""
CHAIN = "set(3=0)+remove-top(share=0.05)+realign(beta=0.3)"
NOT_NUMBERS = {"seconds", "path"}
"""Fields that differ from one run to the next by nature."""
EXHIBITS_LEFT_OUT = {"table-7": "measures seconds"}
UNSTABLE = {"ICA directions", "k-means directions"}
"""Fits that go on from step to step: one rounding of another processor leads to other directions in the end.
tests/analysis/test_dictionaries.py holds them against their definitions."""


def stable(table: pd.DataFrame) -> pd.DataFrame:
    """A table without the rows of dictionaries that differ between machines."""
    if "dictionary" not in table:
        return table
    kept = table[~table["dictionary"].isin(UNSTABLE)].reset_index(drop=True)
    kept.attrs = table.attrs
    return kept


FLOAT32 = {"live.concepts": 1e-5, "live.encoded": 1e-5, "live.explain": 1e-5}
"""Answers that an SAE computes in float32 for this question: the last digits differ between processors."""


def advised(run: Run, labels: Labels) -> dict[str, Any]:
    """What `recommend` says, without what it measured in seconds."""
    said = recommend.recommend(run, labels).to_json()
    return {name: value for name, value in said.items() if name != "cost"}


QUESTIONS: dict[str, Callable[[Run], Any]] = {
    "alternates.names": alternates.names,
    "alternates.alternate": lambda run: alternates.alternate(run, "PCA directions"),
    "alternates.own": alternates.own,
    "compare.pairing": lambda run: compare.pairing(run, run),
    "compare.compare": lambda run: compare.compare(run, run, "none", "realign").table,
    "compare.outcomes": lambda run: compare.outcomes(run, run, "none", "center"),
    "compare.query_list": lambda run: compare.query_list(run, run, "none", "realign"),
    "compare.rankings": lambda run: compare.rankings(run, run, ROW, "none", "realign"),
    "compare.shape": lambda run: compare.shape(run, run, "none", "center"),
    "compare.similarities": lambda run: compare.similarities(run, run, "none", "center"),
    "compare.teaching_query": compare.teaching_query,
    "compare.teaching_queries": compare.teaching_queries,
    "comparisons.rank_under": lambda run: comparisons.rank_under(run, CHAIN)[0],
    "comparisons.statistics_words": lambda run: comparisons.statistics_words(run, CHAIN),
    "concepts.table": concepts.table,
    "concepts.top": concepts.top,
    "concepts.concept": lambda run: concepts.concept(run, int(concepts.top(run)["concept"][0])),
    "removal.removal_controls": removal.removal_controls,
    "removal.removal_controls, centred": lambda run: removal.removal_controls(run, "center"),
    "dictionaries.sae_fidelity": lambda run: stable(dictionaries.sae_fidelity(run)),
    "dictionaries.conclusions": lambda run: stable(dictionaries.conclusions(run)),
    "failures.failing_concepts": failures.failing_concepts,
    "failures.failing_concepts, centred": lambda run: failures.failing_concepts(run, "center"),
    "failures.decided_by": lambda run: failures.decided_by(run, int(failures.failing_concepts(run)["concept"][0])),
    "failures.switched_off": failures.switched_off,
    "failures.failures": failures.failures,
    "fidelity.fidelity": fidelity.fidelity,
    "fidelity.reconstruction": lambda run: fidelity.reconstruction(run, "queries"),
    "geometry.shape": geometry.shape,
    "geometry.hubs": geometry.hubs,
    "geometry.similarities": geometry.similarities,
    "geometry.spectra": geometry.spectra,
    "labels.has_truth": labels.has_truth,
    "labels.attributes": labels.attributes,
    "labels.test_codes": labels.test_codes,
    "labels.label_all": labels.label_all,
    "leaderboard.leaderboard": leaderboard.leaderboard,
    "leaderboard.leaderboard, whitened": lambda run: leaderboard.leaderboard(run, "realign"),
    "leaderboard.payload": lambda run: leaderboard.payload(run, CHAIN),
    "leaderboard.grades_of": leaderboard.grades_of,
    "live.find": lambda run: live.find(run, "candidates", "fox"),
    "live.rank": lambda run: live.rank(run, run.embeddings("queries")[ROW], "realign"),
    "live.rankings": lambda run: live.rankings(run, run.embeddings("queries")[ROW]),
    "live.similarities": lambda run: live.similarities(run, run.embeddings("queries")[ROW], CHAIN),
    "live.encoded": lambda run: live.encoded(run, run.embeddings("queries")[ROW]).codes,
    "live.concepts": lambda run: live.concepts(run, run.embeddings("queries")[ROW]),
    "live.pair_concepts": lambda run: live.pair_concepts(run, ROW, ROW),
    "live.explain": lambda run: live.explain(run, run.embeddings("queries")[ROW], ROW),
    "live.well_described_first": lambda run: live.well_described_first(run, [3, 1, 2]),
    "modality.scores": modality.scores,
    "modality.cumulative_energy": modality.cumulative_energy,
    "modality.overlaps": lambda run: modality.overlaps(run, 0.1),
    "mediation.mediation": lambda run: mediation.mediation(run, 0.1, "recall@1"),
    "recommend.recommend": lambda run: advised(run, "support"),
    "recommend.recommend, without labels": lambda run: advised(run, "none"),
    "recommend.remedies_for": recommend.remedies_for,
    "remedies.remedies": remedies.remedies,
    "remedies.query_bank": lambda run: remedies.query_bank(run, "center"),
    "remedies.prompt_partners": remedies.prompt_partners,
    "retrieval.evaluate": retrieval.evaluate,
    "retrieval.evaluate, whitened": lambda run: retrieval.evaluate(run, "realign"),
    "retrieval.evaluate, chain": lambda run: retrieval.evaluate(run, CHAIN),
    "retrieval.compare": lambda run: retrieval.compare(run).table,
    "retrieval.gain_split": retrieval.gain_split,
    "retrieval.beta_sweep": retrieval.beta_sweep,
    "retrieval.query_list": lambda run: retrieval.query_list(run, kind="failing"),
    "retrieval.rankings": lambda run: retrieval.rankings(run, ROW),
    "retrieval.place": lambda run: retrieval.place(run, ROW, ROW),
    "retrieval.contest": lambda run: retrieval.contest(run, ROW),
    "retrieval.candidate_list": lambda run: retrieval.candidate_list(run, ROW, "center", "snow"),
    "retrieval.similarities_of": lambda run: retrieval.similarities_of(run, "realign", ROW),
    "retrieval.payload": lambda run: retrieval.payload(run, CHAIN),
    "similarity.pair": lambda run: similarity.pair(run, ROW, ROW),
    "similarity.pair, centred": lambda run: similarity.pair(run, ROW, ROW, "center"),
    "similarity.margin": lambda run: similarity.margin(run, ROW, ROW, ROW + 1),
    "similarity.stored_state": lambda run: similarity.stored_state(run, "queries", ROW, "none").activations,
    "removal.removal_curve": removal.removal_curve,
    "statistics.whitening_sources": statistics.whitening_sources,
    "statistics.support_size": lambda run: statistics.support_size(run, sizes=(10, 20)),
    "statistics.with_support": lambda run: str(statistics.with_support(run, "realign")),
    "views.evaluate_view": lambda run: views.evaluate_view(run, run.view, "center"),
}
"""Question, or question and how -> the call."""

LEFT_OUT = {
    "alternates.sources": "functions that make dictionaries; `alternate` asks them",
    "alternates.held": "`alternate` in memory",
    "alternates.fitted_with": "`similarity.pair` asks it",
    "alternates.live_names": "names",
    "alternates.encode": "`live.explain` asks it",
    "labels.label_codes": "`label_all` asks it",
    "live.coded_state": "`live.explain` asks it",
    "token_split.*": "needs a model",
    "answers.*": "the cache and the arrays that questions use",
    "concepts.check_concept": "a check",
    "concepts.top_tokens": "needs a model",
    "concepts.heat": "needs a model",
    "concepts.heat_of": "needs a model",
    "live.item": "makes an item of what is given",
    "live.stored_item": "makes an item of what is given",
    "views.evaluate_words": "needs a model",
    "live.embed": "needs a model",
    "live.rankings_of": "needs a model",
    "comparisons.ranking_bytes": "an estimate of memory",
    "live.say": "needs a model",
    "live.heat": "needs a model",
    "own_words.*": "needs a model",
    "views.evaluate_rows": "`evaluate_view` asks it",
    "map.*": "UMAP differs between machines",
    "faithfulness.faithfulness": "the exhibit of that name asks it",
    "map_colours.*": "in the order of `map.points`",
    "selected.*": "of what someone selects on the map",
    "selection.*": "names of selections, for links",
    "fidelity.figures": "`fidelity` asks it",
    "fidelity.of_dictionary": "`dictionaries.sae_fidelity` asks it",
    "remedies.prompt_lines": "lines of a spec",
    "removal.no_removal": "`removal_curve` asks it",
    "removal.removed": "`removal_curve` asks it",
    "removal.spelled_out": "a key",
    "ranked.*": "`retrieval.rankings` and `contest` ask it",
    "retrieval.chance": "counts of items alone",
    "retrieval.chance_levels": "counts of items alone",
    "similarity.explained": "`pair` asks it",
    "failures.side_rows": "arrays of the run",
    "failure_groups.*": "compared with variants one by one in tests/questions/test_what_if.py",
    "switch_offs.*": "compared with variants one by one in tests/questions/test_what_if.py",
    "what_if.*": "compared with variants one by one in tests/questions/test_what_if.py",
    "edit_controls.*": "compared with variants one by one in tests/questions/test_what_if.py",
    "choosing.*": "`recommend` asks it",
    "recommend.remedy_of": "the transform behind an answer of `recommend`",
    "recommend.stored": "`recommend`, if it is in the cache",
    "view_choices.differs_in": "about a view, not a run",
    "inside.*": "needs a model",
    "inside_agreement.*": "needs a model",
    "word_causes.*": "needs a model",
    "mixed_pools.*": "needs candidates of several modalities; this run's are texts",
}
"""Public functions on a run that are not asked, and why."""
