"""What an exhibit is, and what showing one gives: frozen records, known to the command line, the page and every
exhibit.

An exhibit turns runs into one tidy table (`compute`), says what the table means for its claim (`judge`), and which of
its numbers the study printed (`measured`). `show.py` puts these together; `core/exhibits/registry.py` lists them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from core.errors import SpecError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from core.run import Run

Group = Literal["study", "beyond"]
Outcome = Literal["agrees", "disagrees", "depends", "not clear", "not settled", "cannot be said"]
About = Literal["claim", "beside", "printed"]
Value = str | float | int | bool
LEAST_EXPLAINED, LEAST_KEPT = "least_explained", "least_kept"
"""Names of the options of the gate (`gate.py`)."""


@dataclass(frozen=True)
class Settings:
    """Under how many settings of its exhibit a claim agrees."""

    agrees: int
    of: int
    barred: int = 0
    """Settings that count on no side: their dictionary fails the gate."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One mark of a specification curve: a claim judged under one setting of its exhibit."""

    on: str
    """The run, or the runs: the verdict's own, or their siblings on another task."""
    choices: Mapping[str, Value]
    """Option -> value, those at their default too; `task` first."""
    outcome: Outcome
    value: float | None
    """The number judged, 0-1."""
    low: float | None
    """Its 95% interval."""
    high: float | None
    n: int | None
    default: bool
    """Whether it is the setting of the verdict it stands beside."""
    barred: str = ""
    """Why its dictionary fails the gate, which makes the outcome "cannot be said"; "" where it passes."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the live numbers say: about the claim, or about a printed number. `why` holds the numbers in one
    sentence."""

    on: str
    """The run, or the runs, it speaks of."""
    outcome: Outcome
    why: str
    about: About = "claim"
    """The study's claim; what stands beside it (a control, or a kind of model it does not speak of); or its printed
    numbers."""
    difference: float | None = None
    """The difference judged, 0-1; None where the rule rests on no difference."""
    value: float | None = None
    """The number judged where it is no difference, e.g. a share of concepts, 0-1."""
    low: float | None = None
    """The 95% interval of either."""
    high: float | None = None
    p_value: float | None = None
    n: int | None = None
    """What it rests on: queries, or concepts."""
    detectable: float | None = None
    """Where it is not clear: the smallest difference that this many queries could have shown (80% power, 5%
    two-sided)."""
    settings: Settings | None = None
    """In how many settings the claim agrees; None where the exhibit has no such choices, or nothing can be said."""
    depends_on: str | None = None
    """The option, or the task, that settings contradict each other by, where they do."""
    gate: str = ""
    """Where it rests on concepts: how the dictionaries stand for the embeddings, and what they must reach."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """A choice an exhibit offers; that of a step of a variant is `variants.options.StepOption`.

    Its kind is that of its default; a number needs `low` and `high`, a word needs `allowed`.
    """

    name: str
    default: Value
    help: str
    allowed: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None

    def read(self, value: Value) -> Value:
        """The value as the option takes it, from text where it came from a command line or a link.

        Raises:
            SpecError: not of that kind, or out of range.
        """
        read = self._typed(value)
        if self.allowed and read not in self.allowed:
            raise SpecError(
                f"option {self.name} is not known", got=repr(value), allowed=nearest(str(value), map(str, self.allowed))
            )
        if self.low is not None and self.high is not None and not self.low <= float(read) <= self.high:
            raise SpecError(f"option {self.name} is out of range", got=value, allowed=f"{self.low:g} to {self.high:g}")
        return read

    def _typed(self, value: Value) -> Value:
        kind = type(self.default)
        if kind is bool:  # bool("no") is True: only the two words, and the two values, are taken
            if (word := str(value).lower()) not in ("true", "false"):
                raise SpecError(f"option {self.name} has the wrong kind", got=repr(value), allowed="true, false")
            return word == "true"
        try:
            return kind(value)
        except ValueError:
            raise SpecError(f"option {self.name} has the wrong kind", got=repr(value), allowed=kind.__name__) from None


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One figure or table of the study (`group` "study"), or one question it leaves out ("beyond")."""

    name: str
    title: str
    claim: str
    """One sentence: what the study claims, or the question asked."""
    definition: str
    """What is measured, with equation numbers and sources."""
    compute: Callable[..., pd.DataFrame]
    """(runs, **options) -> tidy table with the columns run, model, task first; ratios 0-1, intervals as NAME_low and
    NAME_high.

    Called with one run at a time and the tables joined, so that a run that lacks something (NotAvailable) leaves the
    others be; with all runs at once where `together`. `table.attrs["notes"]`: sentences a reader must know.
    """
    group: Group = "study"
    rule: str = ""
    """How `judge` decides, in one sentence."""
    judge: Callable[[pd.DataFrame], tuple[Verdict, ...]] | None = None
    measured: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    """The table's numbers in the study's terms: DataFrame[run, setting, metric, value, low, high], as the study prints
    them."""
    check: Callable[[Run], object] | None = None
    """Raises NotAvailable for a run that cannot take part; asked before `compute`, needed with `together`."""
    together: bool = False
    options: tuple[Option, ...] = ()
    grid: Callable[[Sequence[Run]], Sequence[Mapping[str, Value]]] | None = None
    """Settings of the specification curve on these runs: one mapping of options each, those left out at their default.

    A verdict on the claim then says under how many of them it agrees, and depends where they contradict each other.
    """
    contradictions: tuple[str, ...] = ()
    """Where the paper contradicts itself on this exhibit's numbers."""
    needs: str = ""
    """What a run must have, in words."""
    on_sae: bool = False
    """Its numbers rest on the SAE: fidelity stands beside them."""
    gate: bool = False
    """Its verdicts speak of concepts: they cannot be said where a dictionary fails the gate (`gate.py`), whose options
    it has."""
    version: int = 1
    """Raised when its numbers change: tables are kept in the cache under it."""
    kept: bool = True
    """Whether its tables are kept in the cache; not where the questions behind it keep their own and know what else
    they hang on."""
    variants: tuple[str, ...] = ()
    """The variants its table compares; its key in the cache holds them with every option written out, so that a changed
    default is another table."""
    depends: Callable[[], Mapping[str, Any]] | None = None
    """What else its numbers hang on, e.g. the machine that measures seconds; plain JSON, part of the cache's key."""

    def read_options(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Every option with its value, defaults filled in. SpecError for one that does not exist or cannot be."""
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                raise SpecError(
                    f"{self.name} has no such option", got=repr(name), allowed=nearest(name, known) or "none"
                )
        return {name: option.read(given.get(name, option.default)) for name, option in known.items()}

    def computed(self, options: Mapping[str, Value]) -> dict[str, Value]:
        """The options that its table hangs on: those of the gate act on verdicts alone."""
        of_gate = (LEAST_EXPLAINED, LEAST_KEPT) if self.gate else ()
        return {name: value for name, value in options.items() if name not in of_gate}


@dataclass(frozen=True)
class LeftOut:
    """A run that could not take part, and what would let it."""

    run: str
    why: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """An exhibit on some runs: everything the page shows and the command prints."""

    exhibit: Exhibit
    runs: tuple[str, ...]
    options: Mapping[str, Value]
    table: pd.DataFrame
    """Empty where no run could take part."""
    verdicts: tuple[Verdict, ...]
    printed: pd.DataFrame
    """Live beside printed, for the same model and data; columns as `printed.BESIDE`."""
    study: pd.DataFrame
    """Every number the study printed for this exhibit: [model, dataset, task, setting, metric, value, note]."""
    fidelity: pd.DataFrame
    """How well the SAE of each run stands for its embeddings, where the exhibit rests on it: [run, figure, value,
    n]."""
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    reproduce: str
    """The command."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Of the tables, per run."""

    @property
    def python(self) -> str:
        """The same in lines of Python."""
        runs = ", ".join(f'open_run("{name}", store)' for name in self.runs)
        chosen = "".join(f", {name}={value!r}" for name, value in _changed(self.exhibit, self.options).items())
        return (
            "from core.exhibits import show_exhibit\nfrom core.run import open_run\nfrom core.store import Store\n\n"
            f'store = Store.default()\nprint(show_exhibit("{self.exhibit.name}", [{runs}]{chosen}).table)'
        )

    def to_json(self) -> dict[str, Any]:
        """What `exhibit --json` prints."""
        exhibit = self.exhibit
        return {
            "exhibit": exhibit.name,
            "title": exhibit.title,
            "group": exhibit.group,
            "claim": exhibit.claim,
            "definition": exhibit.definition,
            "rule": exhibit.rule,
            "runs": list(self.runs),
            "options": dict(self.options),
            "rows": self.table.to_dict("records"),
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "printed": self.printed.to_dict("records"),
            "study": self.study.to_dict("records"),
            "fidelity": self.fidelity.to_dict("records"),
            "contradictions": list(exhibit.contradictions),
            "notes": list(self.notes),
            "left_out": [asdict(left) for left in self.left_out],
            "reproduce": self.reproduce,
        }


def command(exhibit: Exhibit, runs: Sequence[str], options: Mapping[str, Value]) -> str:
    """The command line that shows an exhibit; options at their default stay out of it."""
    written = [f"{name}={_written(value)}" for name, value in _changed(exhibit, options).items()]
    chosen = "".join(f" --option {shlex.quote(option)}" for option in written)  # a variant holds brackets
    return f"retrieval-lens exhibit {exhibit.name} {' '.join(runs)}{chosen}"


def _changed(exhibit: Exhibit, options: Mapping[str, Value]) -> dict[str, Value]:
    defaults = {option.name: option.default for option in exhibit.options}
    return {name: value for name, value in options.items() if value != defaults.get(name)}


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
