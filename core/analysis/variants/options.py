"""Named options of steps and corrections: what they may be, and how they are read from text. Knows nothing of what they
do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.config.whitening import BETAS, EPSES
from core.errors import VariantError, nearest

Value = float | int | str


@dataclass(frozen=True)
class StepOption:
    """One named option of a step or a score correction: its default, and what else it may be. An exhibit's choices are
    `exhibits.shared.records.Option`."""

    name: str
    default: Value
    choices: tuple[str, ...] = ()
    """The words it may be."""
    low: float | None = None
    """Smallest number; None where it takes no number."""
    high: float = np.inf
    integer: bool = False

    def read(self, text: str) -> Value:
        """The value of `text`, or a VariantError that says what is allowed."""
        if text in self.choices:
            return text
        try:
            number = (int if self.integer else float)(text)
        except ValueError:
            number = np.nan
        # NaN compares false; a whole number beyond 64 bits fits no array.
        if self.low is None or not self.low <= number <= self.high or abs(number) >= 2**63:
            raise VariantError(f"bad value of {self.name}", got=repr(text), allowed=self.allowed)
        return number

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        words = [repr(choice) for choice in self.choices]
        if self.low is not None:
            number = "a whole number" if self.integer else "a number"
            words.append(
                f"{number} {f'>= {self.low:g}' if np.isinf(self.high) else f'from {self.low:g} to {self.high:g}'}"
            )
        return " or ".join(words)


def find_option(owner: str, options: Sequence[StepOption], name: str) -> StepOption:
    """The option of `owner` called `name`, or a VariantError naming the nearest."""
    matches = [option for option in options if option.name == name]
    if not matches:
        allowed = nearest(name, [option.name for option in options]) or "no options"
        raise VariantError(f"unknown option of {owner}", got=repr(name), allowed=allowed)
    return matches[0]


def read_options(
    owner: str, options: Sequence[StepOption], given: Mapping[str, Value]
) -> tuple[tuple[str, Value], ...]:
    """(name, value) of every option in the order of the registry: those given, checked; the defaults of the rest."""
    values = {name: find_option(owner, options, name).read(number_text(value)) for name, value in given.items()}
    return tuple((option.name, values.get(option.name, option.default)) for option in options)


def named_values(owner: str, arguments: Sequence[str]) -> dict[str, str]:
    """`["k=3", "seed=1"]` as a mapping; an option given twice is refused."""
    given = [argument.partition("=") for argument in arguments]
    names = [name for name, _, _ in given]
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise VariantError(f"option of {owner} given twice", got=repr(repeated[0]), allowed="each option once")
    return {name: value for name, _, value in given}


def option_words(options: Sequence[StepOption], values: Mapping[str, Value], defaults: bool) -> list[str]:
    """`name=value` of every option, with or without those that have their default."""
    return [f"{o.name}={number_text(values[o.name])}" for o in options if defaults or values[o.name] != o.default]


def number_text(value: Value) -> str:
    """Shortest text that reads back as the same value, without the `+` that would end a step."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 1e15 else repr(value).replace("e+", "e")
    return str(value)


def statistics_option(*choices: str) -> StepOption:
    """Whose rows a step is fitted on; the first choice is the default."""
    return StepOption("statistics", choices[0], choices=choices)


STATISTICS: Mapping[str, str] = {
    "per-side": "each side's own rows; transductive: the test queries, without labels",
    "support": "queries from the support split, candidates from the pool",
    "shared": "both sides together; transductive: the test queries, without labels",
    "candidates": "the pool of candidates for both sides",
    "per-modality": "each modality's own rows, of both sides together",
}
"""Every choice of statistics, and whose rows these are in words (docs/study.md section 6)."""
EPS = StepOption("eps", 1e-5, low=EPSES.low, high=EPSES.high)
BETA = StepOption("beta", 0.1, low=BETAS.low, high=BETAS.high)
SHARE = StepOption("share", 0.01, low=0.0, high=1.0)
RANK = StepOption("rank", "auto", choices=("auto",), low=1, integer=True)
ONE_RANK = StepOption("rank", 1, low=1, integer=True)
SEED = StepOption("seed", 0, low=0, integer=True)
ANY_SIDE = statistics_option(*STATISTICS)
LAYER = StepOption("layer", -1, low=-1000, high=1000, integer=True)
"""Index into the model's `hidden_states`; -1 is the last."""
TOKENS = StepOption("tokens", "all", choices=("all", "image", "text", "prompt"))
"""Whose states are changed: of every token, or of those of one role (`records.TokenRole`)."""
OWN_SIDE = statistics_option("per-side", "support")
"""For steps that compare the two sides: with the same rows for both there is nothing to compare."""
