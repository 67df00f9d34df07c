"""The text form of a variant: `remove(12,55)+realign(beta=0.5)`. Parse, bring into canonical order, print.

Grammar: `none`, or steps joined by `+` (a space is read as `+`, which is what a URL makes of it). A step is a name with
options in brackets. Canonical: edits first, then removals, then affine steps in the order given; one `set` and one
`remove` at most, concepts ascending; options in the order of the registry, defaults left out.
`str(parse_variant(text))` is canonical and parses to the same spec. Knows nothing of data: whether concept 12 exists is
checked when the variant is fitted.
"""

import re
from dataclasses import dataclass, replace

from core.analysis.variants.options import Value, named_values, number_text, option_words, read_options
from core.analysis.variants.steps import STEPS, StepKind
from core.errors import VariantError, nearest

_STAGES = ("edit", "removal", "affine")
_STEP = re.compile(r"([a-z][a-z-]*)(?:\(([^()]*)\))?")
NONE = "none"
MOST_STEPS = 16
"""Steps of one chain: each is a fit, and a link holds any number of them."""
LARGEST_FACTOR = 1e6
"""Of an edited concept: beyond this nothing of the other concepts is left in a row."""


@dataclass(frozen=True)
class Step:
    """One step with every option filled in."""

    name: str
    options: tuple[tuple[str, Value], ...] = ()
    """(name, value) in the order of the registry, defaults included."""
    concepts: tuple[tuple[int, float], ...] = ()
    """(concept, factor), ascending; the factor of a removed concept is 0."""

    @property
    def kind(self) -> StepKind:
        """The registry's entry."""
        return STEPS[self.name]

    def __str__(self) -> str:
        return self.text(defaults=False)

    def text(self, defaults: bool) -> str:
        """The text form, with or without options that have their default value."""
        factors = self.kind.concepts == "factors"
        words = [f"{k}={number_text(s)}" if factors else str(k) for k, s in self.concepts]
        words += option_words(self.kind.options, dict(self.options), defaults)
        return f"{self.name}({','.join(words)})" if words else self.name


@dataclass(frozen=True)
class VariantSpec:
    """A chain of steps in canonical order; no steps is the raw cosine. Hashable; equal specs are the same variant."""

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _canonical(self.steps))
        if len(self.steps) > MOST_STEPS:
            raise VariantError("too many steps in a variant", got=len(self.steps), allowed=f"up to {MOST_STEPS}")

    def __str__(self) -> str:
        return "+".join(map(str, self.steps)) or NONE

    def explicit(self) -> str:
        """The text form with every option written out, for manifests and cache keys."""
        return "+".join(step.text(defaults=True) for step in self.steps) or NONE

    def of_stage(self, stage: str) -> tuple[Step, ...]:
        """The steps of one stage: edit, removal or affine."""
        return tuple(step for step in self.steps if step.kind.stage == stage)

    @property
    def edits(self) -> tuple[tuple[int, float], ...]:
        """(concept, factor) of all edited concepts."""
        return tuple(edit for step in self.of_stage("edit") for edit in step.concepts)

    @property
    def removed(self) -> tuple[int, ...]:
        """Concepts listed in `remove(...)`."""
        return tuple(k for step in self.of_stage("removal") for k, _ in step.concepts)

    @property
    def needs_codes(self) -> bool:
        """Whether rows can only be transformed together with their codes."""
        return bool(self.edits)

    @property
    def needs_concepts(self) -> bool:
        """Whether a dictionary is needed to fit it."""
        return any(step.kind.needs_dictionary for step in self.steps)

    @property
    def needs_support(self) -> bool:
        """Whether a support split is needed to fit it."""
        return any(("statistics", "support") in step.options for step in self.steps)

    def then(self, other: "VariantSpec | str") -> "VariantSpec":
        """This chain followed by another; the canonical order still holds."""
        return VariantSpec(self.steps + (parse_variant(other) if isinstance(other, str) else other).steps)

    def with_factor(self, concept: int, factor: float) -> "VariantSpec":
        """The same chain with concept `concept` scaled by `factor` (1 undoes an edit)."""
        edits = dict(self.edits) | {concept: factor}
        rest = tuple(step for step in self.steps if step.name != "set")
        return VariantSpec((Step("set", concepts=tuple(edits.items())), *rest))

    def toggle_removed(self, concept: int) -> "VariantSpec":
        """The same chain with `concept` added to `remove(...)`, or taken out if it was there."""
        old = next(
            (step for step in self.steps if step.name == "remove"), make_step("remove", concepts=((concept, 0.0),))
        )
        toggled = set(self.removed) ^ {concept}
        rest = tuple(step for step in self.steps if step.name != "remove")
        return VariantSpec((replace(old, concepts=tuple((k, 0.0) for k in toggled)), *rest))


