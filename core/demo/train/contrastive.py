"""Contrastive training: of demo-clip, and of the vision tower of demo-mllm.

In:  scenes of the train split, one caption each, made on the fly.
Out: a `CLIPModel` trained with the symmetric InfoNCE loss, and its recall on the test split.

The two never share a scene: demo-clip learns from the train split of seed 0, the tower from that of seed `TOWER_SEED`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import CLIPModel, PreTrainedTokenizerFast

from core import world
from core.demo.train import loop
from core.demo.train.recall import recall_both_ways
from core.demo.train.tokens import IMAGE_SIDE

TOWER_SEED = 1  # of the world's scenes and captions the vision tower of demo-mllm learns from


def pixels(pictures: list[np.ndarray]) -> torch.Tensor:
    """What the image processor makes of square pictures, uint8 (128, 128, 3) each: float (B, 3, 64, 64), -1 to 1."""
    stack = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    small = F.interpolate(stack, (IMAGE_SIDE, IMAGE_SIDE), mode="bilinear", antialias=True)
    return small.float().div_(127.5).sub_(1)


def loss_at(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, step: int, batch: int, seed: int = 0) -> torch.Tensor:
    """InfoNCE over the batch of a step, averaged over both directions; `seed` is that of the world's scenes and
    captions."""
    scenes = [world.scene("train", step * batch + i, seed) for i in range(batch)]
    texts = [world.caption(s, world.stream("clip", step * batch + i, seed=seed)) for i, s in enumerate(scenes)]
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
    with loop.autocast(model.device):
        out = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=pixels([world.render(s) for s in scenes]).to(model.device),
        )
    scores = out.logits_per_image.float()
    goal = torch.arange(batch, device=model.device)
    return (F.cross_entropy(scores, goal) + F.cross_entropy(scores.T, goal)) / 2


@torch.inference_mode()
def embed_images(model: CLIPModel, scenes: list[world.Scene], batch: int = 250) -> np.ndarray:
    """L2-normalised image embeddings, (N, 128)."""
    parts = []
    for start in range(0, len(scenes), batch):
        seen = pixels([world.render(s) for s in scenes[start : start + batch]]).to(model.device)
        parts.append(_vector(model.get_image_features(pixel_values=seen)))
    return np.concatenate(parts)


@torch.inference_mode()
def embed_texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str], batch: int = 500) -> np.ndarray:
    """L2-normalised text embeddings, (N, 128)."""
    parts = []
    for start in range(0, len(texts), batch):
        tokens = tokenizer(texts[start : start + batch], padding=True, truncation=True, return_tensors="pt").to(
            model.device
        )
        parts.append(
            _vector(model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]))
        )
    return np.concatenate(parts)


def _vector(features: Any) -> np.ndarray:
    vector = getattr(features, "pooler_output", features)
    return F.normalize(vector.float(), dim=-1).cpu().numpy()


def measure(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, split: world.Split, images: int) -> dict[int, float]:
    """Recall@1/5/10 image to text on the first scenes of a split with two captions each."""
    model.eval()
    items = list(world.captioned(split, images))
    texts = [text for item in items for text in item.captions]
    pictures = embed_images(model, [item.scene for item in items])
    return recall_both_ways(pictures, embed_texts(model, tokenizer, texts))["image to text"]
