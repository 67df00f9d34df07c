"""What the items of a run are known to show: ground truth in the demo world, words of captions elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from core.analysis.concepts import labels as science
from core.records import Part
from core.run import Run

TEST_PARTS: tuple[Part, Part] = ("queries", "candidates")
LEAST_ITEMS, MOST_SHARE = 3, 0.3
"""A word names a concept only if at least 3 items have it and at most 30% do."""
CONVINCING = 0.5
"""F1 from which on ground truth or words are taken as the label without a question mark."""
LEAST = 0.15
"""F1 below which nothing is taken as a name."""
LIFT = 1.4
"""An attribute names a concept only if it is at least this much more frequent where the concept fires than overall."""
EVERYWHERE = 0.8
"""Share of all items from which on a concept without a name is said to fire on nearly everything."""
RULE = 3
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
        sets = _truth_sets(run) if has_truth(run) else _word_sets(run)
        return science.attribute_table(sets, LEAST_ITEMS, 1.0 if has_truth(run) else MOST_SHARE)

    return run.memo(("attributes",), compute)


def test_codes(run: Run) -> sp.csr_array:
    """(n_queries + n_candidates, c) codes of both test parts."""
    return sp.vstack([sp.csr_array(run.codes(part)) for part in TEST_PARTS], format="csr")


def label_all(run: Run) -> list[str]:
    """One label per concept: the attribute with the best F1 among those that are more frequent where it fires (LIFT).

    "fox" from F1 0.5 on, "fox?" down to 0.15, "nearly everything" for a concept without a name that fires on most
    items, "?" for other ones without a name, "" for a dead one.
    """
    known, codes = attributes(run), test_codes(run)
    match = science.agreement(codes, known)
    prevalence = np.asarray(known.table.mean(axis=0)).reshape(1, -1)
    best, f1 = science.best_attribute(
        replace(match, f1=np.where((match.precision >= LIFT * prevalence) & (match.f1 >= LEAST), match.f1, 0.0))
    )
    share = np.asarray((codes > 0).mean(axis=0)).ravel()
    return [_label(known.names, int(b), float(f), float(s)) for b, f, s in zip(best, f1, share, strict=True)]


def _label(names: tuple[str, ...], best: int, f1: float, share: float) -> str:
    if share == 0:
        return ""
    if f1 == 0 and share >= EVERYWHERE:
        return "nearly everything"
    if not names or f1 == 0:
        return "?"
    name = names[best].partition(":")[2]
    return name if f1 >= CONVINCING else f"{name}?"


def _truth_sets(run: Run) -> list[frozenset[str]]:
    found = []
    for part in TEST_PARTS:
        items = run.corpus.items(part)
        kinds = [MODALITY_NAMES[m] for m in items.modality]
        found += [truth_attributes(items.truth(row) or {}) | {kind} for row, kind in enumerate(kinds)]
    return found


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


def _word_sets(run: Run) -> list[frozenset[str]]:
    sets = {part: [science.words(text or "") for text in run.corpus.items(part).texts] for part in TEST_PARTS}
    pairs = run.qrels("test").pairs
    queries = science.share_with_pairs(sets["queries"], pairs, sets["candidates"])
    candidates = science.share_with_pairs(sets["candidates"], pairs[:, ::-1], sets["queries"])
    return [frozenset(f"word:{w}" for w in words) for words in (*queries, *candidates)]
