"""Where the paper contradicts itself, by the exhibit it touches: shown beside the numbers, never resolved."""

from __future__ import annotations

CONTRADICTIONS: dict[str, tuple[str, ...]] = {
    "figure-1": (
        "Chameleon's Recall@5 on CIRR is 2.7 here and 7.19 in Table 3.",
        "Table 9's CLIP and SigLIP are of a variant the paper does not state; here it is CLIP ViT-B/32.",
    ),
    "figure-4": (
        (
            "The base on CIRR is about 23 here and 6.09 in Table 3 (Qwen2-VL, Recall@5): a subset of 3,000 queries, not"
            " said which."
        ),
    ),
    "figure-2": ("K of the SAE is not given; whether the pooled embedding is normalised before it neither.",),
    "figure-6": ("Eq 12 whitens the plain mean, the released code the L2-normalised one; here it is the code's.",),
    "table-1": ("The bridge score per concept is not defined in the paper; here it is the diagonal of Eq 5.",),
    "table-2": (
        "Qwen2-VL's base Recall@1 on MSCOCO is 5.60 here and 5.90 in Table 5.",
        "Chameleon's base Recall@5 on MSCOCO is 7.58 here and 9.18 in Table 3.",
        "The rank r of the removed subspace is not given; here it holds 99% of the squared singular values.",
    ),
    "table-3": (
        "Chameleon's base Recall@5 on MSCOCO is 9.18 here and 7.58 in Table 2; on CIRR 7.19 here and 2.7 in Figure 1.",
        "The base Recall@5 on NIGHTS differs between this table and Table 5.",
        (
            "Qwen3-VL's ReAlign on CIRR is 15.94 here and 14.94 in Table 9; PaliGemma2's is 15.48 here and 30.66 in"
            " Table 8."
        ),
        "The gain on FashionIQ is printed as +5.32; the printed numbers give 5.03.",
        "Eq 12 whitens the plain mean, the released code the L2-normalised one; here it is the code's.",
    ),
    "table-4": ("OVEN is called task 7 here; elsewhere it is tasks 6 and 8.",),
    "table-5": (
        "Qwen2-VL's Recall@1 on MSCOCO is 5.90 here and 5.60 in Table 2, both with mean pooling.",
        "The base Recall@5 on NIGHTS differs between this table and Table 3.",
    ),
    "table-7": ("The GPU is not stated.",),
    "table-8": (
        "PaliGemma2's ReAlign row on CIRR repeats its NIGHTS row (Recall@5 30.66); Table 3 has 15.48.",
        (
            "How the PCA row was fitted is not stated; fitted per side its cosines would mean nothing, so here it is"
            " shared."
        ),
    ),
    "table-9": (
        "Which CLIP and SigLIP these are is not stated.",
        "Qwen3-VL's ReAlign on CIRR is 14.94 here and 15.94 in Table 3.",
    ),
}
"""Exhibit -> sentences."""
