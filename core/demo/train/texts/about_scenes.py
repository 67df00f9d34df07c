"""Text about a scene: descriptions, notes, a map in words, questions with answers, a wish and its outcome.

In: a scene and a random stream. Out: lower-case English. Everything it says of the scene is so.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from core import world
from core.demo.train.texts.lexicon import COLOUR_OF, TRAITS
from core.world.grammar import (
    NUMBERS,
    PLACES,
    SIZE_WORDS,
    WHERE,
    absent,
    amount,
    definite,
    join,
    sentences,
    side_of,
    spelled,
    with_article,
)
from core.world.scenes import Scene

MAP_SIDE = 4  # cells of a map in words, each way


def description(scene: Scene, rng: Random) -> str:
    """Two to five true sentences about a scene: a caption, then what else can be said of it."""
    rest = details(scene, rng)
    first = world.caption(scene, rng)
    if rng.random() < 0.5:
        first = place_sentence(scene, rng) if rng.random() < 0.5 else first
        rest = [naming_sentence(scene, rng), *rest]
    return sentences([first, *rest[: rng.randint(1, 3)]])


def place_sentence(scene: Scene, rng: Random) -> str:
    """Where a scene is, without its things."""
    where = rng.choice(WHERE[scene.background])
    return rng.choice(("we are {}", "this is {}", "the place is {}", "it all happens {}")).format(where)


def naming_sentence(scene: Scene, rng: Random) -> str:
    """All things with their number."""
    names = rng.sample(scene.things, len(scene.things))
    be = "are" if scene.counts[names[0]] > 1 else "is"
    frame = rng.choice(
        ("there {be} {things}", "here {be} {things}", "you can see {things}", "it shows {things}", "we find {things}")
    )
    return frame.format(be=be, things=join([amount(n, scene.counts[n]) for n in names]))


def details(scene: Scene, rng: Random) -> list[str]:
    """What else is true of a scene, in random order: sizes, numbers, sides, relations, groups, colours, what is not
    there."""
    parts = []
    for name in scene.things:
        count = scene.counts[name]
        be, the = ("is" if count == 1 else "are"), definite(name, count)
        parts.append(f"{the} {be} {rng.choice(SIZE_WORDS[scene.sizes[name]])}")
        parts.append(f"there {be} {NUMBERS[count]} {the.removeprefix('the ')}")
        if count == 1:
            parts.append(f"{the} is {with_article(world.THINGS[name].group)}")
            parts.append(f"{the} {rng.choice(TRAITS[world.THINGS[name].group])}")
        if name in COLOUR_OF and count == 1:
            parts.append(f"{the} is {COLOUR_OF[name]}")
    if len(scene.placements) == 1:
        parts.append(f"{definite(scene.things[0], 1)} is {PLACES[side_of(scene.placements[0])][0]}")
    if scene.relation:
        relation = scene.relation
        parts += [f"{definite(relation.subject, 1)} is {spelled(relation.word)} {definite(relation.object, 1)}"] * 2
    parts.append(f"there is no {absent(scene, rng)}")
    parts.append(place_sentence(scene, rng))
    return list(dict.fromkeys(rng.sample(parts, len(parts))))


def two_captions(scene: Scene, rng: Random) -> str:
    """Two captions of one scene, joined by words that say so."""
    first, second = world.captions(scene, rng, 2)
    return rng.choice(("{}. that is, {}.", "{}. in other words, {}.", "{}. the same again: {}.")).format(first, second)


def notes_and_caption(scene: Scene, rng: Random) -> str:
    """Notes, then written out: what a captioner does once it has seen the things."""
    return f"{notes(scene, rng)}. {world.caption(scene, rng)}."


def notes(scene: Scene, rng: Random) -> str:
    """Things and place in any order."""
    names = rng.sample(scene.things, len(scene.things))
    things = ", ".join(f"{NUMBERS[scene.counts[n]]} {n}" if rng.random() < 0.5 else n for n in names)
    return "; ".join(rng.sample([f"things: {things}", f"place: {scene.background}"], 2))


def scene_map(scene: Scene) -> str:
    """A scene as a map in words: for each of 4 x 4 cells, row by row, what covers its centre, or the background."""
    cells = []
    for row in range(MAP_SIDE):
        for column in range(MAP_SIDE):
            x, y = (column + 0.5) * world.SIDE / MAP_SIDE, (row + 0.5) * world.SIDE / MAP_SIDE
            covering = [p.thing for p in scene.placements if max(abs(p.x - x), abs(p.y - y)) <= p.pixels / 2]
            cells.append(covering[0] if covering else scene.background)
    return " ".join(cells)


def map_and_text(scene: Scene, rng: Random) -> str:
    """A map in words and what can be read from it."""
    text = world.caption(scene, rng) if rng.random() < 0.6 else description(scene, rng)
    if rng.random() < 0.25:
        question, answer = world.questions(scene, rng)
        text = f"{question} {answer}"
    return f"{scene_map(scene)}: {text}"


def questions_and_answers(scene: Scene, rng: Random) -> str:
    """A scene in words and questions about it with their answers."""
    parts = [world.caption(scene, rng) + "."]
    marks = rng.choice((("question: ", " answer: "), ("q: ", " a: "), ("", " "), ("- ", " - ")))
    for _ in range(rng.randint(1, 3)):
        question, answer = text_question(scene, rng)
        parts.append(f"{marks[0]}{question}{marks[1]}{answer}.")
    return " ".join(parts)


def text_question(scene: Scene, rng: Random) -> tuple[str, str]:
    """A question that any caption of the scene answers, so not about sizes or relations: those a caption may leave
    out."""
    while True:
        question, answer = world.questions(scene, rng)
        if "big or small" not in question and not question.startswith("where is the"):
            return question, answer


def change(scene: Scene, rng: Random) -> str:
    """A scene, a wish and what becomes of it."""
    target, wish = world.composed(scene, rng)
    return f"{world.caption(scene, rng)}. {wish}: {world.caption(target, rng)}."


KINDS: dict[Callable[[Scene, Random], str], int] = {
    description: 16,
    world.caption: 8,
    two_captions: 6,
    notes_and_caption: 8,
    map_and_text: 28,
    questions_and_answers: 10,
    change: 4,
}
"""How often documents of each kind come, beside those of `general.KINDS`."""
