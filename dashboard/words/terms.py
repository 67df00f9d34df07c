"""The glossary: every number on screen with its label, unit and definition. docs/glossary.md is made from it.

Equation numbers are those of the study.
"""

# ruff: noqa: E501 (a definition is one string)

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from dashboard.words.numbers import count, percent, sample


@dataclass(frozen=True)
class Word:
    """One number on screen: its label, definition and unit, and how it is written."""

    label: str
    meaning: str
    """The definition, in whole sentences."""
    unit: str = ""
    """"%" for ratios, "" for plain numbers, else the unit's name."""
    equation: str = ""
    digits: int = 1

    @property
    def help(self) -> str:
        return self.meaning + (f" ({self.equation} of the study.)" if self.equation else "")

    def write(self, value: float | None) -> str:
        if value is None or (isinstance(value, float) and isnan(value)):
            return "undefined"
        if self.unit == "%":
            return percent(value, self.digits)
        if isinstance(value, int):
            return count(value)
        return f"{value:.{self.digits}f}" + (f" {self.unit}" if self.unit else "")


WORDS: dict[str, Word] = {
    "recall@1": Word(
        "Recall@1",
        "Share of queries whose best-ranked candidate is relevant. M-BEIR's definition: a hit rate, one relevant candidate is enough.",
        "%",
    ),
    "recall@5": Word(
        "Recall@5",
        "Share of queries with at least one relevant candidate among the five best-ranked (hit rate, as in M-BEIR).",
        "%",
    ),
    "recall@10": Word(
        "Recall@10",
        "Share of queries with at least one relevant candidate among the ten best-ranked (hit rate, as in M-BEIR).",
        "%",
    ),
    "chance": Word(
        "Chance",
        "Recall that a random ranking of the candidates reaches on average: per query 1 - C(N - r, k) / C(N, k) for r relevant among N candidates. What is not above it is no retrieval.",
        "%",
    ),
    "mrr": Word(
        "MRR",
        "Mean reciprocal rank: the average over queries of 1 / rank of the first relevant candidate. 1 is best.",
        digits=3,
    ),
    "ndcg@10": Word(
        "nDCG@10",
        "Normalised discounted cumulative gain over the ten best-ranked candidates; 1 means all relevant candidates stand on top.",
        digits=3,
    ),
    "hit_rate_at": Word("hit_rate_at_k", "mteb: share of queries with a relevant candidate among the first k."),
    "recall_at": Word("recall_at_k", "mteb: share of a query's relevant candidates that are among the first k."),
    "ndcg_at": Word("ndcg_at_k", "mteb: discounted grades of the first k, over those of the best possible order."),
    "map_at": Word("map_at_k", "mteb: precision at each relevant place up to k, summed, over all relevant ones."),
    "mrr_at": Word("mrr_at_k", "mteb: 1 / place of the first relevant candidate, 0 where it stands beyond k."),
    "precision_at": Word("precision_at_k", "mteb: share of the first k that is relevant."),
    "interval": Word(
        "95% interval",
        "Bootstrap interval over queries: 95 of 100 redraws of the queries give a value in this range.",
        "%",
    ),
    "p_value": Word(
        "p",
        "How often chance alone gives a difference this large, with both sides on the same queries: McNemar's exact test for recall, random sign flips for MRR and nDCG. Small means the difference is real.",
        digits=4,
    ),
    "rank": Word(
        "Rank",
        "Place of the first relevant candidate in the query's ranking; 1 is best. Equal scores rank in the order of the candidates.",
    ),
    "similarity": Word(
        "Similarity",
        "Cosine between the embeddings of query and candidate under the chosen variant, -1 to 1.",
        digits=3,
    ),
    "energy": Word(
        "Energy",
        "Mean activation of the concept over all queries and candidates, each item once, in embedding units.",
        equation="Eq 3",
        digits=3,
    ),
    "energy_image": Word(
        "Energy, images", "Mean activation over the items that are an image only.", equation="Eq 3", digits=3
    ),
    "energy_text": Word(
        "Energy, texts", "Mean activation over the items that are a text only.", equation="Eq 3", digits=3
    ),
    "modality_score": Word(
        "Modality score",
        "Mean activation on texts divided by the sum of the mean activations on texts and on images. 1: texts only; 0: images only; undefined where the concept never fires.",
        equation="Eq 4",
        digits=2,
    ),
    "bridge": Word(
        "Bridge score",
        "How strongly the concept fires on both sides of matching pairs: the mean over pairs of the product of its two activations (diagonal of the bridge matrix; the study leaves the per-concept choice open).",
        equation="Eq 5",
        digits=3,
    ),
    "attribution": Word(
        "Attribution",
        "Share of the concept in the similarity of matching pairs, averaged over pairs. All concepts sum to twice the mean similarity of the decoded pairs.",
        equation="Eq 6",
        digits=3,
    ),
    "frequency": Word("Frequency", "Share of queries and candidates on which the concept fires at all.", "%", digits=2),
    "share_text": Word(
        "Text concepts", "Share of the concepts with a modality score that score above 0.9.", "%", "Eq 4"
    ),
    "share_image": Word(
        "Image concepts", "Share of the concepts with a modality score that score below 0.1.", "%", "Eq 4"
    ),
    "energy_share_text": Word(
        "Energy in text concepts",
        "Share of all energy held by concepts with a modality score above 0.9.",
        "%",
        "Eqs 3, 4",
    ),
    "energy_share_image": Word(
        "Energy in image concepts",
        "Share of all energy held by concepts with a modality score below 0.1.",
        "%",
        "Eqs 3, 4",
    ),
    "alive": Word(
        "Concepts that fire",
        "Concepts active on at least one query or candidate of this run. The others are dead here and have no modality score.",
    ),
    "share_for_99": Word(
        "Concepts for 99% of energy",
        "Smallest share of all concepts that together hold 99% of the energy.",
        "%",
        "Eq 3",
    ),
    "overlap": Word(
        "Overlap of the top 1%",
        "Jaccard overlap: concepts in all the top sets, divided by concepts in any of them. Each set holds the top 1% of all concepts by one measure.",
        "%",
        "Eq 7",
    ),
    "explained_variance": Word(
        "Explained variance",
        "Share of the variance of the embeddings that the SAE reconstructs: 1 minus the squared errors over the squared distances from the mean of each dimension, both summed over all items and dimensions.",
        "%",
    ),
    "l0": Word("Active concepts", "Mean number of concepts active on an item (L0)."),
    "dead": Word("Dead concepts", "Share of concepts that fire on no item of this run.", "%"),
    "share": Word(
        "Share removed",
        "Share of all concepts whose decoder directions are projected out of every embedding.",
        "%",
        "Eqs 8-10",
    ),
    "beta": Word(
        "Shrinkage β",
        "0 whitens fully (ZCA); 1 only centres each side. In between, the covariance is mixed with a multiple of the identity.",
        equation="Eq 11",
        digits=2,
    ),
    "contribution": Word(
        "Contribution",
        "What one concept adds to this similarity. Concepts, offset and the two SAE errors sum to the similarity exactly.",
        digits=4,
    ),
    "activation": Word(
        "Activation",
        "How strongly the concept fires on the item, in embedding units with unit dictionary rows.",
        digits=2,
    ),
    "bytes": Word(
        "Size", "Bytes on disk of the run and everything it was made from; parts shared between runs count in each."
    ),
    "seconds": Word("Time", "Seconds it took to compute, as the cache recorded it."),
    "items": Word("Items", "Queries plus candidates of the run."),
    "concepts": Word("Concepts", "Latents of the sparse autoencoder, each with one direction in embedding space."),
    "queries": Word("Queries", "Items searched with."),
    "candidates": Word("Candidates", "Items searched among."),
    "difference": Word(
        "Difference",
        "After minus before on the same queries, in percentage points (MRR and nDCG: plain), with its paired 95% bootstrap interval.",
    ),
    "gain": Word(
        "Gain",
        "Recall@1 minus that of the step before, on the same queries, in percentage points, with its paired 95% interval.",
    ),
    "fixed": Word("Fixed", "Queries whose best-ranked candidate is wrong before and relevant after."),
    "broken": Word("Broken", "Queries whose best-ranked candidate is relevant before and wrong after."),
    "margin": Word(
        "Margin",
        "Similarity of the query to the right candidate minus its similarity to the wrong one. Negative: the wrong one ranks higher.",
        digits=4,
    ),
    "rest": Word(
        "Other concepts", "Sum of the contributions of all concepts that are not listed one by one.", digits=4
    ),
    "offset": Word(
        "Offset",
        "What does not depend on which concepts fire: the SAE's bias and, where the variant centres, the mean. Codes are then taken relative to their mean.",
        digits=4,
    ),
    "query_error": Word(
        "SAE error, query",
        "Contribution of the part of the query's embedding that the SAE does not reconstruct.",
        digits=4,
    ),
    "candidate_error": Word(
        "SAE error, candidate",
        "Contribution of the part of the candidate's embedding that the SAE does not reconstruct.",
        digits=4,
    ),
    "residual": Word("Residual", "Similarity minus the sum of all parts: rounding only.", digits=1),
    "together": Word("Together", "Queries and candidates on which both concepts fire."),
    "jaccard": Word("Overlap", "Items on which both concepts fire, divided by items on which at least one does.", "%"),
    "precision": Word("Precision", "Of the items on which the concept fires, the share that show this.", "%", digits=0),
    "truth_recall": Word(
        "Coverage", "Of the items that show this, the share on which the concept fires.", "%", digits=0
    ),
    "f1": Word(
        "F1",
        "Harmonic mean of precision and coverage; 1 means the concept fires exactly where this is shown.",
        digits=2,
    ),
    "logit": Word(
        "Logit",
        "Inner product of the concept's direction with the token's row of the model's own output head (logit lens): what the direction makes the model say.",
        digits=2,
    ),
    "patch": Word(
        "Where it fires",
        "The SAE's pre-activation on each image patch or token by itself. Its mean over all tokens is the pre-activation of the pooled item.",
        digits=2,
    ),
    "factor": Word(
        "Factor",
        "Every activation of the concept is multiplied by it: 0 switches the concept off, 1 leaves it alone.",
        digits=2,
    ),
    "missed": Word(
        "Wanted modality missed",
        "Share of queries whose best-ranked candidate is of another modality than any relevant candidate. Only in pools of several modalities.",
        "%",
    ),
    "bias_size": Word(
        "Size of modality bias",
        "Bias of a query towards a modality: its share among the ten nearest candidates minus its share of the pool (Yang & Stoyanovich 2017, at one cut-off). Size: half the sum of the absolute biases, averaged over queries; 0 is a list like the pool.",
        digits=3,
    ),
    "rival": Word(
        "Rival",
        "The nearest candidate of a modality that the query does not want. Where the wanted modality is missed it stands first; the margin between the best relevant candidate and it is a sum over concepts.",
    ),
    "hubness": Word(
        "Hubness",
        "Skewness of how often each candidate stands in the ten best; large means a few candidates crowd every ranking.",
        digits=2,
    ),
}

