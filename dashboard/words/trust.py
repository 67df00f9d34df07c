"""Words on how far an explanation by concepts can be trusted, and on what a similarity comes from token by token."""

# ruff: noqa: E501 (a help text is one string)

from __future__ import annotations

OWN, TOKENS = "own SAE", "tokens"
"""Of the choice `through`: the run's own SAE, and the tokens that the embedding is the mean of."""
WAYS: dict[str, str] = {OWN: "The run’s SAE", TOKENS: "Tokens: patches and words"}
"""What a similarity can be taken apart into, where its name is not its own."""
THROUGH = "Way of explaining"
THROUGH_HELP = "Concepts of the run’s SAE, of another SAE of the same model, or plain directions fitted on the run; or the tokens that the embedding is the mean of. All add up to the same number."

PARTS = {"concepts": "concepts", "error": "SAE error", "offset": "offset"}
BAR_HELP = (
    "What adds up to the number: all concepts together; what the dictionary does not explain of either item (its two errors); "
    "and the offset, which every item of a side shares."
)
RULE_HELP = (
    "Concepts are named as the reason only where the two SAE errors, by their sizes, are at most the margin of a comparison, or half of the similarity of a pair. "
    "The limits are ours."
)

UNEXPLAINED_MARGIN = "The {winner} candidate is ahead by {total:.4f}, and {dictionary} cannot explain it: its errors are {size:.4f}, more than the margin"
UNEXPLAINED_PAIR = (
    "Similarity {total:.4f}, and {dictionary} cannot explain it: its errors are {size:.4f}, more than half of it"
)
BY_OFFSET_MARGIN = "The {winner} candidate is ahead by {total:.4f}, above all by the offset ({offset:+.4f}), which no concept holds; of the concepts by {name} ({value:+.4f})"
BY_OFFSET_PAIR = "Similarity {total:.4f}: the offset holds {offset:+.4f} of it; of the concepts, {name} contributes most, {value:+.4f}"
BY_CONCEPT_MARGIN = "The {winner} candidate is ahead by {total:.4f}, above all by {name} ({value:+.4f})"
BY_CONCEPT_PAIR = "Similarity {total:.4f}: {name} contributes {value:+.4f}"
NO_CONCEPT = "No concept fires on these items."
INSTEAD = "Take it apart another way:"

ROLES = {
    "image": "image patches",
    "text": "own words",
    "prompt": "instruction",
    "template": "chat template",
    "offset": "offset",
}
SPLIT_HELP = "The embedding is the mean of the states of all tokens, so each token adds its own part to the similarity. The parts and the offset sum to it."
SPLIT_NOTE = "Each map: what this item’s tokens add to the similarity, the other item as it is. Hover a patch or a word for its number."
OFFSET_NOTE = "Offset: what no token brings, such as the mean that the variant subtracts."
CONCEPT_NOTE = "Split of one concept: its pre-activation on each token (the encoder’s row times the token’s state, plus its bias), times what one unit of it is worth in this similarity. Query and candidate hold a half each."
MISMATCH = "The model gives this item another embedding than the stored one (apart by {share} of its length): another version, or other settings. The difference is in the offset."
OF_WHOLE = "the whole similarity"
DEPTH = "Layer by layer"
DEPTH_HELP = "The same split at every layer, raw. Share of an embedding: part times whole, over the square of its length; adds up to 1 and may be negative."
DEPTH_OF = {"similarity": "Similarity", "query": "Query", "candidate": "Right candidate"}


def way(name: str) -> str:
    """A way to take a similarity apart, as a choice."""
    return WAYS.get(name, name)


def dictionary(name: str) -> str:
    """A dictionary in a sentence: `the SAE`, `PCA directions`."""
    return "the SAE" if name == OWN else name


def error(name: str) -> str:
    """What a dictionary leaves unexplained."""
    return "SAE error" if name == OWN or name.startswith("SAE") else "error"
