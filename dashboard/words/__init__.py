"""Every label, unit and definition on screen, and how numbers are written.

Ratios are 0-1 in `core`; only here they become percent. Equation numbers are those of the study.
"""

# ruff: noqa: E501 (a definition is one string)

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

STUDY = "Feng et al., “Generative Giants, Retrieval Weaklings”, Findings of ACL 2026 (arXiv 2512.19115)"


@dataclass(frozen=True)
class Word:
    """A name for one number: what it is called, how it is written, what it means."""

    label: str
    meaning: str
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
    "interval": Word(
        "95% interval",
        "Bootstrap interval over queries: redrawing the queries 95 times in 100 gives a value in this range.",
        "%",
    ),
    "p_value": Word(
        "p",
        "Paired randomisation test over queries: how often chance alone gives a difference this large. Small means the difference is real.",
        digits=4,
    ),
    "rank": Word(
        "Rank", "Place of the first relevant candidate in the query's ranking; 1 is best. Ties count against the query."
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
        "Text concepts", "Share of the concepts that fire whose modality score is above 0.9.", "%", "Eq 4"
    ),
    "share_image": Word(
        "Image concepts", "Share of the concepts that fire whose modality score is below 0.1.", "%", "Eq 4"
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
        "Share of the variance of the pooled embeddings that the SAE reconstructs, averaged over dimensions (R² per dimension).",
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
    "hubness": Word(
        "Hubness",
        "Skewness of how often each candidate stands in the ten best; large means a few candidates crowd every ranking.",
        digits=2,
    ),
}

PAGES: dict[str, tuple[str, str, str]] = {
    "overview": ("Overview", ":material/auto_stories:", "The study's four claims, each with this run's own numbers."),
    "lesson": (
        "Lesson",
        ":material/school:",
        "Why a model that sees well retrieves badly, in nine steps on the run at hand.",
    ),
    "concepts": (
        "Concepts",
        ":material/bubble_chart:",
        "What each SAE concept fires on: images and captions together.",
    ),
    "modality": (
        "Modality",
        ":material/contrast:",
        "Which concepts speak text, which speak image, and where the energy is.",
    ),
    "similarity": (
        "Similarity",
        ":material/balance:",
        "Why two items are similar, concept by concept, to the last digit.",
    ),
    "retrieval": ("Retrieval", ":material/manage_search:", "What whitening repairs, what it breaks, query by query."),
    "playground": (
        "Playground",
        ":material/draw:",
        "Ask the run anything: your own words, your own picture, or one of its items.",
    ),
    "compare": (
        "Compare",
        ":material/compare_arrows:",
        "Two sides, each a run and a variant: who finds what, and where they differ.",
    ),
    "map": ("Map", ":material/scatter_plot:", "All items in two dimensions, before and after."),
    "exhibits": (
        "Exhibits",
        ":material/museum:",
        "Every figure and table of the study on your runs: its claim, live numbers, a verdict, the printed numbers beside.",
    ),
    "runs": ("Runs", ":material/inventory_2:", "What is cached, how it was made, and whether it is intact."),
}
"""File name of a page -> title, icon, one sentence."""

GROUPS: dict[str, tuple[str, ...]] = {
    "The story": ("overview", "lesson"),
    "Explore": ("concepts", "modality", "similarity", "retrieval", "playground", "compare", "map", "exhibits"),
    "Housekeeping": ("runs",),
}

VARIANTS: dict[str, str] = {
    "none": "Raw embeddings",
    "center": "Centred per side",
    "realign": "ReAlign whitening",
    "zca": "Full whitening (ZCA)",
    "remove-top": "Top 1% concepts removed",
    "remove-top+realign": "Removed, then ReAlign",
}
"""Presets of the variant picker: expression -> name."""

VARIANT_HELP = (
    "What is done to the embeddings before they are compared; Similarity, Retrieval and Map follow it. A variant is a chain of steps joined by “+”: "
    "`center`, `realign(beta=0.1)`, `zca`, `remove-top(share=0.01)`, `set(12=0)` (switch concept 12 off), `none`."
)

STUDY_OVERLAPS: dict[str, list[float]] = {
    "study: CLIP, SigLIP2": [0.567, 0.395, 0.683, 0.578, 0.613, 0.378, 0.480, 0.292],
    "study: four MLLMs": [
        0.649, 0.661, 0.766, 0.685, 0.796, 0.855, 0.809, 0.859, 0.715, 0.670, 0.712, 0.710, 0.599, 0.549, 0.654, 0.595,
    ],
}  # fmt: skip
"""Table 1 on COCO-Caption: energy & attribution, energy & bridge, attribution & bridge, all three; models in the
table's order."""

SIDE_A_HELP = "The run and the variant of all pages; changing them here changes them in the menu too."
SIDE_B_HELP = "What A is compared with: another run, the same run under another variant, or both."
KINDS_TWO_HELP = "By who has a relevant candidate in the chosen top: everyone, A but not B, B but not A, neither."
RANK_OTHER_NOTE = "“to” and “from”: the candidate's rank on the other side."
D_PRIME_HELP = "Similarities of matching pairs and of all others (or a sample). d′: distance of the two means in pooled standard deviations; more is better."
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

