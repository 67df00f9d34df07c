"""The spec as JSON Schema (draft 7): what editors complete a spec file by, and any validator can check.

Out: plain JSON, made of the dataclasses that validate a spec: types, words, bounds, defaults, and the text beside each
field. `RULES` says what binds two keys of a section together, as `__post_init__` of its class does. Not said here, as
JSON Schema cannot: that K is at most the smallest width, and whether a path or a model exists.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from core.config.checks import MOST_CHARACTERS, MOST_ENTRIES, Between, Shape, Words
from core.config.corpus import MTEB
from core.config.run import NAME, SECTIONS, RunSpec
from core.config.sae import SAE_WORDS

Schema = dict[str, Any]
"""Plain JSON."""
FILE = Path(__file__).with_name("spec.schema.json")
"""The same as a file of the package; a test compares it with `spec_schema`."""
DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest draft that editors of TOML know."""
TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def spec_schema() -> Schema:
    """The schema of a whole spec file."""
    texts = described(RunSpec)
    sections = {name: _section(name, cls) for name, cls in SECTIONS.items()}
    name = {"type": "string", "pattern": f"^{NAME.pattern}$", "description": texts["name"]}
    chain = {"type": "string"}
    variants = {
        "type": "object",
        "description": texts["variants"],
        "maxProperties": MOST_ENTRIES,
        "propertyNames": {"maxLength": MOST_CHARACTERS},
        "additionalProperties": chain,
    }
    return {
        "$schema": DRAFT,
        "title": "A run of Retrieval Lens",
        "type": "object",
        "additionalProperties": False,
        "required": ["corpus"],
        "properties": {"name": name, **sections, "variants": variants},
        # Where vectors are brought, no model is needed, and no name for one.
        "if": {"properties": {"corpus": {"anyOf": [_is("source", "embeddings"), _MTEB | {"required": ["path"]}]}}},
        "else": {"required": ["model"], "properties": {"model": {"required": NEEDED["model"]}}},
    }


def described(cls: type) -> dict[str, str]:
    """Field -> the text that follows it in its class, on one line; fields without one are left out."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef), cls
    texts = {}
    for node, after in zip(body.body, body.body[1:], strict=False):
        said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(said, str):
            texts[node.target.id] = " ".join(said.split())
    return texts


def _section(name: str, cls: type) -> Schema:
    texts, hints = described(cls), get_type_hints(cls, include_extras=True)
    keys = {field.name: _key(field, hints[field.name], texts[field.name]) for field in fields(cls)}
    for key, words in SUGGESTED.get(name, {}).items():
        keys[key] = {"anyOf": [{"enum": list(words)}, {"type": keys[key].pop("type")}]} | keys[key]
    for key in NEVER_EMPTY.get(name, ()):
        keys[key]["minItems"] = 1
    section: Schema = {"type": "object", "description": (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")}
    if section["description"].startswith(f"{cls.__name__}("):  # what dataclasses write where the class says nothing
        del section["description"]
    section |= {"additionalProperties": False, "properties": keys}
    needed = {} if name == "model" or not NEEDED[name] else {"required": NEEDED[name]}
    return section | needed | RULES.get(name, {})


def _key(field: Field[Any], hint: Any, text: str) -> Schema:
    """One key: type, bounds, default and text."""
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    known = {} if default in (MISSING, None, []) else {"default": default}
    return {"description": text} | _of_type(hint) | known


def _of_type(hint: Any, marks: tuple[object, ...] = ()) -> Schema:
    """A field's type as its check takes it; the bounds of a list are those of its entries."""
    if get_origin(hint) is Annotated:
        inner, *marks_here = get_args(hint)
        return _of_type(inner, tuple(marks_here))
    if get_origin(hint) in (UnionType, Union):  # TOML has no null: a key without a value is left out
        return _of_type(next(part for part in get_args(hint) if part is not NoneType), marks)
    if get_origin(hint) is tuple:
        return {"type": "array", "maxItems": MOST_ENTRIES, "items": _of_type(get_args(hint)[0], marks)}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    schema: Schema = {"type": TYPES[hint]}
    for mark in marks:
        match mark:
            case Between():
                schema |= {"exclusiveMinimum" if mark.above else "minimum": mark.low, "maximum": mark.high}
            case Words():
                return _of_words(mark.words)
            case Shape():
                schema |= {"pattern": f"^{mark.pattern}$"}
    return schema | ({"maxLength": MOST_CHARACTERS} if hint is str else {})


def _of_words(words: Sequence[str]) -> Schema:
    """One of these words; `mteb:TASK` is that beginning with any name behind it."""
    plain = {"enum": [word for word in words if ":" not in word]}
    begins = [f"^{word.partition(':')[0]}:." for word in words if ":" in word]
    return {"anyOf": [plain, *({"type": "string", "pattern": pattern} for pattern in begins)]} if begins else plain


def _is(key: str, value: str) -> Schema:
    """Holds of a table whose key has that value."""
    return {"required": [key], "properties": {key: {"const": value}}}


def _none_of(*keys: str) -> Schema:
    """Holds of a table in which these lists are left out, or empty."""
    return {"properties": {key: {"maxItems": 0} for key in keys}}


NEEDED = {
    name: [field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING]
    for name, cls in SECTIONS.items()
}
"""Section -> keys without a default."""
SUGGESTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {"sae": {"source": SAE_WORDS}}
"""Words that an editor offers for a text that may be others too."""
NEVER_EMPTY: Mapping[str, tuple[str, ...]] = {"embedding": ("layers", "masks")}
_MTEB: Schema = {"required": ["source"], "properties": {"source": {"pattern": f"^{MTEB}:"}}}
RULES: Mapping[str, Schema] = {
    "corpus": {
        "allOf": [
            {
                "if": {"anyOf": [_is("source", "demo"), _MTEB]},
                "else": {"required": ["path"], "properties": {"path": {"minLength": 1}}},
            },
            {"if": {"not": {"anyOf": [_is("source", "beir"), _MTEB]}}, "then": {"properties": {"split": False}}},
            {"if": {"not": _MTEB}, "then": {"properties": {"language": False}}},
            {"if": _is("source", "beir"), "then": {"properties": {"task": {"const": 2}}}},
        ]
    },
    "sae": {
        "allOf": [
            {
                "if": _is("preset", "study"),
                "then": {"properties": {"architecture": {"const": "topk"}, "bias": {"const": "none"}}},
            },
            {"if": {"properties": {"source": {"const": "train"}}}, "else": _none_of("widths", "ks")},
        ]
    },
}
"""What binds two keys of a section together."""
