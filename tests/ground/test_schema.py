"""The JSON Schema of a spec, by another library: it takes every preset and refuses what the checks of a spec refuse."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from core.config import PRESETS, SECTIONS, parse_spec
from core.config.schema import FILE, described, spec_schema
from core.errors import SpecError

VALIDATOR = jsonschema.Draft7Validator(spec_schema())
SMALL = {"corpus": {"source": "demo"}, "model": {"name": "demo-mllm"}}


def with_key(section: str, key: str, value: Any, **beside: Any) -> dict[str, Any]:
    return {**SMALL, section: {**SMALL.get(section, {}), key: value, **beside}}


def test_the_schema_is_a_schema_and_the_file_of_the_package_holds_it() -> None:
    jsonschema.Draft7Validator.check_schema(spec_schema())
    assert json.loads(FILE.read_text(encoding="utf-8")) == spec_schema(), "next: make docs"


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.name)
def test_every_preset_is_taken(preset: Any) -> None:
    VALIDATOR.validate(tomllib.loads(preset.read_text(encoding="utf-8")))


PLANTED = {
    "unknown section": {**SMALL, "saes": {}},
    "unknown key": with_key("sae", "widht", 4),
    "no corpus": {"model": {"name": "demo-mllm"}},
    "no model": {"corpus": {"source": "demo"}},
    "model without a name": {**SMALL, "model": {"dtype": "auto"}},
    "source without a path": {**SMALL, "corpus": {"source": "folder"}},
    "empty path": {**SMALL, "corpus": {"source": "folder", "path": ""}},
    "unknown word": with_key("corpus", "source", "folders"),
    "unknown word in a list": with_key("embedding", "poolings", ["means"]),
    "below its bound": with_key("corpus", "limit", 0),
    "above its bound": with_key("corpus", "task", 9),
    "at a bound that is excluded": with_key("sae", "learning_rate", 0),
    "an entry beyond its bounds": with_key("embedding", "layers", [1001]),
    "an empty list": with_key("embedding", "layers", []),
    "a fraction for a whole number": with_key("sae", "steps", 1.5),
    "a text for a number": with_key("whitening", "beta", "0.1"),
    "a number for a list": with_key("embedding", "layers", -1),
    "a switch for a number": with_key("corpus", "task", True),
    "a text for a switch": with_key("embedding", "cross", "yes"),
    "a name with a blank": {**SMALL, "name": "my run"},
    "a variant that is no text": {**SMALL, "variants": {"mine": 3}},
    "the study's loss with another architecture": with_key("sae", "preset", "study", architecture="batchtopk"),
    "the study's loss with a bias": with_key("sae", "preset", "study", bias="mean"),
    "widths where nothing is trained": with_key("sae", "source", "none", widths=[64]),
    "a split of a folder": {**SMALL, "corpus": {"source": "folder", "path": "x", "split": "test"}},
    "a language of a demo": with_key("corpus", "language", "de"),
    "a beir folder of another task": {**SMALL, "corpus": {"source": "beir", "path": "x", "task": 4}},
    "mteb without a task": {**SMALL, "corpus": {"source": "mteb:"}},
    "a language that is none": {**SMALL, "corpus": {"source": "mteb:T", "language": "d e"}},
    "too many entries": with_key("embedding", "layers", [-1] * 257),
    "a path that is too long": {**SMALL, "corpus": {"source": "folder", "path": "x" * 4097}},
}


@pytest.mark.parametrize("raw", PLANTED.values(), ids=PLANTED)
def test_both_refuse_what_is_planted(raw: Mapping[str, Any]) -> None:
    assert not VALIDATOR.is_valid(raw)
    with pytest.raises(SpecError):
        parse_spec(raw)


TAKEN = {
    "own embeddings without a model": {"corpus": {"source": "embeddings", "path": "x"}},
    "own embeddings with the family alone": {
        "corpus": {"source": "embeddings", "path": "x"},
        "model": {"family": "generative"},
    },
    "a task of mteb": {**SMALL, "corpus": {"source": "mteb:NanoTask", "split": "test", "language": "de"}},
    "a task of mteb with vectors": {"corpus": {"source": "mteb:NanoTask", "path": "x"}},
    "a folder as SAE": with_key("sae", "source", "saes/mine"),
    "a whole number for a fraction": with_key("whitening", "beta", 1),
    "widths to train": with_key("sae", "widths", [64, 128], k=8),
    "variants": {**SMALL, "variants": {"mended": "center"}},
}


@pytest.mark.parametrize("raw", TAKEN.values(), ids=TAKEN)
def test_both_take_what_is_sound(raw: Mapping[str, Any]) -> None:
    VALIDATOR.validate(raw)
    parse_spec(raw)


def test_every_key_is_described_and_has_its_bounds() -> None:
    sections = spec_schema()["properties"]
    for name, cls in SECTIONS.items():
        keys = sections[name]["properties"]
        assert set(keys) == set(described(cls)) and all(len(key["description"]) > 10 for key in keys.values())
    assert sections["corpus"]["properties"]["task"] | {"description": ""} == {
        "description": "",
        "type": "integer",
        "minimum": 0,
        "maximum": 8,
    }
