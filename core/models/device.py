"""The machine a model runs on: which device, which compute type, how much memory is free. Knows nothing of models."""

from __future__ import annotations

import os
from pathlib import Path


def device() -> str:
    """`RETRIEVAL_LENS_DEVICE`, else cuda, else mps, else cpu."""
    import torch

    if chosen := os.environ.get("RETRIEVAL_LENS_DEVICE"):
        return chosen
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_dtype(dtype: str) -> str:
    """`auto`: bfloat16 on a GPU, float32 elsewhere."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device().startswith("cuda") else "float32"


def free_gib(spread: bool = False) -> float:
    """GiB free where the model would go: the first GPU or the CPU; all GPUs and the CPU where it may be spread."""
    import torch

    if not device().startswith("cuda"):
        return cpu_gib()
    if not spread:
        return torch.cuda.mem_get_info(device())[0] / 2**30
    return sum(torch.cuda.mem_get_info(n)[0] for n in range(torch.cuda.device_count())) / 2**30 + cpu_gib()


def cpu_gib() -> float:
    """GiB of main memory a new process could take; infinity where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file() or not hasattr(os, "sysconf"):
        return float("inf")
    line = next((text for text in meminfo.read_text().splitlines() if text.startswith("MemAvailable")), None)
    return float("inf") if line is None else int(line.split()[1]) / 2**20
