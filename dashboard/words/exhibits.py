"""Words of the Exhibits page: columns of its tables, outcomes of its verdicts, and how their numbers are written."""

from __future__ import annotations

import re
from math import isnan
from typing import Any

from dashboard.words.numbers import count, percent
from dashboard.words.pages import TASKS
from dashboard.words.terms import WORDS

FIDELITY_HELP = (
    "Explained variance of the embeddings of each modality, pooled over dimensions, and the share of the raw recall"
    " that is left when the reconstructions z D + u are retrieved instead of the embeddings."
)
GATE = "Verdicts on concepts need a dictionary that stands for the embeddings: {least}."
BARRED = "Verdicts on concepts cannot be given: {failure}."
INTERVALS = "In brackets: 95% intervals, bootstrap over queries unless the definition says otherwise."

LABELS: dict[str, str] = {
    "run": "Run",
    "model": "Model",
    "kind": "Kind",
    "task": "Task",
    "variant": "Variant",
    "against": "Against",
    "queries": "Queries",
    "candidates": "Candidates",
    "metric": "Differences of",
    "gain": "Difference, points",
    "gain_p": "p",
    "beyond_random": "Beyond random, points",
    "beyond_random_p": "p, beyond random",
    "beyond_centring": "Beyond centring, points",
    "beyond_centring_p": "p, beyond centring",
    "beyond_realign": "Beyond ReAlign, points",
    "beyond_realign_p": "p, beyond ReAlign",
    "beyond_no_header": "Beyond no header, points",
    "beyond_no_header_p": "p, beyond no header",
    "reading": "Read from",
    "realign_ahead": "ReAlign ahead by, points",
    "realign_ahead_p": "p, ReAlign ahead",
    "narrowed": "Gap narrowed by, points",
    "narrowed_p": "p, gap narrowed",
    "layer": "Layer",
    "pooling": "Pooling",
    "mask": "Tokens",
    "beta": "β",
    "removal": "Removed",
    "draws": "Random draws",
    "statistics": "Mean and covariance from",
    "synthetic": "Synthetic rows too",
    "removed": "Concepts removed",
    "then": "Then",
    "share": "Share of concepts",
    "concepts": "Concepts",
    "measures": "Measures",
    "overlap": "Overlap",
    "set_size": "Concepts in each set",
    "pairs": "Pairs",
    "least": "Least firings",
    "counted": "Concepts counted",
    "sets": "Sets compared",
    "energy_held": "Energy held",
    "needed": "Concepts needed",
    "in_k": "Concepts needed, in units of K",
    "k": "K",
    "apart_k": "To the contrastive run, in units of K",
    "alive": "Concepts that fire",
    "share_of_alive": "Of those that fire",
    "left": "Score from",
    "right": "to",
    "count": "Concepts",
    "share_of_concepts": "Of the concepts",
    "share_of_energy": "Of the energy",
    "scored": "Concepts with a score",
    "undefined": "Fire without a score",
    "dead": "Never fire",
    "share_text": "Text (> 0.9)",
    "share_image": "Image (< 0.1)",
    "share_between": "Between",
    "shapes": "Shapes",
    "dimensions": "Dimensions",
    "repeats": "Repeats",
    "ratio": "ReAlign / similarities",
    "realign_seconds": "ReAlign, s",
    "realign_apply_seconds": "Applying alone, s",
    "similarity_seconds": "Similarities, s",
    "realign_mib": "ReAlign, MiB",
    "realign_apply_mib": "Applying alone, MiB",
    "similarity_mib": "Similarities, MiB",
    "setting": "Setting",
    "note": "Note",
    "live": "Live",
    "printed": "Printed",
    "difference": "Live − printed",
    "inside": "Inside",
    "figure": "Figure",
    "value": "Value",
    "n": "n",
    "dataset": "Data set",
    "p_value": "p",
    "p_holm": "p, Holm",
    "along": "Along",
    "amount": "Removed, % or directions",
    "listed": "Concepts listed",
    "rank": "Directions removed",
    "of_change": "Of the removal's change",
    "beyond_half": "Means minus rows, points",
    "beyond_half_p": "p, means against rows",
    "seconds": "Seconds of the model",
    "draw_lowest": "Lowest draw",
    "draw_highest": "Highest draw",
    "part": "Part",
    "label": "What",
    "compared_with": "Compared with",
    "beta_queries": "Shrinkage, queries",
    "beta_candidates": "Shrinkage, candidates",
    "fitted_on": "Fitted on",
    "size": "Support queries",
    "gain_worst": "Lowest bound of a draw, points",
    "remedy": "Remedy",
    "remedy_kind": "Kind",
    "measure": "Measure",
    "change": "Change from raw",
    "change_p": "p",
    "concept": "Concept",
    "named": "Concept, label",
    "modality_score": "Modality score",
    "decided": "Failures decided",
    "share_of_failures": "Of all failures",
    "largest": "Failures it weighs most in",
    "term_mean": "Mean term",
    "failures": "Failures",
    "choice": "Chosen",
    "dictionary": "Dictionary",
    "dictionary_kind": "Kind",
    "share_for_99": "Hold 99% of energy",
    "concepts_for_99": "Needed for 99%",
    "top": "Top 1% set",
    "overlap_energy_attribution": "Overlap energy, attribution",
    "overlap_energy_bridge": "Overlap energy, bridge",
    "overlap_attribution_bridge": "Overlap attribution, bridge",
    "overlap_all": "Overlap of all three",
    "own_cosine": "Nearest concept of own SAE",
    "own_above_07": "Above 0.7",
    "own_above_09": "Above 0.9",
    "own_span": "Span shared with own SAE",
    "own_span_by_chance": "By chance",
    "l0": "Active per item",
    "dead_share": "Never fire",
    "explained_variance": "Explained variance",
    "explained_queries": "Of queries",
    "explained_candidates": "Of candidates",
    "explained_in_training": "In training",
    "trained_rows": "Trained on rows of",
    "wanted": "Wanted modality",
    "missed": "Wanted modality missed",
    "fewer_missed": "Fewer missed than raw, points",
    "fewer_missed_p": "p, fewer missed",
    "beyond_per_side": "Beyond per side, points",
    "beyond_per_side_p": "p, beyond per side",
    "modality": "Modality",
    "share_of_pool": "Of the pool",
    "share_of_nearest": "Of the ten nearest",
    "bias": "Bias, points",
    "nearest": "Nearest counted",
    "carrier": "Carried by",
    "of_margin": "Of the margin",
    "term": "Mean term",
    "chosen": "Concepts",
    "gain_pooled": "Pooled row, points",
    "gain_pooled_p": "p, pooled row",
    "gain_inside": "Inside, points",
    "gain_inside_p": "p, inside",
    "shift_pooled": "Pooled row, shift",
    "shift_inside": "Inside, shift",
    "size_pooled": "Pooled row, mean size",
    "size_inside": "Inside, mean size",
    "of": "Change of",
    "edit": "Edit",
    "correlation": "Rank correlation",
    "thing": "Thing",
    "control": "Switched off",
    "switched": "Switched off",
    "pictures": "Pictures",
    "raw_probability": "Word, as it is",
    "off_probability": "Word, without the concept",
    "share_lowered": "Lowered",
    "share_halved": "Halved",
    "share_any_fall": "Any fall",
    "share_fall": "Falls by",
    "cases": "Cases",
    "things": "Things",
    "method": "Order of the concepts",
    "deletion": "Deletion, area",
    "insertion": "Insertion, area",
    "between": "Insertion − deletion",
    "beyond_shapley": "Beyond Shapley, hundredths",
    "beyond_shapley_p": "p, beyond Shapley",
    "rank_correlation": "Rank correlation with Shapley",
    "mean_error": "Mean standard error",
    "worst_gap": "Axiom missed by, at most",
    "of_attribution": "Of all attribution",
    "frame": "Instruction and template",
    "token_share": "Of the tokens",
    "token_kind": "Kind of token",
}
"""Column -> heading; others are shown with spaces for underscores."""

