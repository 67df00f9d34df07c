"""From text to what the model predicts: batches of documents, and of conversations, and their next-token loss.

In:  documents (`texts`) or rows of conversation (`rows`).
Out: token rows and the loss over the states that predict something learned.

Of documents every token is learned. Of conversations only the answers are: the states from the header <|assistant|> up
to the one that predicts the <|end|> of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from core import world
from core.demo.train import loop, rows
from core.demo.train.contrastive import pixels
from core.demo.train.rows import Row
from core.demo.train.texts.documents import document
from core.demo.train.tokens import ASSISTANT, END, IMAGE, START, SYSTEM

LENGTH = 128  # tokens of a row of documents
MOST_WORDS = 4  # of a scene: three things and the background
ONE_WORD_WEIGHT = 2.0  # of the one word, against 1 for every other answered token
THING_WEIGHT = 3.0  # of a word that names a thing, in answers about a picture
TEXT_SHARE = 0.25  # rows of text for every row about a picture, in the base stage
TUNE_TEXT_SHARE = 0.5  # the same in the last stage
CAPTIONS_SHARE = (
    4.5  # captions that follow their picture directly for every conversation about a picture, in the base stage
)
STRIDE = 256  # rows between the first of one step and the first of the next, at least as many as a step has of a kind


def packed(tokenizer: PreTrainedTokenizerFast, first: int, number: int) -> torch.Tensor:
    """Documents one after the other, cut into rows of `LENGTH` + 1 tokens (the last one is only predicted), (R,
    129)."""
    written = [f"{START}{document(i)}{END}" for i in range(first, first + number)]
    ids = np.concatenate([np.array(row) for row in tokenizer(written, add_special_tokens=False)["input_ids"]])
    number = (len(ids) - 1) // LENGTH
    return torch.from_numpy(np.stack([ids[r * LENGTH : (r + 1) * LENGTH + 1] for r in range(number)]))


def document_loss(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, step: int, batch: int, offset: int = 0
) -> torch.Tensor:
    """Mean next-token loss over `batch` documents."""
    ids = packed(tokenizer, offset + step * batch, batch).to(model.device)
    with loop.autocast(model.device):
        states = model.model.language_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(states)
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


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


def lesson(given: list[Row], tokenizer: PreTrainedTokenizerFast) -> Lesson:
    """What a batch of rows teaches; either all rows are about a picture or none is."""
    ids = tokenizer(
        [r.text for r in given], padding=True, padding_side="right", add_special_tokens=False, return_tensors="np"
    )
    tokens = ids["input_ids"]
    where, at = np.nonzero(learned_states(tokens, tokenizer))
    goals, shares = np.zeros((len(where), MOST_WORDS), np.int64), np.zeros((len(where), MOST_WORDS), np.float32)
    goals[:, 0] = tokens[where, at + 1]
    pictured = np.array([row.scene is not None for row in given])
    shares[:, 0] = np.where(np.isin(goals[:, 0], _thing_tokens(tokenizer)) & pictured[where], THING_WEIGHT, 1)
    starts = np.flatnonzero(np.isin(tokens[where, at], tokenizer.convert_tokens_to_ids([ASSISTANT])))
    words = [turn for row in given if row.text.startswith(SYSTEM) for turn in row.words]
    assert len(starts) == len(words), (len(starts), len(words))
    for point, turn in zip(starts, words, strict=True):
        if turn:
            goals[point, : len(turn)] = [tokenizer.encode(w, add_special_tokens=False)[0] for w in turn]
            shares[point, : len(turn)] = ONE_WORD_WEIGHT / len(turn)
    scenes = [r.scene for r in given if r.scene is not None]
    return Lesson(
        torch.from_numpy(tokens),
        torch.from_numpy(where * tokens.shape[1] + at),
        torch.from_numpy(goals),
        torch.from_numpy(shares),
        pixels([world.render(s) for s in scenes]) if scenes else None,
    )


@lru_cache(maxsize=1)
def _thing_tokens(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens that name a thing, one or several of it."""
    names = [name for thing in world.THINGS.values() for name in (thing.name, thing.plural)]
    return [ids[0] for ids in tokenizer(names, add_special_tokens=False)["input_ids"] if len(ids) == 1]


def learned_states(tokens: np.ndarray, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Which states (B, L) predict something learned: the last mark before them opens an answer or a document; not image
    tokens."""
    assistant, start, end, image = tokenizer.convert_tokens_to_ids([ASSISTANT, START, END, IMAGE])
    opens = (tokens == assistant) | (tokens == start)
    positions = np.arange(tokens.shape[1])
    opened = np.maximum.accumulate(np.where(opens, positions, -1), axis=1)
    closed = np.maximum.accumulate(np.where(tokens == end, positions, -1), axis=1)
    coming = np.concatenate([tokens[:, 1:], np.full((len(tokens), 1), image)], axis=1)
    return (opened > closed) & (coming != image)


def lesson_loss(model: LlavaForConditionalGeneration, given: Lesson) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the weighted next-token losses over the predicting states, and the sum of the weights."""
    device = model.device
    with loop.autocast(device):
        pictures = None if given.pictures is None else given.pictures.to(device)
        states = model.model(input_ids=given.ids.to(device), pixel_values=pictures, use_cache=False).last_hidden_state
        logits = model.lm_head(states.flatten(0, 1)[given.states.to(device)])
    chances = F.log_softmax(logits.float(), dim=-1).gather(1, given.goals.to(device))
    shares = given.shares.to(device)
    return -(shares * chances).sum(), shares.sum()


def connector_loss(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, step: int, batch: int
) -> torch.Tensor:
    """Mean loss of captions that follow their picture directly."""
    total, weights = lesson_loss(model, lesson([rows.caption_row(step * batch + i) for i in range(batch)], tokenizer))
    return total / weights


def conversation_loss(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    step: int,
    mix: rows.Mix,
    batch: int,
    worker: tuple[int, int] = (0, 1),
) -> torch.Tensor:
    """Mean loss of a worker's part of a step.

    Of all workers together: `batch` conversations about pictures and `TEXT_SHARE` times as many rows of text. In the
    base stage also `CAPTIONS_SHARE` times as many captions that follow their picture directly, after those of the
    connector's stage; those rows are half as long as conversations.
    """
    number, workers = worker
    base = mix == "base"
    first = step * STRIDE if base else rows.TUNE_ROWS + step * STRIDE
    numbers = range(first + number, first + batch, workers)
    written = numbers[: int(len(numbers) * (TEXT_SHARE if base else TUNE_TEXT_SHARE))]
    groups = [[rows.picture_row(mix, i) for i in numbers], [rows.text_row(mix, i) for i in written]]
    if base:
        captions = range(first + number, first + int(batch * CAPTIONS_SHARE), workers)
        groups.append([rows.caption_row(rows.BASE_CAPTIONS + i) for i in captions])
    parts = [lesson_loss(model, lesson(group, tokenizer)) for group in groups]
    totals, weights = zip(*parts, strict=True)
    return torch.stack(totals).sum() / torch.stack(weights).sum()
