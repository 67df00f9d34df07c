"""The language of the demo world: captions of a scene, questions about it, and plain sentences.

In:  a `Scene` (ground truth) and a `random.Random`.
Out: lower-case English without a final full stop.

A caption always names every thing, how many there are when more than one, and the background; it names sizes, the
relation, or the place of a single thing at random. It never says anything that is not so.
"""

from __future__ import annotations

from random import Random

from core.world.scenes import NAMES, SIDE, THINGS, Direction, Placement, Relation, Scene

NUMBERS = ("no", "one", "two", "three", "four")
INVERSE: dict[Direction, Direction] = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("big", "large", "huge")}
WHERE: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "at the beach", "on a sandy beach"),
    "snow": ("in the snow", "on the snow", "in deep snow"),
    "night": ("at night", "in the night", "on a starry night"),
    "water": ("under water", "deep under the water", "under the blue water"),
    "desert": ("in the desert", "in a hot desert", "in a dry desert"),
    "forest": ("in the forest", "in a dark forest", "in a forest"),
    "city": ("in the city", "in a big city", "on a city street"),
    "kitchen": ("in the kitchen", "in a kitchen", "in a bright kitchen"),
    "field": ("in a field", "in a green field", "on a sunny field"),
    "stage": ("on a stage", "on the stage", "on a red stage"),
}
_FRAMES = (
    "{things} {where}",
    "{things} {where}",
    "{where}, {things}",
    "{where} there {be} {things}",
    "there {be} {things} {where}",
    "a picture of {things} {where}",
    "a photo of {things} {where}",
    "this shows {things} {where}",
    "you can see {things} {where}",
    "here {be} {things} {where}",
    "we find {things} {where}",
    "a scene {where} with {things}",
)
PLACES = {
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "middle": ("in the middle", "in the centre"),
}