CELLS: dict[str, dict[str, str]] = {
    "dominates": {"half": "half of the concepts", "image": "the image concepts"},
    "variant": {
        "none": "raw",
        "center": "centred",
        "realign": "ReAlign",
        "pca": "PCA",
        "zca": "ZCA",
        "center(statistics=per-modality)": "centred per modality",
        "realign(statistics=per-modality)": "ReAlign per modality",
    },
    "wanted": {"all": "any", "text": "text", "image": "image", "image,text": "image + text"},
    "modality": {"text": "text", "image": "image", "image,text": "image + text"},
    "token_kind": {"prompt": "instruction", "template": "chat template", "image": "image patches", "text": "own words"},
    "carrier": {"query error": "SAE error, query", "candidate error": "SAE error, candidate"},
    "mask": {
        "all": "all tokens",
        "no-image": "without image tokens",
        "no-prompt": "without prompt tokens",
        "text": "own text only",
    },
    "layer": {"-1": "last"},
    "setting": {
        "means alone": "the means' part alone",
        "rows alone": "the rows' part alone (means put back)",
        "removal": "both: the removal",
    },
    "beta": {"": "raw"},
    "measure": {"d'": "separation of pairs, d′", "hubness (skewness of N_10)": "hubness (skewness of N₁₀)"},
    "dictionary_kind": {"sae": "SAE"},
    "task": {str(task): words for task, words in TASKS.items()},
    "then": {"none": "nothing", "center": "centring", "realign": "ReAlign"},
    "statistics": {
        "per-side": "each side's own",
        "support": "support split",
        "shared": "both sides together",
        "candidates": "the candidates",
        "per-modality": "each modality's own",
    },
}
"""Values that go by another name."""

