"""What is measured of the shipped models, on which sample: the rows of their cards.

In:  the folder of a shipped model. Out: its `Figure`s, from the files loaded back in float32.
"""

from __future__ import annotations

from pathlib import Path

from transformers import AutoProcessor

from core.demo.train import contrastive, figures, shipping
from core.demo.train.cards import Figure

RETRIEVAL = 1000  # test scenes with two captions each
CAPTIONS = 500  # test scenes captioned
QUESTIONS = 500  # test scenes asked about, one question each
_POOL = f"{RETRIEVAL:,} test pictures, {2 * RETRIEVAL:,} captions"


def clip(folder: Path) -> list[Figure]:
    """Recall of demo-clip."""
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    found = contrastive.measure(shipping.load_clip(folder.parent), tokenizer, "test", RETRIEVAL)
    return [Figure(f"image to text R@{k}", share, _POOL) for k, share in found.items()]


def mllm(folder: Path) -> list[Figure]:
    """Captions, answers and zero-shot retrieval of a demo-mllm."""
    model, processor = shipping.load_mllm(folder), AutoProcessor.from_pretrained(folder)
    captions = figures.caption_figures(model, processor, "test", CAPTIONS)
    answers = figures.question_figures(model, processor, "test", QUESTIONS)
    recalls = figures.retrieval_figures(model, processor, "test", RETRIEVAL)
    scenes, questions = f"{CAPTIONS} test scenes, greedy", f"{QUESTIONS} test scenes, one question each"
    return [
        Figure("captions with all the right things", captions.all_things, scenes),
        Figure("captions with the right background", captions.background, scenes),
        *(Figure(f"things named where a scene has {n}", share, scenes) for n, share in captions.words_by_number.items()),
        Figure("short answers exactly right", answers, questions),
        *(
            Figure(f"{direction} R@{k}, {name}", share, _POOL)
            for name, directions in recalls.items()
            for direction, shares in directions.items()
            for k, share in shares.items()
        ),
    ]


NAMES = {"demo": "demo-mllm", "captioner": "demo-mllm-captioner", "study": "demo-mllm-study"}
"""The model folder of each mix; the last is only measured."""
