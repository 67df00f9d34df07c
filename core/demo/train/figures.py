"""The figures of demo-mllm: what its cards state.

In:  a model, its processor and a split.
Out: how often captions and answers are right; recall under the study's prompts of several readings of the last layer.

A caption names a thing if the singular or plural of its name occurs as a word, and a background if its word does. It is
right if the names in it are exactly those of the scene. Recall, centring and ReAlign are those of `core.analysis`.

Readings, of one pass over a user turn and the generation prompt that follows it; attention is causal, so all but the
last two are what a pass without the generation prompt gives:

- `mean`: mean of all states but the generation prompt's, raw, centred per side, or with ReAlign per side;
- `last token`: the state of the last token of the user turn, the study's setting;
- `words, no header`: the next-word distribution there;
- `answer`: the state of the generation prompt, which predicts the first word of the answer;
- `words`: the next-word distribution there. Of both distributions the square roots of the `WORDS` largest entries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from core import world
from core.analysis.arrays import unit_rows
from core.analysis.variants.whiten import apply_affine, fit_center, fit_realign, moments_of
from core.demo.train.recall import recall_both_ways
from core.demo.train.tokens import CAPTION_REQUESTS, PROMPTS

_THING_OF = {word: thing.name for thing in world.THINGS.values() for word in (thing.name, thing.plural)}
BETA, EPS = 0.1, 1e-5  # of ReAlign (Eqs 11-12)
WORDS = 256  # entries of a next-word distribution that are compared


@dataclass(frozen=True)
class CaptionFigures:
    """Shares of scenes (0 to 1); `words_by_number` is the share of things named, by how many kinds of things a scene
    has."""

    scenes: int
    all_things: float
    background: float
    words_by_number: dict[int, float]


def named(caption: str) -> tuple[set[str], set[str]]:
    """The things and the backgrounds a caption names."""
    words = re.findall(r"[a-z]+", caption.lower())
    return {_THING_OF[w] for w in words if w in _THING_OF}, {w for w in words if w in world.BACKGROUNDS}


def conversation(*parts: str | None) -> list[dict]:
    """One user turn; None stands for the image."""
    content = [{"type": "image"} if part is None else {"type": "text", "text": part} for part in parts]
    return [{"role": "user", "content": content}]


def _inputs(processor: LlavaProcessor, requests: list[list[dict]], scenes: list[world.Scene]) -> Any:
    texts = [processor.apply_chat_template(request, add_generation_prompt=True) for request in requests]
    images = [world.render(scene) for scene in scenes] or None
    return processor(images=images, text=texts, padding=True, return_tensors="pt")


@torch.inference_mode()
def answer(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, scenes: list[world.Scene], requests: list[str]
) -> list[str]:
    """Greedy answers to one request about each scene, in batches of 100."""
    answers: list[str] = []
    for start in range(0, len(scenes), 100):
        part = slice(start, start + 100)
        inputs = _inputs(processor, [conversation(None, r) for r in requests[part]], scenes[part]).to(model.device)
        tokens = model.generate(**inputs, max_new_tokens=40, do_sample=False)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        answers += [t.strip() for t in processor.batch_decode(new, skip_special_tokens=True)]
    return answers


def caption_figures(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, split: world.Split, number: int
) -> CaptionFigures:
    """How often greedy captions of the first scenes of a split are right."""
    scenes = [world.scene(split, i) for i in range(number)]
    captions = answer(model, processor, scenes, [CAPTION_REQUESTS[0]] * number)
    return score_captions(scenes, captions)


def score_captions(scenes: list[world.Scene], captions: list[str]) -> CaptionFigures:
    """How often one caption of each scene is right (module docstring)."""
    names = [named(caption) for caption in captions]
    shares: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for scene, (things, _) in zip(scenes, names, strict=True):
        shares[len(scene.things)].append(len(things & set(scene.things)) / len(scene.things))
    return CaptionFigures(
        len(scenes),
        float(np.mean([things == set(s.things) for s, (things, _) in zip(scenes, names, strict=True)])),
        float(np.mean([places == {s.background} for s, (_, places) in zip(scenes, names, strict=True)])),
        {number: float(np.mean(values)) for number, values in shares.items() if values},
    )


def question_figures(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, split: world.Split, number: int
) -> float:
    """Share of scenes whose one random question gets exactly the right answer."""
    scenes = [world.scene(split, i) for i in range(number)]
    pairs = [world.questions(s, world.stream("examination", split, i)) for i, s in enumerate(scenes)]
    answers = answer(model, processor, scenes, [question for question, _ in pairs])
    return float(np.mean([got == right for got, (_, right) in zip(answers, pairs, strict=True)]))


@dataclass(frozen=True)
class Readings:
    """Rows to compare by dot product: of unit length (N, d) float64, and square roots of next-word probabilities (N, V)
    float32."""

    mean: np.ndarray
    last: np.ndarray
    answer: np.ndarray
    words: np.ndarray
    words_no_header: np.ndarray


@torch.inference_mode()
def read(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    requests: list[list[dict]],
    scenes: list[world.Scene],
    batch: int = 100,
) -> Readings:
    """All readings of the last layer for each request; `scenes` may be empty."""
    parts: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(requests), batch):
        part = slice(start, start + batch)
        inputs = _inputs(processor, requests[part], scenes[part]).to(model.device)
        states = model.model(**inputs, use_cache=False).last_hidden_state.float()
        # Padding is on the left: the last token of every row is the generation prompt.
        mask = inputs["attention_mask"][:, :-1].unsqueeze(-1)
        mean = (states[:, :-1] * mask).sum(1) / mask.sum(1)
        vectors = [F.normalize(x.double(), dim=-1).cpu().numpy() for x in (mean, states[:, -2], states[:, -1])]
        parts.append((*vectors, *(_next_words(model.lm_head(states[:, at])) for at in (-1, -2))))
    return Readings(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _next_words(logits: torch.Tensor) -> np.ndarray:
    """Square roots of the largest entries of each row's next-word distribution, 0 elsewhere, (B, V) float32."""
    largest = logits.float().softmax(-1).topk(WORDS, dim=-1)
    return (
        torch.zeros_like(logits, dtype=torch.float32).scatter(-1, largest.indices, largest.values.sqrt()).cpu().numpy()
    )


