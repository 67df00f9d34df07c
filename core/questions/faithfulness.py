"""Do the linear contributions to a similarity rank concepts as they matter? Deletion and insertion curves of a sample
of matching pairs, beside Shapley values, integrated gradients and random orders.

One pair per sampled query, its first relevant candidate. What a method is, is in
`core/analysis/explanations/faithfulness.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from core.analysis.explanations import faithfulness as science
from core.analysis.explanations.contributions import SideState, contributions
from core.analysis.retrieval.resampling import bootstrap_means, sign_flip
from core.models.pooling import kept_tokens
from core.questions import token_split
from core.questions.answers import cached_table, explicit, variant_of
from core.questions.comparisons import PairedGain, tidy
from core.questions.similarity import stored_state
from core.records import Part
from core.run import Run
from core.waiting import about_to_compute, checkpoint

LINEAR, SHAPLEY, GRADIENTS = "linear contributions", "Shapley values", "integrated gradients"
TOKEN_GRADIENTS, RANDOM = "integrated gradients, token states", "random order"
RANDOM_ORDERS = 20
"""Per pair; their mean is the control."""
SEED = 0


@dataclass(frozen=True, eq=False)
class _Measured:
    """One method on one pair."""

    deletion: float
    insertion: float
    rank_correlation: float
    """Spearman's, with the Shapley values; NaN where one of the two is constant."""
    gap: float
    """|sum of scores - (f(all) - f(none))|: efficiency, completeness; NaN where no such axiom holds."""
    error: float
    """Mean standard error of the scores; NaN where they are not sampled."""

    @property
    def between(self) -> float:
        return self.insertion - self.deletion


def faithfulness(
    run: Run, pairs: int = 60, variant: str = "none", permutations: int = science.PERMUTATIONS
) -> pd.DataFrame:
    """One row per method: DataFrame[method, deletion, deletion_low, deletion_high, insertion, insertion_low,
    insertion_high, between, between_low, between_high, beyond_random, beyond_random_low, beyond_random_high,
    beyond_random_p, beyond_shapley, ..._p, rank_correlation, mean_error, worst_gap, pairs].

    Areas are mean cosines along the curve; `between` is insertion minus deletion, higher is more faithful.
    beyond_random, beyond_shapley: paired differences of `between` to random orders and to Shapley values. Intervals:
    bootstrap over pairs; p: sign flips. worst_gap: largest breach of efficiency or completeness over pairs.
    attrs: of_queries, players (mean), fall (mean of f(all) - f(none)), permutations, why_no_tokens.

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()
    arguments = {"pairs": pairs, "variant": explicit(run, variant), "permutations": permutations, "seed": SEED}
    return cached_table(run, "faithfulness", arguments, lambda: _faithfulness(run, pairs, variant, permutations))


def _faithfulness(run: Run, pairs: int, variant: str, permutations: int) -> pd.DataFrame:
    spec, dictionary = variant_of(run, variant), run.need_sae().dictionary
    sampled, of_queries = token_split.sampled_pairs(run, pairs)
    by_token, why_no_tokens = _token_codes(run, sampled)
    measured: dict[str, list[_Measured]] = {}
    players, falls = [], []
    for at, (query, candidate) in enumerate(sampled.tolist()):
        checkpoint()
        states = stored_state(run, "queries", query, spec), stored_state(run, "candidates", candidate, spec)
        game = science.pair_game(*states, dictionary)
        none, whole = _ends(game)
        linear = contributions(*states, dictionary)
        at_players = linear.values[np.searchsorted(linear.concepts, game.players)]
        estimate = science.shapley(game, permutations, SEED + at)
        scores: dict[str, tuple[np.ndarray, float]] = {
            LINEAR: (at_players, np.nan),
            SHAPLEY: (estimate.values, abs(float(estimate.values.sum()) - (whole - none))),
        }
        through_row = science.integrated_gradients(game)
        scores[GRADIENTS] = through_row, abs(float(through_row.sum()) - (whole - none))
        if by_token:
            scores[TOKEN_GRADIENTS] = _token_gradients(states, by_token[at], game, dictionary)
        for method, (values, gap) in scores.items():
            error = float(estimate.errors.mean()) if method == SHAPLEY and len(game.players) else np.nan
            measured.setdefault(method, []).append(_measure(game, values, estimate.values, gap, error))
        measured.setdefault(RANDOM, []).append(_random(game, SEED + at))
        players.append(len(game.players))
        falls.append(whole - none)
    rows = [_row(method, measured) for method in measured]
    return tidy(
        rows,
        of_queries=of_queries,
        players=float(np.mean(players)),
        fall=float(np.mean(falls)),
        permutations=permutations,
        why_no_tokens=why_no_tokens,
    )


def _ends(game: science.PairGame) -> tuple[float, float]:
    k = len(game.players)
    none, whole = game.values(np.array([np.zeros(k), np.ones(k)])).tolist()
    return none, whole


def _measure(game: science.PairGame, scores: np.ndarray, shapley: np.ndarray, gap: float, error: float) -> _Measured:
    found = science.areas(game, scores)
    constant = len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(shapley) == 0
    correlation = np.nan if constant else float(spearmanr(scores, shapley).statistic)
    return _Measured(found.deletion, found.insertion, correlation, gap, error)


def _random(game: science.PairGame, seed: int) -> _Measured:
    rng = np.random.default_rng(seed)
    drawn = [science.areas(game, rng.random(len(game.players))) for _ in range(RANDOM_ORDERS)]
    deletion, insertion = (float(np.mean([getattr(one, name) for one in drawn])) for name in ("deletion", "insertion"))
    return _Measured(deletion, insertion, np.nan, np.nan, np.nan)


def _row(method: str, measured: dict[str, list[_Measured]]) -> dict[str, Any]:
    mine = measured[method]
    columns = {name: np.array([getattr(one, name) for one in mine]) for name in ("deletion", "insertion", "between")}
    row: dict[str, Any] = {"method": method}
    for name, values in columns.items():
        low, high = bootstrap_means(values[:, None])
        row |= {name: float(values.mean()), f"{name}_low": float(low[0]), f"{name}_high": float(high[0])}
    for name, other in (("beyond_random", RANDOM), ("beyond_shapley", SHAPLEY)):
        row |= _paired(columns["between"], [one.between for one in measured[other]], method == other).columns(name)
    return row | {
        "rank_correlation": _mean([one.rank_correlation for one in mine]),
        "mean_error": _mean([one.error for one in mine]),
        "worst_gap": float(np.max([one.gap for one in mine])),
        "pairs": len(mine),
    }


def _paired(after: np.ndarray, before: Sequence[float], is_same: bool) -> PairedGain:
    """Paired difference over pairs with its bootstrap interval and a sign-flip p."""
    if is_same:
        return PairedGain.nothing()
    difference = after - np.asarray(before)
    low, high = bootstrap_means(difference[:, None])
    return PairedGain(float(difference.mean()), float(low[0]), float(high[0]), sign_flip(difference))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


TokenCodes = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of the query and of the candidate: concepts, and their mean code over the item's tokens."""


