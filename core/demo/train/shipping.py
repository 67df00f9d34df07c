"""Where the shipped weights are, and how a trained model becomes a shipped one.

In:  a model and its processor.
Out: a `save_pretrained` folder: configuration, processor, tokenizer, one safetensors file in half precision. The model
card in it stays.
"""

from __future__ import annotations

import shutil
import tempfile
from copy import deepcopy
from pathlib import Path

import torch
from transformers import CLIPModel, LlavaForConditionalGeneration, PreTrainedModel, ProcessorMixin

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
LIMIT = 16 * 2**20  # bytes of one file


def export(model: PreTrainedModel, processor: ProcessorMixin, name: str, root: Path = WEIGHTS) -> Path:
    """Write the model in float16 and its processor to root/name; each file is replaced whole."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as aside:
        deepcopy(model).to("cpu", torch.float16).save_pretrained(aside)
        processor.save_pretrained(aside)
        for path in Path(aside).iterdir():
            assert path.stat().st_size <= LIMIT, f"{path.name} is larger than {LIMIT} bytes"
            path.chmod(0o644)
            shutil.move(path, folder / path.name)
    return folder


def load_clip(root: Path = WEIGHTS) -> CLIPModel:
    """The shipped demo-clip in float32."""
    return CLIPModel.from_pretrained(root / "demo-clip", dtype=torch.float32).eval()


def load_mllm(folder: Path = WEIGHTS / "demo-mllm") -> LlavaForConditionalGeneration:
    """A shipped demo-mllm in float32."""
    return LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
