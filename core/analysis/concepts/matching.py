"""Random concepts that match given ones in number, frequency and energy: the controls of an edit.

A concept that fires often and strongly moves many rows whatever it stands for. So an edit is compared with edits of
other concepts that fire about as often and as strongly. Knows nothing of edits nor of ranks.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from core.errors import UserError

DRAWS = 20


def nearest_concepts(
    concept: int, frequency: Float[np.ndarray, " c"], energy: Float[np.ndarray, " c"], pool: Int[np.ndarray, " p"]
) -> Int[np.ndarray, " m"]:
    """The concepts of `pool` but `concept`, nearest first: Euclidean distance of log frequency and log energy, each in
    standard deviations over the pool. Ties by index. Every concept of the pool, and `concept`, must fire."""
    places = np.log(np.column_stack([frequency, energy])[np.append(pool, concept)])
    spread = places[:-1].std(axis=0)
    scaled = np.divide(places, spread, out=np.zeros_like(places), where=spread > 0)
    distance = np.linalg.norm(scaled[:-1] - scaled[-1], axis=1)
    order = pool[np.argsort(distance, kind="stable")]
    return order[order != concept]


def matched_draws(
    chosen: Sequence[int],
    frequency: Float[np.ndarray, " c"],
    energy: Float[np.ndarray, " c"],
    draws: int = DRAWS,
    seed: int = 0,
    never: Sequence[int] = (),
) -> Int[np.ndarray, "draws k"]:
    """For every draw one other concept per chosen one, all different: a random one of the `draws` nearest that the
    draw does not hold yet. None of the chosen ones, and none of `never`, is ever drawn.

    Of a single concept the draws are its `draws` nearest, each once. Only concepts that fire are drawn; a chosen one
    that does not fire is matched with the rarest.

    Raises:
        UserError: fewer than twice as many other concepts fire as are chosen.
    """
    fires = np.flatnonzero((frequency > 0) & (energy > 0))
    pool = np.setdiff1d(fires, np.asarray([*chosen, *never], dtype=np.int64))
    if len(pool) < max(2 * len(chosen), draws):
        raise UserError(
            "too few concepts fire for matched controls",
            got=f"{len(pool)} beside the {len(chosen)} that are edited",
            allowed=f"{max(2 * len(chosen), draws)} or more",
        )
    rng, out = np.random.default_rng(seed), np.full((draws, len(chosen)), -1, dtype=np.int64)
    floor = np.array([frequency[fires].min(), energy[fires].min()])
    for j, concept in enumerate(chosen):
        own = np.maximum([frequency[concept], energy[concept]], floor)
        near = nearest_concepts(concept, _with(frequency, concept, own[0]), _with(energy, concept, own[1]), pool)
        order = np.concatenate([rng.permutation(near[:draws]), near[draws:]])
        for i in range(draws):
            # Begins at another place in every draw, so that a single concept meets each of its neighbours once.
            turned = np.concatenate([np.roll(order[:draws], -i), order[draws:]])
            out[i, j] = next(k for k in turned.tolist() if k not in out[i, :j])
    return out


def _with(values: np.ndarray, at: int, value: float) -> np.ndarray:
    out = np.array(values, dtype=np.float64)
    out[at] = value
    return out