def _token_codes(run: Run, pairs: np.ndarray) -> tuple[list[TokenCodes], str]:
    """Codes of every token state of each pair's items, averaged as the states are; and why there are none."""
    if not token_split.available(run):
        return [], "its embeddings are no mean over token states, or its model is not here"
    about_to_compute()
    sides = [_mean_codes(run, part, pairs[:, at]) for at, part in enumerate(token_split.SIDES)]
    return list(zip(*sides, strict=True)), ""


def _mean_codes(run: Run, part: Part, rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    from core.sae import SaeEncoder

    encoder, items = SaeEncoder(run.sae_folder.checked(), run.need_sae().input), run.corpus.items(part)
    found = []
    for start in range(0, len(rows), token_split.AT_ONCE):
        batch = rows[start : start + token_split.AT_ONCE]
        tokens = run.adapter().token_states([items.item(int(row)) for row in batch], run.view.place)
        keep = kept_tokens(tokens, run.view.mask)
        codes, of = encoder.encode(tokens.states[keep]).codes, tokens.item[keep]
        for at in range(len(batch)):
            mean = np.asarray(codes[of == at].mean(axis=0)).ravel()
            active = np.flatnonzero(mean)
            found.append((active, mean[active].astype(np.float64)))
    return found


def _token_gradients(
    states: tuple[SideState, SideState], codes: TokenCodes, game: science.PairGame, dictionary: np.ndarray
) -> tuple[np.ndarray, float]:
    """Integrated gradients of the concepts that are added in the token states, pooled after; at the pooled row's
    players, and the breach of completeness over all of theirs."""
    own = [
        replace(state, concepts=concepts, activations=mean)
        for state, (concepts, mean) in zip(states, codes, strict=True)
    ]
    by_token = science.pair_game(own[0], own[1], dictionary)
    none, whole = _ends(by_token)
    values = science.integrated_gradients(by_token)
    at = dict(zip(by_token.players.tolist(), values.tolist(), strict=True))
    return np.array([at.get(int(k), 0.0) for k in game.players]), abs(float(values.sum()) - (whole - none))
