"""An SAE on disk, as sae-lens writes it, read without importing sae-lens.

`cfg.json` (architecture, sizes, conventions) beside `sae_weights.safetensors`: W_enc (d, c), b_enc (c,), W_dec (c, d), b_dec (d,).
A stage folder adds `dictionary.npy`: W_dec with unit rows. A shipped folder adds `facts.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import SaeError

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
        raise SaeError("not an SAE folder", got=f"{folder} without {missing[0]}", allowed=f"a folder with {CONFIG} and {WEIGHTS}")
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SaeError(f"{CONFIG} of {folder} is not JSON", got=error) from error


def read_weight(folder: Path, name: str) -> np.ndarray:
    """One tensor as float32; zeros where the file has none of that name (an SAE without that bias)."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="pt") as weights:
        if name in weights.keys():  # noqa: SIM118 - not a mapping
            return weights.get_tensor(name).float().numpy()
        if name not in ("b_enc", "b_dec"):
            raise SaeError(f"{WEIGHTS} of {folder} holds no {name}", allowed=sorted(weights.keys()))
        return np.zeros(weights.get_slice("W_dec").get_shape()[0 if name == "b_enc" else 1], np.float32)


def read_facts(folder: Path) -> dict[str, Any]:
    """`facts.json`; empty where there is none."""
    path = folder / FACTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def decoder_norms(folder: Path) -> np.ndarray:
    """(c,) float32: L2 norms of the decoder's rows."""
    return np.linalg.norm(read_weight(folder, "W_dec"), axis=1)


def unit_dictionary(folder: Path) -> np.ndarray:
    """(c, d) float32: the decoder's rows at unit length; a row of zeros stays one."""
    rows = read_weight(folder, "W_dec")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
