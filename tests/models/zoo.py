"""A tiny random-weight checkpoint of every architecture, with its real processor and a tokenizer trained here, as a
user would have it.

2-4 decoder layers, d = 32, images of 16-64 pixels. Chat templates are laid out as the published ones: system turns,
line breaks, trimmed texts and all. `MODELS[name](folder)` builds one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SENTENCES = [
    "A red fox sleeps under the old bridge.",
    "Two boats on a lake at night.",
    "Summarize the above sentence in one word: ",
    "You are a helpful assistant.",
    "system user assistant",
]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
    "max_position_embeddings": 4096,
}
VISION = {"hidden_size": 24, "intermediate_size": 48, "num_attention_heads": 2, "num_hidden_layers": 2}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}{%"
    " for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}@@{%"
    " else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt"
    " %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(special: list[str], named: dict[str, str] | None = None, bos: bool = False) -> Any:
    """A byte-level BPE whose first tokens are `<pad> <s> </s>` and `special`; `named` are attributes of the
    tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    first = ["<pad>", "<s>", "</s>", *special]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360 + len(first),
        special_tokens=first,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([*SENTENCES * 3, *["\n\n\n\n"] * 9], trainer)
    if bos:
        bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=named or special,
    )


def save(model: Any, processor: Any, folder: Path, scale: float = 5.0) -> Path:
    """Weights `scale` times as large, so that different inputs give clearly different states, beside the processor's
    files."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llama(words: Any, **more: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        **(TEXT | {"vocab_size": len(words), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2} | more)
    )


def _qwen(folder: Path, name: str, vision: dict[str, Any], text: dict[str, Any], patch: int) -> Path:
    import transformers

    marks = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = tokenizer(marks)
    size = {"shortest_edge": (2 * patch) ** 2, "longest_edge": (6 * patch) ** 2}
    config = getattr(transformers, f"{name}Config")(
        vision_config=vision,
        text_config=TEXT | {"vocab_size": len(words), "bos_token_id": 1, "eos_token_id": 2} | text,
        vision_start_token_id=5,
        vision_end_token_id=6,
        image_token_id=7,
        video_token_id=8,
    )
    pictures = transformers.Qwen2VLImageProcessor(patch_size=patch, merge_size=2, size=size, **HALF)
    videos = {"Qwen3VL": "Qwen3VLVideoProcessor"}.get(name, "Qwen2VLVideoProcessor")
    processor = getattr(transformers, f"{name}Processor")(
        pictures,
        words,
        getattr(transformers, videos)(patch_size=patch),
        chat_template=CHATML.replace("@@", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return save(getattr(transformers, f"{name}ForConditionalGeneration")(config), processor, folder)


def qwen2_vl(folder: Path) -> Path:
    vision = {"depth": 2, "embed_dim": 24, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2, "patch_size": 8}
    return _qwen(
        folder, "Qwen2VL", vision, {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}, 8
    )


def qwen2_5_vl(folder: Path) -> Path:
    vision = {
        "depth": 2,
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 8,
        "out_hidden_size": 32,
    }
    vision |= {"window_size": 32, "fullatt_block_indexes": [1]}
    return _qwen(
        folder, "Qwen2_5_VL", vision, {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}, 8
    )


def qwen3_vl(folder: Path) -> Path:
    vision = {
        "depth": 2,
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 8,
        "out_hidden_size": 32,
    }
    vision |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    rope = {"rope_type": "default", "rope_theta": 5e5, "mrope_section": [1, 1, 2], "mrope_interleaved": True}
    return _qwen(folder, "Qwen3VL", vision, {"head_dim": 8, "rope_parameters": rope}, 8)


def paligemma(folder: Path) -> Path:
    import transformers

    words = tokenizer(["<image>"])
    text = transformers.Gemma2Config(
        **TEXT,
        vocab_size=len(words) + 1100,
        head_dim=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        sliding_window=64,
    )
    vision = transformers.SiglipVisionConfig(**VISION, image_size=32, patch_size=8, projection_dim=32)
    config = transformers.PaliGemmaConfig(
        vision_config=vision, text_config=text, image_token_index=3, projection_dim=32, hidden_size=32
    )
    pictures = transformers.SiglipImageProcessor(size={"height": 32, "width": 32}, **HALF)
    pictures.image_seq_length = 16
    return save(
        transformers.PaliGemmaForConditionalGeneration(config),
        transformers.PaliGemmaProcessor(pictures, words),
        folder,
        3.0,
    )


def chameleon(folder: Path) -> Path:
    import transformers

    codes = ["IMGIMG" + "".join("ABCDEFGHIJ"[int(digit)] for digit in str(n)) + "Z" for n in range(64)]
    words = tokenizer(
        ["<image>", "<racm3:break>", "<eoss>", "<reserved08706>", *codes], {"image_token": "<image>"}, bos=True
    )
    words.add_special_tokens({"sep_token": "<reserved08706>"})
    words.boi_token, words.eoi_token = "<racm3:break>", "<eoss>"
    names = ["<image>", *codes]
    config = transformers.ChameleonConfig(
        **(TEXT | {"num_key_value_heads": 4}),
        vocab_size=len(words),
        vocabulary_map=dict(zip(names, words.convert_tokens_to_ids(names), strict=True)),
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        image_token_id=3,
        vq_config={
            "embed_dim": 16,
            "num_embeddings": 64,
            "latent_channels": 16,
            "resolution": 32,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1],
            "num_res_blocks": 1,
            "attn_type": "vanilla",
            "attn_resolutions": [],
        },
    )
    pictures = transformers.ChameleonImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = transformers.ChameleonProcessor(pictures, words, image_seq_length=64, image_token="<image>")
    return save(transformers.ChameleonForConditionalGeneration(config), processor, folder)


def llava_next(folder: Path) -> Path:
    import transformers

    words = tokenizer(["<image>"], {"image_token": "<image>"}, bos=True)
    pinpoints = [[32, 64], [64, 32], [64, 64]]
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION, image_size=32, patch_size=8),
        text_config=llama(words),
        image_token_index=3,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    pictures = transformers.LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=pinpoints, **HALF
    )
    template = (
        "{% for m in messages %}USER: {% for c in m['content'] | selectattr('type', 'equalto', 'image') %}<image>\n{%"
        " endfor %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] }} {% endfor %}{%"
        " endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )
    processor = transformers.LlavaNextProcessor(
        pictures,
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return save(transformers.LlavaNextForConditionalGeneration(config), processor, folder)


def llava_onevision(folder: Path) -> Path:
    import transformers

    words = tokenizer(["<image>", "<video>", "<|im_start|>", "<|im_end|>"])
    pinpoints = [[32, 32], [32, 64], [64, 32], [64, 64]]
    text = transformers.Qwen2Config(**TEXT, vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=2)
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(**VISION, image_size=32, patch_size=8, vision_use_head=False),
        text_config=text,
        image_token_index=3,
        video_token_index=4,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    )
    size = {"height": 32, "width": 32}
    pictures = transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints, **HALF)
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }} {% for c in m['content'] | selectattr('type', 'equalto',"
        " 'image') %}<image>{% endfor %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' +"
        " c['text'] }}{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{%"
        " endif %}"
    )
    processor = transformers.LlavaOnevisionProcessor(
        pictures,
        words,
        transformers.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template,
    )
    return save(transformers.LlavaOnevisionForConditionalGeneration(config), processor, folder)


IDEFICS_TEMPLATE = (
    "<s>{% for m in messages %}{{ m['role'] | capitalize }}{% if m['content'][0]['type'] == 'image' %}{{ ':' }}{% else"
    " %}{{ ': ' }}{% endif %}{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% elif c['type'] =="
    " 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{"
    " 'Assistant:' }}{% endif %}"
)


def _idefics(folder: Path, name: str) -> Path:
    import transformers

    named = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "global_image_token": "<global-img>",
    }
    named |= {"end_of_utterance_token": "<end_of_utterance>"}
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    words = tokenizer([*named.values(), *tiles], named, bos=True)
    vision = VISION | {"image_size": 32, "patch_size": 8}
    config = getattr(transformers, f"{name}Config")(
        vision_config=vision, text_config=llama(words), scale_factor=2, image_token_id=4, pad_token_id=0
    )
    pictures = getattr(transformers, f"{name}ImageProcessor")(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True, **HALF
    )
    more = (
        {"video_processor": transformers.SmolVLMVideoProcessor(size={"longest_edge": 32})} if name == "SmolVLM" else {}
    )
    processor = getattr(transformers, f"{name}Processor")(
        pictures, words, image_seq_len=4, chat_template=IDEFICS_TEMPLATE, **more
    )
    return save(getattr(transformers, f"{name}ForConditionalGeneration")(config), processor, folder)


def idefics3(folder: Path) -> Path:
    return _idefics(folder, "Idefics3")


def smolvlm(folder: Path) -> Path:
    return _idefics(folder, "SmolVLM")


def gemma3(folder: Path) -> Path:
    import transformers

    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    words = tokenizer([*named.values(), "<start_of_turn>", "<end_of_turn>"], named, bos=True)
    text = TEXT | {"vocab_size": len(words), "head_dim": 8, "bos_token_id": 1, "eos_token_id": 2, "sliding_window": 16}
    text |= {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    config = transformers.Gemma3Config(
        text_config=text,
        vision_config=VISION | {"image_size": 32, "patch_size": 8, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=3,
        eoi_token_index=4,
        image_token_index=5,
    )
    template = (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n{% for c in m['content'] %}{% if"
        " c['type'] == 'image' %}<start_of_image>{% else %}{{ c['text'] | trim }}{% endif %}{% endfor"
        " %}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    )
    pictures = transformers.Gemma3ImageProcessor(size={"height": 32, "width": 32}, **HALF)
    processor = transformers.Gemma3Processor(pictures, words, chat_template=template, image_seq_length=4)
    return save(transformers.Gemma3ForConditionalGeneration(config), processor, folder, 3.0)


def internvl(folder: Path) -> Path:
    import transformers

    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    words = tokenizer([*named.values(), "<|im_start|>", "<|im_end|>"], named)
    size = {"height": 32, "width": 32}
    config = transformers.InternVLConfig(
        vision_config=VISION | {"image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=5,
        image_seq_length=4,
        downsample_ratio=0.5,
        text_config=transformers.Qwen2Config(
            **TEXT, vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=2
        ),
    )
    pictures = transformers.GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4, **HALF)
    processor = transformers.InternVLProcessor(
        pictures,
        words,
        transformers.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=CHATML.replace("@@", "<IMG_CONTEXT>\n"),
    )
    return save(transformers.InternVLForConditionalGeneration(config), processor, folder)


def mllama(folder: Path) -> Path:
    import transformers

    words = tokenizer(
        ["<|image|>", "<|python_tag|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], bos=True
    )
    vision = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "attention_heads": 2,
        "num_hidden_layers": 2,
        "num_global_layers": 1,
        "image_size": 32,
        "patch_size": 8,
        "max_num_tiles": 4,
        "intermediate_layers_indices": [0, 1],
        "vision_output_dim": 72,
        "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
    }
    text = TEXT | {
        "vocab_size": len(words),
        "num_hidden_layers": 4,
        "cross_attention_layers": [1, 3],
        "pad_token_id": 0,
    }
    text |= {"bos_token_id": 1, "eos_token_id": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
    config = transformers.MllamaConfig(vision_config=vision, text_config=text, image_token_index=3)
    model = transformers.MllamaForConditionalGeneration(config)
    for name, parameter in model.named_parameters():
        if name.endswith("gate"):  # closed in a new model: no picture would get in
            parameter.data.fill_(0.7)
    pictures = transformers.MllamaImageProcessor(size={"height": 32, "width": 32}, max_image_tiles=4, **HALF)
    return save(model, transformers.MllamaProcessor(pictures, words, chat_template=MLLAMA_TEMPLATE), folder)


MLLAMA_TEMPLATE = (
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{%"
    " set seen = namespace(image=false) %}{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image'"
    " %}{% set seen.image = true %}{% endif %}{% endfor %}{% endfor %}{% if not seen.image"
    " %}<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ date_string }}\n\n<|eot_id|>{% endif %}{% for m in"
    " messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{% for c in m['content'] %}{% if c['type'] =="
    " 'image' %}<|image|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|eot_id|>{% endfor %}{% if"
    " add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
"""As the published one: a text without a picture gets a system turn that holds the day's date."""


def siglip2(folder: Path) -> Path:
    """The kind with pictures of any shape ("naflex"); those of a fixed size are of the SigLIP class."""
    import transformers

    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz.,:", "fo", "fox"]
    words = transformers.Siglip2Tokenizer(
        {word: n for n, word in enumerate([*first, *letters])}, [("f", "o"), ("fo", "x")]
    )
    text = VISION | {"vocab_size": len(words), "max_position_embeddings": 32, "pad_token_id": 0, "projection_size": 24}
    text |= {"bos_token_id": 2, "eos_token_id": 1}
    config = transformers.Siglip2Config(text_config=text, vision_config=VISION | {"patch_size": 8, "num_patches": 16})
    pictures = transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16, **HALF)
    return save(transformers.Siglip2Model(config), transformers.Siglip2Processor(pictures, words), folder)


MODELS: dict[str, Callable[[Path], Path]] = {
    build.__name__: build
    for build in (
        qwen2_vl,
        qwen2_5_vl,
        qwen3_vl,
        paligemma,
        chameleon,
        llava_next,
        llava_onevision,
        idefics3,
        smolvlm,
        gemma3,
        internvl,
        mllama,
    )
}
"""Builders of the generating architectures by name."""