NOTES_HELP = "For whoever gives the lesson: what to say at this step, with the numbers it rests on."
EXAMPLE_HELP = "Another query that the raw embeddings miss and centring repairs (and the second run finds, where it asks the same queries)."
CENTRED_HELP = (
    "Subtracts from every unit embedding the mean of its side, then compares by cosine again: the variant `center`."
)
WHITENING_LINES = """import numpy as np
from safetensors.numpy import load_file

w = load_file("DIR/whitening.safetensors")
x = x / np.linalg.norm(x, axis=1, keepdims=True)
y = (x - w["query.mean"]) @ w["query.matrix"]
y = y / np.linalg.norm(y, axis=1, keepdims=True)"""

LIVE_TEXT_HELP = "Any words. They are put to the run's own model as one of its queries would be; press Enter to ask."
LIVE_PICTURE_HELP = "Drop a picture or choose a file, up to 20 MB. It stays in this process: nothing leaves the machine, nothing is kept on disk."
SPEAKS_HELP = "The same model, asked to generate: greedy decoding. Models that only compare say so. A large model on a CPU takes a while."
REQUEST_HELP = "A question or a request; empty: describe it."

OFF_HELP = (
    "Its activation is set to 0 on every item; what is left of the embedding stays. A step of the variant: `set(k=0)`."
)
REMOVE_HELP = "Its direction is projected out of every embedding (Eq 10 for one concept), also where the SAE did not fire. A step: `remove(k)`."
CONCEPT_HELP = "Number of the SAE latent: its row in the dictionary, from 0."
LABEL_HELP = (
    "What the concept agrees with best: ground truth in the demo world, words of the captions elsewhere. "
    "A question mark: weak agreement (F1 below 0.5). Empty: it never fires."
)

AFTER_HELP = "The variant of all pages; choosing one here changes it in the sidebar too. While that is the raw embeddings, ReAlign is shown here."
KIND_HELP = "Failing: the best-ranked candidate is wrong after. Fixed: wrong before, right after. Broken: right before, wrong after."
FIND_HELP = "In the query's text and id and in the texts of its relevant candidates."
STATISTICS_HELP = (
    "Where mean and covariance are estimated. Each side's own rows (released code); queries from the support split and candidates from "
    "the pool (the paper's text); or one mean and covariance over both."
)

SORT_HELP = "Largest first. Energy: how strongly; attribution: its part in matching pairs; bridge: on both sides of pairs; frequency: how often."

THEN_HELP = "A step of the variant that follows the removal: it is fitted on the embeddings that are left."

PAIRS_HELP = "Images get captions from `captions.jsonl`, `.csv` or `.tsv`, or from `NAME.txt` beside `NAME.jpg`; then make the run again."

PARTS = {
    "queries": "query",
    "candidates": "candidate",
    "support_queries": "support query",
    "support_candidates": "support candidate",
}

MODALITY = {"text": "text", "image": "image", "image,text": "image and text"}

TASKS = {
    1: "text → image", 2: "text → text", 3: "text → image + text", 4: "image → text",
    5: "image → image", 6: "image + text → text", 7: "image + text → image", 8: "image + text → image + text",
}  # fmt: skip


def word(name: str) -> Word:
    """The word for a number; columns like `recall@1_low` take their base's."""
    return WORDS.get(name) or WORDS[name.removesuffix("_low").removesuffix("_high")]


POOLINGS = {"mean": "their mean", "last": "the last of them", "max": "their maximum", "min": "their minimum"}
"""What stands for the token states of an item."""


def percent(ratio: float | None, digits: int = 1) -> str:
    """0.1234 -> `12.3%`; None or NaN -> `undefined`."""
    if ratio is None or isnan(ratio):
        return "undefined"
    return f"{100 * ratio:.{digits}f}%"


def points(difference: float, digits: int = 1) -> str:
    """A difference of two ratios in percentage points: 0.0123 -> `+1.2 points`."""
    written = f"{100 * difference:+.{digits}f}".replace("-", "−")
    return f"{written.lstrip('+−') if float(f'{100 * difference:.{digits}f}') == 0 else written} points"


def count(number: float) -> str:
    """12345 -> `12,345`."""
    return f"{int(number):,}"


def size(number: float) -> str:
    """Bytes in the largest unit that keeps it above one."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds as `0.4 s`, `12 s` or `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def interval(low: float, high: float, digits: int = 1) -> str:
    """`23.1–29.4%`."""
    return f"{100 * low:.{digits}f}–{100 * high:.{digits}f}%"


def variant_name(expression: str) -> str:
    """The preset's name, or the expression itself."""
    return VARIANTS.get(expression, expression)


def sample(number: int, what: str) -> str:
    """`n = 1,000 queries`."""
    return f"n = {count(number)} {what}"


def explain(name: str, n: int | None = None, what: str = "") -> str:
    """Tooltip of a number: definition and sample size."""
    return word(name).help + (f" {sample(n, what).capitalize()}." if n is not None else "")
