"""`[whitening]`: ReAlign as the run's exports and defaults apply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.config.checks import Between, check_fields
from core.config.choices import Statistics

BETAS = Between(0, 1)
EPSES = Between(0, 1000)
"""Rows have unit length, so no eigenvalue exceeds 1: an eps of 1000 leaves nothing of whitening but centring."""


@dataclass(frozen=True, kw_only=True)
class WhiteningSpec:
    beta: Annotated[float, BETAS] = 0.1
    """Shrinkage towards the scaled identity (Eq 11)."""
    eps: Annotated[float, EPSES] = 1e-5
    """Added to each eigenvalue inside the square root (Eq 12)."""
    statistics: Statistics = "per-side"
    """Rows the mean and covariance come from."""

    def __post_init__(self) -> None:
        check_fields("whitening", self)
