"""The text the decoder learns before it sees a picture: documents about the demo world and beyond it.

In:  a number; nothing else.
Out: `document(index)`: one to about eight sentences of lower-case English.

Kinds: descriptions of a scene (one sentence, several, notes or a map in words that are written out), stories, questions
with answers, lists, comparisons, sums, dialogues, facts about things, plain sentences about people, weather and the
time of day. None is about a picture. Everything said about a scene or a thing is so; stories are made up.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from core import world
from core.world.grammar import NUMBERS, SIZE_WORDS, WHERE, amount, definite, join, side_of, with_article
from core.world.scenes import Scene

TEXT_SEED = 2  # of the world's scenes that documents are about
MAP_SIDE = 4  # cells of a map in words, each way

PEOPLE = (
    "the farmer",
    "the teacher",
    "a doctor",
    "the baker",
    "the captain",
    "a child",
    "the boy",
    "the girl",
    "my brother",
    "my sister",
    "the old man",
    "the old woman",
    "our neighbour",
    "the painter",
    "the driver",
    "a friend",
    "the king",
    "the queen",
    "anna",
    "tom",
    "maria",
    "paul",
    "lena",
    "ben",
    "mother",
    "father",
    "grandmother",
    "the gardener",
    "a sailor",
    "the pilot",
    "a student",
    "the cook",
)
WOMEN = ("the girl", "my sister", "the old woman", "the queen", "anna", "maria", "lena", "mother", "grandmother")
PLURAL_PEOPLE = (
    "the children",
    "we",
    "they",
    "many people",
    "the farmers",
    "two friends",
    "my parents",
    "the neighbours",
)
VERBS = {  # of doing something to a thing: he sees it, they see it, he saw it, doing it
    "sees": ("see", "saw", "seeing"),
    "likes": ("like", "liked", "liking"),
    "wants": ("want", "wanted", "wanting"),
    "buys": ("buy", "bought", "buying"),
    "paints": ("paint", "painted", "painting"),
    "finds": ("find", "found", "finding"),
    "loses": ("lose", "lost", "losing"),
    "carries": ("carry", "carried", "carrying"),
    "brings": ("bring", "brought", "bringing"),
    "draws": ("draw", "drew", "drawing"),
    "needs": ("need", "needed", "needing"),
    "holds": ("hold", "held", "holding"),
    "looks for": ("look for", "looked for", "looking for"),
    "dreams of": ("dream of", "dreamed of", "dreaming of"),
    "talks about": ("talk about", "talked about", "talking about"),
    "forgets": ("forget", "forgot", "forgetting"),
    "remembers": ("remember", "remembered", "remembering"),
    "sells": ("sell", "sold", "selling"),
    "hides": ("hide", "hid", "hiding"),
}
MOVES = {
    "walks": ("walk", "walked"),
    "runs": ("run", "ran"),
    "sleeps": ("sleep", "slept"),
    "waits": ("wait", "waited"),
    "sings": ("sing", "sang"),
    "laughs": ("laugh", "laughed"),
    "sits": ("sit", "sat"),
    "stands": ("stand", "stood"),
    "dances": ("dance", "danced"),
    "plays": ("play", "played"),
    "rests": ("rest", "rested"),
    "reads": ("read", "read"),
    "works": ("work", "worked"),
    "eats": ("eat", "ate"),
    "cries": ("cry", "cried"),
    "stops": ("stop", "stopped"),
}
PLACES = (
    "at home",
    "at school",
    "in the garden",
    "near the river",
    "by the lake",
    "behind the house",
    "in front of the shop",
    "at the market",
    "on the hill",
    "on the bridge",
    "in the park",
    "at the station",
    "in the mountains",
    "under the roof",
    "in a small village",
    "next to the road",
    "on an island",
    "in the old tower",
    "in the library",
    "at the museum",
)
TIMES = (
    "in the morning",
    "at noon",
    "in the evening",
    "every day",
    "on monday",
    "on sunday",
    "yesterday",
    "last week",
    "in winter",
    "in summer",
    "in spring",
    "in autumn",
    "long ago",
    "after lunch",
    "before dinner",
    "today",
    "once a year",
    "at five",
)
WEATHER = (
    "it is raining",
    "the sun is shining",
    "it is cold and windy",
    "snow is falling",
    "the sky is blue",
    "there are clouds in the sky",
    "it is a warm day",
    "a storm is coming",
    "the wind is strong",
    "it is foggy",
    "the air is fresh",
    "it is very hot",
)
ADVERBS = (
    "slowly",
    "quickly",
    "quietly",
    "happily",
    "carefully",
    "often",
    "never",
    "always",
    "again",
    "together",
    "alone",
    "sometimes",
)
FEELINGS = (
    "happy",
    "sad",
    "tired",
    "angry",
    "proud",
    "afraid",
    "hungry",
    "curious",
    "surprised",
    "bored",
    "calm",
    "lucky",
)
ADJECTIVES = (
    "old",
    "new",
    "young",
    "heavy",
    "light",
    "strange",
    "beautiful",
    "clean",
    "dirty",
    "broken",
    "soft",
    "hard",
    "wet",
    "dry",
    "warm",
    "cold",
    "cheap",
    "expensive",
    "famous",
    "funny",
    "simple",
    "wild",
    "quiet",
    "loud",
    "fast",
    "slow",
)
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "pink", "grey", "purple", "golden", "silver")
MATERIALS = ("wood", "paper", "glass", "stone", "metal", "gold", "wool", "sand", "plastic", "ice")
OPPOSITES = (
    ("big", "small"),
    ("hot", "cold"),
    ("old", "new"),
    ("day", "night"),
    ("left", "right"),
    ("above", "below"),
    ("fast", "slow"),
    ("heavy", "light"),
    ("wet", "dry"),
    ("open", "closed"),
    ("early", "late"),
    ("happy", "sad"),
    ("loud", "quiet"),
    ("up", "down"),
    ("rich", "poor"),
    ("long", "short"),
    ("hard", "soft"),
    ("full", "empty"),
    ("near", "far"),
    ("first", "last"),
)
COLOUR_OF = {
    "apple": "red",
    "banana": "yellow",
    "cherry": "red",
    "lemon": "yellow",
    "strawberry": "red",
    "carrot": "orange",
    "broccoli": "green",
    "pumpkin": "orange",
    "elephant": "grey",
    "flamingo": "pink",
    "crocodile": "green",
    "swan": "white",
    "mouse": "grey",
    "fox": "red",
    "panda": "black and white",
    "zebra": "black and white",
    "penguin": "black and white",
    "lobster": "red",
    "cactus": "green",
    "sunflower": "yellow",
    "taxi": "yellow",
    "crown": "golden",
    "eggplant": "purple",
    "coconut": "brown",
    "avocado": "green",
}
TRAITS = {
    "mammal": ("has four legs", "drinks milk when it is young", "is an animal with fur", "is alive"),
    "bird": ("has wings", "lays eggs", "has feathers", "is alive"),
    "sea animal": ("lives in the sea", "can swim", "is alive"),
    "reptile": ("lays eggs", "likes the sun", "is alive"),
    "insect": ("is very small", "has six legs", "is alive"),
    "fruit": ("grows on a plant", "is sweet", "can be eaten", "is sold at the market"),
    "vegetable": ("grows in the garden", "is healthy", "can be cooked"),
    "meal": ("can be eaten", "is made in the kitchen", "is good for lunch"),
    "sweet": ("is made with sugar", "is sweet", "is good after dinner"),
    "vehicle": ("drives on the road", "has wheels", "takes people to places"),
    "aircraft": ("is in the air", "can be very high", "is far from the ground"),
    "boat": ("is on the water", "is made for the sea", "carries people over the lake"),
    "instrument": ("makes music", "can be loud", "is played at a concert"),
    "toy": ("is for playing", "is fun", "is something for children"),
    "tool": ("is for work", "helps the farmer", "is useful"),
    "garment": ("is something to wear", "is made of cloth", "is bought in a shop"),
    "plant": ("needs water", "is green", "grows slowly", "is alive"),
    "household item": ("is found at home", "is useful", "does not grow"),
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
COUNTING = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def document(index: int) -> str:
    """Document number `index`."""
    rng = world.stream("document", index, seed=TEXT_SEED)
    kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    if kind in _ABOUT_SCENES:
        scene = world.scene("train", index, TEXT_SEED)
        return kind(scene, rng)  # type: ignore[call-arg, arg-type]
    return kind(rng)  # type: ignore[call-arg, arg-type]


def description(scene: Scene, rng: Random) -> str:
    """Two to five true sentences about a scene: a caption, then what else can be said of it."""
    rest = details(scene, rng)
    first = world.caption(scene, rng)
    if rng.random() < 0.5:
        first = place_sentence(scene, rng) if rng.random() < 0.5 else f"{first}"
        rest = [naming_sentence(scene, rng), *rest]
    return sentences([first, *rest[: rng.randint(1, 3)]])


def sentences(parts: list[str]) -> str:
    return ". ".join(parts) + "."


def place_sentence(scene: Scene, rng: Random) -> str:
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
    said = []
    for name in scene.things:
        count = scene.counts[name]
        be, the = ("is" if count == 1 else "are"), definite(name, count)
        said.append(f"{the} {be} {rng.choice(SIZE_WORDS[scene.sizes[name]])}")
        said.append(
            f"there {be} {NUMBERS[count]} {world.THINGS[name].name if count == 1 else world.THINGS[name].plural}"
        )
        if count == 1:
            said.append(f"{the} is {with_article(world.THINGS[name].group)}")
            said.append(f"{the} {rng.choice(TRAITS[world.THINGS[name].group])}")
        if name in COLOUR_OF and count == 1:
            said.append(f"{the} is {COLOUR_OF[name]}")
    if len(scene.placements) == 1:
        side = side_of(scene.placements[0])
        said.append(f"{definite(scene.things[0], 1)} is {'in the middle' if side == 'middle' else f'on the {side}'}")
    if scene.relation:
        relation = scene.relation
        word = f"to the {relation.word}" if relation.word.endswith("of") else relation.word
        said += [f"{definite(relation.subject, 1)} is {word} {definite(relation.object, 1)}"] * 2
    said.append(f"there is no {absent(scene, rng)}")
    said.append(place_sentence(scene, rng))
    return list(dict.fromkeys(rng.sample(said, len(said))))


def absent(scene: Scene, rng: Random) -> str:
    while (name := rng.choice(world.NAMES)) in scene.things:
        pass
    return name


def _caption(scene: Scene, rng: Random) -> str:
    return world.caption(scene, rng)


def _same_scene(scene: Scene, rng: Random) -> str:
    """Two captions of one scene, joined by words that say so."""
    first, second = world.captions(scene, rng, 2)
    return rng.choice(("{}. that is, {}.", "{}. in other words, {}.", "{}. the same again: {}.")).format(first, second)


def _notes(scene: Scene, rng: Random) -> str:
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


def _mapped(scene: Scene, rng: Random) -> str:
    """A map in words and what can be read from it."""
    said = world.caption(scene, rng) if rng.random() < 0.6 else description(scene, rng)
    if rng.random() < 0.25:
        question, answer = world.questions(scene, rng)
        said = f"{question} {answer}"
    return f"{scene_map(scene)}: {said}"


def _asked(scene: Scene, rng: Random) -> str:
    """A scene in words and questions about it with their answers."""
    said = [world.caption(scene, rng) + "."]
    marks = rng.choice((("question: ", " answer: "), ("q: ", " a: "), ("", " "), ("- ", " - ")))
    for _ in range(rng.randint(1, 3)):
        question, answer = text_question(scene, rng)
        said.append(f"{marks[0]}{question}{marks[1]}{answer}.")
    return " ".join(said)


def text_question(scene: Scene, rng: Random) -> tuple[str, str]:
    """A question that any caption of the scene answers, so not about sizes or relations: those a caption may leave
    out."""
    while True:
        question, answer = world.questions(scene, rng)
        if "big or small" not in question and not question.startswith("where is the"):
            return question, answer


def _changed(scene: Scene, rng: Random) -> str:
    """A scene, a wish and what becomes of it."""
    target, wish = world.composed(scene, rng)
    return f"{world.caption(scene, rng)}. {wish}: {world.caption(target, rng)}."


def _story(rng: Random) -> str:
    """Three to six sentences about someone, a thing and a place."""
    who, name, other = rng.choice(PEOPLE), rng.choice(world.NAMES), rng.choice(world.NAMES)
    verb, (_, past, _) = rng.choice(list(VERBS.items()))
    _, moved = rng.choice(list(MOVES.values()))
    pronoun = "she" if who in WOMEN else "he"
    where, someone = place(rng), who.replace("the ", "a ", 1)
    said = [
        rng.choice(
            (f"once there was {someone}", f"{rng.choice(TIMES)}, {who} {moved} {where}", f"{who} {moved} {where}")
        ),
        f"{pronoun} was {rng.choice(FEELINGS)}",
        f"{pronoun} {past} {with_article(name)}",
        f"the {name} was {rng.choice((*ADJECTIVES, *COLOURS))}",
        f"then {rng.choice(PEOPLE)} came with {with_article(other)}",
        f"{rng.choice(WEATHER).replace(' is ', ' was ', 1).replace(' are ', ' were ', 1)}",
        f"in the end {who} {past} the {name} and {moved} {rng.choice(ADVERBS)}",
    ]
    rest = sorted(rng.sample(range(1, len(said)), rng.randint(2, 5)))
    return sentences([said[0], *(said[i] for i in rest)])


def place(rng: Random) -> str:
    return rng.choice(PLACES) if rng.random() < 0.5 else rng.choice(WHERE[rng.choice(world.BACKGROUNDS)])


def plain_sentence(rng: Random) -> str:
    """Someone does something with something, somewhere, at some time."""
    name = rng.choice(world.NAMES)
    adjective = f"{rng.choice((*ADJECTIVES, *COLOURS))} " if rng.random() < 0.4 else ""
    thing = with_article(adjective + name) if rng.random() < 0.7 else f"the {adjective}{name}"
    if rng.random() < 0.3:
        thing = f"{rng.choice(COUNTING[1:])} {adjective}{world.THINGS[name].plural}"
    single = rng.random() < 0.75
    who = rng.choice(PEOPLE if single else PLURAL_PEOPLE)
    tense = rng.randrange(4)
    if rng.random() < 0.6:
        verb, (base, past, doing) = rng.choice(list(VERBS.items()))
        now = verb if single else base
        be = "is" if single else "are"
        be = be if who != "we" else "are"
        action = (f"{now} {thing}", f"{past} {thing}", f"will {base} {thing}", f"{be} {doing} {thing}")[tense]
    else:
        verb, (base, past) = rng.choice(list(MOVES.items()))
        action = (verb if single else base, past, f"will {base}", f"can {base}")[tense] + f" with {thing}" * (
            rng.random() < 0.5
        )
    tail = "".join(f" {extra}" for extra in (place(rng), rng.choice(TIMES), rng.choice(ADVERBS)) if rng.random() < 0.3)
    return f"{who} {action}{tail}"


def _plain(rng: Random) -> str:
    makers = (
        plain_sentence,
        plain_sentence,
        plain_sentence,
        trait_sentence,
        weather_sentence,
        feeling_sentence,
        world.fact,
    )
    return sentences([rng.choice(makers)(rng) for _ in range(rng.randint(1, 4))])


def weather_sentence(rng: Random) -> str:
    weather = rng.choice(WEATHER)
    return rng.choice(
        (weather, f"{rng.choice(TIMES)} {weather}", f"{weather} {place(rng)}", f"{weather}, so {plain_sentence(rng)}")
    )


def feeling_sentence(rng: Random) -> str:
    who, feeling = rng.choice(PEOPLE), rng.choice(FEELINGS)
    why = rng.choice(
        (f"because {rng.choice(WEATHER)}", f"because of the {rng.choice(world.NAMES)}", rng.choice(TIMES), place(rng))
    )
    return f"{who} is {feeling} {why}"


def trait_sentence(rng: Random) -> str:
    """Something true of a kind of thing."""
    name = rng.choice(world.NAMES)
    if name in COLOUR_OF and rng.random() < 0.5:
        return f"{with_article(name)} is {COLOUR_OF[name]}"
    return f"{with_article(name)} {rng.choice(TRAITS[world.THINGS[name].group])}"


def _list(rng: Random) -> str:
    """A list of a group, of days, of colours, of numbers, or of what to buy."""
    group = rng.choice(world.GROUPS)
    members = [n for n in world.NAMES if world.THINGS[n].group == group]
    start = rng.randrange(len(COUNTING) - 3)
    return rng.choice(
        (
            f"some things of the {group} kind: {', '.join(rng.sample(members, min(len(members), rng.randint(2, 5))))}.",
            f"the days are {join(list(DAYS))}.",
            f"the months are {join(list(MONTHS))}.",
            f"some colours are {join(rng.sample(COLOURS, 4))}.",
            f"count: {', '.join(COUNTING[start : start + rng.randint(3, 4)])}.",
            f"to buy: {', '.join(amount(n, rng.randint(1, 4)) for n in rng.sample(world.NAMES, rng.randint(2, 4)))}.",
            (
                "in the bag there are"
                f" {join([amount(n, rng.randint(1, 4)) for n in rng.sample(world.NAMES, rng.randint(2, 3))])}."
            ),
            f"a b c: {', '.join(sorted(rng.sample(world.NAMES, 4)))}.",
        )
    )


def _comparison(rng: Random) -> str:
    """Two things, what they share and what sets them apart."""
    a, b = rng.sample(world.NAMES, 2)
    if rng.random() < 0.5:
        b = rng.choice([n for n in world.NAMES if n != a and world.THINGS[n].group == world.THINGS[a].group])
    first, second = world.THINGS[a].group, world.THINGS[b].group
    if first == second:
        return (
            f"both {with_article(a)} and {with_article(b)} are of the {first} kind: each {rng.choice(TRAITS[first])}."
        )
    kinds = f"{with_article(a)} is {with_article(first)}, but {with_article(b)} is {with_article(second)}"
    return f"{kinds}: one {rng.choice(TRAITS[first])}, the other {rng.choice(TRAITS[second])}."


def _sum(rng: Random) -> str:
    """Adding and taking away, up to twelve."""
    name = rng.choice(world.NAMES)
    a, b = rng.randint(1, 6), rng.randint(1, 6)
    few, many = sorted((a, a + b))
    plural = world.THINGS[name].plural
    rest = f"{COUNTING[many - few - 1]} {'is' if many - few == 1 else 'are'}"
    return rng.choice(
        (
            f"{COUNTING[a - 1]} and {COUNTING[b - 1]} is {COUNTING[a + b - 1]}.",
            f"{many} - {few} = {many - few}. {a} + {b} = {a + b}.",
            f"{rng.choice(PEOPLE)} has {COUNTING[many - 1]} {plural} and gives away {COUNTING[few - 1]}: {rest} left.",
            f"{COUNTING[a + b - 1]} {plural} are more than {COUNTING[a - 1]}.",
        )
    )


def _dialogue(rng: Random) -> str:
    """Two people talk."""
    name, other = rng.sample(world.NAMES, 2)
    a, b = rng.sample(PEOPLE, 2)
    said = [
        (f"do you have {with_article(name)}?", f"no, but i have {with_article(other)}."),
        (f"where were you {rng.choice(TIMES)}?", f"i was {place(rng)}."),
        ("how are you?", f"i am {rng.choice(FEELINGS)}, thank you."),
        (f"what is {with_article(name)}?", f"it is {with_article(world.THINGS[name].group)}."),
        ("what is the weather like?", f"{rng.choice(WEATHER)}."),
        (f"who has the {name}?", f"{rng.choice(PEOPLE)} has it."),
        (f"what colour is your {name}?", f"it is {rng.choice(COLOURS)}."),
        (
            f"is {with_article(name)} made of {rng.choice(MATERIALS)}?",
            rng.choice(("yes, i think so.", "no, it is not.", "i do not know.")),
        ),
    ]
    return " ".join(f'{a}: "{x}" {b}: "{y}"' for x, y in rng.sample(said, rng.randint(1, 3)))


def _opposite(rng: Random) -> str:
    a, b = rng.sample(rng.choice(OPPOSITES), 2)
    return rng.choice(
        (f"the opposite of {a} is {b}.", f"{a} is not {b}.", f"what is not {a} is {b}.", f"first {a}, then {b}.")
    )


def _general_question(rng: Random) -> str:
    question, answer = general_question(rng)
    return rng.choice(
        (f"question: {question} answer: {answer}.", f"q: {question} a: {answer}.", f"{question} {answer}.")
    )


def general_question(rng: Random) -> tuple[str, str]:
    """A question about the world that needs neither picture nor text, and its answer."""
    name = rng.choice(world.NAMES)
    a, b = rng.sample(rng.choice(OPPOSITES), 2)
    day = rng.randrange(7)
    coloured = rng.choice(list(COLOUR_OF))
    n, m = rng.randint(1, 6), rng.randint(1, 6)
    group = rng.choice(world.GROUPS)
    return rng.choice(
        (
            (f"what is {with_article(name)}?", f"it is {with_article(world.THINGS[name].group)}"),
            (f"is {with_article(name)} {with_article(group)}?", "yes" if world.THINGS[name].group == group else "no"),
            (f"what is the opposite of {a}?", b),
            (f"which day comes after {DAYS[day]}?", DAYS[(day + 1) % 7]),
            (f"what colour is {with_article(coloured)}?", COLOUR_OF[coloured]),
            (f"how much is {COUNTING[n - 1]} and {COUNTING[m - 1]}?", COUNTING[n + m - 1]),
            (f"what do we call more than one {name}?", world.THINGS[name].plural),
        )
    )


_Maker = Callable[[Scene, Random], str] | Callable[[Random], str]
_ABOUT_SCENES: tuple[_Maker, ...] = (description, _caption, _same_scene, _notes, _mapped, _asked, _changed)
_KINDS: dict[_Maker, float] = {
    description: 16,
    _caption: 8,
    _same_scene: 6,
    _notes: 8,
    _mapped: 28,
    _asked: 10,
    _changed: 4,
    _story: 12,
    _plain: 14,
    _list: 5,
    _comparison: 4,
    _sum: 3,
    _dialogue: 4,
    _opposite: 1,
    _general_question: 3,
}
