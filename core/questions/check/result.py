"""The answer of a check as a record, as JSON, and as it is kept with the run for the dashboard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from core.questions.check.conditions import SETTINGS, Change
from core.questions.check.cost import Moved


@dataclass(frozen=True)
class Tried:
    """The value of a setting that came nearest by itself, on the items that every value is tried on."""

    setting: str
    to: str
    difference: float
    """Largest difference it leaves."""


@dataclass(frozen=True)
class Checked:
    """What a check says.

    Attributes:
        where: the folder or the endpoint.
        n: vectors compared.
        max_difference: largest ||given - reference|| / ||reference|| of the sample, over shared dimensions.
        mean_difference: their mean.
        tolerance: what counts as equal; `tolerance_why`: where it comes from.
        explained_by: the changes that explain the difference; empty where it is equal, or where none does.
        findings: what the vectors themselves show, in sentences.
        notes: what was left out or done differently, in sentences.
        untried: settings that were not tried, and why.
        recall_on: which rows both recalls rest on.
    """

    run: str
    where: str
    kind: str
    n: int
    equal: bool
    max_difference: float
    mean_difference: float
    tolerance: float
    tolerance_why: str
    explained_by: tuple[dict[str, str], ...]
    tried: tuple[Tried, ...]
    untried: tuple[tuple[str, str], ...]
    trials: int
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    recall_reference: float | None
    recall_given: float | None
    recall_metric: str
    recall_on: str
    concepts_moved: tuple[Moved, ...]

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        if self.equal:
            return f"Equal: the largest difference of {self.n} vectors is {self.max_difference:.2g}."
        if not self.explained_by:
            return "Not equal, and none of these settings explains it."
        return f"Not equal: {' and '.join(one['setting'] for one in self.explained_by)}."

    def to_json(self) -> dict[str, Any]:
        """What `check --json` prints."""
        plain = asdict(self)
        first = ("equal", "max_difference", "explained_by", "recall_reference", "recall_given")
        plain["untried"] = [{"setting": setting, "why": why} for setting, why in self.untried]
        return {name: plain[name] for name in first} | {k: v for k, v in plain.items() if k not in first}

    @classmethod
    def of_json(cls, plain: dict[str, Any]) -> Checked:
        """Back from `to_json`."""
        made = dict(plain)
        made["tried"] = tuple(Tried(**one) for one in plain["tried"])
        made["concepts_moved"] = tuple(Moved(**one) for one in plain["concepts_moved"])
        made["untried"] = tuple((one["setting"], one["why"]) for one in plain["untried"])
        for name in ("explained_by", "findings", "notes"):
            made[name] = tuple(plain[name])
        return cls(**made)


def explained(changes: tuple[Change, ...]) -> tuple[dict[str, str], ...]:
    """Entries of "explained_by", in the order of the settings."""
    return tuple(one.to_json() for one in sorted(changes, key=lambda change: SETTINGS.index(change.setting)))
