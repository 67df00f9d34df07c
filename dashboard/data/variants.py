"""Variants as pages meet them: texts that may be wrong, and what a paired difference shows."""

from __future__ import annotations

from core.analysis.variants import parse_variant
from core.errors import UserError
from core.exhibits.shared import agreement


def variant_error(expression: str) -> UserError | None:
    """Why the expression is no variant; None when it is one."""
    try:
        parse_variant(expression)
    except UserError as error:
        return error
    return None


def canonical(expression: str) -> str:
    """The expression as core writes it."""
    return str(parse_variant(expression))


def direction(low: float, high: float, p: float) -> int:
    """What a paired difference shows: +1 a clear gain, -1 a clear loss, 0 neither. The exhibits' own rule."""
    outcome = agreement.direction(low, high, +1, p)
    return {"agrees": 1, "disagrees": -1}.get(outcome, 0)
