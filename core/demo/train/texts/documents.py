"""Documents: what the decoder reads before it sees a picture.

In:  a number; nothing else.
Out: `document(index)`: one to about eight sentences of lower-case English, none about a picture.
"""

from __future__ import annotations

from core import world
from core.demo.train.texts import about_scenes, general

TEXT_SEED = 2  # of the world's scenes that documents are about


def document(index: int) -> str:
    """Document number `index`."""
    rng = world.stream("document", index, seed=TEXT_SEED)
    with_scene, without = list(about_scenes.KINDS), list(general.KINDS)
    weights = [*about_scenes.KINDS.values(), *general.KINDS.values()]
    # One draw over both lists: the order of the kinds and their weights decide what every document is.
    at = rng.choices(range(len(weights)), weights)[0]
    if at < len(with_scene):
        return with_scene[at](world.scene("train", index, TEXT_SEED), rng)
    return without[at - len(with_scene)](rng)