def centred(x: np.ndarray) -> np.ndarray:
    """Rows minus their mean, L2-normalised."""
    return unit_rows(apply_affine(x, fit_center(moments_of(x))))


def realigned(x: np.ndarray, beta: float = BETA, eps: float = EPS) -> np.ndarray:
    """ReAlign with statistics of `x` itself, L2-normalised."""
    return unit_rows(apply_affine(x, fit_realign(moments_of(x), beta, eps)))


def retrieval_figures(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, split: world.Split, number: int
) -> dict[str, dict[str, dict[int, float]]]:
    """Recall by reading, direction and k on the first scenes of a split with two captions each, under the study's
    prompts."""
    model.eval()
    items = list(world.captioned(split, number))
    texts = [conversation(text, PROMPTS["text"]) for item in items for text in item.captions]
    images = read(model, processor, [conversation(None, PROMPTS["image"])] * number, [item.scene for item in items])
    captions = read(model, processor, texts, [])
    pairs = {
        "mean, raw": (images.mean, captions.mean),
        "mean, centred": (centred(images.mean), centred(captions.mean)),
        "mean, ReAlign": (realigned(images.mean), realigned(captions.mean)),
        "last token": (images.last, captions.last),
        "words, no header": (images.words_no_header, captions.words_no_header),
        "answer": (images.answer, captions.answer),
        "answer, centred": (centred(images.answer), centred(captions.answer)),
        "words": (images.words, captions.words),
    }
    return {name: recall_both_ways(*pair) for name, pair in pairs.items()}
