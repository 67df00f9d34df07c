"""What a trial leaves, the sides of a difference, and the items on which every value is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.questions.check.conditions import Change, Setting
from core.questions.check.encoding import SampleEncoder

PROBE = 10
"""Items on which every value is tried."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One or two changes, and what they leave.

    Attributes:
        difference: largest difference of the rows that were looked at.
        nearness: see above; 0 to 1, and above 1 where a change makes it worse.
        fits: whether `difference` is within what counts as equal.
    """

    changes: tuple[Change, ...]
    difference: float
    nearness: float
    fits: bool


@dataclass(frozen=True, eq=False)
class Found:
    """Changes that explain the difference, or none; the nearest value of each setting; what was not tried."""

    changes: tuple[Change, ...]
    nearest: tuple[Trial, ...]
    untried: dict[Setting, str]
    trials: int


@dataclass(frozen=True, eq=False)
class Sides:
    """The sides of a difference, each 0 or more; `wrong` is counted in shares."""

    direction: float
    wrong: float
    length: float
    width: float
    order: float

    def each(self) -> tuple[float, ...]:
        return (self.direction, self.wrong, self.length, self.width, self.order)


def probe_of(encoder: SampleEncoder, differing: np.ndarray) -> np.ndarray:
    """Entries on which every value is tried: of every part and modality, mostly such as differ; the longest too."""
    groups: dict[tuple[str, str], list[int]] = {}
    for entry, key in enumerate(zip(encoder.sample.parts, encoder.modalities, strict=True)):
        groups.setdefault(key, []).append(entry)
    chosen: list[int] = []
    for members in groups.values():
        share = max(2, PROBE // len(groups))
        ordered = sorted(members, key=lambda entry: (-len(encoder.texts[entry]), entry))
        wrong = [entry for entry in ordered if differing[entry]]
        right = [entry for entry in ordered if not differing[entry]]
        # One row that is right: a change must not break it.
        chosen += ([*right[:1], *wrong] if wrong else right)[:share]
    return np.array(sorted(chosen))


def nearest_of_each(singles: Sequence[Trial]) -> list[Trial]:
    """The nearest value of every setting, nearest first."""
    best: dict[Setting, Trial] = {}
    for trial in singles:
        setting = trial.changes[0].setting
        if setting not in best or (trial.nearness, trial.difference) < (
            best[setting].nearness, best[setting].difference,
        ):  # fmt: skip
            best[setting] = trial
    return sorted(best.values(), key=lambda trial: (trial.nearness, trial.difference))
