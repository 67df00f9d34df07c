"""The two demo models, untrained: sizes and construction.

demo-clip: a `CLIPModel`; demo-mllm: a `LlavaForConditionalGeneration` whose vision tower is demo-clip's without its
last layer (patch states of a CLIP tower's last layer feed nothing during contrastive training, which is why LLaVA reads
the one before).
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

from core.demo.tokens import CLIP_LENGTH, IMAGE, IMAGE_SIDE, MLLM_LENGTH, PAD, PATCH, START, STOP

VISION = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "image_size": IMAGE_SIDE,
    "patch_size": PATCH,
    "projection_dim": 128,
    "hidden_act": "gelu",
}
VISION_LAYERS = 6  # of demo-clip; demo-mllm keeps all but the last
TEXT = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
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


def clip(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """An untrained demo-clip."""
    ids = _ids(tokenizer)
    return CLIPModel(
        CLIPConfig(
            vision_config={**VISION, "num_hidden_layers": VISION_LAYERS},
            text_config={**TEXT, "vocab_size": len(tokenizer), **ids},
            projection_dim=128,
        )
    )


def mllm(tokenizer: PreTrainedTokenizerFast, start: CLIPModel | None = None) -> LlavaForConditionalGeneration:
    """An untrained demo-mllm; its vision tower starts as that of `start`."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION, num_hidden_layers=VISION_LAYERS - 1),
        text_config=LlamaConfig(**DECODER, vocab_size=len(tokenizer), **_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(IMAGE_SIDE // PATCH) ** 2,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    if start is not None:
        _copy_tower(start, model)
    return model


def _copy_tower(start: CLIPModel, model: LlavaForConditionalGeneration) -> None:
    """Load every tensor of the smaller tower from the larger one; a name that does not match is an error."""
    source = start.vision_model.state_dict()
    tower = model.model.vision_tower
    tower = getattr(tower, "vision_model", tower)
    tower.load_state_dict({name: source[name] for name in tower.state_dict()})


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    pad, start, stop = tokenizer.convert_tokens_to_ids([PAD, START, STOP])
    return {"pad_token_id": pad, "bos_token_id": start, "eos_token_id": stop}


def parameters(model: torch.nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())
