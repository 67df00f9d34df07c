"""What is measured of the shipped models, on which sample: the rows of their cards, and which aims they reach.

In:  the folder of a shipped model. Out: its `Figure`s, from the files loaded back in float32; one line for each aim.
"""

from __future__ import annotations

from pathlib import Path

from transformers import AutoProcessor

from core.demo.train import contrastive, figures, shipping
from core.demo.train.cards import Figure
from core.demo.train.rows import Mix

RETRIEVAL = 1000  # test scenes with two captions each
CAPTIONS = 500  # test scenes captioned
QUESTIONS = 500  # test scenes asked about, one question each
_POOL = f"{RETRIEVAL:,} test pictures, {2 * RETRIEVAL:,} captions"


def clip(folder: Path) -> list[Figure]:
    """Recall of demo-clip."""
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    recall = contrastive.measure(shipping.load_clip(folder.parent), tokenizer, "test", RETRIEVAL)
    return [Figure(f"image to text R@{k}", share, _POOL) for k, share in recall.items()]


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
        *(
            Figure(f"things named where a scene has {n}", share, scenes)
            for n, share in captions.words_by_number.items()
        ),
        Figure("short answers exactly right", answers, questions),
        *(
            Figure(f"{direction} R@{k}, {name}", share, _POOL)
            for name, directions in recalls.items()
            for direction, shares in directions.items()
            for k, share in shares.items()
        ),
    ]


def aims(measured: list[Figure], clip_recall: float) -> str:
    """Each aim with its figure and whether it is reached, as Markdown lines; `clip_recall` is demo-clip's R@1 from
    image to text."""
    share = {figure.what: figure.share for figure in measured}
    captions, mean = share["captions with all the right things"], share["image to text R@1, mean, raw"]
    gains = {
        f"{direction}, {remedy}": share[f"{direction} R@5, mean, {remedy}"]
        / max(share[f"{direction} R@5, mean, raw"], 1e-9)
        for direction in ("image to text", "text to image")
        for remedy in ("centred", "ReAlign")
    }
    best = max(gains, key=lambda name: gains[name])
    doubled = f"{gains[best]:.2f} times ({best})"
    last = [
        share[f"{direction} R@1, last token"] / share[f"{direction} R@1, answer"]
        for direction in ("image to text", "text to image")
    ]
    chance = 1 / RETRIEVAL  # two of twice as many captions are right
    lines = [
        (captions >= 0.9, f"captions with all the right things, at least 90%: {100 * captions:.1f}%"),
        (
            mean >= 5 * chance,
            f"image to text R@1 of the raw mean at least five times chance: {mean / chance:.0f} times",
        ),
        (mean <= clip_recall / 2, f"the same at most half of demo-clip's {100 * clip_recall:.1f}%: {100 * mean:.1f}%"),
        (gains[best] >= 2, f"a training-free remedy of the mean at least doubles raw R@5 in one direction: {doubled}"),
        (
            max(last) <= 1 / 3,
            f"R@1 of the last token at most a third of that of `answer`: {last[0]:.2f} and {last[1]:.2f}",
        ),
    ]
    return "\n".join(f"- {'Reached' if reached else 'Not reached'}: {line}." for reached, line in lines)


NAMES: dict[Mix, str] = {"demo": "demo-mllm", "captioner": "demo-mllm-captioner", "study": "demo-mllm-study"}
"""The model folder of each mix; the last is only measured."""
