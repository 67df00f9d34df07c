"""The prompts of the fine-tuned retrievers against what each documents, written out here, on tiny models of their
architectures.

The reference is transformers called by hand with the documented string; it shares no code with the adapters.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import ModelSpec
from core.errors import ModelError, NotAvailable, SpecError
from core.models import describe, load_model
from core.models.prompts import STYLES, prompt_of
from core.records import EmbeddingView, Item

LAST = EmbeddingView(-1, "last", "all")
PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (40, 32, 3), np.uint8))
ITEMS = {
    "text query": Item("t", "text", "a fox", None, 1, "query"),
    "text candidate": Item("c", "text", "a fox", None, 4, "candidate"),
    "image query": Item("i", "image", None, PICTURE, 4, "query"),
    "image candidate": Item("j", "image", None, PICTURE, 1, "candidate"),
    "composed query": Item("q", "image,text", "a fox", PICTURE, 7, "query"),
    "composed candidate": Item("p", "image", None, PICTURE, 7, "candidate"),
    "fused candidate": Item("b", "image,text", "a fox", PICTURE, 8, "candidate"),
}
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def chatml(content: str, system: str = "You are a helpful assistant.") -> str:
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n"


def llama3(content: str) -> str:
    return f"<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"  # noqa: E501


DOCUMENTED: dict[str, dict[str, str]] = {
    "gme": {
        "text query": chatml("a fox") + "<|endoftext|>",
        "image query": chatml(QWEN_IMAGE) + "<|endoftext|>",
        "fused candidate": chatml(QWEN_IMAGE + "a fox") + "<|endoftext|>",
    },
    "lamra": {
        "text candidate": chatml("a fox\nSummarize above sentence in one word: "),
        "image query": chatml(QWEN_IMAGE + "\nSummarize above image in one word: "),
        "composed query": chatml(QWEN_IMAGE + "a fox\nSummarize above image and sentence in one word: "),
    },
    "vlm2vec": {
        "text query": "Find me an everyday image that matches the given caption: a fox",
        "text candidate": "a fox",
        "image query": "<|image_pad|> Find an image caption describing the given everyday image.",
        "image candidate": "<|image_pad|> Represent the given image.",
        "composed query": "<|image_pad|> Represent the given image with the following question: a fox",
        "fused candidate": "<|image_pad|> Represent the given image with related text information: a fox",
    },
    "e5-v": {
        "text query": llama3("a fox\nSummary above sentence in one word: "),
        "image query": llama3("<image>\nSummary above image in one word: "),
        "composed query": llama3('<image>Modify this image with "a fox", desribe modified image in one word:'),
        "composed candidate": llama3("<image>\n Describe this image in one word:"),
    },
}
ONE_WORD = "Given an image, summarize the provided image in one word. Given only text, describe the text in one word."
CONTROLLED = (
    "\nYou are required to assess if the {} is related to the {}. Based on the {own}, output one word:\n"
    "\u2022 Capture the semantics of the {own}.\n\u2022 Do not use function words, prepositions, or symbols."
)
DOCUMENTED |= {
    "hierarchical": {
        "text query": chatml("a fox\nRepresent the given text in one word.", ONE_WORD),
        "text candidate": chatml("a fox", ONE_WORD),
        "image query": chatml(QWEN_IMAGE + "\nRepresent the given text/image in one word.", ONE_WORD),
        "image candidate": chatml(QWEN_IMAGE, ONE_WORD),
    },
    "freeret": {
        "text query": chatml("a fox" + CONTROLLED.format("sentence", "image", own="sentence")),
        "image candidate": chatml(QWEN_IMAGE + CONTROLLED.format("sentence", "image", own="image")),
        "image query": chatml(QWEN_IMAGE + CONTROLLED.format("image", "sentence", own="image")),
        "composed query": chatml(
            QWEN_IMAGE + "a fox" + CONTROLLED.format("image and the sentence", "image", own="image and the sentence")
        ),
    },
}
DOCUMENTED["qwen3-vl-embedding"] = {
    "text query": chatml("a fox", "Retrieve images or text relevant to the user's query."),
    "text candidate": chatml("a fox", "Represent the user's input."),
    "image query": chatml(QWEN_IMAGE, "Retrieve images or text relevant to the user's query."),
    "fused candidate": chatml(QWEN_IMAGE + "a fox", "Represent the user's input."),
}
PIXELS = {"gme": (256 * 28 * 28, 1280 * 28 * 28), "qwen3-vl-embedding": (4096, 1280 * 1440)}
CASES = [(style, name) for style, strings in DOCUMENTED.items() for name in strings]


@pytest.fixture(scope="module")
def folders(zoo_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Qwen2-VL; and LLaVA-NeXT as E5-V is published: no chat template, and a processor that does not know its patch
    size."""
    root = tmp_path_factory.mktemp("retrievers")
    qwen, llava = zoo_folder("qwen2_vl"), Path(shutil.copytree(zoo_folder("llava_next"), root / "llava"))
    for path in llava.glob("chat_template*"):
        path.unlink()
    path = llava / "processor_config.json"
    config = json.loads(path.read_text())
    path.write_text(
        json.dumps({k: v for k, v in config.items() if k in {"image_processor", "processor_class", "image_token"}})
    )
    of_qwen = dict.fromkeys(("gme", "lamra", "vlm2vec", "hierarchical", "freeret"), qwen)
    return of_qwen | {"e5-v": llava, "qwen3-vl-embedding": zoo_folder("qwen3_vl")}


