"""Kinds of checkpoints that are not in the table: which architectures are taken as what, and dual encoders beside CLIP
and SigLIP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from PIL import Image

from core.config import ModelSpec
from core.errors import ModelError
from core.models import load_model
from core.models.base import PROJECTED
from core.models.facts import DUAL_TYPES, PLAIN_TYPES, kind_of
from core.records import Item

PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 255, (30, 40, 3), np.uint8))
VISION = zoo.VISION | {"image_size": 32, "patch_size": 8}
SQUARE = {"height": 32, "width": 32}


def test_a_dual_encoder_is_one_whose_class_projects_both_modalities() -> None:
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    for model_type in DUAL_TYPES:
        model = getattr(transformers, MODEL_MAPPING_NAMES[model_type])
        assert hasattr(model, "get_text_features") and hasattr(model, "get_image_features"), model_type
    assert all(kind_of(name) == "dual" for name in DUAL_TYPES)


def test_chat_and_plain_are_image_text_to_text_models() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    assert {kind_of(name) for name in PLAIN_TYPES} == {"plain"} and set(
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    ) >= PLAIN_TYPES
    for name in (
        "llava",
        "llava_next",
        "llava_onevision",
        "qwen2_vl",
        "qwen3_vl",
        "smolvlm",
        "idefics3",
        "gemma3",
        "internvl",
        "mllama",
    ):
        assert kind_of(name) == "chat" and name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def text(words: Any) -> dict[str, Any]:
    return zoo.VISION | {
        "vocab_size": len(words),
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def metaclip_2(words: Any) -> tuple[Any, Any]:
    import transformers

    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE, **zoo.HALF)
    config = transformers.MetaClip2Config(text_config=text(words), vision_config=VISION, projection_dim=20)
    return transformers.MetaClip2Model(config), transformers.CLIPProcessor(pictures, words)


def altclip(words: Any) -> tuple[Any, Any]:
    import transformers

    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE, **zoo.HALF)
    config = transformers.AltCLIPConfig(
        text_config=text(words) | {"project_dim": 24}, vision_config=VISION, projection_dim=20
    )
    return transformers.AltCLIPModel(config), transformers.AltCLIPProcessor(pictures, words)


def chinese_clip(words: Any) -> tuple[Any, Any]:
    import transformers

    pictures = transformers.ChineseCLIPImageProcessor(size=SQUARE, crop_size=SQUARE, **zoo.HALF)
    config = transformers.ChineseCLIPConfig(text_config=text(words), vision_config=VISION, projection_dim=20)
    return transformers.ChineseCLIPModel(config), transformers.ChineseCLIPProcessor(pictures, words)


def blip(words: Any) -> tuple[Any, Any]:
    import transformers

    config = transformers.BlipConfig(
        text_config=text(words) | {"encoder_hidden_size": 24}, vision_config=VISION, projection_dim=20
    )
    pictures = transformers.BlipImageProcessor(size=SQUARE, **zoo.HALF)
    return transformers.BlipModel(config), transformers.BlipProcessor(pictures, words)


@pytest.mark.parametrize("build", [metaclip_2, altclip, chinese_clip, blip])
def test_embeddings_are_the_two_projections(build: Callable[[Any], tuple[Any, Any]], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, processor = build(zoo.tokenizer([]))
    adapter = load_model(
        ModelSpec(name=str(zoo.save(model, processor, tmp_path / build.__name__, 2.0)), dtype="float32")
    )
    items = [Item("t", "text", "A red fox sleeps"), Item("u", "text", "x"), Item("i", "image", None, PICTURE)]
    found = adapter.embed(items, [PROJECTED])[PROJECTED]
    assert adapter.facts.kind == "dual" and adapter.hidden_size == 20 == found.shape[1]
    with torch.inference_mode():
        for row, item in zip(found, items[:2], strict=False):
            expected = model.get_text_features(
                **processor.tokenizer([item.text], return_tensors="pt", return_token_type_ids=False)
            ).pooler_output
            assert np.abs(row - expected[0].numpy()).max() < 1e-4 * float(expected.abs().max()), item.id
        pixels = processor.image_processor(PICTURE, return_tensors="pt")["pixel_values"]
        expected = model.get_image_features(pixel_values=pixels).pooler_output
        assert np.abs(found[2] - expected[0].numpy()).max() < 1e-4 * float(expected.abs().max())


def test_a_captioner_of_the_same_architecture_has_no_projections(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """BLIP's captioning checkpoints say "blip" too; their class would get random projections."""
    import transformers

    _, processor = blip(words := zoo.tokenizer([]))
    config = transformers.BlipConfig(
        text_config=text(words) | {"encoder_hidden_size": 24}, vision_config=VISION, projection_dim=20
    )
    zoo.save(transformers.BlipForConditionalGeneration(config), processor, tmp_path / "captioner")
    with pytest.raises(ModelError, match="captioner lacks weights, which would be random"):
        load_model(ModelSpec(name=str(tmp_path / "captioner")))
    assert "MISSING" not in capfd.readouterr().err
