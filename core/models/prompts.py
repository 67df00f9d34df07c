"""The study's prompts: one table (docs/study.md section 2).

In: an item (modality, task, side) and a preset. Out: the content parts of one user turn, and which of their characters are the
instruction. A trailing space follows each colon; parts are concatenated by the chat template.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.records import Item

TEXT = "\nSummarize the above sentence in one word: "
IMAGE = "\nSummarize the above image in one word: "
BOTH_SENTENCE = "\nSummarize above image and sentence in one word: "
BOTH_QUESTION = "\nSummarize the above image with the question in one word: "
BOTH_THE_SENTENCE = "\nSummarize the above image and the sentence in one word: "


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


@dataclass(frozen=True)
class Prompt:
    """One user turn.

    Attributes:
        parts: content in order; None stands for the image.
        text: the item's own words, "" for an image.
        instruction: what asks for the summary, "" in the `chat` preset.
    """

    parts: tuple[str | None, ...]
    text: str
    instruction: str

    @property
    def has_image(self) -> bool:
        return None in self.parts


def prompt_of(item: Item, preset: str) -> Prompt:
    """The turn of one item: the study's parts, or the bare item."""
    text = item.text or ""
    own: tuple[str | None, ...] = (*([None] if item.modality != "text" else []), *([text] if item.modality != "image" else []))
    if preset == "chat":
        return Prompt(own, text, "")
    row = _row(item)
    if row.joined:
        return Prompt((None, text + row.instruction), text, row.instruction)
    return Prompt((*own, row.instruction), text if item.modality != "image" else "", row.instruction)


def _row(item: Item) -> _Row:
    if item.modality == "image,text":
        return _FUSED.get((item.task, item.side), _FUSED_ELSEWHERE)
    return _SINGLE[item.modality]