@pytest.fixture(scope="module")
def adapters(folders: dict[str, Path]) -> dict[str, Any]:
    return {
        style: load_model(ModelSpec(name=str(folder), preset=style, dtype="float32"))
        for style, folder in folders.items()
    }


@lru_cache
def reference(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    complete = {"patch_size": 8, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"}
    processor = AutoProcessor.from_pretrained(folder, **(complete if "llava" in folder.name else {}))
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval(), processor


def by_hand(folder: Path, string: str, item: Item, pixels: tuple[int, int] | None = None) -> torch.Tensor:
    """Last hidden states (t, d) of the documented string."""
    model, processor = reference(folder)
    more = (
        {"images_kwargs": {"size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]}}}
        if pixels and item.image
        else {}
    )
    inputs = processor(text=[string], images=[item.image] if item.image else None, return_tensors="pt", **more)
    with torch.inference_mode():
        return model(**inputs, output_hidden_states=True).hidden_states[-1][0]


@pytest.mark.parametrize(("style", "name"), CASES)
def test_the_turn_is_the_documented_string(adapters: dict[str, Any], style: str, name: str) -> None:
    adapter, item = adapters[style], ITEMS[name]
    assert adapter.render(item, prompt_of(item, style)) == DOCUMENTED[style][name]


@pytest.mark.parametrize(("style", "name"), CASES)
def test_the_embedding_is_the_state_of_the_documented_last_token(
    adapters: dict[str, Any], folders: dict[str, Path], style: str, name: str
) -> None:
    expected = by_hand(folders[style], DOCUMENTED[style][name], ITEMS[name], PIXELS.get(style))[-1].numpy()
    found = adapters[style].embed([ITEMS[name]], [LAST])[LAST][0]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_lamra_is_the_state_before_its_emb_token(adapters: dict[str, Any], folders: dict[str, Path]) -> None:
    """As documented: an answer "<emb>." follows, and the state one before it is taken."""
    string = DOCUMENTED["lamra"]["text candidate"]
    before = len(adapters["lamra"].tokenizer(string)["input_ids"])
    states = by_hand(folders["lamra"], string + "<emb>.<|im_end|>\n", ITEMS["text candidate"])
    found = adapters["lamra"].embed([ITEMS["text candidate"]], [LAST])[LAST][0]
    assert np.abs(found - states[before - 1].numpy()).max() < 1e-4


@pytest.mark.parametrize(("style", "name"), CASES)
def test_roles_spell_words_and_instruction(adapters: dict[str, Any], style: str, name: str) -> None:
    item = ITEMS[name]
    states = adapters[style].token_states([item])
    said = {
        role: "".join(t for t, r in zip(states.text, states.role, strict=True) if r == role)
        for role in ("text", "prompt")
    }
    prompt = prompt_of(item, style)
    assert said["text"].strip() == (item.text or "")
    assert said["prompt"].replace(" ", "") == (prompt.lead + prompt.instruction).replace(" ", "")
    assert ("image" in states.role) == (item.image is not None)
    assert len(states.role) == adapters[style].lengths([item])[0]


def test_gme_gives_a_small_picture_256_tokens(adapters: dict[str, Any]) -> None:
    """Patches of 8 pixels merged two by two here (28 there): at least 256 x 28 x 28 pixels, 16 x 16 a token."""
    states = adapters["gme"].token_states([ITEMS["image query"]])
    assert states.role.count("image") >= 256 * 28 * 28 // 256
    assert adapters["lamra"].token_states([ITEMS["image query"]]).role.count("image") < 64


def test_the_pooling_and_the_key_follow_the_style(folders: dict[str, Path]) -> None:
    spec = ModelSpec(name=str(folders["gme"]))
    assert (describe(spec).preset, describe(spec).pooling) == ("study", "mean")
    found = [
        describe(ModelSpec(name=spec.name, preset=style)) for style in ("study", "chat", "gme", "vlm2vec", "lamra")
    ]
    assert [facts.pooling for facts in found] == ["mean", "mean", "last", "last", "last"]
    assert len({facts.key for facts in found}) == len(found)


def test_own_prompts_of_an_unknown_model_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(SpecError, match="no prompts of qwen2_vl itself.*'lamra'"):
        describe(ModelSpec(name=str(folders["gme"]), preset="own"))


def test_a_model_without_chat_template_needs_prompts_with_their_own_frame(
    folders: dict[str, Path], adapters: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="no chat template"):
        load_model(ModelSpec(name=str(folders["e5-v"]), preset="chat"))
    with pytest.raises(NotAvailable, match="no chat template"):
        adapters["e5-v"].generate(ITEMS["text query"], "What is it?")


def test_models_that_take_no_turns_refuse_a_frame(zoo_folder: Callable[[str], Path]) -> None:
    folder = zoo_folder("paligemma")
    with pytest.raises(SpecError, match="paligemma takes no turns"):
        describe(ModelSpec(name=str(folder), preset="gme"))


def test_every_style_names_its_source() -> None:
    assert all(style.source and style.pooling in {"mean", "last"} for style in STYLES.values())
