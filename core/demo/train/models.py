"""The demo models, untrained: sizes and construction.

demo-clip: a `CLIPModel`; demo-mllm: a `LlavaForConditionalGeneration`. Its vision tower begins as that of a dual
encoder of demo-clip's sizes without the last layer (patch states of a CLIP tower's last layer feed nothing during
contrastive training, which is why LLaVA reads the one before). That dual encoder is trained for this alone: it shares
neither weights nor scenes with demo-clip.
"""

from __future__ import annotations

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from core.demo.train.tokens import (
    CLIP_LENGTH,
    END,
    IMAGE,
    IMAGE_SIDE,
    IMAGE_TOKENS,
    MLLM_LENGTH,
    PAD,
    PATCH,
    START,
    STOP,
)

VISION = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "image_size": IMAGE_SIDE,
    "patch_size": PATCH,
    "projection_dim": 128,
    "hidden_act": "gelu",
}
VISION_LAYERS = 6  # of a dual encoder; demo-mllm keeps all but the last
TEXT_LAYERS = 3
TEXT = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "num_hidden_layers": TEXT_LAYERS,
    "max_position_embeddings": CLIP_LENGTH,
    "projection_dim": 128,
    "hidden_act": "gelu",
}
DECODER = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "num_hidden_layers": 6,
    "max_position_embeddings": MLLM_LENGTH,
    "tie_word_embeddings": True,
}


def clip(tokenizer: PreTrainedTokenizerFast, text_layers: int = TEXT_LAYERS) -> CLIPModel:
    """An untrained demo-clip, or another dual encoder of its sizes with a text encoder of `text_layers`."""
    ids = _ids(tokenizer, STOP)
    return CLIPModel(
        CLIPConfig(
            vision_config={**VISION, "num_hidden_layers": VISION_LAYERS},
            text_config={**TEXT, "num_hidden_layers": text_layers, "vocab_size": len(tokenizer), **ids},
            projection_dim=128,
        )
    )


def mllm(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """An untrained demo-mllm."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION, num_hidden_layers=VISION_LAYERS - 1),
        text_config=LlamaConfig(**DECODER, vocab_size=len(tokenizer), **_ids(tokenizer, END)),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration(config)


def tower_of(start: CLIPModel, model: LlavaForConditionalGeneration) -> dict[str, torch.Tensor]:
    """The tensors of `start`'s vision tower that `model`'s smaller one has, under the names they have there."""
    source = start.vision_model.state_dict()
    names = [name for name in model.state_dict() if name.startswith("model.vision_tower.")]
    return {
        name: source[name.removeprefix("model.vision_tower.").removeprefix("vision_model.")].clone() for name in names
    }


def _ids(tokenizer: PreTrainedTokenizerFast, end: str) -> dict[str, int]:
    pad, start, stop = tokenizer.convert_tokens_to_ids([PAD, START, end])
    return {"pad_token_id": pad, "bos_token_id": start, "eos_token_id": stop}


def parameters(model: torch.nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())
