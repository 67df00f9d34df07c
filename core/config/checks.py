"""What every value of a spec must be: of its type, one of its words, within its bounds, and text that can be written.

The bounds stand at the field itself, `task: Annotated[int, Between(1, 8)] = 4`, and `check_fields` reads them there: a
number without bounds is found by a test, and docs/running.md prints the same bounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from core.errors import SpecError, nearest
from core.text import is_utf8, printable

MOST_ENTRIES = 256
"""Entries of one list: more layers than any model has, more dictionaries than anybody trains in one pass."""
MOST_CHARACTERS = 4096
"""Characters of one text: the longest path that Linux opens."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Between:
    """Bounds of a number, or of each number of a list."""

    low: float
    high: float
    above: bool = False
    """Whether `low` itself is excluded."""

    def __contains__(self, value: float) -> bool:
        # NaN compares false with everything, so it is never within bounds.
        return (value > self.low if self.above else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        low, high = number(self.low), number(self.high)
        return f"above {low}, up to {high}" if self.above else f"{low} to {high}"


@dataclass(frozen=True)
class Words:
    """What a text may be: one of these words. One with a colon, `mteb:TASK`, stands for any name behind the colon."""

    words: tuple[str, ...]

    def __contains__(self, text: str) -> bool:
        prefixes = (f"{word.partition(':')[0]}:" for word in self.words if ":" in word)
        return (text in self.words and ":" not in text) or any(
            text.startswith(prefix) and text != prefix for prefix in prefixes
        )


@dataclass(frozen=True)
class Shape:
    """What a name may look like, where it goes to somebody else's library: a pattern, and the pattern in words."""

    pattern: str
    words: str

    def __contains__(self, text: str) -> bool:
        return bool(re.fullmatch(self.pattern, text))

    def __str__(self) -> str:
        return self.words


def number(value: float) -> str:
    """A bound as it is written in messages: whole numbers in full, others as short as they can be."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def bounds_of(cls: type) -> dict[str, Between]:
    """Field -> bounds, of every field that has any."""
    return {name: mark for name, mark in _marks(cls) if isinstance(mark, Between)}


def texts_of(cls: type) -> dict[str, Words | Shape]:
    """Field -> what its text may be, of every text that is not free."""
    return {name: mark for name, mark in _marks(cls) if isinstance(mark, Words | Shape)}


def _marks(cls: type) -> Iterator[tuple[str, object]]:
    """Each field with each mark of its annotation."""
    for name, hint in get_type_hints(cls, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            yield name, mark


def check_fields(section: str, spec: Any) -> None:
    """Check every field of a spec class: words, bounds, text.

    Raises:
        SpecError: naming the key as it stands in a file, `corpus.task`.
    """
    bounds, texts = bounds_of(type(spec)), texts_of(type(spec))
    for name, hint in get_type_hints(type(spec)).items():
        value, key = getattr(spec, name), f"{section}.{name}"
        entries = value if isinstance(value, tuple) else (value,)
        if len(entries) > MOST_ENTRIES:
            raise SpecError(f"{key} has too many entries", got=len(entries), allowed=f"at most {MOST_ENTRIES}")
        for entry in entries:
            if entry is None:
                continue
            if words := choices_of(hint):
                _check_choice(key, entry, words)
            elif name in bounds:
                check_number(key, entry, bounds[name])
            elif isinstance(entry, str):
                check_text(key, entry)
                if name in texts:
                    _check_shape(key, entry, texts[name])


def choices_of(hint: Any) -> tuple[str, ...]:
    """The words of a `Literal`, bare or within a tuple or a union; () for any other type."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((words for part in get_args(hint) if (words := choices_of(part))), ())


def check_number(key: str, value: Any, bounds: Between) -> None:
    """SpecError where it is no number within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{key} is not a number", got=_written(value), allowed=bounds)
    if value not in bounds:
        raise SpecError(f"{key} is out of range", got=_written(value), allowed=bounds)


def check_text(key: str, value: str) -> None:
    """SpecError where it could be no path and no name: too long, with control characters, or half characters."""
    if len(value) > MOST_CHARACTERS:
        allowed = f"at most {MOST_CHARACTERS} characters"
        raise SpecError(f"{key} is too long", got=f"{len(value)} characters", allowed=allowed)
    if not is_utf8(value):
        raise SpecError(f"{key} is no UTF-8", got=printable(value), allowed="text", todo="rename the file or folder")
    if _CONTROL.search(value):
        allowed = "text without control characters"
        raise SpecError(f"{key} holds a control character", got=printable(value), allowed=allowed)


def typed(key: str, value: Any, hint: Any) -> Any:
    """A TOML or JSON value as the field's type; lists become tuples, whole numbers become floats in a field of floats.

    Raises:
        SpecError: it is of another type.
    """
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    if value is None and NoneType in kinds:
        return None
    kind = kinds[0]
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise SpecError(f"{key} has the wrong type", got=_written(value), allowed="a list")
        return tuple(typed(f"{key}[{n}]", entry, get_args(kind)[0]) for n, entry in enumerate(value))
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf  # out of every bounds, and refused there
    if kind in {int, float, str, bool} and type(value) is not kind:
        words = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}
        raise SpecError(f"{key} has the wrong type", got=_written(value), allowed=words[kind])
    return value


def known_keys(where: str, raw: Mapping[str, Any], allowed: list[str]) -> None:
    """Refuse unknown keys, naming the nearest known one."""
    if REMOTE_CODE in raw:
        todo = "leave it out, read that code, then: retrieval-lens run SPEC --trust-remote-code OWNER/NAME"
        raise SpecError("a spec file cannot allow the code of a repository", got=f"{REMOTE_CODE} in {where}", todo=todo)
    for key in raw:
        if key not in allowed:
            raise SpecError(f"unknown key in {where}", got=repr(key), allowed=nearest(str(key), allowed))


REMOTE_CODE = "trust_remote_code"
"""The one setting a spec file may not hold: who runs a spec somebody else wrote has not read that code."""


def field_names(cls: type) -> list[str]:
    """Keys of a section."""
    return [field.name for field in fields(cls)]


def _check_choice(key: str, value: object, words: tuple[str, ...]) -> None:
    """SpecError where it is none of the words."""
    if value not in words:
        raise SpecError(f"{key} is not known", got=_written(value), allowed=nearest(_written(value).strip("'"), words))


def _check_shape(key: str, text: str, allowed: Words | Shape) -> None:
    """SpecError where a text is none of the words, or has another shape."""
    if text not in allowed:
        written = nearest(text, allowed.words) if isinstance(allowed, Words) else allowed
        raise SpecError(f"{key} is not known", got=_written(text), allowed=written)


def _written(value: object) -> str:
    """A value for a message. Python refuses to write whole numbers of more than 4,300 digits."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"