SHARES = (
    "share",
    "draw_",
    "own_above",
    "overlap",
    "concepts_share",
    "energy_held",
    "explained",
    "agreement",
    "of_change",
    "of_margin",
    "of_attribution",
    "frame",
    "missed",
)
"""Columns that start with one of these hold ratios."""
DIFFERENCES = ("gain", "beyond_", "realign_ahead", "narrowed", "loss", "fewer_missed", "bias")
OUTCOMES = {
    "agrees": "agrees",
    "yes": "agrees",
    "disagrees": "differs",
    "no": "differs",
    "depends": "depends",
    "cannot be said": "unsaid",
}
"""Outcome -> kind of badge; the others are grey."""
CLAIM_METRICS = {"share": "share of concepts", "overlap": "difference of overlaps"}
"""What a claim's number is, where it is no difference of recalls."""
METRIC_HELP = (
    "The recall that claims 3 and 4 are judged by. Claims 1 and 2 are about concepts and judged by the same numbers"
    " whatever is chosen."
)
CLAIM_HELP = (
    "The verdict of one exhibit of the study on these runs; the same on the Overview, in the Lesson, on the Exhibits"
    " page and from `retrieval-lens claims`."
)
REFERENCES = {"share": 0.5}
"""Where a claim's number changes sides: half of the concepts; 0 for differences."""
PENDING = "The other settings of these claims are being computed; verdicts marked so may change."
CURVE_NOTE = (
    "One mark per setting, in the order of its number; ringed: the default. Below: the choices of each setting."
)
CURVE_HELP = (
    "The same question under every setting that can be had (Simonsohn, Simmons and Nelson 2020). A claim that some"
    " settings confirm and others contradict depends on a choice."
)
NO_CLAIM = "The study makes this claim of multimodal LLMs only; {runs} can only stand beside it."
BESIDE_CLAIM = "Beside the claim"
ABOUT = {
    "claim": (
        "The claim, on these runs",
        "By the rule below; a difference counts where its paired 95% interval leaves 0 out and p < 0.05.",
    ),
    "beside": ("Beside the claim", "What the study does not claim: controls, and kinds of model it does not speak of."),
    "printed": (
        "The printed numbers",
        "Each printed number is held against the live 95% interval, same model, data set and task only.",
    ),
}
ANSWER = "The answer, on these runs"
OPTIONS = {
    "metric": "Judged by",
    "along": "Removed along",
    "then": "Followed by",
    "task": "Task",
    "least": "Least firings",
    "counted": "Concepts counted",
    "items": "Items of each modality",
    "dictionary": "Dictionary",
    "dominates": "Text must be more than",
    "shuffles": "Shuffles",
    "share": "Size of the set",
    "sets": "Sets compared",
    "statistics": "Whose statistics",
    "beta": "Shrinkage",
    "least_explained": "Least explained variance",
    "least_kept": "Least recall kept",
}
"""Labels of options that differ from those of columns."""
SHEETS = {
    "": "The numbers",
    "concept": "Concepts that decide failures",
    "switched off": "With concepts switched off",
    "modality bias": "Bias of the queries",
    "carried by": "Parts of the preference for an unwanted modality",
    "concepts that carry it": "Concepts that carry it",
    "concept off": "With one concept switched off",
    "agreement of the edits": "Agreement of the two edits",
    "share of cases": "Share of cases in which the word is lowered",
    "thing by thing": "Thing by thing",
}
ALONG = {"share": "% of the concepts", "rank": "directions"}
FIGURES = {
    "explained variance of images": "explained variance of images",
    "explained variance of texts": "of texts",
    "explained variance of items that hold both": "of items that hold both",
    "dead share": "never fire",
}
"""Figures of fidelity that are shares, in this order."""
YES_NO = "Where it agrees the answer reads yes, where it disagrees no."
GROUPS = {"study": "The study", "beyond": "Beyond the study"}
ALL_RUNS, CHOSEN = "all", "chosen"
RUNS_HELP = (
    "The run of the sidebar and the one it is compared with, or every run of the cache. Runs that cannot take part say"
    " why below."
)
PRINTED_HELP = "As printed: recall in per cent. Notes say how a number was read and what it contradicts."
NOT_THESE = "For other models and data than these runs: compare directions, not values."


