"""The choices that make a view, where tables compare them: what each is called, and in which one two views differ."""

from __future__ import annotations

from core.records import EmbeddingView

VIEW_KINDS = {
    "layer": "layer",
    "pooling": "pooling",
    "mask": "token mask",
    "norm": "final norm",
    "sublayer": "sublayer",
}
"""Field of a view -> what a row that differs in it is called."""
VIEW_SETTINGS = {
    "layer": "layers = [1, 2, 3, -1]",
    "pooling": 'poolings = ["mean", "last", "max", "min"]',
    "mask": 'masks = ["all", "no-image", "no-prompt"]',
    "norm": 'norms = ["after", "before"]',
    "sublayer": 'sublayers = ["block", "attention"]',
}
_WORDS = {
    ("norm", "before"): "before the final norm",
    ("norm", "after"): "after the final norm",
    ("sublayer", "attention"): "attention output, before the MLP",
    ("sublayer", "block"): "output of the whole layer",
}
"""What a row is called that differs in a choice whose bare value would say little."""
PLACES = ("norm", "sublayer")
"""Choices younger than the table: a run that stores none of them has the answers it had."""


def called(field: str, view: EmbeddingView) -> str:
    """How a row is called that differs in that choice: `layer 3`, `before the final norm`."""
    value = getattr(view, field)
    return _WORDS.get((field, value), f"{field} {value}")


def differs_in(first: EmbeddingView, view: EmbeddingView) -> str:
    """The single choice in which a view differs from the first; empty for more than one.

    An answer has no other mask, and a state between attention and MLP no other norm.
    """
    idle = {"mask"} if view.pooling == "answer" else set()
    idle |= {"norm"} if "attention" in {view.sublayer, first.sublayer} else set()
    changed = [name for name in VIEW_KINDS if name not in idle and getattr(view, name) != getattr(first, name)]
    return changed[0] if len(changed) == 1 else ""
