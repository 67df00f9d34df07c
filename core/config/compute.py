"""`[compute]`: where the analysis computes, and in how much memory. No number depends on it, so it is in no key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.config.checks import Between, check_fields
from core.config.choices import Device


@dataclass(frozen=True, kw_only=True)
class ComputeSpec:
    device: Device = "auto"
    """Device of moments, whitening and search; auto: a GPU where there is one and the work is worth it. A device that
    is not there counts as auto."""
    block_mib: Annotated[int, Between(1, 2**16)] = 32
    """MiB of one block of rows or scores; a few are in memory at a time, on a GPU 64 times as large."""

    def __post_init__(self) -> None:
        check_fields("compute", self)
