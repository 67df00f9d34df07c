"""The text form of a variant: `remove(12,55)+realign(beta=0.5)`. Parse, bring into canonical order, print.

Grammar: `none`, or steps joined by `+` (a space is read as `+`, which is what a URL makes of it). A step is a name with
options in brackets. Canonical: steps inside the model first, then edits, then removals, then affine steps in the order
given; one `inside` per layer and kind of token, one `set` and one `remove` at most, concepts ascending; options in the
order of the registry, defaults left out. `inside(layer=3,12=0,40=@0.8)`: at layer 3 concept 12 off, concept 40 set to
0.8; its layer is always written, and `12=1` changes nothing and is left out.
`str(parse_variant(text))` is canonical and parses to the same spec. Knows nothing of data: whether concept 12 exists is
checked when the variant is fitted.
"""

import re
from dataclasses import dataclass, replace

from core.analysis.variants.options import Value, named_values, number_text, option_words, read_options
from core.analysis.variants.steps import STEPS, StepKind
from core.errors import VariantError, nearest

_STAGES = ("inside", "edit", "removal", "affine")
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
    clamped: tuple[tuple[int, float], ...] = ()
    """(concept, activation it is set to, in embedding units), ascending; of a step inside the model alone."""

    @property
    def kind(self) -> StepKind:
        """The registry's entry."""
        return STEPS[self.name]

    def __str__(self) -> str:
        return self.text(defaults=False)

    def text(self, defaults: bool) -> str:
        """The text form, with or without options that have their default value."""
        factors = self.kind.concepts in ("factors", "changes")
        words = [f"{k}={number_text(s)}" if factors else str(k) for k, s in self.concepts]
        words += [f"{k}=@{number_text(value)}" for k, value in self.clamped]
        named = option_words(self.kind.options, dict(self.options), defaults)
        if self.kind.stage == "inside":
            layer = option_words([self.kind.option("layer")], dict(self.options), defaults=True)
            words = [*layer, *(word for word in named if word not in layer), *words]
        else:
            words += named
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
        """The steps of one stage: inside, edit, removal or affine."""
        return tuple(step for step in self.steps if step.kind.stage == stage)

    @property
    def inside(self) -> "VariantSpec":
        """What it changes within the model: the chain of these steps alone, empty where the rows are the run's own."""
        return VariantSpec(self.of_stage("inside"))

    @property
    def outside(self) -> "VariantSpec":
        """The same chain without the steps within the model: what is done to the rows it brings."""
        return VariantSpec(tuple(step for step in self.steps if step.kind.stage != "inside"))

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

    def with_inside(self, concept: int, factor: float, layer: int = -1, tokens: str = "all") -> "VariantSpec":
        """The same chain with `concept` scaled by `factor` within the model, at that layer and those tokens (1 undoes
        it)."""
        place = (("layer", layer), ("tokens", tokens))
        old = next((step for step in self.of_stage("inside") if step.options == place), Step("inside", place))
        factors = dict(old.concepts) | {concept: factor}
        kept = tuple(edit for edit in old.clamped if edit[0] != concept)
        rest = tuple(step for step in self.steps if step != old)
        return VariantSpec((replace(old, concepts=tuple(factors.items()), clamped=kept), *rest))

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
    kind = STEPS[name]
    options, values = read_options(name, kind.options, given), [a for a in ids if a.partition("=")[2].startswith("@")]
    takes = kind.concepts == "changes"
    factors = [a for a in ids if not (takes and a in values)]
    concepts = () if takes and values and not factors else _parse_concepts(kind, factors)
    clamped = _parse_concepts(kind, [a.replace("=@", "=", 1) for a in values]) if takes and values else ()
    return Step(name, options, concepts, clamped)


def _parse_concepts(kind: StepKind, words: list[str]) -> tuple[tuple[int, float], ...]:
    """Concept ids, or ids with factors, as the kind of step takes them."""
    factor = r"\d+=-?[\d.]+(e-?\d+)?"
    form, pattern = {
        "none": ("no concepts", r"(?!)"),
        "ids": ("concept ids as in remove(12,55)", r"\d+"),
        "factors": ("factors as in set(12=0,40=2)", factor),
        "changes": ("factors and values as in inside(layer=3,12=0,40=@0.8)", factor),
    }[kind.concepts]
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
    for _, times in concepts:
        if abs(times) > LARGEST_FACTOR:
            allowed = f"{-LARGEST_FACTOR:g} to {LARGEST_FACTOR:g}"
            raise VariantError(f"a factor of {kind.name} is out of range", got=times, allowed=allowed)
    return concepts


def _canonical(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps in the order in which they act; edits and listed removals merged into one step each."""
    merged = [step for step in steps if step.kind.concepts == "none"]
    for name in ("set", "remove"):
        merged += _merged([step for step in steps if step.name == name])
    within = [step for step in steps if step.kind.stage == "inside"]
    for options in dict.fromkeys(step.options for step in within):
        merged += _merged([step for step in within if step.options == options])
    return tuple(
        sorted(merged, key=lambda step: (_STAGES.index(step.kind.stage), step.kind.stage != "affine" and str(step)))
    )


def _merged(steps: list[Step]) -> list[Step]:
    """One step that names the concepts of all; none where its edits change nothing."""
    if not steps:
        return []
    concepts = [edit for step in steps for edit in step.concepts]
    clamped = [edit for step in steps for edit in step.clamped]
    if len({step.options for step in steps}) > 1:
        raise VariantError(
            "two removals of concepts with different options", got="+".join(map(str, steps)), allowed="one remove(...)"
        )
    named = [k for k, _ in (*set(concepts), *set(clamped))]
    if len(named) != len(set(named)):
        raise VariantError(
            "a concept has two factors",
            got="+".join(map(str, steps)),
            allowed=f"each concept once in {steps[0].name}(...)",
        )
    scales = steps[0].kind.concepts in ("factors", "changes")
    edits = tuple(sorted({edit for edit in concepts if not (scales and edit[1] == 1.0)}))
    values = tuple(sorted(set(clamped)))
    return [replace(steps[0], concepts=edits, clamped=values)] if edits or values else []