GEOMETRY: dict[str, tuple[str, str]] = {
    "modality gap": ("Modality gap", "Distance between the mean query and the mean candidate; 0 is none."),
    "mean cosine across": ("Mean cosine, query to candidate", "Over all pairs. High: everything resembles everything."),
    "mean cosine within queries": (
        "Mean cosine within queries",
        "Over pairs of queries: how much they all share one direction.",
    ),
    "mean cosine within candidates": ("Mean cosine within candidates", "The same among candidates."),
    "effective rank, queries": (
        "Effective rank, queries",
        "How many dimensions the spread of the queries really fills.",
    ),
    "effective rank, candidates": ("Effective rank, candidates", "The same for the candidates."),
    "hubness (skewness of N_10)": ("Hubness", "Skewness of how often a candidate stands in a top 10; 0 is fair."),
    "candidates in no top-10 list": (
        "Never in a top 10",
        "Share of candidates that no query finds among its ten best, 0–1.",
    ),
    "mean cosine of matching pairs": (
        "Similarity of matching pairs",
        "Mean cosine of a query and its right candidates.",
    ),
    "mean cosine of other pairs": ("Similarity of other pairs", "Mean cosine of pairs that do not match."),
    "d'": ("d′", "How far the last two lie apart, in pooled standard deviations."),
}
"""Measures of the geometry of a side: label and meaning."""


def word(name: str) -> Word:
    """The word for a number; columns like `recall@1_low` take their base's."""
    return WORDS.get(name) or WORDS[name.removesuffix("_low").removesuffix("_high")]


def explain(name: str, n: int | None = None, what: str = "") -> str:
    """Tooltip of a number: definition and sample size."""
    return word(name).help + (f" {sample(n, what).capitalize()}." if n is not None else "")
