"""Which token is what: image, the item's own text, the study's instruction, or template.

The processor replaces one image placeholder by many image tokens. So the rendered string is tokenised once more as it
stands, with character offsets, and aligned with what the model gets: both sequences agree before the placeholder and
after it; what is left over in the model's sequence is the image (or its start and end marks). A token belongs to the
part that holds its first visible character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.models.prompts import Prompt
from core.records import TokenRole


@dataclass(frozen=True)
class Labels:
    """Role and written form of each token of one item; image tokens are written ""."""

    roles: list[TokenRole]
    texts: list[str]


def label(
    ids: Sequence[int], plain_ids: Sequence[int], offsets: Sequence[tuple[int, int]], rendered: str, prompt: Prompt,
    image_ids: frozenset[int], tail: int = 0,
) -> Labels:  # fmt: skip
    """Label the tokens of one item.

    Args:
        ids: what the model gets, padding left out.
        plain_ids: tokens of `rendered` with its single placeholder, same special tokens.
        offsets: characters of `rendered` each of `plain_ids` covers.
        image_ids: ids that stand for image content.
        tail: characters the template puts behind the user's words.
    """
    spans = _spans(rendered, prompt, len(rendered) - tail)
    roles: list[TokenRole] = ["image" if i in image_ids else "template" for i in ids]
    texts = [""] * len(ids)
    written = written_form(offsets, rendered)
    for at, plain_at in _align(ids, plain_ids):
        if roles[at] != "image":
            roles[at] = _role(offsets[plain_at], rendered, spans)
            texts[at] = written[plain_at]
    return Labels(roles, texts)


def _align(ids: Sequence[int], plain: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of positions that agree: the common start, then the common end."""
    shorter = min(len(ids), len(plain))
    head = next((i for i in range(shorter) if ids[i] != plain[i]), shorter)
    tail = next((i for i in range(shorter - head) if ids[-1 - i] != plain[-1 - i]), shorter - head)
    return [(i, i) for i in range(head)] + [(len(ids) - i, len(plain) - i) for i in range(tail, 0, -1)]


def written_form(offsets: Sequence[tuple[int, int]], rendered: str) -> list[str]:
    """Stretch of `rendered` up to the end of each token, so that the texts put together give it back."""
    texts, done = [], 0
    for _, end in offsets:
        texts.append(rendered[done : max(end, done)])
        done = max(end, done)
    return texts


def _spans(rendered: str, prompt: Prompt, end: int) -> list[tuple[TokenRole, int, int]]:
    """Where the item's words and the instruction stand in the rendered string; a template may have stripped them."""
    spans: list[tuple[TokenRole, int, int]] = []
    pieces: tuple[tuple[TokenRole, str], ...] = (
        ("prompt", prompt.instruction), ("text", prompt.text), ("prompt", prompt.lead),
    )  # fmt: skip
    for role, words in pieces:
        for form in (words, words.rstrip(), words.lstrip(), words.strip()):
            at = rendered.rfind(form, 0, end) if form else -1
            if at >= 0:
                spans.append((role, at, at + len(form)))
                end = at
                break
    return spans


def _role(offset: tuple[int, int], rendered: str, spans: list[tuple[TokenRole, int, int]]) -> TokenRole:
    """The part of the prompt that holds the first visible character of a token."""
    start, end = offset
    if start == end:
        return "template"
    piece = rendered[start:end]
    at = start + len(piece) - len(piece.lstrip()) if piece.strip() else start
    return next((role for role, low, high in spans if low <= at < high), "template")