def claim_number(metric: str, value: float, short: bool = False) -> str:
    """The number of a claim: a share of concepts in per cent, a difference in points; `short`: without the unit."""
    if metric == "share":
        return percent(value).removesuffix("%" if short else "")
    return points(value) if short else f"{points(value)} points"


def emphasised(text: str) -> str:
    """HTML with the intervals in brackets set back and a minus before negative numbers; `text` is escaped already."""
    signed = re.sub(r"(?<=[\s(])-(?=\d)", "−", text)
    return re.sub(r"\(([^()]* to [^()]*)\)", r'<span class="lens-aside">(\1)</span>', signed)


def label(column: str) -> str:
    """The heading of a column."""
    if column in WORDS and column not in LABELS:
        return WORDS[column].label
    text = LABELS.get(column) or column.replace("_", " ")
    return text if text[:2] in ("p", "p,") or column in LABELS else text[:1].upper() + text[1:]


def option(name: str, value: Any) -> str:
    """A value of an exhibit's option, as the picker and the specification curve write it."""
    if (named := CELLS.get(name, {}).get(str(value))) is not None:
        return named
    return label(value) if isinstance(value, str) else str(value)


def option_label(name: str) -> str:
    """What an option chooses."""
    return OPTIONS.get(name) or label(name)


def write(column: str, value: Any) -> str:
    """A cell of an exhibit's table: ratios in per cent, differences in points, p to four digits, counts with commas."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return CELLS.get(column, {}).get("", "")
    if named := CELLS.get(column, {}).get(str(value)):
        return named
    if column == "named":
        return str(value).removesuffix(" ?")
    if isinstance(value, bool | str):
        return {"True": "yes", "False": "no"}.get(str(value), str(value))
    return _number(column, float(value))


def _number(column: str, value: float) -> str:
    if column.endswith("_p") or column.startswith(("p_", "p, ")):
        return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
    kind = unit(column.removesuffix("_low").removesuffix("_high"))
    if kind == "points":
        return points(value)
    if kind == "percent":
        return percent(value)
    return count(value) if value == int(value) and abs(value) >= 1000 else f"{value:.4g}".replace("-", "−")


def points(difference: float) -> str:
    """0.0123 -> `+1.2`; what rounds to nothing has no sign."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def unit(column: str) -> str:
    """What a column's numbers are: percent (of a ratio), points (of a difference of ratios) or plain."""
    if column.startswith(DIFFERENCES):
        return "points"
    return "percent" if column.startswith(("recall@", *SHARES)) or column.endswith("_share") else "plain"
