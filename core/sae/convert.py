"""The study's released checkpoints (`.pt`) as sae-lens folders, exactly (docs/study.md section 3).

Theirs: z = TopK(ReLU(BN(W h + b))), BN optional and in evaluation mode; h_hat = z D, D = l2norm(_weights)
exp(multiplier). Ours: sae-lens `topk` without decoder bias, input bias or normalisation. BN(y) = g (y - mean) /
sqrt(var + eps) + beta is affine, so W_enc = (s W)^T and b_enc = s (b - mean) + beta with s = g / sqrt(var + eps).
Folded in float64. K is not in the file: it must be given.
"""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError  # the exception only; nothing is unpickled freely
from typing import Any
from zipfile import is_zipfile

import numpy as np

from core.errors import SaeError
from core.sae.files import CONFIG, WEIGHTS

BATCH_NORM_EPS = 1e-5
"""Not stored; the default of torch, with which the study trained."""

_LINEAR, _NORM = "encoder.final_block.0", "encoder.final_block.1"


def convert_checkpoint(path: Path, k: int, folder: Path) -> Path:
    """Write the checkpoint into `folder` as a sae-lens SAE; returns the folder.

    Raises:
        SaeError: not such a checkpoint, or it holds anything but tensors and plain values.
    """
    state = read_state(path)
    encoder, bias = _folded_encoder(state)
    dictionary = _dictionary(state)
    width, size = dictionary.shape
    check_k(k, width)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"W_enc": encoder.T, "b_enc": bias, "W_dec": dictionary, "b_dec": np.zeros(size)}
    _save(weights, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(_config(size, width, k), indent=1))
    return folder


def read_state(path: Path) -> dict[str, np.ndarray]:
    """`model_state` of a checkpoint as float64 arrays; nothing of the file is executed."""
    return {name: tensor.double().numpy() for name, tensor in _tensors(path).items()}


def checkpoint_shape(path: Path) -> tuple[int, int]:
    """(c, d) of a checkpoint's dictionary; its values stay on disk."""
    width, size = _tensors(path)["dictionary._weights"].shape
    return width, size


def check_k(k: int, width: int) -> None:
    """Refuse more active concepts than there are."""
    if k > width:
        raise SaeError("k exceeds the dictionary", got=f"k = {k}", allowed=f"at most {width}")


def _tensors(path: Path) -> dict[str, Any]:
    """`model_state`, mapped from the file where it can be.

    `logs` is a `defaultdict(list)`, which torch's safe reader refuses by name; it is read as a plain dict.
    """
    import torch

    def plain_dict(*_factory: Any) -> dict[str, Any]:
        return {}

    try:
        with torch.serialization.safe_globals([(plain_dict, "collections.defaultdict"), list]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except (UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SaeError(
            f"{path.name} cannot be read safely", got=line, allowed="a checkpoint of the study (tensors only)"
        ) from error
    state = content.get("model_state") if isinstance(content, dict) else None
    needed = (f"{_LINEAR}.weight", f"{_LINEAR}.bias", "dictionary._weights")
    if not isinstance(state, dict) or any(name not in state for name in needed):
        raise SaeError(f"{path.name} is no checkpoint of the study", allowed=f"model_state with {', '.join(needed)}")
    return state


def _folded_encoder(state: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """W (c, d) and b (c,) with the batch norm, where there is one, folded in."""
    weight, bias = state[f"{_LINEAR}.weight"], state[f"{_LINEAR}.bias"]
    if f"{_NORM}.running_var" not in state:
        return weight, bias
    scale = state[f"{_NORM}.weight"] / np.sqrt(state[f"{_NORM}.running_var"] + BATCH_NORM_EPS)
    return scale[:, None] * weight, scale * (bias - state[f"{_NORM}.running_mean"]) + state[f"{_NORM}.bias"]


def _dictionary(state: dict[str, np.ndarray]) -> np.ndarray:
    """D (c, d) = l2norm(_weights) exp(multiplier)."""
    rows = state["dictionary._weights"]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) * np.exp(state.get("dictionary.multiplier", np.zeros(())))


def _config(size: int, width: int, k: int) -> dict[str, Any]:
    return {
        "architecture": "topk",
        "d_in": size,
        "d_sae": width,
        "k": k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {},
    }


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}, path)
