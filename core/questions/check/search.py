"""Which setting explains the difference: each alone, then pairs.

1. Every value of every setting is tried on a few items (`trial.PROBE`): one that explains the difference does so there.
2. A value that fits there is tried on the whole sample. Among those that fit the smallest difference wins.
3. Where none fits, the five settings that come nearest are tried in pairs; then the two nearest with every other
   setting, since a setting whose effect is small hides behind one whose effect is large.

How near a setting comes: a difference has several sides (directions of rows, their lengths, their width, their order,
how many rows are wrong), and a setting that explains one of two faults removes one of these sides and leaves the other.
So its nearness is the least share that it leaves of any side that the run's own conditions show: 0 removes a side, 1
removes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from core.errors import ModelError, NotAvailable
from core.progress import Progress
from core.questions.check.agreement import (
    WHOLE_POOL,
    Tolerance,
    chords,
    differences,
    length_gap,
    nearest_chords,
    partners,
    rounded,
)
from core.questions.check.conditions import Change, Conditions
from core.questions.check.encoding import SampleEncoder
from core.questions.check.given import OTHER, Given
from core.questions.check.trial import Found, Sides, Trial, nearest_of_each, probe_of
from core.questions.check.values import Values, other_filters, values_of
from core.records import EmbeddingView

NEAREST = 5
"""Settings that are tried in pairs."""
FIRST = 2
"""Of these, how many are tried with every other setting too."""
VALUES = 3
"""Values of a setting that are tried in a pair where both settings need a forward pass, the nearest."""
ONE_LENGTH = 1e-3
"""Rows whose lengths differ by less than this share have one length."""
NOISE = (0.3, 2.0)
"""Another compute type explains a difference that cannot be repeated bit for bit, if it is between these multiples of
what the type itself moves the reference."""


class Search:
    """Trials on one sample."""

    def __init__(
        self, encoder: SampleEncoder, given: Given, tolerance: Tolerance, conditions: Conditions, progress: Progress
    ) -> None:
        self.encoder, self.given, self.tolerance, self.base, self._progress = (
            encoder, given, tolerance.value, conditions, progress,
        )  # fmt: skip
        self.whole = np.arange(len(encoder.sample))
        self._views: dict[Conditions, set[EmbeddingView]] = {}
        """Forward pass -> the views of it that will be asked for."""
        self._probe = self.whole
        self.reference = encoder.rows(self.base, self.whole)
        self.per_row = self._per_row(self.base, self.whole)
        self._values: Values
        self._own: Sides
        self._wrong = np.ones(0, bool)
        self._one_length, self._own_length = self._lengths()
        self._count = 0

    @property
    def max_difference(self) -> float:
        """Largest difference of the sample under the run's own conditions; of shared dimensions where widths differ."""
        return float(self.per_row.max())

    @property
    def equal(self) -> bool:
        return self.max_difference <= self.tolerance and self.given.width == self.reference.shape[1]

    def run(self) -> Found:
        """Try everything."""
        differing = self.per_row > self.tolerance
        self._values = values_of(self.encoder, self.given, self.reference, differing)
        self._probe = probe_of(self.encoder, differing)
        self._wrong = self._directions(self.base, self._probe) > self.tolerance
        self._own = self._sides(self.base, self._probe)
        changes = self._values.changes
        free = [one for some in changes.values() for one in some if self._is_free(one)]
        paid = [one for some in changes.values() for one in some if not self._is_free(one)]
        # Every pass gives every view: pairs of a setting that needs one and a setting that needs none come with it. Not
        # where images are sent as text: a data URL has thousands of tokens, whose states in all layers are too much.
        self._plan(
            [(one,) for one in (*free, *paid)]
            + [(one, other) for one in paid if one.setting != "image sent as text" for other in free]
        )
        with self._progress.task("try settings", sum(len(some) for some in changes.values())) as bar:
            singles = [trial for one in free if (trial := self._try((one,), bar.advance)) is not None]
            if chosen := self._explaining(singles):
                return Found(chosen, tuple(nearest_of_each(singles)), self._values.untried, self._count)
            for setting, some in changes.items():
                left = [one for one in some if not self._is_free(one)]
                tried = [trial for one in left if (trial := self._try((one,), bar.advance)) is not None]
                if setting == "resolution" and tried:
                    nearest = min(tried, key=lambda t: t.nearness)
                    more = (self._try((one,)) for one in other_filters(nearest.changes[0]))
                    tried += [trial for trial in more if trial is not None]
                singles += tried
                if left and not any(trial.changes[0].setting == setting for trial in singles):
                    self._values.untried[setting] = "this model cannot be asked so"
        best = nearest_of_each(singles)
        chosen = self._explaining(singles) or self._pairs(singles, best)
        return Found(chosen, tuple(best), self._values.untried, self._count)

    def steps(self, changes: Sequence[Change]) -> set[int]:
        """By how many rows the partner of each row of the sample is moved, where the order is changed."""
        conditions = self._conditions(changes)
        reference = self._rows(conditions, self.whole)[:, : self.given.width]
        found: set[int] = set()
        for part in dict.fromkeys(self.encoder.sample.parts):
            mine = self.encoder.sample.of(part)
            source = self.given.parts[OTHER[part] if conditions.other_file else part]
            at = partners(reference[mine], source.vectors[:, : self.given.width])
            m = len(source.vectors)
            found |= {int(step + m // 2) % m - m // 2 for step in at - self.encoder.sample.positions[mine]}
        return found

    def _is_free(self, change: Change) -> bool:
        """Whether a change needs no forward pass beside the run's own."""
        return change.applied(self.base).asked == self.base.asked

    # Trials ----------------------------------------------------------------------------------------------------------

    def _pairs(self, singles: Sequence[Trial], best: Sequence[Trial]) -> tuple[Change, ...]:
        """Two changes that explain it: among the nearest settings, then the nearest ones with every other."""
        values = {trial.changes[0].setting: self._ranked(singles, trial) for trial in best}
        few = {one for some in values.values() for one in [one for one in some if not self._is_free(one)][:VALUES]}
        near = [trial.changes[0].setting for trial in best[:NEAREST]]
        stages = [
            [(a, b) for at, a in enumerate(near) for b in near[at + 1 :]],
            [(a, b) for a in near[:FIRST] for b in values if b not in near],
        ]
        for stage in stages:
            couples = [
                (one, other)
                for a, b in stage
                for one in values[a]
                for other in values[b]
                # Two settings that need passes cost one for each couple of values; other couples have theirs already.
                if one.goes_with(other) and ({one, other} <= few or self._is_free(one) or self._is_free(other))
            ]
            self._plan(couples)
            with self._progress.task("try pairs of settings", len(couples)) as bar:
                tried = [trial for pair in couples if (trial := self._try(pair, bar.advance)) is not None]
            if chosen := self._explaining(tried):
                return chosen
        return ()

    def _ranked(self, singles: Sequence[Trial], best: Trial) -> list[Change]:
        """All values of a setting, nearest first."""
        mine = [trial for trial in singles if trial.changes[0].setting == best.changes[0].setting]
        return [trial.changes[0] for trial in sorted(mine, key=lambda trial: (trial.nearness, trial.difference))]

    def _explaining(self, trials: Sequence[Trial]) -> tuple[Change, ...]:
        """The changes that fit the whole sample best; none where none does."""
        fitting: list[Trial] = []
        for trial in trials:
            if trial.fits:
                whole = self._measured(trial.changes, self.whole)
                fitting += [whole] if whole is not None and whole.fits else []
        if not fitting:
            return ()
        least = min(trial.difference for trial in fitting)
        # Equally good but for rounding: the first in the order of the settings.
        return next(trial.changes for trial in fitting if trial.difference <= max(2 * least, self.tolerance / 100))

    def _try(self, changes: tuple[Change, ...], done: Callable[[], None] | None = None) -> Trial | None:
        """The changes on the probe; None where they cannot be made."""
        if done is not None:
            done()
        return self._measured(changes, self._probe)

    def _measured(self, changes: tuple[Change, ...], entries: np.ndarray) -> Trial | None:
        from jinja2 import TemplateError

        self._count += 1
        conditions = self._conditions(changes)
        try:
            difference = float(self._per_row(conditions, entries).max())
            sides = self._sides(conditions, entries) if entries is self._probe else self._own
            fits = self._width(conditions) == self.given.width and self._within(difference, conditions)
        except (NotAvailable, ModelError, TemplateError, ValueError):
            # A template that knows no system turn, a picture too small for the processor, a type without room for it.
            return None
        shares = [mine / own for mine, own in zip(sides.each(), self._own.each(), strict=True) if own > self.tolerance]
        return Trial(changes, difference, min(shares, default=1.0), fits)

    def _within(self, difference: float, conditions: Conditions) -> bool:
        """Whether a difference counts as none: within the tolerance, or rounding of another compute type."""
        if difference <= self.tolerance:
            return True
        if conditions.dtype == self.base.dtype:
            return False
        other = replace(conditions, dtype=self.base.dtype)
        entries = self._probe
        moved = float(chords(self.encoder.rows(conditions, entries), self.encoder.rows(other, entries)).max())
        left = float(self._per_row(other, entries).max())
        return NOISE[0] * moved <= left <= NOISE[1] * moved and difference <= NOISE[1] * moved

    # Rows ------------------------------------------------------------------------------------------------------------

    def _plan(self, trials: Sequence[tuple[Change, ...]]) -> None:
        """Note which views of each forward pass will be asked for, so that one pass gives them all."""
        self._views = {}
        for changes in trials:
            conditions = self._conditions(changes)
            self._views.setdefault(conditions.asked, set()).add(conditions.view)

    def _conditions(self, changes: Sequence[Change]) -> Conditions:
        conditions = self.base
        for change in changes:
            conditions = change.applied(conditions)
        return conditions

    def _rows(self, conditions: Conditions, entries: np.ndarray) -> np.ndarray:
        """(n, d) reference rows of some entries."""
        views = self._views.get(conditions.asked, set()) if entries is self._probe else set()
        return self.encoder.rows(conditions, entries, sorted(views))

    def _both(self, conditions: Conditions, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Given and reference rows (n, w) of some entries, of one width, stored and ordered as the conditions say."""
        reference = self._rows(conditions, entries)
        width = min(self.given.width, reference.shape[1])
        reference = reference[:, :width]
        sample = self.encoder.sample.some(entries)
        given = np.empty((len(entries), self.given.width))
        for part in dict.fromkeys(sample.parts):
            mine = sample.of(part)
            source = self.given.parts[OTHER[part] if conditions.other_file else part]
            if conditions.shuffled:
                at = partners(reference[mine], source.vectors[:, :width])
            else:
                at = sample.rows[mine] if conditions.other_file else sample.positions[mine]
            if at.max() >= len(source.vectors):
                raise NotAvailable("the other file has fewer rows")
            given[mine] = source.at(at)
        given = given[:, :width]
        if conditions.scaled:
            given, reference = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (given, reference))
        if conditions.rounded:
            reference = rounded(reference, conditions.rounded)
        return given, reference

    def _width(self, conditions: Conditions) -> int:
        """Dimensions of vectors made under these conditions."""
        return conditions.dimensions or self.reference.shape[1]

    def _lengths(self) -> tuple[bool, float]:
        """Whether all given rows have one length, the reference's not, and how far the lengths are apart."""
        given, reference = self._both(self.base, self.whole)
        lengths = [np.linalg.norm(rows, axis=1) for rows in (given, reference)]
        one, other = (float(np.ptp(some) / some.mean()) for some in lengths)
        return one < ONE_LENGTH <= other, length_gap(given, reference)

    def _per_row(self, conditions: Conditions, entries: np.ndarray) -> np.ndarray:
        return differences(*self._both(conditions, entries))

    def _directions(self, conditions: Conditions, entries: np.ndarray) -> np.ndarray:
        return chords(*self._both(conditions, entries))

    def _sides(self, conditions: Conditions, entries: np.ndarray) -> Sides:
        given, reference = self._both(conditions, entries)
        directions = chords(given, reference)
        wrong = self._wrong if self._wrong.any() else np.ones(len(directions), bool)
        return Sides(
            direction=float(directions[wrong].mean()),
            wrong=float((directions > self.tolerance).mean()),
            # Only rows of one length show that somebody set it; other faults change lengths too.
            length=0.0 if conditions.scaled and self._one_length else self._own_length,
            width=0.0 if self._width(conditions) == self.given.width else 1.0,
            order=self._order(conditions, entries),
        )

    def _order(self, conditions: Conditions, entries: np.ndarray) -> float:
        """Mean chord to the nearest given row, whichever it is: 0 where only the order is wrong."""
        reference = self._rows(conditions, entries)[:, : self.given.width]
        sample, total = self.encoder.sample.some(entries), 0.0
        for part in dict.fromkeys(sample.parts):
            source = self.given.parts[OTHER[part] if conditions.other_file else part]
            pool = source.vectors if len(source.vectors) <= WHOLE_POOL else source.at(sample.positions[sample.of(part)])
            total += float(nearest_chords(reference[sample.of(part)], pool[:, : self.given.width])[0][:, 0].sum())
        return total / len(entries)
