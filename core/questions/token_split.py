"""Which patches and words a similarity comes from: the mean over tokens taken apart, exactly.

A run whose embedding is the mean over its tokens gives, for a query and some candidates, what every token of either
item adds to every similarity (`core/analysis/explanations/token_parts.py`), for the whole embedding or for one concept;
the same by kind of token; and by layer. The model reads the items again, so that this needs the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.explanations import contributions as shares
from core.analysis.explanations import token_parts as science
from core.analysis.variants import VariantSpec
from core.analysis.variants.transform import SideTransform
from core.errors import NotAvailable
from core.models.pooling import kept_tokens
from core.questions.answers import cached_table, fitted, side_of, variant_of
from core.questions.concepts import check_concept, table
from core.questions.inside import check_unchanged
from core.questions.live import coded_state
from core.questions.similarity import stored_state
from core.records import Item, Part, StatePlace, TokenRole
from core.run import Run
from core.waiting import about_to_compute

KINDS: tuple[TokenRole, ...] = ("image", "text", "prompt", "template")
"""Kinds of tokens: image patches, the item's own words, the instruction, the chat template."""
OFFSET = "offset"
"""What no token brings: the mean that a variant subtracts, switched-off concepts, rounding."""
FRAME = [KINDS.index("prompt"), KINDS.index("template")]
"""Kinds that are the same for all items of a side: the frame around the item."""
SIDES: tuple[Part, Part] = ("queries", "candidates")
ITEMS_IN_MEMORY = 24
AT_ONCE = 32
"""Items the model reads in one batch."""
SEED = 0


@dataclass(frozen=True, eq=False)
class TokenSide:
    """The tokens of one item and what each adds.

    `tokens`: DataFrame[text, role], in the order of the item; `values` (t, n): what each adds to each of n
    similarities; `offset` (n,): what no token adds. values.sum(axis=0) + offset is the similarity, or the item's half
    of one concept's share of it. `grid`: rows and columns of the image patches, None where they lie in no single grid.
    """

    tokens: pd.DataFrame
    values: np.ndarray
    offset: np.ndarray
    grid: tuple[int, int] | None

    def patches(self, column: int = 0) -> np.ndarray | None:
        """(rows, columns) of the image patches; None without a grid."""
        is_patch = (self.tokens["role"] == "image").to_numpy()
        if self.grid is None or self.grid[0] * self.grid[1] != is_patch.sum():
            return None
        return self.values[is_patch, column].reshape(self.grid)

    def words(self, column: int = 0) -> list[tuple[str, str, float]]:
        """(text, role, value) of every token that is no patch."""
        rows = zip(self.tokens["text"], self.tokens["role"], self.values[:, column].tolist(), strict=True)
        return [(text, role, value) for text, role, value in rows if role != "image"]

    def by_kind(self, column: int = 0) -> dict[str, float]:
        """Sum over the tokens of each kind that occurs, and the offset."""
        sums = pd.Series(self.values[:, column]).groupby(self.tokens["role"].to_numpy()).sum()
        return {kind: float(sums[kind]) for kind in KINDS if kind in sums} | {OFFSET: float(self.offset[column])}


@dataclass(frozen=True, eq=False)
class TokenSplit:
    """One query and n candidates under a variant; see `TokenSide`.

    `totals` (n,): the similarities, or one concept's contributions to them. `query` splits each of them over the
    query's tokens, `candidates[i]` the i-th over that candidate's; of one concept each item's tokens hold its own half,
    and `rest` (n,) what centring takes. `kinds`: DataFrame[candidate, query_kind, candidate_kind, value], sums to each
    similarity; empty for a concept. `mismatch`: largest distance of a stored embedding from the mean of the tokens,
    over its length.
    """

    variant: str
    concept: int | None
    totals: np.ndarray
    query: TokenSide
    candidates: tuple[TokenSide, ...]
    rest: np.ndarray
    kinds: pd.DataFrame
    mismatch: float


@dataclass(frozen=True, eq=False)
class _Read:
    """One item as the model reads it: the tokens that are pooled."""

    states: np.ndarray
    tokens: pd.DataFrame
    grid: tuple[int, int] | None
    h: np.ndarray
    transform: SideTransform
    state: shares.SideState | None
    """With its codes; None without an SAE."""

    def parts(self, dictionary: np.ndarray | None) -> science.TokenParts:
        edit = None
        if self.transform.edits and self.state is not None and dictionary is not None:
            edit = shares.edit_of(self.state, dictionary)
        return science.token_parts(self.states, self.transform, self.h, edit)

    @property
    def kind(self) -> np.ndarray:
        return np.array([KINDS.index(role) for role in self.tokens["role"]])

    @property
    def mismatch(self) -> float:
        return float(np.linalg.norm(self.h - self.states.mean(axis=0)) / (np.linalg.norm(self.h) or 1.0))


