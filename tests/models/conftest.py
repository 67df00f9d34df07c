"""Tiny random-weight checkpoints with real processors and tokenizers, one per kind, saved as a user would have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from core.config import ModelSpec
from core.models import Adapter, load_model
from core.records import Item

PICTURE = 32
CHAT_TEMPLATE = (
    "{% for m in messages %}<|user|>{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|model|>{% endif %}"
)
SPECIAL = ["<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|end|>", "<|model|>"]
SENTENCES = [
    "A red fox sleeps under the old bridge.",
    "Two boats on a lake at night.",
    "Summarize the above sentence in one word: ",
]


def tokenizer(clip: bool = False):  # noqa: ANN201 - transformers is imported late
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = (
        [*SPECIAL[:2], *SPECIAL[3:], "</s>"] if clip else SPECIAL
    )  # an end token of id 2 selects transformers' legacy pooling
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(SENTENCES * 3, trainer)
    if clip:
        bpe.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 6)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def image_processor(kind: str = "CLIPImageProcessor"):  # noqa: ANN201
    import transformers

    size = {"height": PICTURE, "width": PICTURE}
    common = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
    if kind == "CLIPImageProcessor":
        return transformers.CLIPImageProcessor(size={"shortest_edge": PICTURE}, crop_size=size, **common)
    return getattr(transformers, kind)(size=size, **common)


VISION = {
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "image_size": PICTURE,
    "patch_size": 8,
}


@pytest.fixture(scope="session")
def llava_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA of 3 decoder layers, d = 32, 4 x 4 patches."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    folder, words = tmp_path_factory.mktemp("models") / "tiny-llava", tokenizer()
    text = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=3,
        vocab_size=len(words),
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=text,
        image_token_index=3,
        image_seq_length=16,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    _scaled(LlavaForConditionalGeneration(config)).save_pretrained(folder)
    LlavaProcessor(
        image_processor(),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP, d = 20, 4 x 4 patches, 24 text positions."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    folder, words = tmp_path_factory.mktemp("models") / "tiny-clip", tokenizer(clip=True)
    text = {k: v for k, v in VISION.items() if k not in ("image_size", "patch_size")}
    text |= {
        "vocab_size": len(words),
        "max_position_embeddings": 24,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 6,
    }
    torch.manual_seed(1)
    config = CLIPConfig(text_config=text, vision_config=VISION, projection_dim=20)
    _scaled(CLIPModel(config)).save_pretrained(folder)
    CLIPProcessor(image_processor(), words).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP, d = 24."""
    import torch
    from transformers import SiglipConfig, SiglipModel, SiglipProcessor

    folder, words = tmp_path_factory.mktemp("models") / "tiny-siglip", tokenizer()
    text = {k: v for k, v in VISION.items() if k not in ("image_size", "patch_size")}
    text |= {"vocab_size": len(words), "max_position_embeddings": 32, "pad_token_id": 0, "projection_size": 24}
    torch.manual_seed(2)
    _scaled(SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))).save_pretrained(folder)
    SiglipProcessor(image_processor("SiglipImageProcessor"), words).save_pretrained(folder)
    return folder


def _scaled(model):  # noqa: ANN001, ANN202
    """Random weights five times as large, so that different inputs give clearly different states."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return model.eval()


@pytest.fixture(scope="session")
def llava(llava_folder: Path) -> Adapter:
    return load_model(ModelSpec(name=str(llava_folder)))


@pytest.fixture(scope="session")
def llava_chat(llava_folder: Path) -> Adapter:
    return load_model(ModelSpec(name=str(llava_folder), preset="chat"))


@pytest.fixture(scope="session")
def clip(clip_folder: Path) -> Adapter:
    return load_model(ModelSpec(name=str(clip_folder)))


@pytest.fixture(scope="session")
def siglip(siglip_folder: Path) -> Adapter:
    return load_model(ModelSpec(name=str(siglip_folder)))


def picture(seed: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8))


@pytest.fixture(scope="session")
def mixed() -> list[Item]:
    """Texts, images and both, of different lengths, in no order."""
    return [
        Item("t0", "text", "A red fox."),
        Item("i0", "image", None, picture(0)),
        Item("b0", "image,text", "Two boats on a lake at night.", picture(1), 7, "query"),
        Item("t1", "text", "Two boats on a lake at night, and a red fox sleeps under the old bridge: naïve 🦊."),
        Item("b1", "image,text", "A lake", picture(2, (64, 32)), 3, "candidate"),
        Item("i1", "image", None, picture(3, (30, 50))),
        Item("t2", "text", "x"),
    ]


class Loaded(NamedTuple):
    """A tiny checkpoint as this project loads it, and as transformers' documentation says."""

    adapter: Adapter
    model: Any
    processor: Any


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a checkpoint of `zoo.MODELS`, made when it is first asked for. A test that changes it copies it."""
    import torch
    import zoo

    root = tmp_path_factory.mktemp("zoo")

    @cache
    def made(name: str) -> Path:
        torch.manual_seed(0)
        return zoo.MODELS[name](root / name)

    return made


@pytest.fixture(scope="session")
def zoo_loaded(zoo_folder: Callable[[str], Path]) -> Callable[[str], Loaded]:
    """A checkpoint of `zoo.MODELS` in float32, loaded when it is first asked for."""

    @cache
    def loaded(name: str) -> Loaded:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = zoo_folder(name)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        adapter = load_model(ModelSpec(name=str(folder), dtype="float32"))
        return Loaded(adapter, model, AutoProcessor.from_pretrained(folder))

    return loaded


@pytest.fixture(scope="session")
def siglip2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SigLIP 2 that takes images of any shape, d = 24, at most 16 patches, 32 text positions."""
    import torch
    import zoo

    torch.manual_seed(3)
    return zoo.siglip2(tmp_path_factory.mktemp("models") / "tiny-siglip2")


@pytest.fixture(scope="session")
def siglip2(siglip2_folder: Path) -> Adapter:
    return load_model(ModelSpec(name=str(siglip2_folder)))