def with_article(noun: str) -> str:
    """'a dog', 'an apple'."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def join(parts: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentences(parts: list[str]) -> str:
    """'a.', 'a. b.', 'a. b. c.'."""
    return ". ".join(parts) + "."


def amount(name: str, count: int, adjective: str = "") -> str:
    """'a dog', 'two dogs', 'three small dogs'."""
    noun = THINGS[name].name if count == 1 else THINGS[name].plural
    phrase = f"{adjective} {noun}".strip()
    return with_article(phrase) if count == 1 else f"{NUMBERS[count]} {phrase}"


def definite(name: str, count: int) -> str:
    """'the dog', 'the dogs'."""
    return f"the {THINGS[name].name if count == 1 else THINGS[name].plural}"


def captions(scene: Scene, rng: Random, n: int = 2) -> tuple[str, ...]:
    """`n` captions of the scene, all different."""
    texts: dict[str, None] = {}
    while len(texts) < n:
        texts[caption(scene, rng)] = None
    return tuple(texts)


def caption(scene: Scene, rng: Random) -> str:
    """One true sentence that names every thing and the background."""
    things, plural = _things_phrase(scene, rng)
    frame = rng.choice(_FRAMES)
    return frame.format(things=things, where=rng.choice(WHERE[scene.background]), be="are" if plural else "is")


def _things_phrase(scene: Scene, rng: Random) -> tuple[str, bool]:
    """All things of the scene as one phrase, and whether its verb is plural."""
    if scene.relation and len(scene.things) == 2 and rng.random() < 0.4:
        return _relation_phrase(scene, scene.relation, rng), False
    names = rng.sample(scene.things, len(scene.things))
    parts = [_one_kind(scene, name, rng) for name in names]
    plural = scene.counts[names[0]] > 1
    if len(parts) == 2 and rng.random() < 0.35:
        return f"{parts[0]} {rng.choice(('with', 'and also', 'next to', 'together with'))} {parts[1]}", plural
    phrase = join(parts)
    if len(scene.placements) == 1 and rng.random() < 0.3:
        phrase = f"{phrase} {rng.choice(PLACES[side_of(scene.placements[0])])}"
    return phrase, plural


def _one_kind(scene: Scene, name: str, rng: Random) -> str:
    adjective = rng.choice(SIZE_WORDS[scene.sizes[name]]) if rng.random() < 0.3 else ""
    return amount(name, scene.counts[name], adjective)


def _relation_phrase(scene: Scene, relation: Relation, rng: Random) -> str:
    """'a dog to the left of a cat' or the same seen from the cat."""
    first, word, second = relation.subject, relation.word, relation.object
    if rng.random() < 0.5:
        first, word, second = second, INVERSE[word], first
    return f"{_one_kind(scene, first, rng)} {spelled(word)} {_one_kind(scene, second, rng)}"


def spelled(word: str) -> str:
    """A relation inside a sentence: 'above', 'to the left of'."""
    return f"to the {word}" if word.endswith("of") else word


def side_of(placement: Placement) -> str:
    """Left, middle or right third of the picture."""
    return ("left", "middle", "right")[min(2, placement.x * 3 // SIDE)]


def questions(scene: Scene, rng: Random) -> tuple[str, str]:
    """A question about the scene and its short answer."""
    asks = [_ask_where, _ask_how_many, _ask_is_there, _ask_what, _ask_size, _ask_kind, _ask_group]
    if scene.relation:
        asks += [_ask_relation, _ask_relation]
    return rng.choice(asks)(scene, rng)


def _ask_where(scene: Scene, rng: Random) -> tuple[str, str]:
    return rng.choice(("where is this?", "where are we?", "what place is this?")), WHERE[scene.background][0]


def _ask_how_many(scene: Scene, rng: Random) -> tuple[str, str]:
    missing = rng.random() < 0.15
    name = absent(scene, rng) if missing else rng.choice(scene.things)
    return f"how many {THINGS[name].plural} are there?", NUMBERS[scene.counts.get(name, 0)].replace("no", "none")


def _ask_is_there(scene: Scene, rng: Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        return f"is there {with_article(absent(scene, rng))}?", "no"
    return f"is there {with_article(rng.choice(scene.things))}?", "yes"


def _ask_what(scene: Scene, rng: Random) -> tuple[str, str]:
    question = rng.choice(("what is in the picture?", "what can you see?", "what things are there?"))
    return question, join([amount(name, scene.counts[name]) for name in scene.things])


def _ask_size(scene: Scene, rng: Random) -> tuple[str, str]:
    name = rng.choice(scene.things)
    verb = "is" if scene.counts[name] == 1 else "are"
    return f"{verb} {definite(name, scene.counts[name])} big or small?", "big" if scene.sizes[
        name
    ] == "large" else "small"


def _ask_kind(scene: Scene, rng: Random) -> tuple[str, str]:
    name = rng.choice(scene.things)
    return f"what kind of thing is {definite(name, 1)}?", with_article(THINGS[name].group)


def _ask_group(scene: Scene, rng: Random) -> tuple[str, str]:
    name = rng.choice(scene.things)
    same = [other for other in scene.things if THINGS[other].group == THINGS[name].group]
    return f"which {THINGS[name].group} is there?", join([amount(other, scene.counts[other]) for other in same])


def _ask_relation(scene: Scene, rng: Random) -> tuple[str, str]:
    relation = scene.relation
    assert relation is not None
    first, word, second = relation.subject, relation.word, relation.object
    if rng.random() < 0.5:
        first, word, second = second, INVERSE[word], first
    return f"where is {definite(first, 1)}?", f"{spelled(word)} {definite(second, 1)}"


def absent(scene: Scene, rng: Random) -> str:
    """A thing that is not in the scene."""
    while (name := rng.choice(NAMES)) in scene.things:
        pass
    return name


def fact(rng: Random) -> str:
    """A sentence that is true of the world without any picture."""
    name = rng.choice(NAMES)
    thing = THINGS[name]
    if rng.random() < 0.5:
        return f"{with_article(name)} is {with_article(thing.group)}"
    other = rng.choice([n for n in NAMES if THINGS[n].group == thing.group])
    return f"{with_article(name)} and {with_article(other)} are both of the {thing.group} kind"
