"""Text about no scene: stories, plain sentences, lists, comparisons, sums, dialogues, opposites, general questions.

In: a random stream. Out: lower-case English. What it says of things is so; stories are made up.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from core import world
from core.demo.train.texts.lexicon import (
    ADJECTIVES,
    ADVERBS,
    COLOUR_OF,
    COLOURS,
    COUNTING,
    DAYS,
    FEELINGS,
    MATERIALS,
    MONTHS,
    MOVES,
    OPPOSITES,
    PEOPLE,
    PLACES,
    PLURAL_PEOPLE,
    TIMES,
    TRAITS,
    VERBS,
    WEATHER,
    WOMEN,
)
from core.world.grammar import WHERE, amount, join, sentences, with_article


def story(rng: Random) -> str:
    """Three to six sentences about someone, a thing and a place."""
    who, name, other = rng.choice(PEOPLE), rng.choice(world.NAMES), rng.choice(world.NAMES)
    verb, (_, past, _) = rng.choice(list(VERBS.items()))
    _, moved = rng.choice(list(MOVES.values()))
    pronoun = "she" if who in WOMEN else "he"
    where, someone = place(rng), who.replace("the ", "a ", 1)
    parts = [
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
    rest = sorted(rng.sample(range(1, len(parts)), rng.randint(2, 5)))
    return sentences([parts[0], *(parts[i] for i in rest)])


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


def plain_text(rng: Random) -> str:
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


def word_list(rng: Random) -> str:
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


def comparison(rng: Random) -> str:
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


def arithmetic(rng: Random) -> str:
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


def dialogue(rng: Random) -> str:
    """Two people talk."""
    name, other = rng.sample(world.NAMES, 2)
    a, b = rng.sample(PEOPLE, 2)
    parts = [
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
    return " ".join(f'{a}: "{x}" {b}: "{y}"' for x, y in rng.sample(parts, rng.randint(1, 3)))


def opposite(rng: Random) -> str:
    a, b = rng.sample(rng.choice(OPPOSITES), 2)
    return rng.choice(
        (f"the opposite of {a} is {b}.", f"{a} is not {b}.", f"what is not {a} is {b}.", f"first {a}, then {b}.")
    )


def question_and_answer(rng: Random) -> str:
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


KINDS: dict[Callable[[Random], str], int] = {
    story: 12,
    plain_text: 14,
    word_list: 5,
    comparison: 4,
    arithmetic: 3,
    dialogue: 4,
    opposite: 1,
    question_and_answer: 3,
}
"""How often documents of each kind come, beside those of `about_scenes.KINDS`."""
