"""An SAE on disk, as sae-lens writes it, read without importing sae-lens.

`cfg.json` (architecture, sizes, conventions) beside `sae_weights.safetensors`: W_enc (d, c), b_enc (c,), W_dec (c, d),
b_dec (d,). A stage folder adds `dictionary.npy`: W_dec with unit rows. A shipped folder adds `facts.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import SaeError
from core.json_text import NotJson, read_json_object

if TYPE_CHECKING:
    from core.store import Draft

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
FACTS = "facts.json"
DICTIONARY = "dictionary"


def read_config(folder: Path) -> dict[str, Any]:
    """`cfg.json` of a folder.

    Raises:
        SaeError: the folder is not sae-lens's.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise SaeError(
            "not an SAE folder", got=f"{folder} without {missing[0]}", allowed=f"a folder with {CONFIG} and {WEIGHTS}"
        )
    return _read_object(folder / CONFIG)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except NotJson as error:
        raise SaeError(f"{path.name} of {path.parent} holds no settings", got=error, allowed="a JSON object") from error


def read_weight(folder: Path, name: str) -> np.ndarray:
    """One tensor as float32; zeros where the file has none of that name (an SAE without that bias)."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="pt") as weights:
        if name in weights.keys():  # noqa: SIM118 - not a mapping
            return weights.get_tensor(name).float().numpy()
        if name not in ("b_enc", "b_dec"):
            raise SaeError(f"{WEIGHTS} of {folder} holds no {name}", allowed=sorted(weights.keys()))
        return np.zeros(weights.get_slice("W_dec").get_shape()[0 if name == "b_enc" else 1], np.float32)


def read_shape(folder: Path) -> tuple[int, int]:
    """(c, d) of a folder's dictionary, without its weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="np") as weights:
            width, size = weights.get_slice("W_dec").get_shape()
    except (SafetensorError, ValueError) as error:
        raise SaeError(f"{WEIGHTS} of {folder} holds no dictionary", got=error, allowed="W_dec (c, d)") from error
    return width, size


def read_facts(folder: Path) -> dict[str, Any]:
    """`facts.json`; empty where there is none."""
    path = folder / FACTS
    return _read_object(path) if path.is_file() else {}


def decoder_norms(folder: Path) -> np.ndarray:
    """(c,) float32: L2 norms of the decoder's rows."""
    return np.linalg.norm(read_weight(folder, "W_dec"), axis=1)


def unit_dictionary(folder: Path) -> np.ndarray:
    """(c, d) float32: the decoder's rows at unit length; a row of zeros stays one."""
    rows = read_weight(folder, "W_dec")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def finish(draft: Draft, facts: Mapping[str, Any], k: int) -> None:
    """`dictionary.npy` and the facts every SAE folder has, for the files in a draft of stage "sae".

    Args:
        k: active concepts per item where the configuration fixes none; 0 where nobody says (then `k` is what its
            training saw, or 0).
    """
    config, dictionary = read_config(draft.path), unit_dictionary(draft.path)
    draft.save(DICTIONARY, dictionary)
    draft.facts |= dict(facts) | {
        "k": int(config.get("k") or k or _trained_k(config)),
        "width": dictionary.shape[0],
        "hidden_size": dictionary.shape[1],
        "architecture": config.get("architecture", "unknown"),
        "normalisation": config.get("normalize_activations", "none"),
    }


def _trained_k(config: Mapping[str, Any]) -> int:
    """K of the training, else its mean number of active concepts, rounded; 0 where the file says neither."""
    metadata = config.get("metadata") or {}
    return int((metadata.get("training_architecture_details") or {}).get("k") or round(metadata.get("l0") or 0))