def parse_variant(text: str) -> VariantSpec:
    """The spec that `text` names. One-line VariantError, with the nearest known step or option, where it names none."""
    squeezed = re.sub(r"\s+\)", ")", re.sub(r"\s*([(,=])\s*", r"\1", text))
    words = [word for word in re.split(r"[+\s]+(?![^(]*\))", squeezed) if word]
    if not words:
        raise VariantError("empty variant", got=repr(text), allowed="'none' or steps joined by '+'")
    return VariantSpec(tuple(_parse_step(word) for word in words if word != NONE))


def make_step(name: str, concepts: tuple[tuple[int, float], ...] = (), **options: Value) -> Step:
    """A step from Python values, checked like text. Options with a dash or not: as in the registry."""
    return Step(name, read_options(name, STEPS[name].options, options), concepts)


def _parse_step(word: str) -> Step:
    """One step from its word: `zca`, `realign(beta=0.5)`, `remove(12,55)`."""
    match = _STEP.fullmatch(word)
    name = match[1] if match else re.split(r"[(]", word)[0]
    if name not in STEPS:
        raise VariantError("unknown variant step", got=repr(word), allowed=nearest(name, [NONE, *STEPS]))
    if not match:
        raise VariantError(
            "cannot read a variant step", got=repr(word), allowed=f"{name} or {name}(...), brackets closed"
        )
    arguments = [argument for argument in (match[2] or "").split(",") if argument]
    ids = [a for a in arguments if a.split("=")[0].isdigit()]
    given = named_values(name, [a for a in arguments if a not in ids])
    return Step(name, read_options(name, STEPS[name].options, given), _parse_concepts(STEPS[name], ids))


def _parse_concepts(kind: StepKind, words: list[str]) -> tuple[tuple[int, float], ...]:
    """Concept ids, or ids with factors, as the kind of step takes them."""
    form = {"none": "no concepts", "ids": "concept ids as in remove(12,55)", "factors": "factors as in set(12=0,40=2)"}[
        kind.concepts
    ]
    pattern = {"none": r"(?!)", "ids": r"\d+", "factors": r"\d+=-?[\d.]+(e-?\d+)?"}[kind.concepts]
    bad = [word for word in words if not re.fullmatch(pattern, word)]
    if bad or (kind.concepts != "none" and not words):
        raise VariantError(
            f"cannot read the concepts of {kind.name}", got=repr(bad[0]) if bad else "none", allowed=form
        )
    try:
        concepts = tuple((int(k), float(s or 0)) for k, _, s in (word.partition("=") for word in words))
    except ValueError:  # two points in a number, or thousands of digits
        raise VariantError(
            f"cannot read the concepts of {kind.name}", got=repr(",".join(words)), allowed=form
        ) from None
    for _, factor in concepts:
        if abs(factor) > LARGEST_FACTOR:
            allowed = f"{-LARGEST_FACTOR:g} to {LARGEST_FACTOR:g}"
            raise VariantError(f"a factor of {kind.name} is out of range", got=factor, allowed=allowed)
    return concepts


def _canonical(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps in the order in which they act; edits and listed removals merged into one step each."""
    merged = [step for step in steps if step.kind.concepts == "none"]
    for name in ("set", "remove"):
        merged += _merged([step for step in steps if step.name == name])
    return tuple(
        sorted(merged, key=lambda step: (_STAGES.index(step.kind.stage), step.kind.stage != "affine" and str(step)))
    )


def _merged(steps: list[Step]) -> list[Step]:
    """One step that names the concepts of all; none where its edits change nothing."""
    if not steps:
        return []
    concepts = [edit for step in steps for edit in step.concepts]
    if len({step.options for step in steps}) > 1:
        raise VariantError(
            "two removals of concepts with different options", got="+".join(map(str, steps)), allowed="one remove(...)"
        )
    if len(dict(concepts)) != len(set(concepts)):
        raise VariantError(
            "a concept has two factors", got="+".join(map(str, steps)), allowed="each concept once in set(...)"
        )
    edits = tuple(sorted({edit for edit in concepts if (steps[0].name, edit[1]) != ("set", 1.0)}))
    return [replace(steps[0], concepts=edits)] if edits else []