def split(
    run: Run,
    query_row: int,
    candidate_rows: Sequence[int],
    variant: str | VariantSpec = "none",
    concept: int | None = None,
) -> TokenSplit:
    """What every token of a stored query and of some candidates adds to their similarities; `concept`: to one concept's
    contributions alone.

    Raises:
        NotAvailable: no model here, embeddings that are no mean over tokens, or a variant that changes the model.
    """
    check(run)
    spec = variant_of(run, variant)
    check_unchanged(spec, "token states")
    return _split(run, _stored(run, "queries", query_row, spec), candidate_rows, spec, concept)


def split_live(
    run: Run, item: Item, candidate_rows: Sequence[int], variant: str | VariantSpec = "none", concept: int | None = None
) -> TokenSplit:
    """The same for an item that is in no table, as a query."""
    check(run)
    spec = variant_of(run, variant)
    check_unchanged(spec, "token states")
    read = _tokens(run, item)
    h = read[0].mean(axis=0)
    state = None if run.sae is None else coded_state(run, h.astype(np.float32), spec, item.modality)
    transform = side_of(fitted(run, spec), "queries").of(item.modality)
    return _split(run, _Read(*read, h, transform, state), candidate_rows, spec, concept)


def check(run: Run) -> None:
    """NotAvailable where an embedding is no mean over token states, or the model is not here."""
    if missing := run.no_model():
        raise missing
    if run.view.pooling != "mean":
        raise NotAvailable(
            f"the embeddings of {run.name!r} are no mean over tokens, so they do not split into them",
            got=run.view.words,
            todo='choose a run with poolings = ["mean"], such as one of a multimodal LLM',
        )


def available(run: Run) -> bool:
    """Whether this run's similarities split over tokens."""
    return run.no_model() is None and run.view.pooling == "mean"


def by_layer(run: Run, query_row: int, candidate_row: int) -> pd.DataFrame:
    """The same split along depth, raw: DataFrame[layer, of, kind, share, similarity].

    `of` is "query" or "candidate": share of a kind of token in the item's own embedding, y_kind . y / ||y||^2, sums to
    1; or "similarity": what the query's tokens of that kind add to the cosine, sums to it. `layer` 0 is the input of
    the decoder, the last one stands after the final norm.
    """
    check(run)

    def compute() -> pd.DataFrame:
        rows = []
        items = [run.corpus.items("queries").item(query_row), run.corpus.items("candidates").item(candidate_row)]
        for layer in range(run.adapter().facts.layers + 1):
            place = StatePlace(-1 if layer == run.adapter().facts.layers else layer)
            (q, q_kind), (c, c_kind) = (_at(run, item, place) for item in items)
            sums = [
                science.token_parts(states, SideTransform()).by_kind(kind, len(KINDS))[:-1]
                for states, kind in ((q, q_kind), (c, c_kind))
            ]
            towards = science.kind_table(*sums).sum(axis=1)
            parts = {"query": science.self_shares(sums[0]), "candidate": science.self_shares(sums[1])}
            for of, values in (parts | {"similarity": towards}).items():
                present = set(c_kind.tolist()) if of == "candidate" else set(q_kind.tolist())
                rows += [
                    (layer, of, name, float(value), float(towards.sum()))
                    for at, (name, value) in enumerate(zip(KINDS, values, strict=True))
                    if at in present
                ]
        return pd.DataFrame(rows, columns=["layer", "of", "kind", "share", "similarity"])

    return cached_table(run, "token-layers", {"query": query_row, "candidate": candidate_row}, compute)


def concept_kinds(run: Run, pairs: int = 64, concepts: int = 2) -> pd.DataFrame:
    """Which kinds of tokens carry the concepts of largest attribution (Eq 6), over sampled matching pairs.

    DataFrame[concept, label, of_attribution, token_kind, share, share_low, share_high, frame, frame_low, frame_high,
    token_share, pairs]: a row per concept and kind, then per kind for these concepts together (concept -1). share: of
    the concept's attribution over these pairs, split by its pre-activation on each token (`token_parts`); sums with
    that of "offset" (what the encoder cut off) to 1. frame, in every row of a concept: prompt and template together.
    token_share: of all tokens. of_attribution: of that of all concepts, over all pairs. Intervals: bootstrap over
    pairs. attrs: of_queries.
    """
    check(run)
    arguments = {"pairs": pairs, "concepts": concepts}
    return cached_table(run, "concept-kinds", arguments, lambda: _concept_kinds(run, pairs, concepts))


