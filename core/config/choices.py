"""The words that keys of a spec may take."""

from __future__ import annotations

from typing import Literal

CorpusSource = Literal["mbeir", "coco-caption", "folder", "demo", "embeddings", "beir", "mixed", "mteb"]
"""What reads a corpus; a spec writes `mteb:TASK` for the last."""
Pooling = Literal["mean", "last", "max", "min", "answer", "projected"]
Place = Literal["answer", "last"]
"""Where next words are read: behind the answer header, or at the last token without one."""
Mask = Literal["all", "no-image", "no-prompt", "text", "no-outliers"]
Norm = Literal["after", "before"]
Sublayer = Literal["block", "attention"]
Preset = Literal[
    "auto", "own", "study", "chat", "gme", "vlm2vec", "e5-v", "lamra", "qwen3-vl-embedding", "hierarchical", "freeret"
]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]
DeviceMap = Literal["none", "auto", "balanced", "balanced_low_0", "sequential"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Quantisation = Literal["none", "4bit", "8bit"]
SaeInput = Literal["raw", "normalised"]
SaeData = Literal["tokens", "pooled", "mixture"]
SaePreset = Literal["sae-lens", "study"]
SaeArchitecture = Literal["topk", "batchtopk", "matryoshka"]
SaeBias = Literal["none", "mean"]
Family = Literal["generative", "contrastive", "tuned", "unknown"]
"""What kind of model made the vectors: a language model trained to generate, one trained to match, a retriever tuned
from the first; unknown where nobody said."""
Statistics = Literal["per-side", "support", "shared", "candidates", "per-modality"]
