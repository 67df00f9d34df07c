"""What the items of a run are known to show: ground truth in the demo world, words of captions elsewhere."""

from __future__ import annotations

import scipy.sparse as sp

from core.analysis import labels as science
from core.records import Part
from core.run import Run

TEST_PARTS: tuple[Part, ...] = ("queries", "candidates")
LEAST_ITEMS, MOST_SHARE = 3, 0.3
"""A word names a concept only if at least 3 items have it and at most 30% do."""
CONVINCING = 0.5
"""F1 from which on ground truth or words are taken as the label."""


def has_truth(run: Run) -> bool:
    """Whether the corpus knows what its items show (the demo world)."""
    return len(run.corpus.items("queries")) > 0 and run.corpus.items("queries").truth(0) is not None


def attributes(run: Run) -> science.Attributes:
    """0/1 attributes of queries then candidates: `thing:fox`, `group:mammals`, `background:snow` ..., or `word:red`."""
    if "attributes" not in run._memo:
        sets = _truth_sets(run) if has_truth(run) else _word_sets(run)
        run._memo["attributes"] = science.attribute_table(sets, LEAST_ITEMS, 1.0 if has_truth(run) else MOST_SHARE)
    return run._memo["attributes"]


def test_codes(run: Run) -> sp.csr_array:
    """(n_queries + n_candidates, c) codes of both test parts."""
    return sp.vstack([sp.csr_array(run.codes(part)) for part in TEST_PARTS], format="csr")


def label_all(run: Run) -> list[str]:
    """One label per concept: the best attribute where its F1 is convincing, a modality where it is pure, "" where dead."""
    known = attributes(run)
    codes = test_codes(run)
    best, f1 = science.best_attribute(science.agreement(codes, known))
    fires = codes.sum(axis=0) > 0
    return [_label(known.names, int(b), float(f), bool(alive)) for b, f, alive in zip(best, f1, fires, strict=True)]


def _label(names: tuple[str, ...], best: int, f1: float, alive: bool) -> str:
    if not alive:
        return ""
    if not names or f1 == 0:
        return "?"
    name = names[best].partition(":")[2]
    return name if f1 >= CONVINCING else f"{name}?"


def _truth_sets(run: Run) -> list[frozenset[str]]:
    found = []
    for part in TEST_PARTS:
        items = run.corpus.items(part)
        found += [truth_attributes(items.truth(row) or {}) for row in range(len(items))]
    return found


def truth_attributes(truth: dict) -> frozenset[str]:
    """`kind:value` of every fact of a scene: its things, their groups, the background, the relation, how many of a thing there are."""
    if not truth:
        return frozenset()
    names = {f"thing:{thing}" for thing in truth["things"]} | {f"group:any {group}" for group in truth["groups"]}
    names |= {f"count:{count} of a kind" for count in truth["counts"].values() if count > 1}
    names |= {f"size:something {size}" for size in truth["sizes"].values()}
    relation = truth.get("relation")
    return frozenset(names | {f"background:{truth['background']}"} | ({f"relation:{relation[1]}"} if relation else set()))


def _word_sets(run: Run) -> list[frozenset[str]]:
    sets = {part: [science.words(text or "") for text in run.corpus.items(part).texts] for part in TEST_PARTS}
    pairs = run.qrels("test").pairs
    queries = science.share_with_pairs(sets["queries"], pairs, sets["candidates"])
    candidates = science.share_with_pairs(sets["candidates"], pairs[:, ::-1], sets["queries"])
    return [frozenset(f"word:{w}" for w in words) for words in (*queries, *candidates)]
