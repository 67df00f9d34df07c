"""The study's parts, row by row of its table."""

from __future__ import annotations

import pytest

from core.models.prompts import prompt_of
from core.models.tokens import label
from core.records import Item, Modality, Side

ROWS = [
    ("text", 1, "query", ("a fox", "\nSummarize the above sentence in one word: ")),
    ("text", 4, "candidate", ("a fox", "\nSummarize the above sentence in one word: ")),
    ("image", 4, "query", (None, "\nSummarize the above image in one word: ")),
    ("image,text", 3, "candidate", (None, "a fox\nSummarize above image and sentence in one word: ")),
    ("image,text", 6, "query", (None, "a fox\nSummarize above image and sentence in one word: ")),
    ("image,text", 7, "query", (None, "a fox", "\nSummarize the above image with the question in one word: ")),
    ("image,text", 8, "query", (None, "a fox", "\nSummarize the above image and the sentence in one word: ")),
    ("image,text", 8, "candidate", (None, "a fox", "\nSummarize the above image and the sentence in one word: ")),
    ("image,text", 4, "query", (None, "a fox", "\nSummarize the above image and the sentence in one word: ")),
]


@pytest.mark.parametrize(("modality", "task", "side", "parts"), ROWS)
def test_parts(modality: Modality, task: int, side: Side, parts: tuple[str | None, ...]) -> None:
    item = Item("x", modality, None if modality == "image" else "a fox", None, task, side)
    prompt = prompt_of(item, "study")
    assert prompt.parts == parts
    assert parts[-1].endswith(prompt.instruction)
    assert prompt.has_image == (modality != "text")
    bare = prompt_of(item, "chat")
    assert bare.instruction == ""
    assert bare.parts == tuple(
        p for p in ((None,) if modality != "text" else ()) + (("a fox",) if modality != "image" else ())
    )


def test_labels_of_hand_made_tokens() -> None:
    item = Item("x", "image,text", "fox fox", None, 7, "query")
    prompt = prompt_of(item, "study")
    rendered = f"<u>§fox fox{prompt.instruction}<e>"
    # one token per character here; the placeholder § (id 9) becomes three image tokens between two marks (7, 8)
    plain = [9 if c == "§" else ord(c) for c in rendered]
    ids = plain[:3] + [7, 9, 9, 9, 8] + plain[4:]
    offsets = [(i, i + 1) for i in range(len(rendered))]
    labels = label(ids, plain, offsets, rendered, prompt, frozenset({9}), tail=3)
    assert (
        labels.roles
        == ["template"] * 4
        + ["image"] * 3
        + ["template"]
        + ["text"] * 7
        + ["prompt"] * len(prompt.instruction)
        + ["template"] * 3
    )
    assert labels.texts[4:7] == ["", "", ""]
    assert "".join(labels.texts) == rendered.replace("§", "")


def test_a_token_across_the_border_belongs_to_its_first_visible_character() -> None:
    prompt = prompt_of(Item("x", "text", "a fox."), "study")
    rendered = "a fox." + prompt.instruction
    offsets = [(0, 5), (5, 7), (7, len(rendered))]  # "a fox", ".\n", the rest
    labels = label([1, 2, 3], [1, 2, 3], offsets, rendered, prompt, frozenset())
    assert labels.roles == ["text", "text", "prompt"]
    assert labels.texts == ["a fox", ".\n", prompt.instruction[1:]]
