"""The figures of the demo models: what their cards state.

In:  a model, its processor and a split.
Out: how often captions name the right things and background; recall of summaries before and after whitening.

A caption names a thing if the singular or plural of its name occurs as a word, and a background if its word does. It is
right if the names in it are exactly those of the scene. Recall is the share of images with one of their two captions
among the k best of all captions; embeddings are means over all states of the last layer under the study's prompts,
L2-normalised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from core import world
from core.demo.contrastive import recall
from core.demo.tokens import CAPTION_REQUESTS, PROMPTS

_THING_OF = {word: thing.name for thing in world.THINGS.values() for word in (thing.name, thing.plural)}
SHRINKAGE, FLOOR = 0.1, 1e-5  # beta and eps of ReAlign (Eqs 11-12)


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


def _inputs(processor: LlavaProcessor, requests: list[list[dict]], scenes: list[world.Scene]) -> dict:
    texts = [processor.apply_chat_template(request) for request in requests]
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
    found = [named(caption) for caption in captions]
    shares: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for scene, (things, _) in zip(scenes, found, strict=True):
        shares[len(scene.things)].append(len(things & set(scene.things)) / len(scene.things))
    return CaptionFigures(
        len(scenes),
        float(np.mean([things == set(s.things) for s, (things, _) in zip(scenes, found, strict=True)])),
        float(np.mean([places == {s.background} for s, (_, places) in zip(scenes, found, strict=True)])),
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


@torch.inference_mode()
def embed(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    requests: list[list[dict]],
    scenes: list[world.Scene],
    batch: int = 100,
) -> np.ndarray:
    """Mean of the last layer's states over all tokens of each request, L2-normalised, (N, d) float64; `scenes` may be
    empty."""
    parts = []
    for start in range(0, len(requests), batch):
        part = slice(start, start + batch)
        inputs = _inputs(processor, requests[part], scenes[part]).to(model.device)
        states = model.model(**inputs, use_cache=False).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        mean = (states.float() * mask).sum(1) / mask.sum(1)
        parts.append(F.normalize(mean.double(), dim=-1).cpu().numpy())
    return np.concatenate(parts)


def centred(x: np.ndarray) -> np.ndarray:
    """Rows minus their mean, L2-normalised."""
    return _unit(x - x.mean(axis=0))


def realigned(x: np.ndarray, shrinkage: float = SHRINKAGE, floor: float = FLOOR) -> np.ndarray:
    """ReAlign with statistics of `x` itself: rows minus mean, times the inverse root of the shrunk covariance,
    normalised."""
    rest = x - x.mean(axis=0)
    covariance = np.cov(rest, rowvar=False)
    d = len(covariance)
    values, vectors = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / d * np.eye(d))
    return _unit(rest @ (vectors / np.sqrt(values + floor)) @ vectors.T)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def retrieval_figures(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, split: world.Split, number: int
) -> dict[str, dict[int, float]]:
    """Recall image to text of the first scenes of a split with two captions each: raw, centred per side, ReAlign per
    side."""
    items = list(world.captioned(split, number))
    texts = [conversation(text, PROMPTS["text"]) for item in items for text in item.captions]
    images = embed(model, processor, [conversation(None, PROMPTS["image"])] * number, [item.scene for item in items])
    captions = embed(model, processor, texts, [])
    variants = {"raw": lambda x: x, "centred": centred, "ReAlign": realigned}
    return {name: recall(change(images), change(captions), 2) for name, change in variants.items()}
