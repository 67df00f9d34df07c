"""A model of true shapes with random weights: does it go through the encoder, in the memory that was estimated?

The weights are random and mean nothing; what is measured is memory and speed. Nothing is downloaded: the configuration
is written here, the words are the demo model's, the processor is transformers' own with its defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.commands.benches.apart import alone, peak_gib
from core.errors import UserError

if TYPE_CHECKING:
    from core.models.base import Adapter

QWEN2_VL_2B: dict[str, Any] = {
    "text_config": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    },
    "vision_config": {
        "depth": 32,
        "embed_dim": 1280,
        "hidden_size": 1536,
        "mlp_ratio": 4,
        "num_heads": 16,
        "patch_size": 14,
        "spatial_merge_size": 2,
    },
    "tie_word_embeddings": True,
}
"""Sizes of Qwen/Qwen2-VL-2B-Instruct: 2.21 billion parameters."""
MARKS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|>@@<|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPES = {"qwen2-vl-2b": QWEN2_VL_2B}
BLOCK = 2**20
"""Random numbers that are drawn; all weights are made of them."""


def shape(name: str = "qwen2-vl-2b", items: int = 6, dtype: str = "bfloat16") -> dict[str, Any]:
    """Peak memory beside the estimate of `core/models/memory.py`, parameters, seconds, and whether all rows are finite.

    Raises:
        UserError: no such shape.
    """
    if name not in SHAPES:
        raise UserError("no model of that shape", got=name, allowed=", ".join(SHAPES), todo="choose one of these")
    return {"shape": name} | alone(_encoded, name, items, dtype)


def _encoded(name: str, items: int, dtype: str) -> dict[str, Any]:
    from core.commands.benches.encoding import demo_items
    from core.commands.benches.profile import encoded
    from core.models.memory import memory_gib

    adapter = random_model(SHAPES[name], name, dtype)
    parameters = sum(p.numel() for p in adapter.model.parameters()) / 1e9  # type: ignore[attr-defined]
    figures = encoded(adapter, demo_items(items))
    estimated, peak = memory_gib(parameters, dtype), peak_gib()
    return {
        "dtype": dtype,
        "parameters_billions": parameters,
        "estimated_gib": estimated,
        "peak_gib": peak,
        "peak_over_estimated": peak / estimated,
        **{
            name: figures[name] for name in ("items", "tokens", "seconds", "tokens_per_second", "model_share", "finite")
        },
    }


def random_model(config: dict[str, Any], name: str, dtype: str) -> Adapter:
    """A Qwen2-VL of that configuration with random weights, behind its adapter, on the device at hand."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
    from transformers.initialization import no_init_weights

    from core.models.base import ModelFacts
    from core.models.chat import ChatAdapter
    from core.models.device import device

    processor, ids = _processor()
    built = Qwen2VLConfig(**config, **ids)
    with no_init_weights():
        model = Qwen2VLForConditionalGeneration._from_config(built, dtype=getattr(torch, dtype))
    model = model.to(device()).eval()
    drawn = torch.empty(BLOCK, dtype=torch.float32).normal_(0, 0.02, generator=torch.Generator().manual_seed(0))
    drawn = drawn.to(model.device, model.dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            flat = parameter.view(-1)
            for start in range(0, len(flat), BLOCK):
                part = flat[start : start + BLOCK]
                part.copy_(drawn[: len(part)])
        for module in model.modules():
            if "Norm" in type(module).__name__:
                module.weight.fill_(1.0)
    text = config["text_config"]
    facts = ModelFacts(
        name, "chat", name, "random weights", "", "qwen2_vl", text["hidden_size"], text["num_hidden_layers"],
        dtype, "study",
    )  # fmt: skip
    return ChatAdapter(facts, model, processor)


def _processor() -> tuple[Any, dict[str, int]]:
    """Qwen2-VL's processor around the demo model's words, and the ids of its marks."""
    from transformers import AutoTokenizer, Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    from core.models.known import WEIGHTS

    words = AutoTokenizer.from_pretrained(WEIGHTS / "demo-mllm")
    words.add_special_tokens({"additional_special_tokens": list(MARKS)})
    # The demo model's words have an image token of their own, which Qwen2-VL's processor then takes.
    template = TEMPLATE.replace("@@", words.image_token)
    processor = Qwen2VLProcessor(Qwen2VLImageProcessor(), words, Qwen2VLVideoProcessor(), chat_template=template)
    tokens = {"vision_start": MARKS[2], "vision_end": MARKS[3], "video": MARKS[4], "image": words.image_token}
    return processor, {f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in tokens.items()}
