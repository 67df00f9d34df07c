"""What a style of prompts is made of: the parts of one user turn, and what stands around them.

In: an item (modality, task, side). Out: the content parts of the turn in order, and which of their characters are the
instruction. The chat template concatenates the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from core.records import Item


@dataclass(frozen=True)
class Frame:
    """What stands around the parts of a turn.

    Attributes:
        system: words of a system turn before it; None leaves that to the chat template.
        answer: whether the model's own turn is opened behind it (the template's generation prompt).
        ending: characters behind everything, such as the end token that is pooled.
        written: what stands before and behind, for models embedded without a chat template; None takes the processor's
            template.
    """

    system: str | None = None
    answer: bool = False
    ending: str = ""
    written: tuple[str, str] | None = None


@dataclass(frozen=True)
class Prompt:
    """One user turn.

    Attributes:
        parts: content in order; None stands for the image.
        text: the item's own words, "" for an image.
        instruction: what asks for the summary, behind those words; "" in the `chat` style.
        lead: the part of the instruction that stands before those words.
        frame: what stands around the parts.
    """

    parts: tuple[str | None, ...]
    text: str
    instruction: str
    lead: str = ""
    frame: Frame = Frame()

    @property
    def has_image(self) -> bool:
        return None in self.parts


@dataclass(frozen=True)
class Style:
    """A way of asking.

    Attributes:
        turn: the turn of an item, frame left out.
        pooling: how the states become one row where the user names no pooling.
        source: where it is documented.
        frame: what stands around every turn.
        query_frame: what stands around the turn of a query, where that differs.
        pixels: smallest and largest area an image is resized to; None leaves that to the processor.
    """

    turn: Callable[[Item], Prompt]
    pooling: str
    source: str
    frame: Frame = Frame()
    pixels: tuple[int, int] | None = None
    query_frame: Frame | None = None

    def prompt(self, item: Item) -> Prompt:
        """The turn of one item, its frame around it."""
        own = self.query_frame if item.side == "query" and self.query_frame is not None else self.frame
        return replace(self.turn(item), frame=own)


def with_instruction(item: Item, instruction: str, lead: str = "") -> Prompt:
    """Image, then lead, words and instruction as one part."""
    text = item.text or "" if item.modality != "image" else ""
    image: tuple[str | None, ...] = (None,) if item.modality != "text" else ()
    words = lead + text + instruction
    return Prompt((*image, words) if words else image, text, instruction, lead)


def bare(item: Item) -> Prompt:
    """The item and nothing else."""
    text = item.text or ""
    return Prompt(
        (*([None] if item.modality != "text" else []), *([text] if item.modality != "image" else [])), text, ""
    )
