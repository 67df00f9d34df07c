"""The shipped demo models: their tokens are those of the code, and their cards say what the weights do."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import core.demo
from core import world

WEIGHTS = Path(core.demo.__file__).parent / "weights"
TUNED = Path(core.demo.__file__).parent / "train" / "stages"
MLLMS = ["demo-mllm", "demo-mllm-captioner"]
SCENES = [world.scene("test", i) for i in range(40)]


@pytest.mark.parametrize("name", ["demo-clip", *MLLMS])
def test_weights_are_shipped_with_a_card(name: str) -> None:
    folder = (TUNED if name in MLLMS else WEIGHTS) / name
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert max(files.values()) <= 16 * 2**20 and "config.json" in files and "tokenizer.json" in files
    card = (folder / "README.md").read_text(encoding="utf-8")
    for said in ("How it was trained", "What it reached", "Limits", "R@1", "seed"):
        assert said in card, said
    assert sum(p.stat().st_size for p in WEIGHTS.rglob("*") if p.is_file()) <= 60 * 2**20


@pytest.fixture(scope="module")
def processor():  # noqa: ANN201
    """The processor of demo-mllm, made from the text of its decoder's stage."""
    pytest.importorskip("transformers")
    from core.demo.train import tokens

    return tokens.mllm_processor()


@pytest.mark.parametrize("name", MLLMS)
def test_the_tokenizer_of_the_weights_is_that_of_the_text(processor, name: str) -> None:  # noqa: ANN001
    shipped = json.loads((TUNED / name / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(processor.tokenizer.backend_tokenizer.to_str())["model"] == shipped["model"]


def test_the_tokenizer_of_demo_clip_is_that_of_the_grammar() -> None:
    pytest.importorskip("transformers")
    from core.demo.train import tokens

    shipped = json.loads((WEIGHTS / "demo-clip" / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(tokens.clip_tokenizer().backend_tokenizer.to_str())["model"] == shipped["model"]


def test_every_thing_is_one_token_and_any_text_survives(processor) -> None:  # noqa: ANN001
    tokenizer = processor.tokenizer
    assert all(len(tokenizer.encode(name, add_special_tokens=False)) == 1 for name in world.NAMES)
    for text in ("Zażółć gęślą jaźń", "犬と猫 🐕", "x = {'a': 1}\n\ttab"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_training_sees_what_the_processor_makes(processor) -> None:  # noqa: ANN001
    from core.demo.train import contrastive

    pictures = [world.render(scene) for scene in SCENES[:8]]
    made = processor.image_processor(pictures, return_tensors="np")["pixel_values"]
    assert np.abs(contrastive.pixels(pictures).numpy() - made).max() < 1e-5


def test_names_are_found_in_captions() -> None:
    pytest.importorskip("transformers")
    from core.demo.train import figures

    assert figures.named("two mice and a hot sushi under water") == ({"mouse", "sushi"}, {"water"})
    scene = next(s for s in SCENES if len(s.things) == 2)
    good, half = f"{scene.things[0]} {scene.things[1]} {scene.background}", f"{scene.things[0]} nowhere"
    found = figures.score_captions([scene, scene], [good, half])
    assert (found.all_things, found.background, found.words_by_number) == (0.5, 0.5, {2: 0.75})


def test_realign_is_whitening_with_the_shrunk_covariance() -> None:
    pytest.importorskip("transformers")
    from sklearn.covariance import ShrunkCovariance

    from core.demo.train import figures

    x = np.random.default_rng(0).normal(size=(200, 6)) @ np.diag([3, 2, 1, 1, 0.5, 0.1]) + 1
    values, vectors = np.linalg.eigh(ShrunkCovariance(shrinkage=0.1).fit(x).covariance_)
    white = (x - x.mean(0)) @ vectors / np.sqrt(values) @ vectors.T
    assert np.allclose(figures.realigned(x, floor=0), white / np.linalg.norm(white, axis=1, keepdims=True))


def test_recall_both_ways_by_hand() -> None:
    """Two images with two captions each: the second image's captions are closer to the first image."""
    pytest.importorskip("transformers")
    from core.demo.train import figures

    images, texts = np.eye(2), np.array([[0.9, 0.0], [0.8, 0.1], [0.5, 0.2], [0.1, 0.4]])
    result = figures.recall_both_ways(images, texts)
    assert result["image to text"] == {1: 1.0, 5: 1.0, 10: 1.0} and result["text to image"] == {
        1: 0.75,
        5: 1.0,
        10: 1.0,
    }


def test_recall_by_hand() -> None:
    pytest.importorskip("transformers")
    from core.demo.train import contrastive

    images, texts = np.eye(2), np.array([[0.1, 0.0], [0.9, 0.0], [0.5, 0.2], [0.4, 0.1]])
    assert contrastive.recall(images, texts, 2, at=(1, 2)) == {1: 1.0, 2: 1.0}
    assert contrastive.recall(images, texts[::-1], 2, at=(1, 2, 3)) == {1: 0.0, 2: 0.5, 3: 1.0}


def _card_figure(name: str, label: str) -> float:
    """A percentage of the first table of figures of a card that has the label, as a share."""
    card = (TUNED / name / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {re.escape(label)} \| ([\d.]+)% \|", card, re.MULTILINE)
    assert found, label
    return float(found[1]) / 100


def _plausible(hits: int, trials: int, rate: float) -> bool:
    """Whether `hits` lies within 4 standard deviations (and two hits) of what the rate promises."""
    return abs(hits - trials * rate) <= 4 * math.sqrt(trials * rate * (1 - rate)) + 2


def test_plausibility_can_fail() -> None:
    assert _plausible(56, 60, 0.93) and not _plausible(40, 60, 0.93)


@pytest.mark.parametrize("name", MLLMS)
def test_shipped_captions_are_as_good_as_the_card_says(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    from core.demo.train import figures, shipping

    processor = transformers.AutoProcessor.from_pretrained(TUNED / name)
    trials = 60
    result = figures.caption_figures(shipping.load_mllm(TUNED / name), processor, "test", trials)
    assert _plausible(
        round(result.all_things * trials), trials, _card_figure(name, "captions with all the right things")
    )
    assert _plausible(
        round(result.background * trials), trials, _card_figure(name, "captions with the right background")
    )


def test_readings_come_from_one_pass() -> None:
    """The mean and the last token read before the generation prompt are what a pass without it gives."""
    transformers = pytest.importorskip("transformers")
    import torch

    from core.demo.train import figures, shipping, tokens

    processor, model = transformers.AutoProcessor.from_pretrained(TUNED / "demo-mllm"), shipping.load_mllm()
    requests = [
        figures.conversation(text, tokens.PROMPTS["text"])
        for text in ("a dog on the beach", "two cats and a hat at night")
    ]
    readings = figures.read(model, processor, requests, [])
    with torch.inference_mode():
        for request, mean, last in zip(requests, readings.mean, readings.last, strict=True):
            inputs = processor(text=[processor.apply_chat_template(request)], return_tensors="pt")
            states = model.model(**inputs).last_hidden_state[0].double().numpy()
            for view, expected in ((mean, states.mean(0)), (last, states[-1])):
                assert np.abs(view - expected / np.linalg.norm(expected)).max() < 1e-5


def test_shipped_clip_retrieves() -> None:
    transformers = pytest.importorskip("transformers")
    from core.demo.train import contrastive, shipping

    processor = transformers.AutoProcessor.from_pretrained(WEIGHTS / "demo-clip")
    found = contrastive.measure(shipping.load_clip(), processor.tokenizer, "test", 200)
    assert found[1] >= 0.6 and found[1] <= found[5] <= found[10]
