"""The study's released checkpoints (`.pt`) as sae-lens folders, exactly (docs/study.md section 3).

Theirs: z = TopK(ReLU(BN(W h + b))), BN optional and in evaluation mode; h_hat = z D, D = l2norm(_weights)
exp(multiplier). Ours: sae-lens `topk` without decoder bias, input bias or normalisation. BN(y) = g (y - mean) /
sqrt(var + eps) + beta is affine, so W_enc = (s W)^T and b_enc = s (b - mean) + beta with s = g / sqrt(var + eps).
Folded in float64. K is not in the file: it must be given.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from pickle import UnpicklingError  # the exception only; nothing is unpickled freely
from typing import Any
from warnings import catch_warnings, simplefilter
from zipfile import BadZipFile, is_zipfile

import numpy as np

from core.errors import SaeError
from core.paths import NOT_REGULAR, kind
from core.sae.files import CONFIG, WEIGHTS
from core.sae.pickles import foreign_global

BATCH_NORM_EPS = 1e-5
"""Not stored; the default of torch, with which the study trained."""

ALLOWED = "a checkpoint of the study (tensors and plain values only)"
_LINEAR, _NORM = "encoder.final_block.0", "encoder.final_block.1"
_DICTIONARY = "dictionary._weights"
_BROKEN = (
    UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError, OSError,
    OverflowError, AssertionError, MemoryError, ImportError, struct.error, BadZipFile,
)  # fmt: skip
"""What torch's safe reader raises on files that are no checkpoints."""


def convert_checkpoint(path: Path, k: int, folder: Path) -> Path:
    """Write the checkpoint into `folder` as a sae-lens SAE; returns the folder.

    Raises:
        SaeError: not such a checkpoint, or it holds anything but tensors and plain values.
    """
    from safetensors.numpy import save_file

    state = read_state(path)
    encoder, bias = _folded_encoder(state)
    dictionary = _dictionary(state)
    width, size = dictionary.shape
    check_k(k, width)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"W_enc": encoder.T, "b_enc": bias, "W_dec": dictionary, "b_dec": np.zeros(size)}
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise SaeError(f"{path.name} holds NaN or infinity", got=f"in {name}", allowed="finite weights")
    stored = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in weights.items()}
    save_file(stored, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(_config(size, width, k), indent=1))
    return folder


def read_state(path: Path) -> dict[str, np.ndarray]:
    """`model_state` of a checkpoint as float64 arrays; nothing of the file is executed."""
    return {name: tensor.double().numpy() for name, tensor in _tensors(path).items()}


def checkpoint_shape(path: Path) -> tuple[int, int]:
    """(c, d) of a checkpoint's dictionary; its values stay on disk."""
    width, size = _tensors(path)[_DICTIONARY].shape
    return width, size


def check_k(k: int, width: int) -> None:
    """Refuse more active concepts than there are."""
    if k > width:
        raise SaeError("k exceeds the dictionary", got=f"k = {k}", allowed=f"at most {width}")


def _tensors(path: Path) -> dict[str, Any]:
    """`model_state`, mapped from the file where it can be, its shapes checked.

    `logs` is a `defaultdict(list)`, which torch's safe reader refuses by name; it is read as a plain dict.

    Raises:
        SaeError: the file asks to run code, or is no such checkpoint. torch's own words are not passed on: they advise
            to read the file without the safe reader.
    """
    import torch

    def plain_dict(*_factory: Any) -> dict[str, Any]:
        return {}

    if kind(path) != "file":
        raise SaeError(f"{path.name} is {NOT_REGULAR}", got=path, allowed="a .pt file")
    try:
        with torch.serialization.safe_globals([(plain_dict, "collections.defaultdict"), list]), catch_warnings():
            simplefilter("ignore")  # remarks on the pickle protocol of files that are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except _BROKEN as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        code = named[1] if named else foreign_global(path)
        if code is None:
            got = "a broken archive" if is_zipfile(path) or isinstance(error, RuntimeError) else "no pickle of torch"
            raise SaeError(f"{path.name} is no checkpoint of the study", got=got, allowed=ALLOWED) from error
        todo = "ask whoever made it for its tensors alone, as safetensors"
        got = f"the file asks to run code: {code}"
        raise SaeError(f"{path.name} cannot be read safely", got=got, allowed=ALLOWED, todo=todo) from error
    state = content.get("model_state") if isinstance(content, dict) else None
    needed = (f"{_LINEAR}.weight", f"{_LINEAR}.bias", _DICTIONARY)
    if not isinstance(state, dict) or any(name not in state for name in needed):
        raise SaeError(f"{path.name} is no checkpoint of the study", allowed=f"model_state with {', '.join(needed)}")
    _check_shapes(path, state)
    return state


def _check_shapes(path: Path, state: dict[str, Any]) -> None:
    """SaeError where what is called a weight is no tensor, or the shapes do not belong together."""
    shapes = {name: tuple(getattr(value, "shape", ("no tensor",))) for name, value in state.items()}
    dictionary = shapes[_DICTIONARY]
    width = dictionary[0] if dictionary else 0
    wanted: dict[str, tuple[object, ...]] = {f"{_LINEAR}.weight": dictionary, f"{_LINEAR}.bias": (width,)}
    if f"{_NORM}.running_var" in state:
        wanted |= {f"{_NORM}.{name}": (width,) for name in ("weight", "bias", "running_mean", "running_var")}
    if len(dictionary) != 2 or 0 in dictionary:
        raise SaeError(f"{path.name} holds no dictionary", got=f"{_DICTIONARY} {dictionary}", allowed="(c, d)")
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            raise SaeError(f"{path.name} does not fit itself", got=f"{name} {shapes.get(name)}", allowed=shape)


def _folded_encoder(state: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """W (c, d) and b (c,) with the batch norm, where there is one, folded in."""
    weight, bias = state[f"{_LINEAR}.weight"], state[f"{_LINEAR}.bias"]
    if f"{_NORM}.running_var" not in state:
        return weight, bias
    scale = state[f"{_NORM}.weight"] / np.sqrt(state[f"{_NORM}.running_var"] + BATCH_NORM_EPS)
    return scale[:, None] * weight, scale * (bias - state[f"{_NORM}.running_mean"]) + state[f"{_NORM}.bias"]


def _dictionary(state: dict[str, np.ndarray]) -> np.ndarray:
    """D (c, d) = l2norm(_weights) exp(multiplier); a row of zeros stays one."""
    rows = state[_DICTIONARY]
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit * np.exp(state.get("dictionary.multiplier", np.zeros(())))


def _config(size: int, width: int, k: int) -> dict[str, Any]:
    """What sae-lens's `cfg.json` says of such an SAE."""
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
