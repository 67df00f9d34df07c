"""Training demo-mllm: rows of conversation and the next-token loss over them.

In:  scenes of the train split, with captions, questions and changes made on the fly.
Out: token rows for two batches per step (rows about a picture, rows of text alone) and their loss.

A row about a picture is one conversation of three or four turns over the same 16 image tokens: a one-word summary, a
caption, short questions; the turn that follows the picture directly is drawn anew every time, so each kind of request
is also learned as the only one. Text rows summarise a sentence in one word and answer a question about it, or are plain
sentences. Only answers, and plain sentences, are learned.

The study's prompts ask for one word; the word is drawn at random from the scene's things and background. The loss of
that draw is replaced by its expectation: the mean over all words of the scene. Same objective, less noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import torch
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from core import world
from core.demo.contrastive import pixels
from core.demo.tokens import CAPTION_REQUESTS, END, IMAGE, IMAGE_SIDE, PATCH, PROMPTS, START, STOP, USER

IMAGES = IMAGE * (IMAGE_SIDE // PATCH) ** 2
MOST_WORDS = 4  # of a scene: three things and the background
SUMMARY_WEIGHT = 2.0  # of the one word, against 1 for every other answered token
THING_WEIGHT = 3.0  # of a word that names a thing, in answers about a picture
TEXT_SHARE = 0.5  # rows of text for every row about a picture
FIRST_TURNS = {"summary": 45, "caption": 25, "question": 15, "fused": 15}
PLAIN_SHARE = 0.15  # of text rows
TEXT_ROWS = 10**9  # first train scene that text rows are about; picture rows begin with scene 0
SPARE_SCENES = 2 * 10**9  # first train scene that is only looked at for comparison


@dataclass(frozen=True)
class Turn:
    """A request and its answer; `words` are all equally right one-word answers, if it is a summary."""

    request: str
    answer: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One conversation as text, and for every turn its equally right one-word answers (none: the answer as it
    stands)."""

    text: str
    words: tuple[tuple[str, ...], ...]
    scene: world.Scene | None = None


def summary(prompt: str, words: tuple[str, ...], rng: Random) -> Turn:
    return Turn(prompt, rng.choice(words), words)


def caption_turn(scene: world.Scene, rng: Random) -> Turn:
    return Turn(rng.choice(CAPTION_REQUESTS), world.caption(scene, rng))


def _fused(scene: world.Scene, rng: Random) -> Turn:
    """One word for a picture and a text together: the text describes it, or asks for a change whose outcome is summed
    up."""
    if rng.random() < 0.6:
        target, text = world.composed(scene, rng)
        return summary(text + PROMPTS["image+question"], target.words, rng)
    prompt = PROMPTS[rng.choice(("image+sentence", "image+the sentence"))]
    return summary(world.caption(scene, rng) + prompt, scene.words, rng)


def _turn(kind: str, scene: world.Scene, rng: Random) -> Turn:
    if kind == "summary":
        return summary(PROMPTS["image"], scene.words, rng)
    if kind == "caption":
        return caption_turn(scene, rng)
    return _fused(scene, rng) if kind == "fused" else Turn(*world.questions(scene, rng))


def picture_row(index: int) -> Row:
    """Conversation number `index` about a picture."""
    rng = world.stream("conversation", index)
    scene = _fuller_scene(index, rng)
    first = rng.choices(list(FIRST_TURNS), list(FIRST_TURNS.values()))[0]
    rest = ["question", "question"] if first == "caption" else ["caption", "question"]
    turns = [_turn(kind, scene, rng) for kind in (first, *rng.sample(rest, len(rest)))]
    return Row(USER + IMAGES + _spoken(turns)[len(USER) :], tuple(t.words for t in turns), scene)


def _fuller_scene(index: int, rng: Random) -> world.Scene:
    """Train scene `index`, or, half the time, whichever of it and another has more kinds of things: those are the hard
    ones."""
    scene = world.scene("train", index)
    if rng.random() < 0.5:
        scene = max(scene, world.scene("train", SPARE_SCENES + index), key=lambda s: len(s.things))
    return scene


def text_row(index: int) -> Row:
    """A conversation about a sentence, or two plain sentences."""
    rng = world.stream("sentence", index)
    scene = world.scene("train", index)
    if rng.random() < PLAIN_SHARE:
        return Row(f"{START}{world.fact(rng)}{STOP}{START}{world.caption(scene, rng)}{STOP}", ())
    first = summary(world.caption(scene, rng) + PROMPTS["text"], scene.words, rng)
    turns = [first, Turn(*world.questions(scene, rng))]
    return Row(_spoken(turns), tuple(t.words for t in turns))


