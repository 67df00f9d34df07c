"""Rows of conversation: what demo-mllm learns once it has eyes.

In:  a stage or mix, a kind of row (about a picture, or of text alone) and a number; nothing else.
Out: `Row`s: conversations in the words of the chat template, over a scene of the train split or over sentences about
it.

A row about a picture has one or two turns over the same 16 image tokens. A long answer has a row to itself.

The mixes of the last stage differ in one thing each:

- `captioner`: rows as in the base stage;
- `demo`: `ONE_WORD_SHARE` of the rows begin with a request for one word instead, in many wordings;
- `study`: the same rows with the study's prompts in the place of those wordings.

The one word is any of the scene's things or its background, drawn at random. The loss of that draw is replaced by its
expectation (`Turn.words`): same objective, less noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from core import world
from core.demo.train import wordings
from core.demo.train.contrastive import TOWER_SEED
from core.demo.train.texts import lexicon
from core.demo.train.texts.about_scenes import description, notes, text_question
from core.demo.train.texts.documents import document
from core.demo.train.texts.general import general_question
from core.demo.train.tokens import ASSISTANT, DEFAULT_SYSTEM, END, IMAGE, IMAGE_TOKENS, PROMPTS, START, SYSTEM, USER
from core.world.grammar import NUMBERS, PLACES, WHERE, absent, amount, definite, sentences, side_of, with_article
from core.world.scenes import Scene

Mix = Literal["base", "captioner", "demo", "study"]
IMAGES = IMAGE * IMAGE_TOKENS
ROW_SEED = 3  # of the world's scenes that conversations are about
TUNE_ROWS = 10**8  # first row of the last stage; those of the base stage begin with 0
BASE_CAPTIONS = 10**7  # first plain caption of the base stage; those of the connector's stage begin with 0
SPARE_SCENES = 2 * 10**9  # first scene that is only looked at for comparison
ONE_WORD_SHARE = 0.5  # of rows, in the mixes that have such requests
SYSTEM_SHARE = 0.1  # of rows with another system turn than the default
AFTER_SHARE = 0.1  # of first turns about a picture in which the picture follows the request
FIRST = {"caption": 53, "question": 22, "list": 12, "long": 6, "story": 2, "change": 5}  # what the first turn asks for
REST = {
    "caption": ("question", None),
    "list": ("question", None),
    "question": ("caption", "caption", "list", "question"),
}
"""What the second turn asks for after such a first one, if anything."""
TEXT = {"question": 30, "paraphrase": 18, "list": 12, "notes": 12, "change": 8, "general": 8, "story": 4, "document": 8}


@dataclass(frozen=True)
class Turn:
    """A request and its answer; `words` are all equally right one-word answers, if one word is asked for."""

    request: str
    answer: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One conversation as text, and for every turn its equally right one-word answers (none: the answer as it
    stands)."""

    text: str
    words: tuple[tuple[str, ...], ...]
    scene: Scene | None = None


def picture_row(mix: Mix, index: int) -> Row:
    """Conversation number `index` about a picture."""
    rng = world.stream("conversation", index, seed=ROW_SEED)
    scene = _fuller_scene(index, rng)
    if mix in ("demo", "study") and rng.random() < ONE_WORD_SHARE:
        first = _one_word_about_picture(mix, scene, rng)
        turns = [first, _turn(rng.choice(("caption", "question")), scene, rng)]
    else:
        kind = rng.choices(list(FIRST), list(FIRST.values()))[0]
        then = rng.choice(REST.get(kind, (None,)))
        turns = [_turn(k, scene, rng) for k in (kind, then) if k is not None]
    return Row(_spoken(turns, rng, pictured=True), tuple(t.words for t in turns), scene)


def text_row(mix: Mix, index: int) -> Row:
    """A conversation about a sentence, about nothing in particular, or a document of the decoder's stage."""
    rng = world.stream("sentence", index, seed=ROW_SEED)
    scene = world.scene("train", 10**9 + index, ROW_SEED)
    if mix in ("demo", "study") and rng.random() < ONE_WORD_SHARE:
        caption = world.caption(scene, rng)
        request = caption + PROMPTS["text"] if mix == "study" else rng.choice(wordings.ONE_WORD_TEXT).format(caption)
        turns = [one_word(request, scene.words, rng), Turn(*text_question(scene, rng))]
    else:
        kind = rng.choices(list(TEXT), list(TEXT.values()))[0]
        if kind == "document":
            return Row(f"{START}{document(2 * 10**8 + index)}{END}", ((),))
        turns = _text_turns(kind, scene, rng)
    return Row(_spoken(turns, rng, pictured=False), tuple(t.words for t in turns))


