"""Words that several exhibits share: what recall and ReAlign are, how a paired difference is judged, what a verdict
needs, and how variants are called."""

from __future__ import annotations

from core.exhibits.shared.rows import TUNED

RECALL = (
    "Recall@k: share of queries with a relevant candidate among the k best by cosine (hit rate; docs/study.md"
    " section 7)."
)
REALIGN = (
    "ReAlign: shrinkage ZCA whitening of unit rows, per side, beta 0.1, eps 1e-5 (Eqs 11-12); the run's own settings"
    " where they differ."
)
PAIRED = (
    "Agrees where the paired 95% interval of the difference lies on the claim's side of 0 and p is below 0.05,"
    " disagrees where it lies on the other with such a p, else not clear"
)
PAIRED_YES = f"{PAIRED}; agrees is yes"
FIRST_IS_BEST = (
    f"{PAIRED}. Difference: the best other {{other}} minus {{first}}; its p is corrected for all others that it was"
    " chosen from (max-T over sign flips). Raw embeddings."
)
"""Rule of `agreement.first_is_best`, for what is compared: `FIRST_IS_BEST.format(other="layer", first="the last")`."""
NEEDS_TUNED = (
    f"needs a multimodal LLM and a {TUNED} on the same corpus: a spec with the same [corpus] and "
    '[model] name = "gme-qwen2-vl-7b", `retrieval-lens run SPEC.toml`, then name both runs'
)
NEEDS_BOTH = (
    "needs a multimodal LLM and a contrastive run on the same corpus: a spec with the same [corpus] and "
    '[model] name = "clip-vit-b32", `retrieval-lens run SPEC.toml`, then name both runs'
)
THENS = ("none", "center", "realign")
"""Steps that may follow a removal."""
WORDS = {"none": "raw", "center": "centred", "realign": "ReAlign"}
"""Variant -> the word for it."""
