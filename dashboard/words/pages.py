"""Names of pages, variants, tasks and kinds of items, and the help texts of widgets."""

# ruff: noqa: E501 (a help text is one string)

from __future__ import annotations

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
    "retrieval": (
        "Retrieval",
        ":material/manage_search:",
        "Which queries fail, what causes it, what repairs them and at what cost.",
    ),
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
    "check": (
        "Check",
        ":material/fact_check:",
        "Are vectors from a server or a store this run's own? If not, which setting explains it, and what it costs.",
    ),
    "runs": ("Runs", ":material/inventory_2:", "What is cached, how it was made, and whether it is intact."),
}
"""File name of a page -> title, icon, one sentence."""

GROUPS: dict[str, tuple[str, ...]] = {
    "The story": ("overview", "lesson"),
    "Explore": ("concepts", "modality", "similarity", "retrieval", "playground", "compare", "map", "exhibits"),
    "Housekeeping": ("check", "runs"),
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
    "`center`, `realign(beta=0.1)`, `zca`, `remove-top(share=0.01)`, `set(12=0)` (switch concept 12 off), `inside(layer=3,12=0)` (the same inside the model, at layer 3), `none`."
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

NOTES_HELP = "For whoever gives the lesson: what to say at this step, with the numbers it rests on."
ASK_NOTE = "Ask first and let them guess: a show of hands is enough. Then show the answer."
EXAMPLE_HELP = "Another query that the raw embeddings miss and ReAlign repairs (and the second run finds, where it asks the same queries)."
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
INSIDE_HELP = (
    "On the pooled row: the embedding loses what the concept adds to it. Inside the model: every token's state loses it at "
    "the layer the SAE reads, the rest of each state stays, and the pass goes on; what the model says changes too. "
    "A step of the variant: `inside(layer=-1,k=0)`."
)
REMOVE_HELP = "Its direction is projected out of every embedding (Eq 10 for one concept), also where the SAE did not fire. A step: `remove(k)`."
CONCEPT_HELP = "Number of the SAE latent: its row in the dictionary, from 0."
LABEL_HELP = (
    "What the concept agrees with best: ground truth in the demo world, words of the captions elsewhere. "
    "A question mark: weak agreement (F1 below 0.5). Empty: it never fires."
)

BEFORE_HELP = (
    "The variant of the sidebar is compared with this one. Another variant of all pages is chosen in the sidebar."
)
CONTROLS_COMING = "Ranking 20 random edits that match this one in number, frequency and energy of concepts."
CONTROLS_HELP = (
    "Each control edits as many other concepts, which fire about as often and as strongly, by the same factors, and is "
    "fitted and ranked like the edit itself. p: (1 + controls that end at least as far on the same side) / (1 + controls)."
)
CAUSES_COMING = "Measuring what each concept does to every query when it is switched off."
CAUSES_HELP = (
    "Attributed: failures whose margin the concept's own term outweighs. Causal: failures that succeed once it is switched "
    "off on all items. Broken: successes that fail then."
)
BY_HELP = "Cause: by the concept whose switching off repairs them. Error: by what the wrong candidate has right. Hub: by the wrong candidate."
GROUP_REPAIR_HELP = "Concepts are switched off one after the other: each time the one by which most of the group succeeds, less what breaks elsewhere."
SMALLEST_HELP = (
    "Every set of up to three of the active concepts is tried. Of the smallest that repair, the one that breaks least."
)
WHAT_IF_HELP = (
    "Each concept that is active on the query, the right or the wrong candidate is switched off on all items. q: share of "
    "false alarms among flips up to here, by 100 matched concepts (Benjamini-Hochberg). p: of the change, corrected for all rows (max-T)."
)
ERRORS: dict[str, str] = {
    "same scene": "Same scene, other number, size or place",
    "wrong background": "Right things, wrong background",
    "some things": "Some of the things",
    "wrong things": "Wrong things, right background",
    "nothing": "Neither things nor background",
}
"""Kinds of error as `failure_groups.KINDS` has them."""
STATISTICS_OF_EDITS = {
    "refitted": "Statistics are refitted after each edit.",
    "kept": "The whitening stays as it was fitted before the edit; an applied edit is fitted anew.",
}
KIND_HELP = "Failing: the best-ranked candidate is wrong under the variant of the sidebar. Fixed: wrong before, right after. Broken: right before, wrong after."
FIND_HELP = "In the query's text and id and in the texts of its relevant candidates."
STATISTICS_HELP = (
    "Where mean and covariance are estimated. Each side's own rows (released code); queries from the support split and candidates from "
    "the pool (the paper's text); or one mean and covariance over both."
)

LABELS_HELP = (
    "With labels: by cross-validation on the relevant pairs of the support split, or of half of the test queries where there is none. "
    "Without: by the means alone. Either way the test queries that are scored took no part in the choice."
)
RECOMMEND_HELP = "Fits every remedy on four fifths of the queries and ranks the last fifth, five times. Seconds for hundreds of dimensions, minutes for thousands."

SORT_HELP = "Largest first. Energy: how strongly; attribution: its part in matching pairs; bridge: on both sides of pairs; frequency: how often."

THEN_HELP = "A step of the variant that follows the removal: it is fitted on the embeddings that are left."

PAIRS_HELP = (
    "Images get captions from captions.jsonl, .csv or .tsv, or from NAME.txt beside NAME.jpg; then make the run again."
)

CHECKS_HELP = "Checks are made on the command line; the last 20 of each run are kept."
DIFFERENCE_HELP = "Length of (vector − reference) over the length of the reference: 0 is equal, 1 is as far as no vector at all. The largest of the rows looked at."
TRIED_NOTE = "Each setting alone, at the value that comes nearest. A setting that is half of the explanation leaves much and still stands high."
MOVED_NOTE = "Mean activation over the compared items, in embedding units; these vectors at the length of the run's."
NO_CHECK = "A check compares vectors from a folder or an embeddings server with the run's own model on 50 items, and names the setting that explains a difference. It is made on the command line, and shown here."

PARTS = {
    "queries": "query",
    "candidates": "candidate",
    "support_queries": "support query",
    "support_candidates": "support candidate",
}

MODALITY = {"text": "text", "image": "image", "image,text": "image and text"}

TASKS = {
    0: "a pool of several modalities", 1: "text → image", 2: "text → text", 3: "text → image + text", 4: "image → text",
    5: "image → image", 6: "image + text → text", 7: "image + text → image", 8: "image + text → image + text",
}  # fmt: skip

PLACES = {1: "first", 5: "among the first five", 10: "among the first ten"}
"""Top k, in a sentence."""

POOLINGS = {"mean": "their mean", "last": "the last of them", "max": "their maximum", "min": "their minimum"}
"""What stands for the token states of an item."""


def variant_name(expression: str) -> str:
    """The preset's name, or the expression itself."""
    return VARIANTS.get(expression, expression)


THINNED = (
    "Drawn: {shown} of {all} concepts, the strongest half of these and an even sample of the others. The CSV holds all."
)

CANCEL = "Cancel"
CANCEL_HELP = "Stop waiting. What nobody waits for is not computed to the end."
CANCELLED = "not computed: you cancelled it"
CANCELLED_TODO = "press “Compute it after all”, or go on to another page"
RESUME = "Compute it after all"
COMPUTED: dict[str, str] = {
    "beta_sweep": "recall over shrinkage",
    "candidate_list": "the ranking of this query",
    "claims": "the study's claims",
    "compare": "both rankings of all queries",
    "concept": "what this concept fires on",
    "contest": "the ranking of this query",
    "evaluate": "the ranking of all queries",
    "fidelity": "how well the SAE stands for the embeddings",
    "gain_split": "where whitening's gain comes from",
    "query_list": "the ranking of all queries",
    "rankings": "both rankings of this query",
    "recommend": "what every remedy does",
    "removal_curve": "recall after removals",
    "table": "the measures of all concepts",
}
"""What a page waits for, by the question it asks; exhibits go by their titles."""


def waiting(kind: str, seconds: float, left: float | None, took: float | None, begun: bool) -> str:
    """What is computed, for how long, and how much longer. `left`: seconds, from what is done; `took`: seconds the
    last time."""
    what = COMPUTED.get(kind, kind if " " in kind else "")
    so_far = f"{round(seconds)} s so far"
    if not begun:
        return f"Another computation comes first, {so_far}."
    if left is not None:
        rest = f"about {max(1, round(left))} s left, at the rate so far"
    else:
        rest = "" if took is None else f"about {max(1, round(took))} s the last time"
    return f"Computing{f': {what}' if what else ''}, {', '.join(filter(None, (so_far, rest)))}. The answer is kept."
