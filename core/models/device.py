"""The machine a model runs on: which device, which compute type, how much memory is free. Knows nothing of models."""

from __future__ import annotations

import os

from core.machine import GIB, free_memory


def device() -> str:
    """`RETRIEVAL_LENS_DEVICE`, else cuda, else mps, else cpu."""
    if chosen := os.environ.get("RETRIEVAL_LENS_DEVICE"):
        return chosen
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_dtype(dtype: str) -> str:
    """`auto`: bfloat16 on a GPU, float32 elsewhere."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device().startswith("cuda") else "float32"


def free_gib(spread: bool = False) -> float:
    """GiB free where the model would go: the first GPU or the CPU; all GPUs and the CPU where it may be spread."""
    if not device().startswith("cuda"):
        return free_memory() / GIB
    import torch

    if not spread:
        return torch.cuda.mem_get_info(device())[0] / GIB
    return sum(torch.cuda.mem_get_info(n)[0] for n in range(torch.cuda.device_count())) / GIB + free_memory() / GIB