def _spoken(turns: list[Turn]) -> str:
    """The conversation in the words of the chat template."""
    return "".join(f"{USER}{t.request}{END}{t.answer}{STOP}" for t in turns)


@dataclass(frozen=True)
class Lesson:
    """A batch: tokens (B, L) padded at the end, the states that predict (P,), and what they should predict.

    `goals` (P, 4) are token ids and `shares` (P, 4) their weights; a state has one goal, or all words of its scene.
    """

    ids: torch.Tensor
    states: torch.Tensor
    goals: torch.Tensor
    shares: torch.Tensor
    pictures: torch.Tensor | None


def lesson(rows: list[Row], tokenizer: PreTrainedTokenizerFast) -> Lesson:
    ids = tokenizer(
        [r.text for r in rows], padding=True, padding_side="right", add_special_tokens=False, return_tensors="np"
    )
    tokens = ids["input_ids"]
    start, end, stop = tokenizer.convert_tokens_to_ids([START, END, STOP])
    answered = _answered(tokens, start, end, stop)
    where, at = np.nonzero(answered)
    goals, shares = np.zeros((len(where), MOST_WORDS), np.int64), np.zeros((len(where), MOST_WORDS), np.float32)
    goals[:, 0] = tokens[where, at + 1]
    shares[:, 0] = np.where(
        np.isin(goals[:, 0], _thing_tokens(tokenizer)) & _about_picture(rows)[where], THING_WEIGHT, 1
    )
    for point, words in _summaries(tokens, rows, where, at, end):
        goals[point, : len(words)] = [tokenizer.encode(w, add_special_tokens=False)[0] for w in words]
        shares[point, : len(words)] = SUMMARY_WEIGHT / len(words)
    scenes = [r.scene for r in rows if r.scene is not None]
    return Lesson(
        torch.from_numpy(tokens),
        torch.from_numpy(where * tokens.shape[1] + at),
        torch.from_numpy(goals),
        torch.from_numpy(shares),
        pixels([world.render(s) for s in scenes]) if scenes else None,
    )


def _about_picture(rows: list[Row]) -> np.ndarray:
    return np.array([row.scene is not None for row in rows])


@lru_cache(maxsize=1)
def _thing_tokens(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens that name a thing, one or several of it."""
    names = [name for thing in world.THINGS.values() for name in (thing.name, thing.plural)]
    return [ids[0] for ids in tokenizer(names, add_special_tokens=False)["input_ids"] if len(ids) == 1]


def _answered(tokens: np.ndarray, start: int, end: int, stop: int) -> np.ndarray:
    """Which states (B, L) predict a token of an answer or of a plain sentence: from <|end|> or <s> to just before
    <|stop|>."""
    opened = np.cumsum((tokens == end) | (tokens == start), axis=1)
    closed = np.cumsum(tokens == stop, axis=1)
    return opened > closed


def _summaries(
    tokens: np.ndarray, rows: list[Row], where: np.ndarray, at: np.ndarray, end: int
) -> list[tuple[int, tuple[str, ...]]]:
    """The points (indices into the predicting states) that begin a one-word summary, with the words that are right
    there."""
    ends = np.flatnonzero(tokens[where, at] == end)
    words = [turn for row in rows for turn in row.words]
    assert len(ends) == len(words), (len(ends), len(words))
    return [(int(point), turn) for point, turn in zip(ends, words, strict=True) if turn]


def loss(model: LlavaForConditionalGeneration, given: Lesson) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the weighted next-token losses over the predicting states, and the sum of the weights."""
    device = model.device
    with torch.autocast(device.type, torch.bfloat16):
        pictures = None if given.pictures is None else given.pictures.to(device)
        states = model.model(input_ids=given.ids.to(device), pixel_values=pictures, use_cache=False).last_hidden_state
        logits = model.lm_head(states.flatten(0, 1)[given.states.to(device)])
    chances = F.log_softmax(logits.float(), dim=-1).gather(1, given.goals.to(device))
    shares = given.shares.to(device)
    return -(shares * chances).sum(), shares.sum()


def loss_at(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    step: int,
    batch: int,
    worker: tuple[int, int] = (0, 1),
) -> torch.Tensor:
    """Mean loss of a worker's part of a step: `batch` picture rows, and text rows besides, over all workers."""
    number, workers = worker
    numbers = range(step * batch + number, (step + 1) * batch, workers)
    about_pictures = loss(model, lesson([picture_row(i) for i in numbers], tokenizer))
    texts = [text_row(TEXT_ROWS + i) for i in numbers[: int(len(numbers) * TEXT_SHARE)]]
    about_texts = loss(model, lesson(texts, tokenizer))
    return (about_pictures[0] + about_texts[0]) / (about_pictures[1] + about_texts[1])
