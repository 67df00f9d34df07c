"""Other ways to put an item to a model: what stands around a turn, how an item becomes one, how an image gets lost.

Frames are the setting "template", turns the setting "instruction". A key names each; the empty key is the run's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.models.prompts import STYLES, Frame, Prompt, Style
from core.questions.check.conditions import AS_TEXT, BLACK_IMAGE, EMPTY_TEXT, NO_IMAGE, Conditions, PictureSize
from core.records import Item, Side

HELPFUL = "You are a helpful assistant."
BARE = "none, the bare item"
OTHER_SIDE: dict[Side, Side] = {"query": "candidate", "candidate": "query"}


def frames(style: Style, end: str | None) -> dict[str, Frame]:
    """What a server may have put around the turns instead of the style's frame, by a name for it.

    Args:
        end: the tokenizer's end-of-sequence token, where it has one.
    """
    own = style.frame
    named = {
        "no chat template": Frame(written=("", "")),
        "with the answer header": replace(own, answer=True),
        "without the answer header": replace(own, answer=False),
        "an empty system turn": replace(own, system=""),
        f"system turn {HELPFUL!r}": replace(own, system=HELPFUL),
        "the model's own system turn": replace(own, system=None),
        "without the end token": replace(own, ending=""),
    }
    named |= {f"with the end token {end!r}": replace(own, ending=end)} if end else {}
    named |= {f"the frame of {name!r}": other.frame for name, other in STYLES.items()}
    return _distinct(named, own)


def turns(style: Style) -> dict[str, Callable[[Item], Prompt]]:
    """How else an item may have become a turn, by a name for it."""
    named: dict[str, Callable[[Item], Prompt]] = {BARE: STYLES["chat"].turn}
    named |= {f"that of {name!r}": other.turn for name, other in STYLES.items()}
    named |= {"without white space at its end": lambda item: _stripped(style.turn(item))}
    named |= {"in front of the item": lambda item: _in_front(style.turn(item))}
    return _distinct(named, style.turn)


def _distinct(named: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """The values that differ from the own one and from each other; the first name of each counts."""
    kept: dict[str, Any] = {}
    for name, value in named.items():
        if value != own and value not in kept.values():
            kept[name] = value
    return kept


def _stripped(prompt: Prompt) -> Prompt:
    """Without the white space that ends the last part: templates and clients that trim."""
    *rest, last = prompt.parts
    return replace(prompt, parts=(*rest, last.rstrip() if last is not None else None))


def _in_front(prompt: Prompt) -> Prompt:
    """The instruction as first part, where it was a part of its own."""
    if len(prompt.parts) < 2 or prompt.parts[-1] != prompt.instruction:
        return prompt
    return replace(prompt, parts=(prompt.instruction, *prompt.parts[:-1]))


def style_under(conditions: Conditions, style: Style, end: str | None) -> Style:
    """The style that conditions ask for."""
    turn = turns(style)[conditions.turn] if conditions.turn else style.turn
    frame = frames(style, end)[conditions.frame] if conditions.frame else style.frame
    if conditions.image == NO_IMAGE:
        turn = _without_image(turn)
    # A frame that was asked for stands around the turns of both sides.
    return replace(style, turn=turn, frame=frame, query_frame=None if conditions.frame else style.query_frame)


def _without_image(turn: Callable[[Item], Prompt]) -> Callable[[Item], Prompt]:
    """The turn of an item with an image, that image left out: for items that `put` has marked so."""

    def turned(item: Item) -> Prompt:
        if item.modality != "text" or item.image is None:
            return turn(item)
        whole = turn(replace(item, modality="image,text" if item.text else "image"))
        return replace(whole, parts=tuple(part for part in whole.parts if part is not None) or ("",))

    return turned


def put(item: Item, conditions: Conditions, sent: Mapping[str, str]) -> Item:
    """The item as it would reach the model under these conditions; the token limit on its own text is left out.

    Args:
        sent: name -> what could stand in place of this item's image, where it has one.
    """
    if conditions.other_side:
        item = replace(item, side=OTHER_SIDE[item.side])
    if item.modality == "text":
        return item
    if conditions.image == NO_IMAGE:
        return replace(item, modality="text")  # the image stays beside it: `_without_image` knows it by that
    if conditions.image == EMPTY_TEXT:
        return replace(item, modality="text", text=item.text or "", image=None)
    if conditions.image.startswith(AS_TEXT):
        string = sent[conditions.image.removeprefix(AS_TEXT)]
        return replace(item, modality="text", text=f"{string}\n{item.text}" if item.text else string, image=None)
    picture = item.picture
    if conditions.image == BLACK_IMAGE:
        from PIL import Image

        picture = Image.new("RGB", picture.size)
    if conditions.size is not None and conditions.size.kind != "area":
        picture = resized(picture, conditions.size)
    return replace(item, image=picture)


def resized(picture: Any, size: PictureSize) -> Any:
    """The picture at that size; one that is smaller already stays as it is where only its longest side is limited."""
    from PIL import Image

    how = Image.Resampling[size.filter.upper()]
    if size.kind == "square":
        return picture.resize((size.side, size.side), how)
    scale = size.side / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), how)
