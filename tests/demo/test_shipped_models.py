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
MLLMS = ["demo-mllm", "demo-mllm-captioner"]
SCENES = [world.scene("test", i) for i in range(40)]


@pytest.mark.parametrize("name", ["demo-clip", *MLLMS])
def test_weights_are_shipped_with_a_card(name: str) -> None:
    folder = WEIGHTS / name
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
    shipped = json.loads((WEIGHTS / name / "tokenizer.json").read_text(encoding="utf-8"))
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


def test_names_in_captions_are_recognised() -> None:
    pytest.importorskip("transformers")
    from core.demo.train import figures

    assert figures.named("two mice and a hot sushi under water") == ({"mouse", "sushi"}, {"water"})
    scene = next(s for s in SCENES if len(s.things) == 2)
    good, half = f"{scene.things[0]} {scene.things[1]} {scene.background}", f"{scene.things[0]} nowhere"
    result = figures.score_captions([scene, scene], [good, half])
    assert (result.all_things, result.background, result.words_by_number) == (0.5, 0.5, {2: 0.75})


def test_realign_is_whitening_with_the_shrunk_covariance() -> None:
    pytest.importorskip("transformers")
    from sklearn.covariance import ShrunkCovariance

    from core.demo.train import figures

    x = np.random.default_rng(0).normal(size=(200, 6)) @ np.diag([3, 2, 1, 1, 0.5, 0.1]) + 1
    values, vectors = np.linalg.eigh(ShrunkCovariance(shrinkage=0.1).fit(x).covariance_)
    white = (x - x.mean(0)) @ vectors / np.sqrt(values) @ vectors.T
    assert np.allclose(figures.realigned(x, eps=0.0), white / np.linalg.norm(white, axis=1, keepdims=True))


def test_recall_both_ways_by_hand() -> None:
    """Two images with two captions each: the second image's captions are closer to the first image."""
    from core.demo.train.recall import recall_both_ways

    images, texts = np.eye(2), np.array([[0.9, 0.0], [0.8, 0.1], [0.5, 0.2], [0.1, 0.4]])
    assert recall_both_ways(images, texts) == {
        "image to text": {1: 1.0, 5: 1.0, 10: 1.0},
        "text to image": {1: 0.75, 5: 1.0, 10: 1.0},
    }


def test_figures_of_random_rows_are_those_of_plain_numpy() -> None:
    """Centring, ReAlign and recall against a second implementation: eigenvectors by hand, ranks by a full sort."""
    pytest.importorskip("transformers")
    from core.demo.train import figures
    from core.demo.train.recall import recall_both_ways

    rng = np.random.default_rng(7)
    images = rng.normal(size=(60, 24)) + 2
    texts = np.repeat(images, 2, axis=0) + 1.5 * rng.normal(size=(120, 24))
    for rows in (images, texts):
        rest = rows - rows.mean(axis=0)
        values, vectors = np.linalg.eigh(
            0.9 * np.cov(rest, rowvar=False) + 0.1 * np.cov(rest.T).trace() / 24 * np.eye(24)
        )
        white = rest @ (vectors / np.sqrt(values + 1e-5)) @ vectors.T
        for got, expected in ((figures.centred(rows), rest), (figures.realigned(rows), white)):
            assert np.abs(got - expected / np.linalg.norm(expected, axis=1, keepdims=True)).max() < 1e-6
    scores = figures.centred(images) @ figures.centred(texts).T
    recall = recall_both_ways(figures.centred(images), figures.centred(texts))
    for k in (1, 5, 10):
        best = np.argsort(-scores, axis=1)[:, :k] // 2
        assert recall["image to text"][k] == np.mean([i in row for i, row in enumerate(best)])
        best = np.argsort(-scores.T, axis=1)[:, :k]
        assert recall["text to image"][k] == np.mean([i // 2 in row for i, row in enumerate(best)])
    assert 0.2 < recall["text to image"][1] < 1


def _card_figure(name: str, label: str) -> float:
    """A percentage of the first table of figures of a card that has the label, as a share."""
    card = (WEIGHTS / name / "README.md").read_text(encoding="utf-8")
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

    processor = transformers.AutoProcessor.from_pretrained(WEIGHTS / name)
    trials = 60
    result = figures.caption_figures(shipping.load_mllm(WEIGHTS / name), processor, "test", trials)
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

    processor, model = transformers.AutoProcessor.from_pretrained(WEIGHTS / "demo-mllm"), shipping.load_mllm()
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
    recall = contrastive.measure(shipping.load_clip(), processor.tokenizer, "test", 200)
    assert recall[1] >= 0.6 and recall[1] <= recall[5] <= recall[10]
