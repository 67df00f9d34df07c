"""Specs, for any input: a whole spec or one `SpecError`; bounds for every number; names and texts safe to use."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import NAME, SECTIONS, RunSpec, bounds_of, fitted_name, load_spec, parse_spec
from core.config.checks import Words, choices_of, texts_of
from core.errors import SpecError
from core.fingerprint import canonical
from core.text import is_utf8, printable

SMALL: dict[str, Any] = {"corpus": {"source": "demo"}, "model": {"name": "demo-mllm"}}
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**20, 10**40)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from([(section, field.name) for section, cls in SECTIONS.items() for field in fields(cls)])


def numbers(hint: Any) -> bool:
    """Whether a field holds numbers, bare or in a list."""
    kinds = {hint, *get_args(hint), *(part for kind in get_args(hint) for part in get_args(kind))}
    return bool(kinds & {int, float})


@pytest.mark.parametrize("section", SECTIONS)
def test_every_number_of_a_spec_has_finite_bounds(section: str) -> None:
    cls = SECTIONS[section]
    hints, bounds = get_type_hints(cls), bounds_of(cls)
    assert {name for name, hint in hints.items() if numbers(hint)} == set(bounds)
    for bound in bounds.values():
        assert math.isfinite(bound.low) and math.isfinite(bound.high) and bound.low < bound.high


@given(keys, anything)
def test_any_value_of_any_key_gives_a_spec_or_one_error(key: tuple[str, str], value: Any) -> None:
    section, name = key
    raw = SMALL | {section: SMALL.get(section, {}) | {name: value}}
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        assert not UNSAFE.search(str(error))
    else:
        assert parse_spec(json.loads(canonical(spec.canonical()))) == spec and NAME.fullmatch(spec.run_name)


@given(st.dictionaries(st.sampled_from([*SECTIONS, "name", "variants", "other"]), anything))
def test_any_mapping_gives_a_spec_or_one_error(raw: dict[str, Any]) -> None:
    try:
        assert isinstance(parse_spec(raw), RunSpec)
    except SpecError as error:
        assert not UNSAFE.search(str(error))


def valid_values(cls: type, name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field takes."""
    bounds = bounds_of(cls)
    words = choices_of(hint)
    if isinstance(named := texts_of(cls).get(name), Words):
        words = tuple(word.replace("TASK", "NFCorpus") for word in named.words)
    if words:
        one: st.SearchStrategy[Any] = st.sampled_from(words)
    elif name in bounds:
        low, high = bounds[name].low, bounds[name].high
        whole = int in {hint, *get_args(hint), *(p for k in get_args(hint) for p in get_args(k))}
        one = st.integers(int(low), int(high)) if whole else st.floats(low, high, exclude_min=bounds[name].above)
    else:
        one = st.booleans() if hint is bool else st.text("abc/.-", min_size=1, max_size=9)
    return st.lists(one, min_size=1, max_size=3) if "tuple" in str(hint) else one


BOUND = {("sae", "widths"), ("sae", "ks"), ("sae", "k"), ("sae", "width"), ("corpus", "split"), ("corpus", "language")}
"""Fields that other fields bind."""
VALID = [
    (section, name, valid_values(cls, name, hint))
    for section, cls in SECTIONS.items()
    for name, hint in get_type_hints(cls).items()
    if (section, name) not in BOUND
]


@given(st.data())
def test_what_the_bounds_allow_is_taken_and_read_back_the_same(data: st.DataObject) -> None:
    section, name, values = data.draw(st.sampled_from(VALID))
    base = {"corpus": {"source": "folder", "path": "p"}, "model": {"name": "m"}}
    spec = parse_spec(base | {section: base.get(section, {}) | {name: data.draw(values)}})
    assert parse_spec(json.loads(canonical(spec.canonical()))) == spec


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_file_gives_a_spec_or_one_error(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.toml"
        path.write_bytes(content)
        with pytest.raises(SpecError):  # no content this short names a corpus and a model
            load_spec(path)


@given(st.text(st.characters(exclude_categories=()), max_size=120), st.integers(1, 80))
def test_every_text_can_be_made_to_fit_as_a_name(text: str, most: int) -> None:
    name = fitted_name(text, most)
    assert NAME.fullmatch(name) and (len(name) <= most or name == "unnamed")
    assert fitted_name(name, 80) == name


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_printable_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    safe = printable(text)
    assert not UNSAFE.search(safe) and is_utf8(safe) and printable(safe) == safe
    assert safe == text or UNSAFE.search(text) or any(c in text for c in "\u061c\u200e\u200f\u2028\u2029")
