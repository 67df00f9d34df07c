"""Whether a similarity, or a margin, may be told as a story about concepts. The one place of this rule.

A decomposition (`contributions.py`) is exact whatever the dictionary is: what the dictionary does not explain stands in
the two error terms. Where these are as large as what is to be explained, no concept can be named as the reason.

Rule: size = |query error| + |candidate error|. The dictionary cannot explain
    a margin      where size > 1   x |margin|
    a similarity  where size > 1/2 x |similarity|
The two errors are counted by their sizes, because two errors that happen to cancel explain nothing. The two factors are
ours (`Limits`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large the SAE error may be, in units of what is to be explained."""

    margin: float = 1.0
    """Of a comparison: the whole margin."""
    similarity: float = 0.5
    """Of one pair: half of its similarity."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """A similarity or a margin in three parts: concepts + error + offset = total, but for rounding. No unit."""

    concepts: float
    query_error: float
    candidate_error: float
    offset: float
    total: float
    is_margin: bool
    limits: Limits = Limits()

    @property
    def error(self) -> float:
        """What the SAE does not explain, signed: the sum of both errors."""
        return self.query_error + self.candidate_error

    @property
    def size(self) -> float:
        """How much the SAE does not explain, >= 0: the two errors by their sizes."""
        return abs(self.query_error) + abs(self.candidate_error)

    @property
    def limit(self) -> float:
        """The largest size that leaves the concepts their say, >= 0."""
        return abs(self.total) * (self.limits.margin if self.is_margin else self.limits.similarity)

    @property
    def holds(self) -> bool:
        """Whether the concepts may be named as the reason."""
        return self.size <= self.limit
