"""What the items of a run are known to show: ground truth in the demo world, words of captions elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from core.analysis.concepts import labels as science
from core.records import Part, Split
from core.run import Run

TEST_PARTS: tuple[Part, Part] = ("queries", "candidates")
SUPPORT_PARTS: tuple[Part, Part] = ("support_queries", "support_candidates")
PARTS_OF: dict[Split, tuple[Part, Part]] = {"test": TEST_PARTS, "support": SUPPORT_PARTS}
LEAST_ITEMS, MOST_SHARE = 3, 0.3
"""A word names a concept only if at least 3 items have it and at most 30% do."""
CONVINCING = 0.5
"""F1 on the scoring items from which on a label has no question mark."""
LEAST = 0.15
"""F1 on the choosing items below which nothing is taken as a name."""
LIFT = 1.4
"""An attribute names a concept only if it is at least this much more frequent where the concept fires than overall."""
EVERYWHERE = 0.8
"""Share of all items from which on a concept without a name is said to fire on nearly everything."""
AGREEMENTS = 2**22
"""Pairs of a concept and an attribute at a time: 32 MiB for each of their measures."""
RULE = 4
"""Version of the rule above, part of the cached answer."""


MODALITY_NAMES = {
    "image": "modality:any picture",
    "text": "modality:any caption",
    "image,text": "modality:any composed query",
}


def has_truth(run: Run) -> bool:
    """Whether the corpus knows what its items show (the demo world)."""
    return len(run.corpus.items("queries")) > 0 and run.corpus.items("queries").truth(0) is not None


def attributes(run: Run) -> science.Attributes:
    """0/1 attributes of queries then candidates: `thing:fox`, `group:mammals`, `background:snow` ..., or `word:red`."""

    def compute() -> science.Attributes:
        most = 1.0 if has_truth(run) else MOST_SHARE
        return science.attribute_table(_sets(run, "test"), LEAST_ITEMS, most)

    return run.memo(("attributes",), compute)


def test_codes(run: Run) -> sp.csr_array:
    """(n_queries + n_candidates, c) codes of both test parts."""
    return sp.vstack([sp.csr_array(run.codes(part)) for part in TEST_PARTS], format="csr")


@dataclass(frozen=True, eq=False)
class Labels:
    """One label per concept, chosen on some items and scored on others."""

    table: pd.DataFrame
    """DataFrame[label, label_f1, label_chance, label_n]: F1 on the items it was not chosen on, what chance gives there,
    and how many of them the concept fires on; F1 is NaN where no attribute was chosen."""
    source: str
    """Which items chose and which scored, in one sentence."""


def label_all(run: Run) -> Labels:
    """Labels of the concepts of the run's own SAE; see `label_codes`."""
    return label_codes(run, {part: run.codes(part) for part in run.parts})


def label_codes(run: Run, codes: Mapping[Part, Any]) -> Labels:
    """Label each concept of a dictionary, whose codes of every part are given: with the attribute of best F1 on the
    support split, scored on the test split.

    Only attributes that are more frequent where the concept fires (LIFT) are candidates, from F1 0.15 on. "fox" where
    the test split gives F1 0.5 or more, "fox?" where it gives less, "nearly everything" for a concept without a name
    that fires on most test items, "?" for other ones without a name, "" for one that is dead on them. Without a support
    split one half of the test items chooses and the other scores.
    """
    choosing, scoring, source = _choosing_and_scoring(run, codes)
    known = science.attribute_table(choosing.sets, LEAST_ITEMS, 1.0 if has_truth(run) else MOST_SHARE)
    best, f1 = _best(choosing.codes, known)
    chosen = np.where(f1 > 0, best, -1)
    scored = science.held_out(scoring.codes, science.with_names(scoring.sets, known.names), chosen)
    share = np.asarray((_stacked(codes, TEST_PARTS) > 0).mean(axis=0)).ravel()
    names = [known.names[k].partition(":")[2] if k >= 0 else "" for k in chosen]
    labels = [_label(*one) for one in zip(names, scored.f1.tolist(), share.tolist(), strict=True)]
    columns = {"label": labels, "label_f1": scored.f1, "label_chance": scored.chance, "label_n": scored.fires}
    return Labels(pd.DataFrame(columns), source)


