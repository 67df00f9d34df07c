"""Prompts of training-free embeddings beside the study's: what others ask a generating model for.

- `hierarchical` (arXiv 2508.00955, code github.com/yeongjoonJu/Gen2Embed, files seen): the task stands in a system
  turn, a query is asked for once more behind its words, the model's turn is opened and its last token is read. Its
  queries also carry the instruction of their data set, which is no part of an item here.
- `freeret` (arXiv 2509.24621, sections 3.2 and 3.3, figure 3): the answer of one word is controlled by three
  constraints: the task, the content, no function words. It is read before the last MLP: `sublayers = ["attention"]`.
  The hint "Favor the topic of the news" of the figure belongs to its data set and is left out. Not printed, so
  ours: that the words follow the item, the chat template around them, what an item is called, and that no final norm
  is applied.
"""

from __future__ import annotations

from core.models.turns import Frame, Prompt, Style, with_instruction
from core.records import Item, Modality

SYSTEM = "Given an image, summarize the provided image in one word. Given only text, describe the text in one word."
"""The upper level of the hierarchical prompt, as its README passes it to queries and candidates."""


def hierarchical(item: Item) -> Prompt:
    """The bare item; a query is also asked to be represented in one word."""
    if item.side != "query":
        return with_instruction(item, "")
    what = "text" if item.modality == "text" else "text/image"
    return with_instruction(item, f"\nRepresent the given {what} in one word.")


_NAMES: dict[Modality, str] = {"text": "sentence", "image": "image", "image,text": "image and the sentence"}
_SIDES: dict[int, tuple[Modality, Modality]] = {
    1: ("text", "image"),
    2: ("text", "text"),
    3: ("text", "image,text"),
    4: ("image", "text"),
    5: ("image", "image"),
    6: ("image,text", "text"),
    7: ("image,text", "image"),
    8: ("image,text", "image,text"),
}
"""Modalities of queries and candidates of M-BEIR's tasks (docs/study.md section 8)."""


def freeret(item: Item) -> Prompt:
    """Task alignment, semantic grounding, noise suppression, behind the item."""
    query, candidate = (_NAMES[modality] for modality in _SIDES[item.task])
    other = f"the other {candidate}" if query == candidate else f"the {candidate}"
    own = _NAMES[item.modality]
    return with_instruction(
        item,
        f"\nYou are required to assess if the {query} is related to {other}. Based on the {own}, output one word:"
        f"\n\u2022 Capture the semantics of the {own}."
        "\n\u2022 Do not use function words, prepositions, or symbols.",
    )


ZERO_SHOT: dict[str, Style] = {
    "hierarchical": Style(
        hierarchical,
        "last",
        "arXiv 2508.00955, README.md and src/model_utils.py of github.com/yeongjoonJu/Gen2Embed",
        Frame(system=SYSTEM, answer=True),
    ),
    "freeret": Style(freeret, "last", "arXiv 2509.24621, section 3.3 and figure 3", Frame(answer=True)),
}
"""Their styles by name."""
