"""Search under a variant without its candidates ever being whole: transformed block by block, ranked, dropped.

In: a fitted variant and the data it is applied to. Out: what `ranking` gives for the rows of `apply_variant`. Memory:
the queries' rows, and a few blocks of `engine.block_bytes`.
"""

import numpy as np
from jaxtyping import Float, Int

from core.analysis.retrieval.ranking import Ranked, TopK, rank_relevant, rank_top_k
from core.analysis.retrieval.rows import VariantRows
from core.analysis.variants import FitData, FittedVariant
from core.analysis.variants.transform import transform


def rank_variant(
    fitted: FittedVariant,
    data: FitData,
    pairs: Int[np.ndarray, "p 2"],
    gains: Float[np.ndarray, " p"] | None = None,
) -> Ranked:
    """`ranking.rank_relevant` of the data's queries and candidates under the variant."""
    return rank_relevant(_queries(fitted, data), VariantRows.candidates(data, fitted.candidate), pairs, gains)


def top_k_variant(fitted: FittedVariant, data: FitData, k: int = 10) -> TopK:
    """`ranking.rank_top_k` of the data's queries and candidates under the variant."""
    return rank_top_k(_queries(fitted, data), VariantRows.candidates(data, fitted.candidate), k)


def _queries(fitted: FittedVariant, data: FitData) -> np.ndarray:
    codes = data.query_codes if fitted.query.edits else None
    return transform(data.queries, fitted.query, codes, data.dictionary, modality=data.query_modality)
