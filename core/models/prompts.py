"""Prompts: how an item is presented to a model. One style per kind of prompt; the study's is one of them
(docs/study.md section 2).

In: an item (modality, task, side) and the name of a style. Out: the content parts of one user turn, which of their
characters are the instruction, and what stands around them (`turns.py`). The study's instructions end in a blank.

Every style says where it is documented. `retriever_prompts.py` holds those of fine-tuned retrievers,
`zero_shot_prompts.py` other training-free ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import SpecError
from core.models.retriever_prompts import RETRIEVERS
from core.models.turns import Frame, Prompt, Style, bare, with_instruction
from core.models.zero_shot_prompts import ZERO_SHOT
from core.records import Item

__all__ = ["STYLES", "Frame", "Prompt", "Style", "prompt_of", "resolve_style"]

TEXT = "\nSummarize the above sentence in one word: "
IMAGE = "\nSummarize the above image in one word: "
BOTH_SENTENCE = "\nSummarize above image and sentence in one word: "
BOTH_QUESTION = "\nSummarize the above image with the question in one word: "
BOTH_THE_SENTENCE = "\nSummarize the above image and the sentence in one word: "


def prompt_of(item: Item, preset: str) -> Prompt:
    """The turn of one item in a style of `STYLES`."""
    return STYLES[preset].prompt(item)


def resolve_style(preset: str, own: str | None, name: str) -> str:
    """Key of `STYLES` for a `[model] preset`.

    Args:
        own: style of the model's row of the table; None for a model that has none.
        name: the model, for the message.

    Raises:
        SpecError: `own` of a model whose prompts are not known.
    """
    if preset == "auto":
        return own or "study"
    if preset != "own":
        return preset
    if own is None:
        allowed = ", ".join(repr(style) for style in STYLES)
        raise SpecError(f"no prompts of {name} itself are known", got='model.preset = "own"', allowed=allowed)
    return own


# The study
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    instruction: str
    joined: bool = False
    """Text and instruction are one content part."""


_SINGLE = {"text": _Row(TEXT), "image": _Row(IMAGE)}
_FUSED = {
    (3, "candidate"): _Row(BOTH_SENTENCE, joined=True),
    (6, "query"): _Row(BOTH_SENTENCE, joined=True),
    (7, "query"): _Row(BOTH_QUESTION),
    (8, "query"): _Row(BOTH_THE_SENTENCE),
    (8, "candidate"): _Row(BOTH_THE_SENTENCE),
}
_FUSED_ELSEWHERE = _FUSED[8, "query"]
"""Items with image and text on a side where the study has none (own folders): worded as task 8."""


def _study(item: Item) -> Prompt:
    """The study's parts."""
    row = (
        _FUSED.get((item.task, item.side), _FUSED_ELSEWHERE)
        if item.modality == "image,text"
        else _SINGLE[item.modality]
    )
    if row.joined:
        return with_instruction(item, row.instruction)
    plain = bare(item)
    return Prompt((*plain.parts, row.instruction), plain.text if item.modality != "image" else "", row.instruction)


STYLES: dict[str, Style] = {
    "study": Style(_study, "mean", "arXiv 2512.19115, released code"),
    "chat": Style(bare, "mean", "the model's own chat template around the bare item"),
    **RETRIEVERS,
    **ZERO_SHOT,
}
"""Every style by the name `[model] preset` gives it."""
