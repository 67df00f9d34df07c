"""What each stage of demo-mllm leaves behind, so that a later one, or a later person, can go on from it.

In:  a model and the name of a stage.
Out: core/demo/train/stages/<stage>/model.safetensors: the tensors this stage learned, in half precision, under the
names they have in `LlavaForConditionalGeneration`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from core.demo.train.shipping import LIMIT

FOLDER = Path(__file__).resolve().parent / "stages"
PARTS = {
    "tower": ("model.vision_tower.",),
    "decoder": ("model.language_model.",),
    "connector": ("model.multi_modal_projector.",),
    "base": ("model.vision_tower.", "model.language_model.", "model.multi_modal_projector."),
}
"""What a stage learns: beginnings of the names of its tensors. The head shares the embedding's weights and is not
stored."""
ORDER = tuple(PARTS)


def learn_only(model: LlavaForConditionalGeneration, stage: str) -> None:
    """Freeze everything that a stage does not learn."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(PARTS[stage]))


def save(stage: str, tensors: dict[str, torch.Tensor], root: Path = FOLDER) -> Path:
    """Write the tensors of a stage in float16; those of other stages among them are left out."""
    path = root / stage / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    learned = {
        name: t.detach().to("cpu", torch.float16).contiguous()
        for name, t in tensors.items()
        if name.startswith(PARTS[stage])
    }
    aside = path.with_suffix(".part")
    save_file(learned, aside, {"format": "pt"})
    assert aside.stat().st_size <= LIMIT, f"{path} is larger than {LIMIT} bytes"
    aside.replace(path)
    return path


def load(model: LlavaForConditionalGeneration, *stages: str, root: Path = FOLDER) -> None:
    """Load what stages left into a model, one after the other."""
    for stage in stages:
        path = root / stage / "model.safetensors"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; run `python -m core.demo.train {stage}` first")
        unknown = model.load_state_dict(load_file(path), strict=False).unexpected_keys
        assert not unknown, unknown
