"""The study's four claims on some runs: each is judged by one exhibit, and what is said here is that exhibit's verdict.

`claims(runs)` is all that the Overview, the Lesson, `retrieval-lens claims`, the summary of `demo` and docs/findings.md
tell; none of them judges anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.errors import UserError
from core.exhibits.registry import EXHIBITS
from core.exhibits.shared.curve import Curves, curve
from core.exhibits.shared.records import LeftOut, Outcome, Setting, Settings, Value, Verdict
from core.exhibits.shared.show import show

if TYPE_CHECKING:
    from core.run import Run

Number = Literal[1, 2, 3, 4]
METRIC = "recall@5"
"""The recall that claims 3 and 4 are judged by unless another is chosen."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One claim of the study, and where it is judged."""

    number: Number
    title: str
    statement: str
    """What the study says, in one sentence."""
    exhibit: str
    """The exhibit whose verdict is the claim's."""
    column: str
    """What is measured where it is no recall: a column of that exhibit's table."""
    beside: tuple[tuple[str, Mapping[str, Value]], ...] = ()
    """Exhibits, with options, whose verdicts stand beside it."""


QUESTIONS: tuple[Question, ...] = (
    Question(
        number=1,
        title="Text dominates the concepts",
        statement=(
            "Most concepts of a multimodal LLM have a modality score near 1, text; contrastive models are balanced."
        ),
        exhibit="figure-2",
        column="share",
    ),
    Question(
        number=2,
        title="The same few concepts do everything",
        statement=(
            "The top concepts by energy, by bridge score and by attribution coincide more in multimodal LLMs than in"
            " contrastive models."
        ),
        exhibit="table-1",
        column="overlap",
        beside=(("figure-4", {}),),
    ),
    Question(
        number=3,
        title="Top contributors are distractors",
        statement="Projecting out the concepts that contribute most to similarity raises recall.",
        exhibit="table-2",
        column="",
        beside=(("table-2", {"then": "center"}),),
    ),
    Question(
        number=4,
        title="Whitening repairs retrieval",
        statement="ReAlign, a whitening without training, raises zero-shot recall.",
        exhibit="table-3",
        column="",
    ),
)
"""The four claims in the study's order."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one claim comes to on a run, or on a run and the one it is compared with."""

    claim: Number
    title: str
    statement: str
    exhibit: str
    on: str
    """The run or runs, as in the exhibit's verdict."""
    outcome: Outcome
    """As in the exhibit's verdict: agrees, disagrees, depends, not clear, not settled or cannot be said."""
    metric: str
    """What `value` is: a recall that rose or fell, or the exhibit's own measure."""
    value: float | None
    """The number judged, 0-1: a difference of recalls or overlaps, or a share of concepts; None where nothing is."""
    low: float | None
    """Its 95% interval."""
    high: float | None
    n: int | None
    """What it rests on: queries, or concepts."""
    why: str
    """The verdict's sentence."""
    detectable: float | None = None
    """Where it is not clear: the smallest difference that this many queries could have shown."""
    beside: tuple[Verdict, ...] = ()
    """Verdicts that stand beside the claim: its controls, and the kinds of models it does not speak of."""
    settings: Settings | None = None
    """None where the claim cannot be said."""
    depends_on: str | None = None
    """The choice that outcomes hang on, where settings contradict each other."""
    gate: str = ""
    """Where it rests on concepts: how the dictionaries stand for the embeddings, and what they must reach."""

    def to_json(self) -> dict[str, Any]:
        """An entry of `claims --json`."""
        names = ("claim", "exhibit", "on", "outcome", "metric", "value", "low", "high", "n")
        settings = None if self.settings is None else asdict(self.settings)
        return {name: getattr(self, name) for name in names} | {
            "settings": settings,
            "depends_on": self.depends_on,
            "gate": self.gate,
        }


def claims(runs: Sequence[Run], metric: str = METRIC, curves: Curves = "computed") -> tuple[Claim, ...]:
    """The four claims on these runs, claim by claim, run by run.

    A run that an exhibit leaves out has its claim too: it cannot be said, and why. Missing specification curves are
    computed now, or (`curves` "cached") left open: then a claim that its one setting would decide is not settled yet.

    Raises:
        UserError: no run, two runs of one name, or a metric that is no recall at 1, 5 or 10.
    """
    for question in QUESTIONS:  # before the first claim, which has no metric and may take minutes
        EXHIBITS[question.exhibit].read_options(_options(question.exhibit, metric))
    return tuple(claim for question in QUESTIONS for claim in _answers(question, runs, metric, curves))


def _answers(question: Question, runs: Sequence[Run], metric: str, curves: Curves) -> Iterator[Claim]:
    result = show(EXHIBITS[question.exhibit], runs, _options(question.exhibit, metric), curves)
    aside = [v for v in result.verdicts if v.about == "beside"]
    for name, options in question.beside:
        judged = show(EXHIBITS[name], runs, {**_options(name, metric), **options}, "none").verdicts
        aside += [v for v in judged if v.about == "claim" and v.outcome != "cannot be said"]
    for verdict in (*(v for v in result.verdicts if v.about == "claim"), *map(_cannot, result.left_out)):
        on = set(verdict.on.split(", "))
        yield Claim(
            claim=question.number,
            title=question.title,
            statement=question.statement,
            exhibit=question.exhibit,
            on=verdict.on,
            outcome=verdict.outcome,
            metric=question.column or metric,
            value=verdict.value if verdict.difference is None else verdict.difference,
            low=verdict.low,
            high=verdict.high,
            n=verdict.n,
            why=verdict.why,
            settings=verdict.settings,
            depends_on=verdict.depends_on,
            gate=verdict.gate,
            detectable=verdict.detectable,
            beside=tuple(v for v in aside if set(v.on.split(", ")) & on),
        )


def specification_curve(
    claim: int, runs: Sequence[Run], metric: str = METRIC, curves: Curves = "computed"
) -> tuple[Setting, ...]:
    """The settings under which a claim was judged on the runs of one `Claim.on`, and on their siblings of other tasks.

    The setting of the verdict itself is marked as the default. Empty where nothing can be said, or, with `curves`
    "cached", where they are not computed yet. `curve.table_of` makes a table of them.

    Raises:
        UserError: there is no such claim.
    """
    question = next((q for q in QUESTIONS if q.number == claim), None)
    if question is None:
        raise UserError("no such claim", got=claim, allowed="1 to 4")
    exhibit = EXHIBITS[question.exhibit]
    options = exhibit.read_options(_options(question.exhibit, metric))
    return curve(exhibit, runs, options, curves) or ()


def _options(exhibit: str, metric: str) -> dict[str, Value]:
    """The metric, where the exhibit has that choice."""
    return {"metric": metric} if any(option.name == "metric" for option in EXHIBITS[exhibit].options) else {}


def _cannot(left: LeftOut) -> Verdict:
    return Verdict(on=left.run, outcome="cannot be said", why=left.why)