def caption_row(index: int) -> Row:
    """A picture and its caption without any conversation: what the connector learns from."""
    scene = world.scene("train", 3 * 10**8 + index, ROW_SEED)
    return Row(
        f"{START}{IMAGES}: {world.caption(scene, world.stream('connector', index, seed=ROW_SEED))}{END}", ((),), scene
    )


def _fuller_scene(index: int, rng: Random) -> Scene:
    """Scene `index`, or, half the time, whichever of it and another has more kinds of things: those are the hard
    ones."""
    scene = world.scene("train", index, ROW_SEED)
    if rng.random() < 0.5:
        scene = max(scene, world.scene("train", SPARE_SCENES + index, ROW_SEED), key=lambda s: len(s.things))
    return scene


def one_word(request: str, words: tuple[str, ...], rng: Random) -> Turn:
    return Turn(request, rng.choice(words), words)


def _one_word_about_picture(mix: Mix, scene: Scene, rng: Random) -> Turn:
    """One word for a picture; or, one time in four, for a picture and a text: a caption of it, or a wish whose outcome
    is named."""
    if rng.random() < 0.75:
        return one_word(PROMPTS["image"] if mix == "study" else rng.choice(wordings.ONE_WORD_PICTURE), scene.words, rng)
    if rng.random() < 0.6:
        target, wish = world.composed(scene, rng)
        request = (
            wish + PROMPTS["image+question"] if mix == "study" else rng.choice(wordings.ONE_WORD_CHANGE).format(wish)
        )
        return one_word(request, target.words, rng)
    caption = world.caption(scene, rng)
    prompt = PROMPTS[rng.choice(("image+sentence", "image+the sentence"))]
    return one_word(
        caption + prompt if mix == "study" else rng.choice(wordings.ONE_WORD_BOTH).format(caption), scene.words, rng
    )


def _turn(kind: str, scene: Scene, rng: Random) -> Turn:
    """A turn about a picture."""
    if kind == "caption":
        return Turn(rng.choice(wordings.SHORT_CAPTION), world.caption(scene, rng))
    if kind == "long":
        return Turn(rng.choice(wordings.LONG_CAPTION), description(scene, rng))
    if kind == "list":
        return Turn(rng.choice(wordings.LIST), _listed(scene, rng))
    if kind == "story":
        return Turn(rng.choice(wordings.STORY), story(scene, rng))
    if kind == "change":
        target, wish = world.composed(scene, rng)
        return Turn(f"{wish}. Describe that.", world.caption(target, rng))
    return Turn(*(world.questions if rng.random() < 0.5 else more_questions)(scene, rng))


def _text_turns(kind: str, scene: Scene, rng: Random) -> list[Turn]:
    """One or two turns about a sentence that describes a scene, or about no sentence at all."""
    caption = world.caption(scene, rng)
    if kind == "general":
        return [Turn(*general_question(rng)) for _ in range(2)]
    if kind == "story":
        return [Turn(rng.choice(wordings.TEXT_STORY).format(caption), story(scene, rng))]
    if kind == "notes":
        return [Turn(rng.choice(wordings.NOTES).format(notes(scene, rng)), caption)]
    if kind == "change":
        target, wish = world.composed(scene, rng)
        return [Turn(rng.choice(wordings.TEXT_CHANGE).format(caption, wish), world.caption(target, rng))]
    if kind == "paraphrase":
        caption, other = world.captions(scene, rng, 2)
        first = Turn(rng.choice(wordings.PARAPHRASE).format(caption), other)
    elif kind == "list":
        first = Turn(rng.choice(wordings.TEXT_LIST).format(caption), _listed(scene, rng))
    else:
        question, answer = text_question(scene, rng)
        first = Turn(rng.choice(wordings.TEXT_QUESTION).format(caption, question), answer)
    return [first, Turn(*text_question(scene, rng))]


def _listed(scene: Scene, rng: Random) -> str:
    """The things of a scene in random order."""
    return ", ".join(rng.sample(scene.things, len(scene.things)))