def sampled_pairs(run: Run, pairs: int) -> tuple[np.ndarray, int]:
    """((n, 2) query and its first relevant candidate, of at most `pairs` queries drawn with a seed; how many queries
    have one)."""
    every = run.qrels("test").pairs
    queries, first = np.unique(every[:, 0], return_index=True)
    if not len(queries):
        raise NotAvailable(f"run {run.name!r} has no relevant pairs", todo="add qrels or captions to its corpus")
    drawn = np.sort(np.random.default_rng(SEED).permutation(len(queries))[:pairs])
    return every[first[drawn]], len(queries)


def _concept_kinds(run: Run, pairs: int, concepts: int) -> pd.DataFrame:
    from core.sae import concept_values

    attribution = table(run)["attribution"]
    top = np.argsort(-attribution.to_numpy(), kind="stable")[:concepts]
    rows, of_queries = sampled_pairs(run, pairs)
    dictionary = np.asarray(run.need_sae().dictionary, dtype=np.float64)
    codes = [run.codes(part)[rows[:, at]].astype(np.float64) for at, part in enumerate(SIDES)]
    decoded = [one @ dictionary for one in codes]
    held, tokens = np.zeros((concepts, len(rows), len(KINDS) + 1)), np.zeros((len(rows), len(KINDS)))
    for at, part in enumerate(SIDES):
        for start in range(0, len(rows), AT_ONCE):
            block = slice(start, start + AT_ONCE)
            states, kind, of = _tokens_of(run, part, rows[block, at])
            counts = np.bincount(of, minlength=len(rows[block]))
            np.add.at(tokens, (start + of, kind), 1.0)
            for n, k in enumerate(top.tolist()):
                z = codes[at][block][:, [k]].toarray()[:, 0]
                worth = decoded[1 - at][block] @ dictionary[k]
                parts = np.where(z > 0, worth / counts, 0.0)[of] * concept_values(run.sae_folder, k, states)
                mine = np.zeros((len(counts), len(KINDS) + 1))
                np.add.at(mine, (of, kind), parts)
                mine[:, -1] = z * worth - mine.sum(axis=1)
                held[n, block] += mine
    out: list[dict[str, object]] = []
    labels = table(run)["label"]
    groups = [(int(k), str(labels.iloc[k]), held[n]) for n, k in enumerate(top.tolist())]
    for concept, label, mine in [*groups, (-1, f"the first {concepts}", held.sum(axis=0))]:
        named = [concept] if concept >= 0 else top.tolist()
        of_all = float(attribution.iloc[named].sum() / attribution.sum())
        drawn = _share_draws(mine)
        whole = mine.sum() or np.nan
        frame = _ends(mine[:, FRAME].sum() / whole, drawn[:, FRAME].sum(axis=1), "frame")
        for i, name in enumerate((*KINDS, OFFSET)):
            share = _ends(mine[:, i].sum() / whole, drawn[:, i], "share")
            of_tokens = float(tokens[:, i].sum() / tokens.sum()) if i < len(KINDS) else np.nan
            head = {"concept": concept, "label": label, "of_attribution": of_all, "token_kind": name}
            out.append(head | share | frame | {"token_share": of_tokens, "pairs": len(rows)})
    found = pd.DataFrame(out)
    found.attrs = {"of_queries": of_queries}
    return found


def _share_draws(parts: np.ndarray, draws: int = 1000) -> np.ndarray:
    """(draws, kinds): shares of the sum over redrawn pairs."""
    rng, n = np.random.default_rng(0), len(parts)
    weights = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(draws)])
    sums = weights @ parts
    whole = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, whole, out=np.full_like(sums, np.nan), where=whole != 0)