def _best(codes: sp.csr_array, known: science.Attributes) -> tuple[np.ndarray, np.ndarray]:
    """Per concept the attribute that may name it with the best F1, and that F1; some concepts at a time, for concepts x
    words of a large corpus are many."""
    by_concept = sp.csc_array(codes)
    prevalence = np.asarray(known.table.mean(axis=0)).reshape(1, -1)
    step, found = max(1, AGREEMENTS // max(1, len(known.names))), []
    for start in range(0, codes.shape[1], step):
        match = science.agreement(sp.csr_array(by_concept[:, start : start + step]), known)
        may = (match.precision >= LIFT * prevalence) & (match.f1 >= LEAST)
        found.append(science.best_attribute(replace(match, f1=np.where(may, match.f1, 0.0))))
    best, f1 = (np.concatenate([values[i] for values in found]) for i in range(2))
    return best, f1


def _label(name: str, f1: float, share: float) -> str:
    if share == 0:
        return ""
    if not name:
        return "nearly everything" if share >= EVERYWHERE else "?"
    return name if f1 >= CONVINCING else f"{name}?"


@dataclass(frozen=True, eq=False)
class _Items:
    sets: Sequence[frozenset[str]]
    codes: sp.csr_array


def _stacked(codes: Mapping[Part, Any], parts: Sequence[Part]) -> sp.csr_array:
    return sp.vstack([sp.csr_array(codes[part]) for part in parts], format="csr")


def _choosing_and_scoring(run: Run, codes: Mapping[Part, Any]) -> tuple[_Items, _Items, str]:
    test = _Items(_sets(run, "test"), _stacked(codes, TEST_PARTS))
    if run.has_support:
        chosen_on = _stacked(codes, SUPPORT_PARTS)
        return (
            _Items(_sets(run, "support"), chosen_on),
            test,
            "labels are chosen on the support split, scored on the test",
        )
    first = _first_half(run)
    choosing, scoring = (
        _Items([s for s, mine in zip(test.sets, rows, strict=True) if mine], test.codes[np.flatnonzero(rows)])
        for rows in (first, ~first)
    )
    how = "this run has no support split: half of the test items choose labels, the other half scores them"
    return choosing, scoring, how


def _first_half(run: Run) -> np.ndarray:
    """(n_queries + n_candidates,) whether a test item is in the half that chooses: a query and its answers are in the
    same, so that neither half sees the other's scenes."""
    pairs, n = run.qrels("test").pairs, len(run.corpus.items("queries"))
    total = n + len(run.corpus.items("candidates"))
    edges = sp.coo_array((np.ones(len(pairs)), (pairs[:, 0], n + pairs[:, 1])), shape=(total, total))
    count, scene = connected_components(edges, directed=False)
    return (np.random.default_rng(0).permutation(count) < count / 2)[scene]


def _sets(run: Run, split: Split) -> list[frozenset[str]]:
    """Names that hold of every item of a split: facts of the scene, or words of the caption."""
    return _truth_sets(run, split) if has_truth(run) else _word_sets(run, split)


def _truth_sets(run: Run, split: Split) -> list[frozenset[str]]:
    sets = []
    for part in PARTS_OF[split]:
        items = run.corpus.items(part)
        kinds = [MODALITY_NAMES[m] for m in items.modality]
        sets += [truth_attributes(items.truth(row) or {}) | {kind} for row, kind in enumerate(kinds)]
    return sets


def truth_attributes(truth: Mapping[str, Any]) -> frozenset[str]:
    """`kind:value` of every fact of a scene: its things, their groups, the background, the relation, how many of a
    thing there are."""
    if not truth:
        return frozenset()
    names = {f"thing:{thing}" for thing in truth["things"]} | {f"group:any {group}" for group in truth["groups"]}
    names |= {f"count:{count} of a kind" for count in truth["counts"].values() if count > 1}
    names |= {f"size:something {size}" for size in truth["sizes"].values()}
    relation = truth.get("relation")
    return frozenset(
        names | {f"background:{truth['background']}"} | ({f"relation:{relation[1]}"} if relation else set())
    )


def _word_sets(run: Run, split: Split) -> list[frozenset[str]]:
    queries_, candidates_ = (
        [science.words(text or "") for text in run.corpus.items(part).texts] for part in PARTS_OF[split]
    )
    pairs = run.qrels(split).pairs
    queries = science.share_with_pairs(queries_, pairs, candidates_)
    candidates = science.share_with_pairs(candidates_, pairs[:, ::-1], queries_)
    return [frozenset(f"word:{w}" for w in words) for words in (*queries, *candidates)]
