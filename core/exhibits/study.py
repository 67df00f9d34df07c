"""The figures and tables of the study as exhibits: claim, definition, the rule it is judged by."""

from __future__ import annotations

from core.exhibits import figures, tables
from core.exhibits.registry import Exhibit

STUDY = (
    Exhibit(
        name="figure-1",
        title="Figure 1",
        claim="Zero-shot, multimodal LLMs retrieve worse than a small CLIP.",
        definition="Recall@k: share of queries with a relevant candidate among the k best by cosine.",
        compute=figures.models_compared,
    ),
    Exhibit(
        name="figure-2",
        title="Figure 2",
        claim="Most concepts of multimodal LLMs score near 1, text; contrastive models are balanced.",
        definition="Modality score (Eq 4).",
        compute=figures.modality_density,
        on_sae=True,
    ),
    Exhibit(
        name="figure-3",
        title="Figure 3",
        claim="Few concepts hold 99% of the energy, in every kind of model.",
        definition="Energy (Eq 3).",
        compute=figures.energy_concentration,
        on_sae=True,
    ),
    Exhibit(
        name="figure-4",
        title="Figure 4",
        claim="Dropping image tokens changes retrieval little; dropping the prompt hurts.",
        definition="Recall with pooling over fewer tokens.",
        compute=figures.token_masks,
    ),
    Exhibit(
        name="figure-5",
        title="Figure 5",
        claim="The last layer retrieves best.",
        definition="Recall of mean-pooled states of each stored layer.",
        compute=figures.layers,
    ),
    Exhibit(
        name="figure-6",
        title="Figure 6",
        claim="Whitening works over a wide range of shrinkage; at beta = 1 it only centres.",
        definition="Recall against beta (Eqs 11-12).",
        compute=figures.beta_sweep,
    ),
    Exhibit(
        name="table-1",
        title="Table 1",
        claim="Top concepts by energy, bridging and attribution coincide more in multimodal LLMs.",
        definition="Jaccard overlap (Eq 7).",
        compute=tables.overlaps,
        on_sae=True,
    ),
    Exhibit(
        name="table-2",
        title="Table 2",
        claim="Projecting out the top-attribution subspace raises recall.",
        definition="Eqs 8-10.",
        compute=tables.removal,
        on_sae=True,
    ),
    Exhibit(
        name="table-3",
        title="Table 3",
        claim="ReAlign raises recall on every task.",
        definition="Eqs 11-12.",
        compute=tables.realign,
    ),
    Exhibit(
        name="table-5",
        title="Table 5",
        claim="Mean pooling is the best of four.",
        definition="Recall per pooling.",
        compute=tables.pooling,
    ),
    Exhibit(
        name="table-7",
        title="Table 7",
        claim="ReAlign costs less than computing the similarities.",
        definition="Seconds and peak memory.",
        compute=tables.cost,
    ),
    Exhibit(
        name="table-8",
        title="Table 8",
        claim="ReAlign beats PCA and ZCA whitening.",
        definition="Eqs 11-12.",
        compute=tables.whitenings,
    ),
    Exhibit(
        name="table-9",
        title="Table 9",
        claim="ReAlign helps contrastive models less.",
        definition="Eqs 11-12.",
        compute=tables.realign,
    ),
)
"""In the order of the paper."""
