"""What an installation has: versions, device, memory, cache, demo weights. Reports; changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata

import pandas as pd

from core.store import cache_root

PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "sae-lens",
    "streamlit",
    "plotly",
    "umap-learn",
    "pandas",
)
OPTIONAL = {"flash-attn": 'attention = "flash_attention_2"', "bitsandbytes": 'quantisation = "4bit" or "8bit"'}
"""Packages a setting of [model] asks for."""
MINIMUM_FREE = 2 * 2**30
"""Bytes the demo and its environment need at most beside what is installed."""


def examine() -> pd.DataFrame:
    """DataFrame[check, found, ok, next]: one row per part of the installation; `next` is empty where nothing is to be
    done."""
    machine = [_device(), _memory(), _cache(), _hub()]
    weights = map(_weights, ("demo-mllm", "demo-mllm-captioner", "demo-clip"))
    rows = [_python(), *map(_package, PACKAGES), *map(_optional, OPTIONAL), *machine, *weights, _browser()]
    table = pd.DataFrame(rows, columns=["check", "found", "ok", "next"])
    return table.assign(next=table["next"].where(~table["ok"], ""))


def _python() -> tuple[str, str, bool, str]:
    return "python", platform.python_version(), sys.version_info >= (3, 11), "Python 3.11 or newer"


def _package(name: str) -> tuple[str, str, bool, str]:
    """A package that is needed, and its version."""
    try:
        return name, metadata.version(name), True, ""
    except metadata.PackageNotFoundError:
        return name, "missing", False, f"pip install {name}"


def _optional(name: str) -> tuple[str, str, bool, str]:
    """A package that one setting needs."""
    try:
        return name, metadata.version(name), True, ""
    except metadata.PackageNotFoundError:
        return name, f"none (only {OPTIONAL[name]} uses it)", True, ""


def _device() -> tuple[str, str, bool, str]:
    """Where models run."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return "device", f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free", True, ""
    if torch.backends.mps.is_available():
        return "device", "mps", True, ""
    return "device", f"cpu, {os.cpu_count()} cores", True, ""


def _memory() -> tuple[str, str, bool, str]:
    """Free main memory, and how many of the known models the device would hold."""
    from core.machine import GIB, free_memory
    from core.models import KNOWN
    from core.models.device import free_gib, resolve_dtype

    free, dtype = free_gib(), resolve_dtype("auto")
    fitting = sum(row.memory(dtype) <= free for row in KNOWN.values())
    return (
        "memory",
        f"{free_memory() / GIB:.0f} GiB free; {fitting} of {len(KNOWN)} known models fit the device in {dtype}",
        True,
        "",
    )


def _hub() -> tuple[str, str, bool, str]:
    """How models are fetched; no request goes to the hub."""
    from huggingface_hub import constants

    reach = "HF_HUB_OFFLINE: nothing is fetched" if constants.HF_HUB_OFFLINE else "fetched where it is not cached"
    return "hub", f"{reach}; cache {constants.HF_HUB_CACHE}", True, ""


def _cache() -> tuple[str, str, bool, str]:
    """The cache folder: its space, and whether it can be written."""
    root = cache_root()
    there = next(p for p in [root, *root.parents] if p.exists())
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    state = f"{root}, {free / 2**30:.0f} GiB free" + ("" if writable else ", not writable")
    return "cache", state, writable and free > MINIMUM_FREE, "set RETRIEVAL_LENS_CACHE to a folder with space"


def _weights(name: str) -> tuple[str, str, bool, str]:
    """The shipped weights of a model."""
    from core.models import KNOWN

    folder = KNOWN[name].folder
    files = list(folder.glob("*.safetensors")) if folder else []
    size = f"{sum(f.stat().st_size for f in files) / 2**20:.1f} MiB" if files else "missing"
    return name, size, bool(files), "install from a whole checkout or wheel"


def _browser() -> tuple[str, str, bool, str]:
    """A browser for the tests of the pages."""
    browser = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
    return "browser for tests", browser or "none (only `make test` uses one)", True, ""