def _ends(value: float, drawn: np.ndarray, name: str) -> dict[str, float]:
    known = drawn[~np.isnan(drawn)]  # a redraw may hold no pair on which the concept fires
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _tokens_of(run: Run, part: Part, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States (t, d) of the pooled tokens of some items, their kinds (t,), and which item each is of (t,)."""
    about_to_compute()
    items = run.corpus.items(part)
    tokens = run.adapter().token_states([items.item(int(row)) for row in rows], run.view.place)
    keep = kept_tokens(tokens, run.view.mask)
    kinds = np.array([KINDS.index(role) for role in tokens.role])
    return tokens.states[keep].astype(np.float64), kinds[keep], tokens.item[keep]


def _at(run: Run, item: Item, place: StatePlace) -> tuple[np.ndarray, np.ndarray]:
    states, tokens, _ = _tokens(run, item, place)
    return states, np.array([KINDS.index(role) for role in tokens["role"]])


def _stored(run: Run, part: Part, row: int, spec: VariantSpec) -> _Read:
    """A stored item, read again."""
    read = run.memo(
        ("token states", part, row), lambda: _tokens(run, run.corpus.items(part).item(row)), limit=ITEMS_IN_MEMORY
    )
    transform = side_of(fitted(run, spec), part).of(str(run.corpus.items(part).modality[row]))
    state = None if run.sae is None else stored_state(run, part, row, spec)
    return _Read(*read, np.asarray(run.embeddings(part)[row], dtype=np.float64), transform, state)


def _tokens(
    run: Run, item: Item, place: StatePlace | None = None
) -> tuple[np.ndarray, pd.DataFrame, tuple[int, int] | None]:
    """(t, d) states of the tokens in the run's mask, what they are, and the grid of the patches."""
    about_to_compute()
    tokens = run.adapter().token_states([item], place or run.view.place)
    keep = kept_tokens(tokens, run.view.mask)
    frame = pd.DataFrame({"text": tokens.text, "role": tokens.role})[keep].reset_index(drop=True)
    return tokens.states[keep].astype(np.float64), frame, tokens.grids[0]


def _split(run: Run, query: _Read, rows: Sequence[int], spec: VariantSpec, concept: int | None) -> TokenSplit:
    candidates = [_stored(run, "candidates", row, spec) for row in rows]
    mismatch = max(one.mismatch for one in (query, *candidates))
    if concept is not None:
        return _of_concept(run, query, candidates, spec, concept, mismatch)
    dictionary = None if run.sae is None else run.sae.dictionary
    first, others = query.parts(dictionary), [one.parts(dictionary) for one in candidates]
    to_query = [science.towards(first, other.whole) for other in others]
    query_kinds, tables = first.by_kind(query.kind, len(KINDS)), []
    for at, (one, parts) in enumerate(zip(candidates, others, strict=True)):
        whole = science.kind_table(query_kinds, parts.by_kind(one.kind, len(KINDS)))
        names = (*KINDS, OFFSET)
        tables += [(at, a, b, float(whole[i, j])) for i, a in enumerate(names) for j, b in enumerate(names)]
    return TokenSplit(
        variant=str(spec),
        concept=None,
        totals=np.array([float(values.sum() + offset) for values, offset in to_query]),
        query=_side(query, to_query),
        candidates=tuple(
            _side(one, [science.towards(parts, first.whole)]) for one, parts in zip(candidates, others, strict=True)
        ),
        rest=np.zeros(len(rows)),
        kinds=pd.DataFrame(tables, columns=["candidate", "query_kind", "candidate_kind", "value"]),
        mismatch=mismatch,
    )


def _of_concept(
    run: Run, query: _Read, candidates: Sequence[_Read], spec: VariantSpec, concept: int, mismatch: float
) -> TokenSplit:
    """One concept's contributions, over the tokens of both items."""
    from core.sae import concept_values

    check_concept(run, concept)
    dictionary = run.need_sae().dictionary
    values = [concept_values(run.sae_folder, concept, one.states) for one in (query, *candidates)]
    of_query, of_candidates, totals, rest = [], [], [], []
    for one, pre in zip(candidates, values[1:], strict=True):
        assert query.state is not None and one.state is not None
        parts = shares.contributions(query.state, one.state, dictionary)
        worths = shares.unit_worths(query.state, one.state, dictionary, concept)
        of_query.append(science.concept_split(values[0], _activation(query.state, concept), worths[0]))
        of_candidates.append(science.concept_split(pre, _activation(one.state, concept), worths[1]))
        totals.append(float(parts.values[parts.concepts == concept].sum()))
        held = sum(float(tokens.sum()) + left for tokens, left in (of_query[-1], of_candidates[-1]))
        rest.append(totals[-1] - held)
    return TokenSplit(
        variant=str(spec),
        concept=concept,
        totals=np.array(totals),
        query=_side(query, of_query),
        candidates=tuple(_side(one, [part]) for one, part in zip(candidates, of_candidates, strict=True)),
        rest=np.array(rest),
        kinds=pd.DataFrame(columns=["candidate", "query_kind", "candidate_kind", "value"]),
        mismatch=mismatch,
    )


def _activation(state: shares.SideState, concept: int) -> float:
    return float(state.activations[state.concepts == concept].sum())


def _side(read: _Read, parts: Sequence[tuple[np.ndarray, float]]) -> TokenSide:
    return TokenSide(
        read.tokens, np.stack([values for values, _ in parts], axis=1), np.array([left for _, left in parts]), read.grid
    )