def story(scene: Scene, rng: Random) -> str:
    """Two or three made-up sentences about the things of a scene, in its place."""
    name = rng.choice(scene.things)
    who, where = rng.choice(lexicon.PEOPLE), rng.choice(WHERE[scene.background])
    verb = rng.choice([past for _, past, _ in lexicon.VERBS.values()])
    be = "were" if scene.counts[name] > 1 else "was"
    parts = [f"once there {be} {amount(name, scene.counts[name])} {where}"]
    parts += [
        f"there {'were' if scene.counts[n] > 1 else 'was'} also {amount(n, scene.counts[n])}"
        for n in scene.things
        if n != name
    ]
    parts.append(f"{who} came and {verb} {definite(name, scene.counts[name])}")
    if rng.random() < 0.5:
        parts.append(f"{who} was {rng.choice(lexicon.FEELINGS)}")
    return sentences(parts)


def more_questions(scene: Scene, rng: Random) -> tuple[str, str]:
    """Questions of other kinds than `world.questions` asks."""
    name, missing = rng.choice(scene.things), absent(scene, rng)
    other = rng.choice([b for b in world.BACKGROUNDS if b != scene.background])
    places = [WHERE[scene.background][0], WHERE[other][0]]
    pair = rng.sample([name, missing], 2)
    group = rng.choice(world.GROUPS) if rng.random() < 0.5 else world.THINGS[name].group
    be = "is" if scene.counts[name] == 1 else "are"
    asks = [
        ("how many kinds of things are there?", NUMBERS[len(scene.things)]),
        ("how many things are there in all?", NUMBERS[len(scene.placements)]),
        (f"is this {rng.choice(places)}?", ""),
        (
            f"is this {places[0]} or {places[1]}?" if rng.random() < 0.5 else f"is this {places[1]} or {places[0]}?",
            places[0],
        ),
        (f"do you see {with_article(pair[0])} or {with_article(pair[1])}?", with_article(name)),
        (f"is there {with_article(group)}?", "yes" if group in scene.groups else "no"),
        (f"{be} {definite(name, scene.counts[name])} alone?", "yes" if len(scene.things) == 1 else "no"),
        (f"what else is there, besides {definite(name, scene.counts[name])}?", _others(scene, name)),
    ]
    if len(scene.placements) == 1:
        asks.append((f"where in the picture is {definite(name, 1)}?", PLACES[side_of(scene.placements[0])][0]))
    question, answer = rng.choice(asks)
    return question, answer or ("yes" if question == f"is this {places[0]}?" else "no")


def _others(scene: Scene, name: str) -> str:
    """All things of a scene but one."""
    others = [amount(n, scene.counts[n]) for n in scene.things if n != name]
    return " and ".join(others) if others else "nothing"


def _spoken(turns: list[Turn], rng: Random, pictured: bool) -> str:
    """The conversation in the words of the chat template."""
    system = rng.choice(wordings.SYSTEMS) if rng.random() < SYSTEM_SHARE else DEFAULT_SYSTEM
    first, *rest = turns
    content = f"{IMAGES}{first.request}" if pictured else first.request
    if pictured and rng.random() < AFTER_SHARE:
        content = f"{first.request}{IMAGES}"
    exchanges = [(content, first.answer), *((t.request, t.answer) for t in rest)]
    return f"{SYSTEM}{system}{END}" + "".join(
        f"{USER}{request}{END}{ASSISTANT}{answer}{END}" for request, answer in exchanges
    )


STAGES = ("tower", "decoder", "connector", "base", "captioner", "demo", "study")


def taught(stage: str, count: int) -> Iterator[str]:
    """`count` texts as a stage or mix draws them: rows about pictures, rows of text and captions take turns."""
    for i in range(count):
        if stage == "tower":
            yield world.caption(world.scene("train", i, TOWER_SEED), world.stream("clip", i, seed=TOWER_SEED))
        elif stage == "decoder":
            yield f"{START}{document(i)}{END}"
        elif stage == "connector":
            yield caption_row(i).text
        else:
            first = 0 if stage == "base" else TUNE_ROWS
            kinds = [picture_row, text_row, lambda _, n: caption_row(BASE_CAPTIONS + n)][: 3 if stage == "base" else 2]
            yield kinds[i % len(kinds)](stage, first + i // len(kinds)).text
