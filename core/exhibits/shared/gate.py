"""The gate: verdicts on concepts can only be given where the dictionary stands for the embeddings.

A verdict on concepts speaks of the model only if its dictionary does. Where it explains too little of the variance of
one modality, or its reconstructions lose too much of the raw recall, the verdict is "cannot be said", whatever the
numbers; in a specification curve such a setting is marked and does not count. The two thresholds are ours and stand
here once; they are options of every exhibit that has a gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING

from core.exhibits.shared import records
from core.exhibits.shared.records import Exhibit, Option, Value, Verdict
from core.exhibits.shared.rows import METRIC, sae_named
from core.questions.alternates import OWN
from core.questions.fidelity import Fidelity, of_dictionary

if TYPE_CHECKING:
    from core.run import Run

LEAST_EXPLAINED = 0.5
"""Least explained variance of the items of each modality, 0-1: half."""
LEAST_KEPT = 0.5
"""Least share of the embeddings' recall, 0-1, raw, that reconstructions keep: half."""
OPTIONS = (
    Option(
        name=records.LEAST_EXPLAINED,
        default=LEAST_EXPLAINED,
        low=0.0,
        high=1.0,
        help="Least explained variance of each modality: below it verdicts on concepts cannot be said.",
    ),
    Option(
        name=records.LEAST_KEPT,
        default=LEAST_KEPT,
        low=0.0,
        high=1.0,
        help="Least share of the raw recall that reconstructions keep: below it verdicts on concepts cannot be said.",
    ),
)
"""Of every exhibit that has a gate; its tables do not hang on them."""
RULE = (
    "Cannot be said where a dictionary explains less than half of the variance of images or of texts, or where its"
    " reconstructions lose more than half of the raw recall (options least_explained, least_kept)."
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What a dictionary must reach."""

    explained: float = LEAST_EXPLAINED
    kept: float = LEAST_KEPT

    @classmethod
    def of(cls, options: Mapping[str, Value]) -> Thresholds:
        """Those that the options of an exhibit name."""
        return cls(
            explained=float(options.get(records.LEAST_EXPLAINED, LEAST_EXPLAINED)),
            kept=float(options.get(records.LEAST_KEPT, LEAST_KEPT)),
        )

    @property
    def words(self) -> str:
        """`least 50% explained of each modality, least 50% of the recall kept`."""
        return f"least {self.explained:.0%} explained of each modality, least {self.kept:.0%} of the recall kept"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one dictionary stands for the embeddings of one run."""

    run: str
    dictionary: str
    explained: Mapping[str, float]
    """Explained variance of `images`, `texts` and `items that hold both`, of those that the run has."""
    kept: float
    """Share of the raw recall that reconstructions keep; NaN where there is none to lose."""
    metric: str

    @property
    def words(self) -> str:
        """The figures in one line."""
        parts = [f"{100 * value:.1f}% of {of}" for of, value in self.explained.items()]
        recall = "no recall to lose" if isnan(self.kept) else f"keeps {100 * self.kept:.1f}% of {self.metric}"
        return f"{self._who} explains {', '.join(parts)}; {recall}"

    def failings(self, least: Thresholds) -> list[str]:
        """What is below its threshold, in words; empty where the dictionary passes. What is NaN fails nothing: items
        without variance, embeddings without recall."""
        low = [
            f"explains {100 * value:.1f}% of the variance of {of}, less than {least.explained:.0%}"
            for of, value in self.explained.items()
            if value < least.explained
        ]
        if self.kept < least.kept:
            low.append(f"its reconstructions keep {100 * self.kept:.1f}% of {self.metric}, less than {least.kept:.0%}")
        return low

    def failure(self, least: Thresholds) -> str:
        """Why it does not pass, as the reason of a verdict; "" where it passes."""
        low = self.failings(least)
        return f"{self._who} does not stand for the embeddings: {'; '.join(low)}" if low else ""

    @property
    def _who(self) -> str:
        return f"the SAE of {self.run}" if self.dictionary == OWN else f"{self.dictionary} on {self.run}"


def fidelity_of(run: Run, options: Mapping[str, Value]) -> Fidelity:
    """Figures of the dictionary that the options of an exhibit choose: the run's own SAE unless they name another."""
    return of_dictionary(run, sae_named(run, str(options.get("dictionary", OWN))))


def standing(run: Run, options: Mapping[str, Value]) -> Standing:
    """How the dictionary that these options choose stands for a run, by the recall they choose."""
    fidelity, metric = fidelity_of(run, options), str(options.get("metric", METRIC.default))
    return Standing(
        run=run.name,
        dictionary=str(options.get("dictionary", OWN)),
        explained=fidelity.explained,
        kept=fidelity.kept(metric),
        metric=metric,
    )


@dataclass(frozen=True)
class Checked:
    """One dictionary at the gate, in words: why it fails, "" where it passes, and what it must reach."""

    failure: str
    least: str


def check(run: Run, options: Mapping[str, Value]) -> Checked:
    """The dictionary that these options choose, at the gate that they set."""
    least = Thresholds.of(options)
    return Checked(standing(run, options).failure(least), least.words)


def gated(verdict: Verdict, standings: Sequence[Standing], least: Thresholds) -> Verdict:
    """The verdict, where every dictionary it rests on passes; else that it cannot be said, its numbers beside it."""
    if verdict.about == "printed" or verdict.outcome == "cannot be said":
        return verdict
    mine = [one for one in standings if one.run in verdict.on.split(", ")]
    figures = f"{'; '.join(one.words for one in mine)} ({least.words})"
    if not (failures := [failure for one in mine if (failure := one.failure(least))]):
        return replace(verdict, gate=figures)
    why = f"{'; '.join(failures)}; beside it: {verdict.why}"
    return replace(verdict, outcome="cannot be said", why=why, detectable=None, gate=figures)


def with_gate(
    exhibit: Exhibit, verdicts: Sequence[Verdict], runs: Sequence[Run], options: Mapping[str, Value]
) -> tuple[Verdict, ...]:
    """The verdicts of an exhibit behind its gate; as they are where it has none."""
    if not exhibit.gate:
        return tuple(verdicts)
    standings = [standing(run, options) for run in runs]
    return tuple(gated(verdict, standings, Thresholds.of(options)) for verdict in verdicts)
