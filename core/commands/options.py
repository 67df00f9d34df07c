"""Command-line options of `evaluate` -> one variant expression."""

from __future__ import annotations

from core.config import WhiteningSpec
from core.errors import UserError


def expression(
    defaults: WhiteningSpec,
    transform: str = "none",
    beta: float | None = None,
    eps: float | None = None,
    statistics: str | None = None,
    remove_top: float | None = None,
    rank: int | None = None,
    variant: str | None = None,
) -> str:
    """The chain removal + whitening as a variant expression; what is not given comes from the run's [whitening].

    Raises:
        UserError: options that exclude each other.
    """
    if variant is not None:
        if transform != "none" or any(v is not None for v in (beta, eps, statistics, remove_top, rank)):
            raise UserError("--variant says everything", got="--variant and other options", todo="use one or the other")
        return variant
    if rank is not None and remove_top is None:
        raise UserError("--rank goes with --remove-top", got="--rank alone", todo="add --remove-top 0.01")
    _only_with(transform, "--beta", beta, ("realign",))
    _only_with(transform, "--eps", eps, ("pca", "zca", "realign", "auto"))
    _only_with(transform, "--statistics", statistics, ("center", "pca", "zca", "realign", "auto"))
    of_rank = "" if rank is None else f",rank={rank}"
    steps = [] if remove_top is None else [f"remove-top(share={remove_top}{of_rank})"]
    steps += [] if transform == "none" else [f"{transform}({_parameters(defaults, transform, beta, eps, statistics)})"]
    return "+".join(steps) or "none"


def _parameters(
    defaults: WhiteningSpec, transform: str, beta: float | None, eps: float | None, statistics: str | None
) -> str:
    """The options of a whitening step as text; what is not given comes from the run's defaults."""
    values: dict[str, object] = {}
    if transform == "realign":
        values["beta"] = defaults.beta if beta is None else beta
    if transform != "center":
        values["eps"] = defaults.eps if eps is None else eps
    if transform == "pca":
        if statistics not in (None, "shared", "candidates"):
            raise UserError(
                "pca takes the same statistics for both sides",
                got=f"--statistics {statistics}",
                allowed="shared, candidates",
                todo="zca or realign take the others",
            )
        values["statistics"] = statistics or "shared"
    else:
        values["statistics"] = statistics or defaults.statistics
    return ",".join(f"{k}={v}" for k, v in values.items())


def _only_with(transform: str, option: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse an option that the transform does not take."""
    if value is not None and transform not in allowed:
        raise UserError(
            f"{option} does nothing with --transform {transform}", allowed=f"--transform {' | '.join(allowed)}"
        )
